"""CDD-CESM: the kinds of images, several BI-RADS in a cell, a breast with both outcomes."""

from pathlib import Path

import pytest
from tests.data.sources import tree_cdd_cesm
from tests.data.sources.trees import workbook

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

CESM = SOURCES["cdd-cesm"]


def test_low_energy_images_are_taken_and_the_others_counted(tmp_path: Path) -> None:
    tree_cdd_cesm.write(tmp_path)
    found = read_source(CESM, tmp_path)
    assert found.kept == ("5 of 10: kind = low-energy",)
    assert set(found.frame["kind"]) == {"low-energy"}
    both = read_source(CESM, tmp_path, {"kind": "both"})
    assert (len(both.frame), both.kept) == (10, ())
    assert both.frame["case_id"].n_unique() == found.frame["case_id"].n_unique()


def test_a_breast_has_the_worst_of_its_views(tmp_path: Path) -> None:
    tree_cdd_cesm.write(tmp_path)
    rows = {row["image_id"]: row for row in read_source(CESM, tmp_path).frame.to_dicts()}
    benign_view = rows["P1_L_DM_CC"]
    assert (benign_view["malignant"], benign_view["birads_high"]) == ("1", "1")
    assert (rows["P1_L_DM_MLO"]["birads"], benign_view["birads"]) == ("4", "2")
    single = read_source(CESM, tmp_path, {"case": "image"}).frame
    assert single.filter(image_id="P1_L_DM_CC")["malignant"].to_list() == ["0"]


def test_a_kind_that_is_none_is_named_by_row(tmp_path: Path) -> None:
    tree_cdd_cesm.write(tmp_path)
    row = ("P9_L_DM_CC", "9", "L", "Tomo", "50", "_", "1", "", "CC", "", "1", "Normal")
    workbook(tmp_path / "Radiology-manual-annotations.xlsx", tree_cdd_cesm.HEADER, [row])
    with pytest.raises(TableError, match=r"'Type'.*row 2"):
        read_source(CESM, tmp_path)
    workbook(tmp_path / "Radiology-manual-annotations.xlsx", ["CESM"], [tree_cdd_cesm.HEADER, row])
    with pytest.raises(TableError, match=r"'Type'.*row 3"):
        read_source(CESM, tmp_path)
