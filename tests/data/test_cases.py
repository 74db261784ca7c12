"""Cases: the images, owners and targets that belong together."""

import numpy as np
import polars as pl
from hypothesis import given
from tests.strategies import FEW, manifests, question

from medtransfer.data.cases import Cases, build_cases, case_attributes
from medtransfer.data.config import LabelPolicy
from medtransfer.data.splits import assign_splits
from medtransfer.tables.manifest import Manifest

FRAME = pl.DataFrame(
    {
        "image_id": ["i3", "i1", "i2", "i4", "i5"],
        "case_id": ["b", "b", "a", "b", "c"],
        "patient_id": ["007", "007", "q", "007", "q"],
        "cohort": ["A", "A", "B", "A", "B"],
        "split": ["train", "train", "test", "train", "test"],
        "t": ["1", None, "0", "1", "-1"],
        "sex": ["F", "F ", "M", None, ""],
        "age": [40, 41, 50, 40, 60],
    }
)


def test_cases_are_in_the_order_of_their_ids_with_all_their_images() -> None:
    cases = build_cases(FRAME, question("t"))
    assert len(cases) == 3
    assert cases.case_ids.tolist() == ["a", "b", "c"]
    assert cases.patient_ids.tolist() == ["q", "007", "q"]
    assert cases.cohorts.tolist() == ["B", "A", "B"]
    assert cases.splits.tolist() == ["test", "train", "test"]
    assert cases.images == (("i2",), ("i1", "i3", "i4"), ("i5",))
    assert cases.image_ids == ["i2", "i1", "i3", "i4", "i5"]
    np.testing.assert_equal(cases.targets, [[0.0], [1.0], [np.nan]])


def test_training_cases_keep_fractions_and_test_cases_their_majority() -> None:
    data = question("t").model_copy(update={"targets": {"t": LabelPolicy(fractions="train")}})
    cells = pl.Series("t", ["0.7", "0.7", "0.7", "0.7", "0.4"])
    cases = build_cases(FRAME.with_columns(cells), data)
    np.testing.assert_equal(cases.targets, [[1.0], [0.7], [0.0]])  # test, train, test


def test_some_cases_are_taken_with_all_that_is_theirs() -> None:
    cases = build_cases(FRAME, question("t"))
    for rows in (np.array([2, 1]), np.array([False, True, True])):
        some = cases.take(rows)
        order = [2, 1] if rows.dtype != bool else [1, 2]
        assert some.case_ids.tolist() == [cases.case_ids[i] for i in order]
        assert some.images == tuple(cases.images[i] for i in order)
        np.testing.assert_equal(some.targets, cases.targets[order])
    assert len(cases.take(np.zeros(3, dtype=bool))) == 0


@FEW
@given(manifests(targets=2, cohorts=2))
def test_every_image_is_in_the_case_the_manifest_names(manifest: Manifest) -> None:
    frame = assign_splits(manifest, question("t0", "t1"))
    cases = build_cases(frame, question("t0", "t1"))
    owners = dict(manifest.frame.select("image_id", "case_id").rows())
    listed = [
        (image, case)
        for case, images in zip(cases.case_ids.tolist(), cases.images, strict=True)
        for image in images
    ]
    assert sorted(listed) == sorted(owners.items())
    assert cases.case_ids.tolist() == sorted(set(owners.values()))


@FEW
@given(manifests(targets=2))
def test_cases_do_not_depend_on_the_order_of_rows(manifest: Manifest) -> None:
    frame = assign_splits(manifest, question("t0", "t1"))
    one, two = (build_cases(f, question("t0", "t1")) for f in (frame, frame.reverse()))
    assert one.images == two.images
    for name in ("case_ids", "patient_ids", "cohorts", "splits"):
        assert getattr(one, name).tolist() == getattr(two, name).tolist()
    np.testing.assert_equal(one.targets, two.targets)


def test_ids_keep_every_letter() -> None:
    names = ["é" * 50, "0", "患者 7"]
    frame = FRAME.head(3).with_columns(case_id=pl.Series(names), patient_id=pl.Series(names))
    cases: Cases = build_cases(frame, question("t"))
    assert sorted(cases.case_ids.tolist()) == sorted(names)


def test_an_attribute_of_a_case_is_what_its_images_agree_on() -> None:
    frame = FRAME.with_columns(pl.col("sex").replace("", None))
    assert case_attributes(frame, ["sex", "age"]).rows() == [
        ("a", "M", "50"),
        ("b", "F", None),
        ("c", None, "60"),
    ]


def test_groups_of_whole_numbers_have_no_decimals_whatever_gaps_the_column_has() -> None:
    skin = pl.Series([1.0, 1.0, 4.0, None, 2.5])
    frame = FRAME.with_columns(skin=skin, version=pl.lit("2.0"))
    assert case_attributes(frame, ["skin", "version"]).rows() == [
        ("a", "4", "2.0"),
        ("b", "1", "2.0"),
        ("c", "2.5", "2.0"),
    ]


def test_without_attributes_there_are_still_all_cases() -> None:
    assert case_attributes(FRAME, [])["case_id"].to_list() == ["a", "b", "c"]
