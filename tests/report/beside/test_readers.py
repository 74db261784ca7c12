"""The section on readers, from a table that `compare_readers` made."""

from dataclasses import replace

import polars as pl
import pytest
from tests.evaluation.comparison.readers.test_compare import READ, seeds_of
from tests.prediction_tables import QUICK
from tests.report.hand_made import areas, report_data

from medtransfer.evaluation.comparison.readers.compare import compare_readers
from medtransfer.report.beside.readers import readers_section
from medtransfer.report.components import Note, ReportTable, Section
from medtransfer.report.front_page.names import with_readable_names
from medtransfer.report.text import interval_text


@pytest.fixture(scope="module")
def readers() -> pl.DataFrame:
    return compare_readers(seeds_of(2, 0.6), READ, "binary", QUICK)


@pytest.fixture(scope="module")
def section(readers: pl.DataFrame) -> Section:
    found = readers_section(replace(report_data(areas()), readers=readers))
    assert found is not None
    return found


def tables_of(section: Section) -> dict[str, ReportTable]:
    return {part.caption: part for part in section.parts if isinstance(part, ReportTable)}


def test_readers_and_rungs_are_in_one_table_with_the_difference(
    readers: pl.DataFrame, section: Section
) -> None:
    table = tables_of(section)["Readers and rungs on the same cases"]
    rows = [row for row in table.rows if row[:3] == ["a", "x", "majority without r1"]]
    assert [row[3] for row in rows] == ["r1", "net at sens90"]
    assert rows[0][6:8] == ["", ""]
    where = {"cohort": "a", "against": "majority without r1", "num_seeds": 2}
    mean = readers.filter(**where, metric="sensitivity@sens90").row(0, named=True)
    less = readers.filter(**where, metric="sensitivity_difference@sens90").row(0, named=True)
    assert rows[1][4] == interval_text(mean)
    assert f"[{less['low']:.2f}, {less['high']:.2f}]".replace("-", "−") in rows[1][6]
    notes = [part.text for part in section.parts if isinstance(part, Note)]
    assert "intervals contain patients and seeds" in notes[0]


def test_each_reader_is_a_truth_of_its_own(readers: pl.DataFrame, section: Section) -> None:
    table = tables_of(section)["Rungs with one reader as truth"]
    assert len(table.rows) == 2 * 3  # cohorts by readers, one rung
    (row,) = (row for row in table.rows if row[:4] == ["a", "x", "net", "r2"])
    where = {"cohort": "a", "against": "r2", "num_seeds": 2}
    for cell, metric in zip(
        row[4:7], ("auroc", "sensitivity@sens90", "specificity@sens90"), strict=True
    ):
        assert cell == interval_text(readers.filter(**where, metric=metric).row(0, named=True))


def test_rungs_have_their_readable_names(readers: pl.DataFrame) -> None:
    named = readers.with_columns(pl.col("rung").replace({"net": "imagenet/effnet-lite0"}))
    data = with_readable_names(replace(report_data(areas()), readers=named))
    assert data.readers is not None
    assert "EfficientNet-Lite0 (ImageNet-1k)" in data.readers["rung"].to_list()


def test_without_readings_there_is_no_section() -> None:
    assert readers_section(report_data(areas())) is None
