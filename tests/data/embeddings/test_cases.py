"""Features of images become features of cases; ids that do not fit are counted."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.data.cases import Cases
from medtransfer.data.embeddings.cases import Coverage, case_embeddings, embedding_rows
from medtransfer.data.embeddings.files import Embeddings
from medtransfer.errors import TableError
from medtransfer.tables.manifest import Manifest, read_manifest


def embeddings(names: list[str], values: np.ndarray, key: str = "image_id") -> Embeddings:
    return Embeddings(key, pl.Series(names), values.astype(np.float32))  # type: ignore[arg-type]


def cases_of(images: list[tuple[str, ...]]) -> Cases:
    count = len(images)
    text = np.array([f"c{k}" for k in range(count)])
    return Cases(text, text, text, text, np.zeros((count, 1)), images)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(0, 5))
def test_pooling_is_that_of_each_case_alone(sizes: list[int], seed: int) -> None:
    draw = np.random.default_rng(seed)
    images = [tuple(f"{k}-{j}" for j in range(size)) for k, size in enumerate(sizes)]
    names = [name for case in images for name in case]
    values = draw.normal(size=(len(names), 3)).astype(np.float32)
    order = draw.permutation(len(names))
    given_rows = embeddings([names[k] for k in order], values[order])
    starts = np.cumsum([0, *sizes])
    parts = [values[a:b] for a, b in pairwise(starts)]
    mean = case_embeddings(given_rows, cases_of(images), "mean")
    assert np.allclose(mean, [part.mean(axis=0) for part in parts], atol=1e-6)
    largest = case_embeddings(given_rows, cases_of(images), "max")
    assert np.array_equal(largest, np.stack([part.max(axis=0) for part in parts]))


def test_features_of_cases_are_taken_as_they_are() -> None:
    values = np.array([[1.0], [2.0], [3.0]])
    taken = case_embeddings(
        embeddings(["c2", "c0", "c1"], values, "case_id"), cases_of([("x",), ("y", "z")]), "mean"
    )
    assert taken[:, 0].tolist() == [2.0, 3.0]


def rows_of(given: Embeddings, cases: Cases) -> list[int] | None:
    rows = embedding_rows(given, cases)
    return None if rows is None else rows.tolist()


def test_cases_of_one_vector_each_are_rows_of_the_file() -> None:
    of_cases = embeddings(["c2", "c0", "c1"], np.eye(3), "case_id")
    both = cases_of([("x",), ("y", "z")])
    assert rows_of(of_cases, both) == [1, 2]
    of_images = embeddings(["z", "x", "y"], np.eye(3))
    assert rows_of(of_images, cases_of([("x",), ("z",)])) == [1, 0]
    assert rows_of(of_images, both) is None


def test_images_without_features_leave_their_case_to_the_others() -> None:
    partly = embeddings(["a", "c"], np.array([[1.0], [5.0]]))
    assert case_embeddings(partly, cases_of([("a", "b"), ("c",)]), "mean")[:, 0].tolist() == [1, 5]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = ["a,c1,p,h", "b,c1,p,h", "c,c2,q,h", "d,c3,r,h"]
    (tmp_path / "m.csv").write_text("image_id,case_id,patient_id,cohort\n" + "\n".join(rows))
    return read_manifest(tmp_path / "m.csv", images=False)


def test_missing_and_extra_ids_are_counted(manifest: Manifest) -> None:
    coverage = Coverage.of(embeddings(["a", "c", "d", "x", "y"], np.ones((5, 1))), manifest)
    assert (coverage.extra, coverage.missing["row"].to_list()) == (2, [3])
    coverage.require_cases("embeddings/e")


def test_a_case_without_features_is_refused_by_row(manifest: Manifest) -> None:
    coverage = Coverage.of(embeddings(["a", "d"], np.ones((2, 1))), manifest)
    with pytest.raises(TableError, match=r"lack 1 case, row 4 of the manifest") as error:
        coverage.require_cases("embeddings/e")
    assert "c2" not in str(error.value)
