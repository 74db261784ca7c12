"""NIH ChestX-ray14: a header with commas in it, official lists, and relabels joined by key."""

from pathlib import Path

import pytest
from tests.data.sources import tree_nih_chestxray14 as tree
from tests.data.sources.trees import picture, read_rows, table, with_cell

from medtransfer.data.sources.chest.nih_chestxray14 import SOURCE
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import ConfigError, TableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tree.write(tmp_path)
    return tmp_path


def test_findings_become_a_column_each(folder: Path) -> None:
    frame = read_source(SOURCE, folder).frame
    names = [target.name for target in SOURCE.targets if target.name in frame.columns]
    for row in frame.iter_rows(named=True):
        (entry,) = [e for e in tree.ENTRY if e[0] == row["image_id"] + ".png"]
        assert {name for name in names if row[name] == "1"} == set(entry[1].split("|"))
        assert {row[name] for name in names} <= {"0", "1"}
        assert row["patient_id"] == entry[3]


def test_the_header_is_the_published_one_with_unquoted_commas(folder: Path) -> None:
    head = (folder / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    assert head.endswith("OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]")


def test_official_lists_split_by_patient_and_both_sides_are_counted(folder: Path) -> None:
    found = read_source(SOURCE, folder)
    (join,) = [j for j in found.joins if "official lists" in j.right]
    assert (join.matched, join.left_only, join.right_only) == (8, 0, 1)
    split = dict(found.frame.select("image_id", "split").iter_rows())
    assert {name for name, part in split.items() if part == "test"} == {
        "00000003_000",
        "00000003_001",
        "00000014_000",
    }
    per_patient = found.frame.group_by("patient_id").agg(n=found.frame["split"].n_unique())
    assert len(per_patient) == 6
    assert found.frame.n_unique(["patient_id", "split"]) == found.frame["patient_id"].n_unique()


def test_without_a_list_there_is_no_official_split_and_it_is_said(folder: Path) -> None:
    (folder / "test_list.txt").unlink()
    found = read_source(SOURCE, folder)
    assert "split" not in found.frame.columns
    assert any("official test list is not there" in note for note in found.notes)


def test_an_image_in_both_lists_is_refused(folder: Path) -> None:
    table(folder / "train_val_list.txt", None, [(tree.TEST[0],), *[(n,) for n in tree.TRAIN]])
    with pytest.raises(TableError, match="1 image in both official lists"):
        read_source(SOURCE, folder)


def test_relabels_replace_the_findings_of_the_images_that_have_them(folder: Path) -> None:
    found = read_source(SOURCE, folder, {"labels": "google"})
    assert found.kept == ("3 of 8: labels = google",)
    (join,) = [j for j in found.joins if j.right == "relabelled images"]
    assert (join.matched, join.left_only, join.right_only) == (3, 5, 1)
    expected = {
        row[0].removesuffix(".png"): tuple("1" if cell == "YES" else "0" for cell in row[2:6])
        for row in tree.GOOGLE
    }
    columns = ("Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass")
    for row in found.frame.iter_rows(named=True):
        assert tuple(row[name] for name in columns) == expected[row["image_id"]]
    assert "Atelectasis" not in found.frame.columns


def test_relabels_that_are_not_there_are_asked_for(folder: Path) -> None:
    (folder / "google2019_nih-chest-xray-labels.csv").unlink()
    with pytest.raises(TableError, match=r"neither .* nor google2019_nih-chest-xray-labels.csv is"):
        read_source(SOURCE, folder, {"labels": "google"})


def test_an_impossible_age_is_empty_and_said(folder: Path) -> None:
    found = read_source(SOURCE, folder)
    ages = dict(found.frame.select("image_id", "age").iter_rows())
    assert ages["00000003_000"] is None
    assert ages["00000003_001"] == 75
    assert "Age is left empty: '411' in 1 row." in found.notes


def test_a_finding_that_is_not_in_the_list_is_named_by_row(folder: Path) -> None:
    path = folder / "Data_Entry_2017_v2020.csv"
    with_cell(path, 3, "Finding Labels", "Cardiomegaly|Cardiomegly")
    with pytest.raises(TableError, match=r"'Cardiomegly' in 1 row, first in row 3"):
        read_source(SOURCE, folder)


def test_the_same_name_in_two_folders_is_refused_until_one_is_chosen(folder: Path) -> None:
    for row in tree.ENTRY:
        picture(folder / "small" / row[0])
    with pytest.raises(TableError, match=r"8 images .* several folders .*images=FOLDER"):
        read_source(SOURCE, folder)
    found = read_source(SOURCE, folder, {"images": "small"})
    assert all(path.startswith("small/") for path in found.frame["path"])
    assert len(found.frame) == 8


def test_options_that_do_not_exist_are_named_with_what_was_meant(folder: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_source(SOURCE, folder, {"label": "google", "splits": "offical"})
    assert "option 'label' does not exist. Did you mean 'labels'" in str(error.value)
    assert "option 'splits' holds 'offical' (allowed: official, none)" in str(error.value)


def test_all_findings_of_google_are_read_from_its_own_file(folder: Path) -> None:
    frame = read_source(SOURCE, folder, {"labels": "google-all"}).frame
    first, second = frame.iter_rows(named=True)
    assert (first["Hernia"], first["No Finding"], first["Edema"]) == ("1", "0", "0")
    assert (second["Hernia"], second["No Finding"], second["Pleural_Thickening"]) == ("0", "1", "0")


def test_googles_two_files_say_the_same_as_their_copy_in_one(folder: Path) -> None:
    before = read_source(SOURCE, folder, {"labels": "google"}).frame
    (path,) = folder.rglob("google2019*")
    rows = read_rows(path)
    place = rows[0].index("Set Id")
    for word, name in (("test", "test"), ("val", "validation")):
        part = [row for row in rows[1:] if row[place] == word]
        table(folder / "four_findings_expert_labels" / f"{name}_labels.csv", rows[0], part)
    path.unlink()
    assert read_source(SOURCE, folder, {"labels": "google"}).frame.equals(before)
