"""One row per number; a number that is not defined is empty and says why."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.strategies import FEW, finite, ids

from medtransfer.errors import TableError
from medtransfer.tables.results import (
    RESULTS_CONTRACT,
    Result,
    read_results,
    results_frame,
    write_results,
)

numbers = st.none() | finite()
results = st.builds(
    Result,
    run_id=st.none() | st.just("r1"),
    split=st.sampled_from(["tune", "test"]),
    cohort=ids(),
    target=ids(),
    metric=st.just("auroc"),
    value=numbers,
    low=numbers,
    high=numbers,
    num_cases=st.integers(0, 10**9),
    num_patients=st.integers(0, 10**9),
    num_positive=st.none() | st.integers(0, 10**9),
    reason=st.none() | st.just("only one class, so no rank"),
    attribute=ids(),
    group=ids(),
)
EXAMPLE = Result("r1", "test", "A", "Edema", "auroc", 0.1 + 0.2, 0.25, 0.35, 20, 18, 9)


@FEW
@given(st.lists(results, min_size=1, max_size=10), st.sampled_from([".csv", ".parquet"]))
def test_results_come_back_exactly(tmp_path: Path, rows: list[Result], suffix: str) -> None:
    frame = results_frame(rows)
    write_results(frame, tmp_path / f"results{suffix}")
    assert_frame_equal(read_results(tmp_path / f"results{suffix}"), frame, check_exact=True)


def test_columns_stand_in_the_order_of_the_contract() -> None:
    columns = results_frame([EXAMPLE]).columns
    names = [column.name for column in RESULTS_CONTRACT.columns]
    assert columns == [name for name in names if name in columns]
    assert {c.name for c in RESULTS_CONTRACT.columns if c.required} <= set(columns)


def test_no_results_are_a_table_without_rows_of_the_same_types() -> None:
    assert results_frame([]).schema == results_frame([EXAMPLE]).schema
    assert results_frame([]).is_empty()


def test_an_undefined_number_is_empty_and_has_its_reason() -> None:
    row = Result("r1", "test", "A", "Edema", "auroc", None, reason="only one class")
    assert results_frame([row, EXAMPLE])["value"].to_list() == [None, 0.1 + 0.2]
    assert results_frame([row])["reason"].to_list() == ["only one class"]


def test_numbers_stand_for_everybody_unless_a_group_is_named() -> None:
    assert results_frame([EXAMPLE]).select("attribute", "group").row(0) == ("all", "all")


def test_a_results_table_without_a_column_is_refused(tmp_path: Path) -> None:
    write_results(results_frame([EXAMPLE]).drop("metric"), tmp_path / "results.parquet")
    with pytest.raises(TableError, match=r"column 'metric' is missing.*docs/reference/results.md"):
        read_results(tmp_path / "results.parquet")


def test_counts_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    write_results(results_frame([EXAMPLE]), tmp_path / "results.csv")
    path = tmp_path / "results.csv"
    path.write_text(path.read_text().replace(",20,", ",many,"))
    with pytest.raises(
        TableError, match=r"'num_cases' holds 1 wrong value in 1 row, first in row 2"
    ):
        read_results(path)


def test_study_columns_may_be_there_and_are_typed(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_results(results_frame([EXAMPLE]), path)
    head, row = path.read_text().splitlines()
    path.write_text(f"{head},rung,label_fraction,seed,held_out\n{row},scratch/r50x1,0.1,,B\n")
    read = read_results(path).select("rung", "label_fraction", "seed", "held_out")
    assert read.row(0) == ("scratch/r50x1", 0.1, None, "B")
