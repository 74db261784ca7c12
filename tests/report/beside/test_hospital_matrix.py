"""Hospitals trained on by hospitals tested on."""

import re
from dataclasses import replace

import polars as pl
from tests.report.front_page.test_build import two_hospitals
from tests.report.hand_made import areas, report_data

from medtransfer.metrics.catalog import CATALOG
from medtransfer.report.beside.hospital_matrix import left_out_passage, of_studies
from medtransfer.report.components import Component, Figure, ReportTable
from medtransfer.report.content import ReportData
from medtransfer.report.figures import NOT_DRAWN
from medtransfer.report.formats.figure_files import figure_numbers


def table_of(parts: list[object]) -> ReportTable:
    (table,) = [part for part in parts if isinstance(part, ReportTable)]
    return table


def picture_of(parts: list[Component]) -> Figure:
    (picture,) = [part for part in parts if isinstance(part, Figure)]
    assert picture.svg != NOT_DRAWN
    return picture


def texts_of(picture: Figure) -> list[str]:
    return [text for text in re.sub("<[^>]*>", "\n", picture.svg).split("\n") if text.strip()]


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


def test_of_two_hospitals_the_own_test_cases_are_those_of_the_other() -> None:
    data = left_out_in_turn()
    other = pl.when(pl.col("held_out") == "north").then(pl.lit("south")).otherwise(pl.lit("north"))
    is_home = pl.col("cohort") == "internal"
    results = data.results.with_columns(cohort=pl.when(is_home).then(other).otherwise("cohort"))
    table = table_of(list(left_out_passage(replace(data, results=results))))
    assert table.head == ["Trained on", "own test cases", "north", "south"]
    assert all(str(row[1]).startswith("0.66") for row in table.rows)


def test_studies_at_different_hospitals_stand_in_one_matrix() -> None:
    north = two_hospitals()
    swapped = {"north": "south", "south": "north"}
    counts = tuple(replace(count, cohort=swapped[count.cohort]) for count in north.counts)
    south = replace(north, name="second", counts=counts)
    table = table_of(list(of_studies([north, south])))
    assert [row[0] for row in table.rows] == [f"north ({north.name})", "south (second)"]
    assert set(table.head[1:]) == {"north", "south"}
    assert all(str(cell) != "–" for row in table.rows for cell in row)


def test_the_picture_has_the_numbers_of_the_table_and_what_was_not_tested() -> None:
    parts = left_out_passage(left_out_in_turn())
    picture, table = picture_of(parts), table_of(list(parts))
    texts = texts_of(picture)
    for name, *cells in table.rows:
        assert name in texts
        for cell in cells:
            value, _, interval = cell.partition(" ")
            assert (value if value != "–" else "not tested") in texts
            assert interval in texts or not interval.startswith("[0")
    framed = figure_numbers(picture).filter("framed")
    assert set(framed["column"]) == {"own test cases"}
    assert "Dashed frame: no value." in picture.caption


def test_an_undefined_value_is_drawn_as_such_with_its_reason() -> None:
    data = left_out_in_turn()
    reason = CATALOG["auroc"].undefined(0, 90)
    gone = (pl.col("cohort") == "south") & pl.col("run_id").is_null()
    results = data.results.with_columns(
        value=pl.when(gone).then(None).otherwise("value"),
        low=pl.when(gone).then(None).otherwise("low"),
        high=pl.when(gone).then(None).otherwise("high"),
        reason=pl.when(gone).then(pl.lit(reason)).otherwise("reason"),
    )
    picture = picture_of(left_out_passage(replace(data, results=results)))
    assert "undefined" in texts_of(picture)
    assert f"all but south at south: undefined ({reason})." in picture.caption


def test_there_is_no_matrix_of_one_hospital_or_of_different_findings() -> None:
    north = two_hospitals()
    assert of_studies([north, replace(north, name="again")]) == []
    assert of_studies([report_data(areas())]) == []
    counts = tuple(replace(c, cohort="east") for c in north.counts if c.cohort == "north")
    other = replace(north, targets=("z",), counts=counts)
    assert of_studies([north, other]) == []
