"""Open-i: terms become findings by their start and their place, and nothing else does."""

from pathlib import Path

import pytest
from tests.data.sources import tree_openi
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

OPENI = SOURCES["open-i"]


def labels(folder: Path, *names: str) -> dict[str, tuple[str | None, ...]]:
    """Labels of the frontal or only film of each report."""
    frame = read_source(OPENI, folder).frame.unique("case_id", keep="last", maintain_order=True)
    return {row["case_id"]: tuple(row[name] for name in names) for row in frame.to_dicts()}


def test_a_term_counts_where_it_names_the_lung_or_needs_no_place(tmp_path: Path) -> None:
    tree_openi.write(tmp_path)
    assert labels(tmp_path, "No Finding", "Cardiomegaly", "Lung Opacity", "Mass", "Nodule") == {
        "1": ("1", "0", "0", "0", "0"),
        "2": ("0", "1", "0", "0", "0"),
        "3": ("0", "0", "1", "0", "0"),
        "4": ("0", "0", "0", "-1", "1"),
        "5": (None, None, None, None, None),
        "6": ("0", "0", "1", "0", "0"),
    }


def test_air_below_the_skin_is_no_emphysema_and_bronchi_are_no_pleura(tmp_path: Path) -> None:
    tree_openi.write(tmp_path)
    found = labels(tmp_path, "Emphysema", "Pleural_Thickening")
    assert (found["3"], found["4"], found["6"]) == (("1", "1"), ("0", "0"), ("0", "0"))


def test_an_opacity_behind_the_heart_alone_is_uncertain(tmp_path: Path) -> None:
    tree_openi.write(tmp_path)
    with_cell(tmp_path / "indiana_reports.csv", 7, "MeSH", "Opacity/retrocardiac/mild")
    assert labels(tmp_path, "Lung Opacity")["6"] == ("-1",)


def test_films_without_a_report_are_left_out_and_counted(tmp_path: Path) -> None:
    tree_openi.write(tmp_path)
    found = read_source(OPENI, tmp_path)
    assert found.kept == ("7 of 8: the film has a report",)
    assert "1 report that nobody indexed: labels empty." in found.notes
    assert set(found.frame["view"]) == {"Frontal", "L"}


def test_a_view_that_is_none_is_named_by_row(tmp_path: Path) -> None:
    tree_openi.write(tmp_path)
    with_cell(tmp_path / "indiana_projections.csv", 3, "projection", "Oblique")
    with pytest.raises(TableError, match=r"'projection'.*row 3"):
        read_source(OPENI, tmp_path)
