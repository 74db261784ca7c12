"""Sides of a comparison brought to the test cases that all have."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import StudyError, TableError
from medtransfer.report.compare.common_cases import Exclusion, align_sides
from medtransfer.report.compare.side import Side, known_cases, named_apart
from medtransfer.report.content import RungInfo

CASES = pl.DataFrame(
    {
        "case_id": [f"c{number:02}" for number in range(20)],
        "patient_id": [f"p{number // 2:02}" for number in range(20)],
        "cohort": "north",
        "split": ["tune"] * 4 + ["test"] * 16,
        "target_x": [float(number % 2) for number in range(20)],
    }
)


def side(name: str, cases: pl.DataFrame = CASES, **columns: pl.Expr) -> Side:
    frame = cases.with_columns(
        run_id=pl.lit("r"),
        member=pl.lit(0, dtype=pl.Int64),
        rung=pl.lit("bit"),
        seed=pl.lit(0, dtype=pl.Int64),
        logit_x=pl.int_range(pl.len()).cast(pl.Float64),
    ).with_columns(**columns)
    trained = frame.filter(pl.col("split") != "test")["patient_id"].unique()
    return Side(name, Path(f"{name}.csv"), frame, 2, trained, rungs=(RungInfo("bit"),))


def test_only_cases_that_all_sides_test_are_left_and_the_rest_is_counted() -> None:
    sides = named_apart([side("one"), side("two", CASES.head(14)), side("three", CASES.tail(12))])
    common = align_sides(sides, single_label=False)
    tests = common.frame.filter(pl.col("split") == "test")
    assert set(tests["case_id"]) == {f"c{number:02}" for number in range(8, 14)}
    assert common.cases == 6
    assert common.tested == {"one": 16, "two": 10, "three": 12}
    assert common.only == {"one": 0, "two": 0, "three": 0}
    assert len(tests) == 3 * 6
    assert common.frame["rung"].unique().sort().to_list() == [
        "bit (one)",
        "bit (three)",
        "bit (two)",
    ]


def test_patients_that_one_side_was_trained_on_are_compared_with_none() -> None:
    other = pl.when(pl.col("patient_id").is_in(["p05", "p06"])).then(pl.lit("train"))
    sides = named_apart([side("one"), side("two", split=other.otherwise(pl.col("split")))])
    common = align_sides(sides, single_label=False)
    assert common.excluded == (Exclusion("one", "two", 4),)
    patients = common.frame.filter(pl.col("split") == "test")["patient_id"]
    assert not patients.is_in(["p05", "p06"]).any()
    assert common.cases == 12
    assert "train" not in common.frame["split"]


def test_a_patient_is_left_out_though_the_trained_case_has_another_id() -> None:
    # the other study photographed the same patient once more, and trained on that
    renamed = pl.when(pl.col("patient_id") == "p07").then(pl.lit("again-") + pl.col("case_id"))
    trained = pl.when(pl.col("patient_id") == "p07").then(pl.lit("train"))
    more = side("two", case_id=renamed.otherwise(pl.col("case_id"))).frame
    more = more.with_columns(split=trained.otherwise(pl.col("split")))
    both = pl.concat([more, side("two").frame.filter(pl.col("patient_id") == "p07")])
    common = align_sides([side("one"), side("two", both.select(CASES.columns))], single_label=False)
    assert not common.frame.filter(pl.col("split") == "test")["patient_id"].is_in(["p07"]).any()


def test_contradictions_name_the_column_and_the_rows_of_both_and_no_id() -> None:
    wrong = pl.when(pl.col("case_id") == "c09").then(1 - pl.col("target_x"))
    moved = pl.when(pl.col("case_id") == "c11").then(pl.lit("south")).otherwise(pl.col("cohort"))
    two = side("two", CASES.tail(12), target_x=wrong.otherwise(pl.col("target_x")), cohort=moved)
    with pytest.raises(TableError) as raised:
        align_sides([side("one"), two], single_label=False)
    text = str(raised.value)
    assert "'target_x' of 1 case_id is not the same in one (row 11) and two (row 3)" in text
    assert "'cohort' of 1 case_id is not the same in one (row 13) and two (row 5)" in text
    assert "c09" not in text


def test_a_label_that_one_side_lacks_is_a_contradiction() -> None:
    none = pl.when(pl.col("case_id") == "c09").then(None).otherwise(pl.col("target_x"))
    with pytest.raises(TableError, match="'target_x' of 1 case_id"):
        align_sides([side("one"), side("two", target_x=none)], single_label=False)


def test_nothing_in_common_says_what_each_side_has_and_why() -> None:
    flipped = pl.when(pl.col("split") == "test").then(pl.lit("train")).otherwise(pl.lit("test"))
    with pytest.raises(StudyError) as raised:
        align_sides([side("one"), side("two", split=flipped)], single_label=False)
    text = str(raised.value)
    assert "one 16, two 4" in text
    assert "16 of one are of patients that two was trained on" in text


def test_targets_that_not_all_have_are_left_out_and_said() -> None:
    more = side("two", target_y=pl.lit(0.0), logit_y=pl.lit(0.0))
    common = align_sides([side("one"), more], single_label=False)
    assert common.targets == ("x",)
    assert "target_y" not in common.frame.columns
    assert "Targets of two that not all have, left out: y." in common.notes
    with pytest.raises(StudyError, match="The classes are not the same"):
        align_sides([side("one"), more], single_label=True)


def test_networks_trained_on_different_cohorts_have_every_cohort_as_a_test_set() -> None:
    halves = pl.when(pl.int_range(pl.len()) % 4 < 2).then(pl.lit("north")).otherwise(pl.lit("west"))
    cases = CASES.with_columns(cohort=halves)
    one = side("one", cases)  # tuned in north and west: one test set of both
    two = side("two", cases.filter((pl.col("split") == "test") | (pl.col("cohort") == "west")))
    common = align_sides([one, two], single_label=False)
    tune = common.frame.filter(pl.col("split") == "tune")["cohort"].unique().sort().to_list()
    assert tune == ["training of one", "training of two"]
    tests = common.frame.filter(pl.col("split") == "test")["cohort"].unique().sort().to_list()
    assert tests == ["north", "west"]
    assert any("test set of its own" in note for note in common.notes)
    same = align_sides([one, side("three", cases)], single_label=False)
    assert set(same.frame["cohort"]) == {"north", "west"}


def test_a_case_of_several_studies_has_the_split_of_the_first() -> None:
    two = side("two", split=pl.lit("test"))
    known = known_cases([side("one", CASES.head(10)), two])
    assert len(known) == 20
    assert known.filter(pl.col("case_id") == "c01")["split"].to_list() == ["tune"]
