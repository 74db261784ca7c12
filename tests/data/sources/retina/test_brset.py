"""BRSET: figures become sexes and eyes, two versions of the table, ages that are none."""

from pathlib import Path

import pytest
from tests.data.sources import tree_brset
from tests.data.sources.trees import read_rows, table, with_cell, without_columns

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.retina import brset
from medtransfer.errors import TableError

BRSET = SOURCES["brset"]


def test_sex_eye_and_grade_are_read(tmp_path: Path) -> None:
    tree_brset.write(tmp_path)
    found = read_source(BRSET, tmp_path)
    rows = {row["image_id"]: row for row in found.frame.to_dicts()}
    first, last = rows["img00002"], rows["img00006"]
    assert (first["sex"], first["laterality"], first["referable"]) == ("M", "L", "1")
    assert (last["sex"], last["laterality"], last["referable"]) == (None, None, "0")
    assert (rows["img00003"]["age"], rows["img00005"]["age"]) == (71, None)
    assert any(note.startswith("Age is left empty") for note in found.notes)


def test_the_column_of_drusen_has_two_names(tmp_path: Path) -> None:
    tree_brset.write(tmp_path)
    new = read_source(BRSET, tmp_path)
    rows = read_rows(tmp_path / "labels.csv")
    header = ["drusens" if name == "drusen" else name for name in rows[0]]
    table(tmp_path / "labels.csv", header, rows[1:])
    old = read_source(BRSET, tmp_path)
    assert old.frame.equals(new.frame)
    assert {*old.notes} - {*new.notes} == {brset.EARLIER}
    without_columns(tmp_path / "labels.csv", ["drusens"])
    with pytest.raises(TableError, match="'drusen' is missing"):
        read_source(BRSET, tmp_path)


def test_grades_meet_those_of_other_sets_under_shared_names(tmp_path: Path) -> None:
    tree_brset.write(tmp_path)
    frame = read_source(BRSET, tmp_path, shared_names=True).frame
    assert frame["dr_grade"].to_list() == ["0", "2", "0", "0", "4", "1"]
    assert "amd" not in frame.columns


def test_a_grade_that_is_none_is_named_by_row(tmp_path: Path) -> None:
    tree_brset.write(tmp_path)
    with_cell(tmp_path / "labels.csv", 4, "DR_ICDR", "9")
    with pytest.raises(TableError, match=r"'DR_ICDR'.*row 4"):
        read_source(BRSET, tmp_path)
