"""Files of features: read whole, or refused with the number of every row."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.data.embeddings.files import read_embeddings
from medtransfer.errors import TableError


def written(folder: Path, **columns: object) -> Path:
    pl.DataFrame(columns, strict=False).write_parquet(folder / "f.parquet")
    return folder / "f.parquet"


def test_a_parquet_table_and_an_array_hold_the_same(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float64).reshape(3, 2)
    table = written(tmp_path, image_id=["a", " b ", "007"], anything=values.tolist())
    np.save(tmp_path / "g.npy", values)
    (tmp_path / "g.csv").write_text("image_id\na\nb\n007\n")
    for read in (read_embeddings(table), read_embeddings(tmp_path / "g.npy")):
        assert read.key == "image_id"
        assert read.ids.to_list() == ["a", "b", "007"]
        assert read.values.dtype == np.float32
        assert np.array_equal(read.values, values)


def test_all_faults_are_named_with_their_rows(tmp_path: Path) -> None:
    vectors = [[1.0, 2.0], [1.0], [3.0, 4.0], None, [5.0, 6.0]]
    path = written(tmp_path, case_id=["a", "b", "a", None, "e"], features=vectors)
    with pytest.raises(TableError) as error:
        read_embeddings(path)
    text = str(error.value)
    assert "'case_id' is empty in 1 row: 4" in text
    assert "'case_id' is not unique in 2 rows: 1, 3" in text
    assert "there are no features in 1 row: 4" in text
    assert "most vectors have 2 numbers, and 1 in 1 row: 2" in text


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), None, 1e39])
def test_what_is_no_number_is_refused(tmp_path: Path, wrong: float | None) -> None:
    path = written(tmp_path, image_id=["a", "b"], features=[[1.0, 2.0], [3.0, wrong]])
    with pytest.raises(TableError, match="NaN or beyond 32-bit numbers in 1 row: 2"):
        read_embeddings(path)


@given(row=st.integers(0, 19), column=st.integers(0, 4))
def test_one_nan_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, row: int, column: int
) -> None:
    folder = tmp_path_factory.mktemp("nan")
    values = np.ones((20, 5), dtype=np.float16)
    values[row, column] = np.nan
    np.save(folder / "f.npy", values)
    (folder / "f.csv").write_text("case_id\n" + "".join(f"{k}\n" for k in range(20)))
    with pytest.raises(TableError, match=f"1 row: {row + 1}"):
        read_embeddings(folder / "f.npy")


def test_columns_that_do_not_fit_are_named(tmp_path: Path) -> None:
    two = written(tmp_path, name=["a"], left=[[1.0]], right=[[2.0]])
    with pytest.raises(TableError) as error:
        read_embeddings(two)
    assert "ids are one column, image_id or case_id (it has neither)" in str(error.value)
    assert "named 'features' if there are several (it has the columns left, right)" in str(
        error.value
    )


def test_an_array_needs_as_many_ids_as_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones((3, 2)))
    with pytest.raises(TableError, match=r'features "f\.npy" have no ids: .*`feature_ids:`'):
        read_embeddings(tmp_path / "f.npy")
    (tmp_path / "ids.csv").write_text("case_id\na\nb\n")
    with pytest.raises(TableError, match="2 ids for 3 rows of features"):
        read_embeddings(tmp_path / "f.npy", tmp_path / "ids.csv")
    np.save(tmp_path / "flat.npy", np.ones(3))
    with pytest.raises(TableError, match=r"shape \(3,\).*two axes"):
        read_embeddings(tmp_path / "flat.npy", tmp_path / "ids.csv")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_text("no table")
    with pytest.raises(TableError, match="are no Parquet file"):
        read_embeddings(tmp_path / "f.parquet")
    (tmp_path / "f.pt").write_text("")
    with pytest.raises(TableError, match=r'end in "\.pt" \(allowed: \.parquet'):
        read_embeddings(tmp_path / "f.pt")
    with pytest.raises(TableError, match="does not exist"):
        read_embeddings(tmp_path / "none.parquet")
