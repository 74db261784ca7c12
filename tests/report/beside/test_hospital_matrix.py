"""Hospitals trained on by hospitals tested on."""

from dataclasses import replace

import polars as pl
from tests.report.front_page.test_build import two_hospitals
from tests.report.hand_made import areas, report_data

from medtransfer.report.beside.hospital_matrix import left_out_passage, of_studies
from medtransfer.report.components import ReportTable
from medtransfer.report.content import ReportData


def table_of(parts: list[object]) -> ReportTable:
    (table,) = [part for part in parts if isinstance(part, ReportTable)]
    return table


def left_out_in_turn() -> ReportData:
    """North and south, each left out once; one run of each training has its own test cases."""
    data = two_hospitals()
    mean = data.results.filter(pl.col("run_id").is_null())
    away = mean.with_columns(held_out=pl.col("cohort"))
    runs = away.with_columns(
        run_id=pl.lit("r"), cohort=pl.lit("internal"), value=pl.lit(0.66), low=None, high=None
    )
    results = pl.concat([away, runs.cast(away.schema)])
    return replace(data, results=results, leave_cohort_out=True)


def test_a_study_that_leaves_out_each_hospital_has_a_row_for_each() -> None:
    data = left_out_in_turn()
    table = table_of(list(left_out_passage(data)))
    assert table.head == ["Trained on", "own test cases", "north", "south"]
    by_name = {row[0]: row[1:] for row in table.rows}
    assert set(by_name) == {"all but north", "all but south"}
    own, north, south = by_name["all but north"]
    assert str(own).startswith("0.66")
    assert str(north)[:2] == "0."
    assert south == "–"
    assert left_out_passage(replace(data, leave_cohort_out=False)) == []


def test_studies_at_different_hospitals_stand_in_one_matrix() -> None:
    north = two_hospitals()
    swapped = {"north": "south", "south": "north"}
    counts = tuple(replace(count, cohort=swapped[count.cohort]) for count in north.counts)
    south = replace(north, name="second", counts=counts)
    table = table_of(list(of_studies([north, south])))
    assert [row[0] for row in table.rows] == [f"north ({north.name})", "south (second)"]
    assert set(table.head[1:]) == {"north", "south"}
    assert all(str(cell) != "–" for row in table.rows for cell in row)


def test_there_is_no_matrix_of_one_hospital_or_of_different_findings() -> None:
    north = two_hospitals()
    assert of_studies([north, replace(north, name="again")]) == []
    assert of_studies([report_data(areas())]) == []
    counts = tuple(replace(c, cohort="east") for c in north.counts if c.cohort == "north")
    other = replace(north, targets=("z",), counts=counts)
    assert of_studies([north, other]) == []
