"""Retina: both eyes of a patient stay together, grades keep their order."""

from pathlib import Path

import pytest
from tests.data.sources import tree_aptos2019, tree_eyepacs
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError


def test_both_eyes_of_a_patient_are_cases_of_one_patient(tmp_path: Path) -> None:
    tree_eyepacs.write(tmp_path)
    frame = read_source(SOURCES["eyepacs"], tmp_path).frame
    rows = {row["image_id"]: row for row in frame.to_dicts()}
    assert rows["10_left"]["patient_id"] == rows["10_right"]["patient_id"] == "10"
    assert (rows["10_left"]["laterality"], rows["13_right"]["laterality"]) == ("L", "R")
    assert [rows[f"{n}"]["referable"] for n in ("10_left", "10_right", "13_left", "15_left")] == [
        "0",
        "0",
        "1",
        "1",
    ]
    assert rows["15_right"]["referable"] is None


def test_two_sets_of_grades_meet_under_shared_names(tmp_path: Path) -> None:
    tree_eyepacs.write(tmp_path / "a")
    tree_aptos2019.write(tmp_path / "b")
    one = read_source(SOURCES["eyepacs"], tmp_path / "a", shared_names=True).frame
    two = read_source(SOURCES["aptos-2019"], tmp_path / "b", shared_names=True).frame
    assert {"referable", "dr_grade"} <= {*one.columns} & {*two.columns}
    assert two["dr_grade"].to_list() == ["2", "4", "1", "0"]


def test_an_image_without_patient_and_eye_is_named_by_row(tmp_path: Path) -> None:
    tree_eyepacs.write(tmp_path)
    with_cell(tmp_path / "trainLabels.csv", 3, "image", "10")
    with pytest.raises(TableError, match=r"'image' is no patient and eye .* in row 3"):
        read_source(SOURCES["eyepacs"], tmp_path)
