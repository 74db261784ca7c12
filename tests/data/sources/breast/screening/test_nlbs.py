"""NLBS: paths of Windows, a cancer of a breast, false alarms, labels unlike their folder."""

from pathlib import Path

import pytest
from tests.data.sources import tree_nlbs as tree
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

NLBS = SOURCES["nlbs"]


def test_a_cancer_is_of_its_breast(tmp_path: Path) -> None:
    tree.write(tmp_path)
    frame = read_source(NLBS, tmp_path).frame
    labels = dict(frame.select("case_id", "malignant").iter_rows())
    assert (labels["p_4478_R"], labels["p_4478_L"]) == ("1", "0")
    assert (labels["p_4363_L"], labels["p_4363_R"]) == ("1", "0")
    readings = dict(frame.select("patient_id", "reading").iter_rows())
    assert (readings["p_3001"], readings["p_4363"]) == ("false-positive", "abnormal")
    assert len(frame) == 22


def test_an_exam_has_the_label_of_its_worse_breast(tmp_path: Path) -> None:
    tree.write(tmp_path)
    frame = read_source(NLBS, tmp_path, {"case": "exam"}).frame
    labels = dict(frame.select("case_id", "malignant").iter_rows())
    assert (labels["p_4478"], labels["p_3001"]) == ("1", "0")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    tree.write(tmp_path)
    frame = read_source(NLBS, tmp_path).frame
    paths = dict(frame.select("image_id", "path").iter_rows())
    assert paths["p_4478_R_CC_IM-0100-0003-0001"] == (
        "abnormal/p_4478/right-c/CC/IM-0100-0003-0001.dcm"
    )
    assert paths["p_3001_R_CC_IM-0100-0003-0001"] == (
        "False Positive/p_3001/right/CC/IM-0100-0003-0001.dcm"
    )


def test_several_ages_of_a_woman_leave_hers_empty(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(NLBS, tmp_path)
    ages = dict(imported.frame.select("patient_id", "age").iter_rows())
    assert (ages["p_0787"], ages["p_1024"], ages["p_4363"]) == (None, 55, None)
    assert "1 patient with images of several ages: age is left empty." in imported.notes


def test_a_cancer_unlike_its_folder_is_named_by_row(tmp_path: Path) -> None:
    tree.write(tmp_path)
    with_cell(tmp_path / "NLBSD_Metadata.csv", 2, "Cancer", "1")
    with pytest.raises(TableError, match="is not as the folder"):
        read_source(NLBS, tmp_path)
