"""Truth made of readings: majority, one reader, every reading a case."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.readers.table import Readings, read_readings
from medtransfer.evaluation.comparison.readers.truth import readings_as_cases, truth_of

ROWS = [
    ("c1", "r1", 1, 0),
    ("c1", "r2", 1, None),
    ("c1", "r3", 0, 0),
    ("c2", "r1", 1, 1),
    ("c2", "r2", 0, 1),
    ("c3", "r3", None, None),
]
NAMES = ["case_id", "reader", "target_x", "target_y"]
READ = Readings(
    pl.DataFrame(ROWS, schema=NAMES, orient="row").with_columns(
        pl.col("target_x", "target_y").cast(pl.Float64)
    )
)


def labels(frame: pl.DataFrame) -> dict[str, tuple[float | None, ...]]:
    return {case: tuple(rest) for case, *rest in frame.sort("case_id").iter_rows()}


def test_a_majority_decides_and_a_tie_leaves_the_label_empty_and_is_counted() -> None:
    truth = truth_of(READ, "majority")
    assert labels(truth.frame) == {"c1": (1, 0), "c2": (None, 1), "c3": (None, None)}
    assert "1 case without a majority for 'x': left out there." in truth.notes


def test_of_classes_the_most_chosen_one_is_the_truth() -> None:
    rows = [("c1", "r1", 1, 0, 0), ("c1", "r2", 1, 0, 0), ("c1", "r3", 0, 1, 0)]
    rows += [("c2", "r1", 1, 0, 0), ("c2", "r2", 0, 0, 1)]
    names = ["case_id", "reader", "target_a", "target_b", "target_c"]
    frame = pl.DataFrame(rows, schema=names, orient="row").cast(
        dict.fromkeys(names[2:], pl.Float64)
    )
    truth = truth_of(Readings(frame), "majority", single_label=True)
    assert labels(truth.frame) == {"c1": (1, 0, 0), "c2": (None, None, None)}
    assert any("1 case without a majority" in note for note in truth.notes)


def test_a_reader_can_be_the_truth_and_an_unknown_one_is_refused_with_a_hint() -> None:
    assert labels(truth_of(READ, "r2").frame) == {"c1": (1, None), "c2": (0, 1)}
    with pytest.raises(TableError, match=r"Did you mean 'majority'"):
        truth_of(READ, "majorty")


def test_every_reading_is_a_case_of_the_same_patient() -> None:
    predictions = pl.DataFrame(
        {
            "run_id": ["run"] * 3,
            "case_id": ["c1", "c2", "c9"],
            "patient_id": ["p1", "p2", "p9"],
            "target_x": [0.0, 0.0, 0.0],
            "logit_x": [0.1, 0.2, 0.3],
        }
    )
    about = pl.DataFrame({"case_id": ["c1", "c2", "c9"], "sex": ["F", "M", "F"]})
    frame, attributes, said = readings_as_cases(predictions, about, READ)
    assert frame["case_id"].n_unique() == 5
    assert frame.group_by("patient_id").len().sort("patient_id").rows() == [("p1", 3), ("p2", 2)]
    assert frame["target_x"].to_list() == [1, 1, 0, 1, 0]
    joined = frame.join(attributes, on="case_id", how="left")
    assert joined["sex"].to_list() == ["F", "F", "F", "M", "M"]
    assert said == "Truth: each of 5 readings counts as a case. 1 case without a reading: left out."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case_id,reader\nc1,r1\nc1,r2\n", "no column .target_<name>."),
        ("case_id,reader,target_x\nc1,r1,2\nc1,r2,0\n", "'target_x' is neither 0 nor 1 in row 2"),
        ("case_id,reader,target_x\nc1,r1,1\nc2,r1,0\n", "needs at least two"),
        ("case_id,reader,target_x\nc1,r1,1\nc1,r1,0\nc1,r2,0\n", "c1|repeated|row 3"),
        ("case_id,target_x\nc1,1\n", "column 'reader' is missing"),
    ],
)
def test_a_table_that_is_none_of_readings_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(TableError, match=said):
        read_readings(path)


def test_missing_words_are_no_reading_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text("case_id,reader,target_x\nc1,r1,1\nc1,r2,NA\nc2,r1,n/a\nc2,r2,0\n", "utf-8")
    readings = read_readings(path)
    assert readings.frame["target_x"].to_list() == [1, None, None, 0]
    assert any("missing" in note for note in readings.notes)


def test_readers_under_persons_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    names = ("Dr. Maria Huber", "Prof. Hans Meier")
    rows = [f"c{k},{name},{k % 2}" for k in range(20) for name in names]
    path.write_text("case_id,reader,target_x\n" + "\n".join(rows) + "\n", "utf-8")
    with pytest.raises(TableError, match="codes such as r1 will do") as caught:
        read_readings(path)
    assert "Huber" not in str(caught.value)
