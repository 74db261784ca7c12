"""BRAX: strips are left out, the open age group is no age, either format of the films is found."""

from pathlib import Path

import pytest
from tests.data.sources import tree_brax
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

BRAX = SOURCES["brax"]
TABLE = "master_spreadsheet_update.csv"


def test_a_strip_is_no_film_and_is_counted(tmp_path: Path) -> None:
    tree_brax.write(tmp_path)
    found = read_source(BRAX, tmp_path)
    assert len(found.frame) == 5
    assert found.kept == ("5 of 6: sides differ by a factor of 10 at most",)


def test_the_last_age_group_has_a_band_and_no_age(tmp_path: Path) -> None:
    tree_brax.write(tmp_path)
    rows = read_source(BRAX, tmp_path).frame.filter(patient_id="id_0b2e").to_dicts()
    assert [(row["age"], row["age_band"], row["view"]) for row in rows] == [(None, "80+", "AP")]


def test_the_films_are_found_as_dicom(tmp_path: Path) -> None:
    tree_brax.write(tmp_path)
    before = read_source(BRAX, tmp_path).frame
    (tmp_path / "images").rename(tmp_path / "Anonymized_DICOMs")
    for film in tmp_path.rglob("*.png"):
        film.rename(film.with_suffix(".dcm"))
    after = read_source(BRAX, tmp_path).frame
    assert after.drop("path").equals(before.drop("path"))


def test_findings_meet_those_of_chexpert_under_shared_names(tmp_path: Path) -> None:
    tree_brax.write(tmp_path)
    frame = read_source(BRAX, tmp_path, shared_names=True).frame
    rows = frame.filter(case_id="1002").select("Effusion", "Edema", "Cardiomegaly").rows()
    assert rows == [("1", "-1", "0")]


def test_a_path_of_another_form_is_named_by_row(tmp_path: Path) -> None:
    tree_brax.write(tmp_path)
    with_cell(tmp_path / TABLE, 3, "PngPath", "images/12.png")
    with pytest.raises(TableError, match=r"'PngPath' is no path .* in row 3"):
        read_source(BRAX, tmp_path)
