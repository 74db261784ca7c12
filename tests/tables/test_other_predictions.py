"""Predictions of another framework: what is said is taken, what could change a number is asked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from tests.strategies import FEW

from medtransfer.errors import TableError
from medtransfer.tables.imported.score_cells import Scores
from medtransfer.tables.other_predictions import (
    Completion,
    read_columns,
    read_other_predictions,
    targets_are_exclusive,
)
from medtransfer.tables.predictions import read_predictions
from medtransfer.tables.values.value_map import read_value_map

Cells = dict[str, Sequence[object] | None]
UNANSWERED = "a case without a score is counted as not answered: leave its row out"


def table(**changes: Sequence[object] | None) -> pl.DataFrame:
    """Four test cases of four patients; a change replaces a column, None leaves it out."""
    columns: Cells = {
        "case_id": ["a", "b", "c", "d"],
        "patient_id": ["p", "q", "r", "s"],
        "split": ["tune", "test", "test", "test"],
        "target_x": [0, 1, None, 1],
        "prob_x": [0.25, 0.5, 0.75, 0.9],
        **changes,
    }
    return pl.DataFrame({name: cells for name, cells in columns.items() if cells is not None})


def written(folder: Path, frame: pl.DataFrame, suffix: str = ".csv") -> Path:
    path = folder / f"theirs{suffix}"
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    return path


def complaint(
    folder: Path,
    frame: pl.DataFrame,
    columns: dict[str, str] | None = None,
    scores: Scores | None = None,
    *,
    single_label: bool | None = None,
) -> str:
    path = written(folder, frame)
    with pytest.raises(TableError) as caught:
        read_other_predictions(path, columns, scores, single_label=single_label)
    assert str(caught.value).startswith('Predictions "theirs.csv" cannot be used:')
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_column_names_and_probabilities_become_our_table(tmp_path: Path, suffix: str) -> None:
    theirs = table().rename({"case_id": "study", "target_x": "truth", "prob_x": "p"})
    columns = {"case_id": "study", "target_x": "truth", "prob_x": "p"}
    found = read_other_predictions(written(tmp_path, theirs, suffix), columns)
    assert found.frame["case_id"].to_list() == ["a", "b", "c", "d"]
    assert found.frame["target_x"].to_list() == [0, 1, None, 1]
    assert expit(found.frame["logit_x"].to_numpy()) == pytest.approx([0.25, 0.5, 0.75, 0.9])
    assert found.frame.select("run_id", "member", "cohort").unique().row(0) == (
        "run",
        0,
        "internal",
    )
    assert "study" not in found.frame.columns
    assert found.notes == (
        "Column 'run_id' is missing: 'run' was assumed.",
        "Column 'member' is missing: '0' was assumed.",
        "Column 'cohort' is missing: 'internal' was assumed.",
        "Probabilities were converted to logits.",
    )
    found.frame.write_parquet(tmp_path / "ours.parquet")
    assert read_predictions(tmp_path / "ours.parquet").equals(found.frame)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("word", ["NA", "nan", "n/a", "."])
def test_missing_words_in_a_target_leave_it_empty_and_are_said(
    tmp_path: Path, word: str, suffix: str
) -> None:
    path = written(tmp_path, table(target_x=["0", word, "1", word]), suffix)
    found = read_other_predictions(path)
    assert found.frame["target_x"].to_list() == [0, None, 1, None]
    assert f"'target_x': read as missing: '{word}' in 2 rows." in found.notes


def test_our_own_table_comes_back_as_it_is_and_nothing_is_said(tmp_path: Path) -> None:
    own = table(
        prob_x=None,
        logit_x=[-3.0, 1.0, 2.0, 0.5],
        run_id=["r"] * 4,
        member=[0] * 4,
        cohort=["A"] * 4,
    )
    path = written(tmp_path, own, ".parquet")
    found = read_other_predictions(path)
    assert found.notes == ()
    assert found.frame.equals(read_predictions(path))


def test_a_column_of_theirs_may_be_several_of_ours_and_names_may_be_exchanged(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, table(patient_id=None))
    found = read_other_predictions(path, {"case_id": "case_id", "patient_id": "case_id"}).frame
    assert found["patient_id"].to_list() == found["case_id"].to_list() == ["a", "b", "c", "d"]
    path = written(tmp_path, table())
    found = read_other_predictions(path, {"case_id": "patient_id", "patient_id": "case_id"}).frame
    assert found["case_id"].to_list() == ["p", "q", "r", "s"]
    assert found["patient_id"].to_list() == ["a", "b", "c", "d"]


def test_a_named_column_comes_before_one_that_has_our_name_already(tmp_path: Path) -> None:
    path = written(tmp_path, table(better=[0.1, 0.2, 0.3, 0.4]))
    found = read_other_predictions(path, {"prob_x": "better"}).frame
    assert expit(found["logit_x"].to_numpy()) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_names_that_are_nobodys_are_refused_with_the_nearest(tmp_path: Path) -> None:
    said = complaint(tmp_path, table(), {"case_id": "cas_id", "label": "target_x"})
    assert "column 'cas_id' is not in the table. Did you mean 'case_id'" in said
    assert "'label' is not a known column (allowed: run_id, member, case_id" in said
    assert "prob_<name>" in said
    assert ".." not in said


def test_probabilities_under_the_name_of_logits_are_asked_about(tmp_path: Path) -> None:
    frame = table(prob_x=None, logit_x=[0.25, 0.5, 0.75, 0.9])
    assert complaint(tmp_path, frame) == (
        'Predictions "theirs.csv" cannot be used: logit_x are between 0 and 1 in all rows and look '
        "like probabilities. If they are, name them prob_<name> or pass --scores probabilities; if "
        "they are not, pass --scores logits. See docs/reference/predictions.md."
    )
    path = written(tmp_path, frame)
    meant = read_other_predictions(path, scores="logits").frame["logit_x"]
    assert meant.to_list() == [0.25, 0.5, 0.75, 0.9]
    turned = read_other_predictions(path, scores="probabilities").frame["logit_x"]
    assert turned.to_numpy() == pytest.approx(logit([0.25, 0.5, 0.75, 0.9]))


def test_logits_under_the_name_of_probabilities_are_refused(tmp_path: Path) -> None:
    said = complaint(tmp_path, table(prob_x=[0.2, -1.5, 3.0, 0.9]))
    assert (
        "'prob_x' is outside 0 to 1 in 2 rows, first in row 3: these are not probabilities" in said
    )
    assert "If they are logits, name it logit_<name>" in said
    frame = table(prob_x=None, logit_x=[0.2, -1.5, 3.0, 0.9])
    said = complaint(tmp_path, frame, scores="probabilities")
    assert "'logit_x' is outside 0 to 1 in 2 rows, first in row 3" in said
    assert "If they are logits, leave out --scores probabilities" in said


@pytest.mark.parametrize("name", ["prob_x", "logit_x"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_finite_numbers_are_named_by_row(
    tmp_path: Path, name: str, value: float
) -> None:
    changes: Cells = {"prob_x": None, name: [0.5, 2.0 if name == "logit_x" else 0.6, value, 0.1]}
    said = complaint(tmp_path, table(**changes))
    assert f"cannot be used: '{name}' is not finite in row 4" in said


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("high", "'prob_x' holds 'high' in 1 row, first in row 3 (allowed: a number)"),
        (None, "'prob_x' is empty in 1 row, first in row 3; " + UNANSWERED),
    ],
)
def test_scores_that_are_missing_or_words_are_named_under_their_own_name(
    tmp_path: Path, cell: str | None, said: str
) -> None:
    found = complaint(tmp_path, table(prob_x=["0.1", cell, "0.3", "0.4"]))
    assert f"cannot be used: {said}. See" in found


def test_a_target_has_one_score(tmp_path: Path) -> None:
    said = complaint(tmp_path, table(logit_x=[-2.0, 1.0, 3.0, 0.0]))
    assert "'target_x' has both of 'logit_x' and 'prob_x'" in said
    said = complaint(tmp_path, table(prob_x=None, prob_z=[0.1, 0.2, 0.3, 0.4]))
    assert "'target_x' has neither of 'logit_x' and 'prob_x'" in said


def test_a_patient_in_two_cohorts_is_refused(tmp_path: Path) -> None:
    frame = table(cohort=["A", "A", "B", "B"], patient_id=["p", "q", "q", "s"])
    said = complaint(tmp_path, frame)
    assert "1 patient in more than one cohort, first in row 3" in said


def test_a_case_counted_twice_is_refused(tmp_path: Path) -> None:
    frame = table(case_id=["a", "b", "b", "d"])
    said = complaint(tmp_path, frame)
    assert "(run_id, member, case_id) is not unique: 1 value repeated in rows 3, 4" in said


def test_a_case_may_stand_once_in_every_run(tmp_path: Path) -> None:
    both = pl.concat([table().with_columns(run_id=pl.lit(name)) for name in ("one", "two")])
    assert len(read_other_predictions(written(tmp_path, both)).frame) == 8


def test_without_a_split_all_are_test_cases_and_that_is_said(tmp_path: Path) -> None:
    found = read_other_predictions(written(tmp_path, table(split=None)))
    assert found.frame["split"].to_list() == ["test"] * 4
    assert any("no operating points and no calibration" in sentence for sentence in found.notes)


def test_a_split_of_another_name_is_refused(tmp_path: Path) -> None:
    said = complaint(tmp_path, table(split=["val", "test", "test", "test"]))
    assert "'split' holds 'val' in 1 row, first in row 2 (allowed: train, tune, test)" in said


def test_probabilities_of_0_and_1_stay_the_extremes_and_finite(tmp_path: Path) -> None:
    found = read_other_predictions(written(tmp_path, table(prob_x=[0.0, 1e-15, 1.0, 0.9])))
    logits = found.frame["logit_x"].to_numpy()
    assert np.isfinite(logits).all()
    assert np.argsort(logits).tolist() == [0, 1, 3, 2]
    assert logits[1] == pytest.approx(np.log(1e-15))
    assert logits[2] == pytest.approx(-np.log(1e-12), rel=1e-4)
    assert "2 rows with a probability of exactly 0 or 1: moved just inside." in found.notes


@FEW
@example([0.0, 5e-324, 0.5, 1.0])
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_the_order_of_probabilities_is_kept(tmp_path: Path, chances: list[float]) -> None:
    found = read_other_predictions(written(tmp_path, table(prob_x=list(chances)), ".parquet"))
    logits = found.frame["logit_x"].to_numpy()
    assert np.isfinite(logits).all()
    assert (np.diff(logits[np.argsort(chances)]) >= 0).all()
    assert expit(logits) == pytest.approx(chances, abs=1e-11)


def classes(**changes: Sequence[object] | None) -> pl.DataFrame:
    """Four cases of three classes that exclude each other."""
    cells: Cells = {
        "prob_x": [0.2, 0.5, 0.7, 0.1],
        "prob_y": [0.3, 0.25, 0.2, 0.8],
        "prob_z": [0.5, 0.25, 0.1, 0.1],
        "target_x": [1, 0, 0, 1],
        "target_y": [0, 1, 0, 0],
        "target_z": [0, 0, 1, 0],
    }
    return table(**(cells | changes))


@pytest.mark.parametrize("single_label", [None, True])
def test_the_softmax_gives_back_probabilities_of_classes(
    tmp_path: Path, single_label: bool | None
) -> None:
    frame = classes()
    found = read_other_predictions(written(tmp_path, frame), single_label=single_label).frame
    assert targets_are_exclusive(found)
    logits = found.select("logit_x", "logit_y", "logit_z").to_numpy()
    wanted = frame.select("prob_x", "prob_y", "prob_z").to_numpy()
    assert softmax(logits, axis=1) == pytest.approx(wanted)


def test_of_a_multi_label_task_each_probability_is_its_own(tmp_path: Path) -> None:
    frame = classes()
    found = read_other_predictions(written(tmp_path, frame), single_label=False).frame
    assert expit(found["logit_x"].to_numpy()) == pytest.approx(frame["prob_x"].to_numpy())


def test_probabilities_of_classes_that_do_not_sum_to_1_are_scaled_and_that_is_said(
    tmp_path: Path,
) -> None:
    found = read_other_predictions(written(tmp_path, classes(prob_x=[0.2, 0.5, 0.7, 0.9])))
    assert "Probabilities of 1 row do not sum to 1; they were rescaled." in found.notes
    logits = found.frame.select("logit_x", "logit_y", "logit_z").to_numpy()
    assert softmax(logits[3]) == pytest.approx(np.array([0.9, 0.8, 0.1]) / 1.8)


def test_classes_that_do_not_exclude_each_other_are_refused(tmp_path: Path) -> None:
    frame = classes(target_y=[0, 1, 0, 1])
    said = complaint(tmp_path, frame, single_label=True)
    assert "the classes do not add up to 1 in 1 row, first in row 5" in said
    assert not targets_are_exclusive(read_other_predictions(written(tmp_path, frame)).frame)


def test_classes_need_one_kind_of_score(tmp_path: Path) -> None:
    frame = classes(prob_z=None, logit_z=[3.0, -2.0, 1.0, 0.0])
    said = complaint(tmp_path, frame)
    assert "prob_x, prob_y are probabilities and the scores of the other classes are logits" in said


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    frame = table(
        patient_id=None,
        case_id=["a", "b", "b", "d"],
        split=["test", "test", "probe", "test"],
        target_y=[0, 1, 0, 1],
        prob_x=[0.1, 7.0, float("nan"), 0.4],
    )
    said = complaint(tmp_path, frame)
    for part in (
        "column 'patient_id' is missing",
        "'split' holds 1 wrong value in 1 row, first in row 4",
        "'prob_x' is not finite in row 4",
        "'prob_x' is outside 0 to 1 in 1 row, first in row 3",
        "'target_y' has neither of 'logit_y' and 'prob_y'",
        "(run_id, member, case_id) is not unique",
    ):
        assert part in said


def test_where_no_column_is_the_truth_the_option_that_names_it_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, table().rename({"target_x": "truth"}), ".csv")
    with pytest.raises(TableError, match="pass --columns target_<name>=COLUMN"):
        read_other_predictions(path)


def test_entries_of_columns_may_be_joined_or_repeated() -> None:
    assert read_columns(["case_id=study, prob_x = score", "target_x=truth", ""]) == {
        "case_id": "study",
        "prob_x": "score",
        "target_x": "truth",
    }


def test_bad_entries_of_columns_are_named_at_once() -> None:
    with pytest.raises(TableError) as caught:
        read_columns(["case_id", "=study,prob_x=", "target_x=a,target_x=b"])
    assert str(caught.value) == (
        "--columns cannot be used:\n  - 'case_id' is not of the form ours=theirs\n"
        "  - '=study' is not of the form ours=theirs\n"
        "  - 'prob_x=' is not of the form ours=theirs\n"
        "  - 'target_x' is given twice"
    )


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("yes", "no"),
        ("ja", "nein"),
        ("Oui", "Non"),
        ("positive", "negative"),
        ("TRUE", "FALSE"),
        ("P", "N"),
    ],
)
def test_labels_in_words_are_refused_with_the_option_that_reads_them(
    tmp_path: Path, yes: str, no: str
) -> None:
    said = complaint(tmp_path, table(target_x=[no, yes, None, yes]))
    assert "labels in words are read with --values" in said
    option = said.split("--values ")[1].split(". See")[0].strip("'")
    completion = Completion(values=read_value_map([option]))
    path = written(tmp_path, table(target_x=[no, yes, None, yes]))
    found = read_other_predictions(path, completion=completion)
    assert found.frame["target_x"].to_list() == [0, 1, None, 1]


def test_true_and_false_of_a_parquet_file_are_labels(tmp_path: Path) -> None:
    path = written(tmp_path, table(target_x=[False, True, None, True]), ".parquet")
    assert read_other_predictions(path).frame["target_x"].to_list() == [0, 1, None, 1]


def test_uncertain_labels_are_refused_with_what_to_do(tmp_path: Path) -> None:
    said = complaint(tmp_path, table(target_x=[0, -1, None, 1]))
    assert "'target_x' holds -1" in said
    assert "--values target_x=-1:empty" in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_decimal_commas_in_text_are_read_as_points_and_said(tmp_path: Path, suffix: str) -> None:
    theirs = table(prob_x=["0,25", "0,5", "0,75", "1"], target_x=["1,0", "0,0", None, "1,0"])
    found = read_other_predictions(written(tmp_path, theirs, suffix))
    assert expit(found.frame["logit_x"].to_numpy()) == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found.frame["target_x"].to_list() == [1, 0, None, 1]
    assert "Decimal commas of target_x, prob_x were read as points." in found.notes


@pytest.mark.parametrize("word", ["NA", "unknown", "unbekannt", "-", "n/a"])
def test_cases_whose_patient_is_a_missing_word_are_not_those_of_one_patient(
    tmp_path: Path, word: str
) -> None:
    said = complaint(tmp_path, table(patient_id=["p", word, word, "s"]))
    assert f"'patient_id' holds '{word}' in 2 rows of several cases" in said


def test_patients_and_hospitals_that_may_be_one_are_said(tmp_path: Path) -> None:
    frame = table(patient_id=["0012", "13", "P1", "p1"], cohort=["North", "north", "NA", "NA"])
    notes = read_other_predictions(written(tmp_path, frame)).notes
    assert any(note.startswith("2 patient_ids may be 1 patient: they differ") for note in notes)
    assert any(note.startswith("'North', 'north' differ in case or blanks") for note in notes)
    assert any(note.startswith("'cohort' holds 'NA' in 2 rows: a word for") for note in notes)
    frame = table(patient_id=["1.23E+15", "12", "13", "14"])
    notes = read_other_predictions(written(tmp_path, frame)).notes
    assert any(note.startswith("1 patient_id in scientific notation") for note in notes)
    assert not any(
        "may be" in note for note in read_other_predictions(written(tmp_path, table())).notes
    )


@pytest.mark.parametrize("column", ["cohort", "split"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0012", "12"),
        ("P1", "p1"),
        ("p-1", "p1"),
        ("12", "12.0"),
        ("p\u200b1", "p1"),
        ("a 7", "a7"),
    ],
)
def test_twins_in_several_splits_or_cohorts_are_refused_with_what_to_do(
    tmp_path: Path, column: str, one: str, other: str
) -> None:
    places = {"split": ["test", "tune", "test", "test"], "cohort": ["a", "b", "a", "a"]}[column]
    frame = table(patient_id=[one, other, "x", "y"], **{column: places})
    said = complaint(tmp_path, frame)
    assert (
        "2 patient_ids that may be 1 patient, in more than one split or cohort, rows 2, 3" in said
    )
    assert "with the hospital's name in front" in said
    assert one not in said.replace("1 patient", "")
    # a case of one run may be trained on in another
    runs = frame.with_columns(run_id=pl.Series(["r", "s", "r", "r"]))
    assert "may be 1 patient" not in str(read_other_predictions(written(tmp_path, runs)).notes)
    named = frame.with_columns(patient_id=pl.Series(["a/1", "b/1", "x", "y"]))
    assert read_other_predictions(written(tmp_path, named))


def test_blanks_around_the_names_of_targets_and_scores_are_passed_over(tmp_path: Path) -> None:
    theirs = table().rename({"target_x": " target_x ", "prob_x": "prob_x\u200b"})
    found = read_other_predictions(written(tmp_path, theirs))
    assert {"target_x", "logit_x"} <= {*found.frame.columns}
