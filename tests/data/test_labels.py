"""From cells to targets, by the named policy and by nothing else."""

import math
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW, label_cells, question

from medtransfer.data.case_index import numbered
from medtransfer.data.config import DataConfig, LabelPolicy
from medtransfer.data.labels import (
    apply_policy,
    case_labels,
    label_columns,
    one_hot,
    policy_value,
    raw_labels,
    require_class_shares,
    share_notes,
    targets_in_use,
    targets_of,
)
from medtransfer.data.splits import patient_classes
from medtransfer.errors import TableError
from medtransfer.tables.manifest import label_text

NAN = float("nan")
POLICIES = {
    "ignore": NAN,
    "zeros": 0.0,
    "ones": 1.0,
    "soft(0.3)": 0.3,
    "soft(1.0)": 1.0,
    "soft(0)": 0.0,
    "soft(.25)": 0.25,
}
DIAGNOSIS = DataConfig.model_validate(
    {
        "manifest": "m.csv",
        "task": "single-label",
        "class_column": "diagnosis",
        "targets": ["nevus", "keratosis", "melanoma"],
    }
)


def labels_of(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """The labels of the cases, in the order of their ids."""
    return case_labels(frame, data, numbered(frame["case_id"]))


@pytest.mark.parametrize(("policy", "value"), POLICIES.items())
def test_each_policy_has_its_value(policy: str, value: float) -> None:
    assert policy_value(policy) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(("uncertain", "low"), POLICIES.items())
@pytest.mark.parametrize(("empty", "none"), POLICIES.items())
def test_each_policy_decides_about_its_own_cells_and_no_others(
    uncertain: str, low: float, empty: str, none: float
) -> None:
    cells = pl.Series(["1", "0", "-1", None])
    targets = apply_policy(cells, LabelPolicy(uncertain=uncertain, empty=empty))
    np.testing.assert_equal(targets, [1.0, 0.0, low, none])
    assert targets.dtype == np.float64


@pytest.mark.parametrize("empty", POLICIES)
def test_a_column_without_any_label_is_all_empty(empty: str) -> None:
    cells = pl.Series([None, None], dtype=pl.String)
    targets = apply_policy(cells, LabelPolicy(empty=empty))
    np.testing.assert_equal(targets, [POLICIES[empty]] * 2)


@FEW
@given(st.lists(label_cells(), min_size=1, max_size=30), st.sampled_from(sorted(POLICIES)))
def test_every_spelling_of_a_cell_means_the_same(cells: list[str], policy: str) -> None:
    text = pl.DataFrame({"x": cells}).select(label_text("x"))["x"]
    targets = apply_policy(text, LabelPolicy(uncertain=policy, empty="ignore"))
    for cell, target in zip(cells, targets, strict=True):
        if not cell.strip():
            assert math.isnan(target)
        elif float(cell) < 0:
            assert target == pytest.approx(POLICIES[policy], nan_ok=True)
        else:
            assert target == float(cell)


def test_a_class_becomes_ones_and_an_empty_cell_masks() -> None:
    targets = one_hot(pl.Series(["b", None, "a"]), "b")
    np.testing.assert_equal(targets, [1, NAN, 0])


def test_classes_stand_in_the_order_of_the_study() -> None:
    cells = pl.DataFrame({"case_id": ["1", "2"], "diagnosis": ["melanoma", "nevus"]})
    assert label_columns(DIAGNOSIS) == ["diagnosis"]
    targets = targets_of(labels_of(cells, DIAGNOSIS), DIAGNOSIS)
    np.testing.assert_equal(targets, [[0, 0, 1], [1, 0, 0]])


def test_targets_stand_in_the_order_of_the_study_each_with_its_policy() -> None:
    data = DataConfig.model_validate(
        {
            "manifest": "m.csv",
            "task": "multi-label",
            "targets": {"b": {"uncertain": "ones"}, "a": {"uncertain": "soft(0.2)"}},
        }
    )
    frame = pl.DataFrame({"case_id": ["1", "2"], "a": ["-1", "1"], "b": ["-1", "0"]})
    targets = targets_of(labels_of(frame, data), data)
    np.testing.assert_equal(targets, [[1.0, 0.2], [0.0, 1.0]])


def test_a_case_has_the_label_that_its_images_give() -> None:
    frame = pl.DataFrame(
        {
            "case_id": ["c", "a", "b", "a", "c", "b", "a"],
            "t": ["", "1", None, "1.0", "-1", " ", None],
        }
    )
    labels = labels_of(frame, question("t"))
    assert labels.rows() == [("1",), (None,), ("-1",)]  # of a, b and c


@FEW
@given(st.lists(st.tuples(st.integers(0, 4), label_cells()), min_size=1, max_size=20), st.randoms())
def test_case_labels_do_not_depend_on_the_order_of_rows(
    rows: list[tuple[int, str]], random: Random
) -> None:
    def labels(chosen: list[tuple[int, str]]) -> list[tuple[object, ...]]:
        frame = pl.DataFrame(chosen, schema={"case_id": pl.Int64, "t": pl.String}, orient="row")
        return labels_of(frame, question("t")).rows()

    shuffled = list(rows)
    random.shuffle(shuffled)
    assert labels(rows) == labels(shuffled)


def test_no_label_is_taken_from_another_column_or_another_case() -> None:
    # torchxrayvision's groupby().first() mixes the labels of a patient's images
    frame = pl.DataFrame(
        {"case_id": ["1", "2"], "a": [None, "1"], "b": ["0", None]},
        schema={"case_id": pl.String, "a": pl.String, "b": pl.String},
    )
    assert labels_of(frame, question("a", "b")).rows() == [(None, "0"), ("1", None)]


def test_raw_labels_are_the_label_columns_alone() -> None:
    frame = pl.DataFrame({"case_id": ["1"], "t": [" 1.0 "], "sex": ["F"]})
    assert raw_labels(frame, question("t")).rows(named=True) == [{"t": "1"}]


FRACTIONAL = DataConfig.model_validate(
    {
        "manifest": "m.csv",
        "task": "multi-label",
        "targets": {"a": {"fractions": "train", "uncertain": "soft(0.3)"}, "b": {}},
    }
)
SHARES = pl.DataFrame(
    {
        "case_id": ["1", "2", "3", "4", "5", "6", "7"],
        "a": ["0.25", "0.5", " .75", "1.0", "0", "-1", ""],
        "b": ["1"] * 7,
    }
)


def test_training_cases_keep_the_share_of_readers() -> None:
    labels = labels_of(SHARES, FRACTIONAL)
    targets = targets_in_use(labels, FRACTIONAL, np.ones(7, dtype=bool))
    np.testing.assert_equal(targets[:, 0], [0.25, 0.5, 0.75, 1, 0, 0.3, NAN])
    np.testing.assert_equal(targets[:, 1], np.ones(7))


def test_the_majority_is_the_truth_elsewhere_and_a_tie_has_none() -> None:
    labels = labels_of(SHARES, FRACTIONAL)
    targets = targets_in_use(labels, FRACTIONAL, np.zeros(7, dtype=bool))
    np.testing.assert_equal(targets[:, 0], [0, NAN, 1, 1, 0, 0.3, NAN])


def test_without_fractions_targets_are_the_same_in_every_split() -> None:
    labels = labels_of(pl.DataFrame({"case_id": ["1", "2"], "t": ["1", "-1"]}), question("t"))
    for training in (np.zeros(2, dtype=bool), np.ones(2, dtype=bool)):
        targets = targets_in_use(labels, question("t"), training)
        np.testing.assert_equal(targets, targets_of(labels, question("t")))


def test_fractions_and_ties_are_counted() -> None:
    (note,) = share_notes(SHARES, FRACTIONAL)
    assert note.startswith("'a' is between 0 and 1 in 3 rows")
    assert "1 row at 0.5: without truth in tuning and test" in note
    assert share_notes(SHARES.with_columns(a=pl.lit("1")), FRACTIONAL) == []


def test_a_class_column_holds_no_fractions() -> None:
    settings = DIAGNOSIS.model_dump() | {"targets": {"nevus": {"fractions": "train"}, "other": {}}}
    with pytest.raises(ValueError, match="fractions: train is for binary and multi-label"):
        DataConfig.model_validate(settings)


COLUMNS = {"nevus": "n", "keratosis": "k", "melanoma": "m"}
READERS = DataConfig.model_validate(DIAGNOSIS.model_dump() | {"class_shares": COLUMNS})
READ = pl.DataFrame(
    {
        "row": [2, 3, 4, 5],
        "case_id": ["1", "1", "2", "3"],
        "diagnosis": ["nevus", "nevus", "melanoma", ""],
        "n": ["2", "2.0", "", "0.3"],
        "k": ["1", "1", "", "0.3"],
        "m": ["1", "1", "", "0.4"],
    }
)


def test_training_cases_have_the_shares_of_their_classes_and_others_the_class() -> None:
    labels = labels_of(READ, READERS)
    training = targets_in_use(labels, READERS, np.ones(3, dtype=bool))
    np.testing.assert_allclose(training, [[0.5, 0.25, 0.25], [0, 0, 1], [0.3, 0.3, 0.4]])
    elsewhere = targets_in_use(labels, READERS, np.zeros(3, dtype=bool))
    np.testing.assert_equal(elsewhere, targets_of(labels_of(READ, DIAGNOSIS), DIAGNOSIS))
    assert raw_labels(READ, READERS).columns == ["diagnosis", "n", "k", "m"]
    (note,) = share_notes(READ, READERS)
    assert note.startswith("3 rows of 4 have shares of the classes")
    _, members = patient_classes(np.arange(3), training, "single-label")
    np.testing.assert_equal(members, np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1]], dtype=bool))


def test_what_is_no_share_of_a_class_is_named_by_row_at_once() -> None:
    faults = READ.with_columns(n=pl.Series(["2", "3", "x", "0"]), m=pl.Series(["1", "1", "", "0"]))
    faults = faults.with_columns(k=pl.Series(["1", "1", "-1", "0"]))
    with pytest.raises(TableError) as error:
        require_class_shares(faults, Path("m.csv"), list(COLUMNS.values()))
    for said in (
        "no number of 0 or more in 1 row, row 4",
        "shares of some classes only (write 0 for the others) in 1 row, row 4",
        "whose sum is 0 in 1 row, row 5",
        "other shares than other images of their case in 2 rows, rows 2, 3",
    ):
        assert said in str(error.value)
    with pytest.raises(TableError, match="'k' .data.class_shares. is not a column"):
        require_class_shares(READ.drop("k"), Path("m.csv"), list(COLUMNS.values()))
    require_class_shares(READ, Path("m.csv"), list(COLUMNS.values()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_shares": {"nevus": "n"}}, "a column for each of the targets"),
        ({"class_shares": dict.fromkeys(COLUMNS, "n")}, "holds a column twice"),
        ({"class_shares": COLUMNS | {"nevus": "diagnosis"}}, "or class_column"),
        (
            {"task": "multi-label", "class_column": None, "class_shares": COLUMNS},
            "class_shares is for single-label tasks",
        ),
    ],
)
def test_shares_that_do_not_fit_the_task_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate(DIAGNOSIS.model_dump() | changes)
