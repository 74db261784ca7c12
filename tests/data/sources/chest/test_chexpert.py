"""CheXpert: labels stay with their image, cases are studies, missing values are empty."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_chexpert
from tests.data.sources.trees import picture, table, with_cell, workbook

from medtransfer.data.sources.chest.chexpert import SOURCE
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.source import ImportedSource
from medtransfer.errors import TableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tree_chexpert.write(tmp_path)
    return tmp_path


def read(folder: Path, **options: str) -> ImportedSource:
    return read_source(SOURCE, folder, options)


def test_labels_stay_with_the_image_they_were_given_for(folder: Path) -> None:
    # torchxrayvision takes the first label that is not empty of any image of the patient
    frame = read(folder).frame
    expected = {
        f"{path.removesuffix('.jpg').split('/', 1)[1]}": {
            name: labels[name].removesuffix(".0") if name in labels else None
            for name in tree_chexpert.LABELS
        }
        for path, *_, labels in tree_chexpert.TRAIN + tree_chexpert.VALID
    }
    found = {
        row["image_id"]: {name: row[name] for name in tree_chexpert.LABELS}
        for row in frame.iter_rows(named=True)
    }
    assert found == expected


def test_a_case_is_a_study_with_all_its_views(folder: Path) -> None:
    frame = read(folder).frame
    counts = dict(frame.group_by("case_id").len().iter_rows())
    assert counts["patient00002/study1"] == 2
    assert counts["patient00002/study2"] == 1
    single = read(folder, case="image").frame
    assert single["case_id"].to_list() == single["image_id"].to_list()


def test_age_zero_and_sex_unknown_are_empty_and_said(folder: Path) -> None:
    found = read(folder)
    by_id = {row["image_id"]: row for row in found.frame.iter_rows(named=True)}
    assert by_id["patient00002/study1/view1_frontal"]["age"] is None
    assert by_id["patient00002/study1/view1_frontal"]["age_band"] is None
    assert by_id["patient00003/study1/view1_frontal"]["sex"] is None
    assert "Age is left empty: '0' in 2 rows." in found.notes
    assert "Sex is left empty: 'Unknown' in 1 row." in found.notes


@pytest.mark.parametrize("top", ["CheXpert-v1.0/", "CheXpert-v1.0-small/", ""])
def test_any_archive_is_read_from_its_folder_and_from_the_one_above(
    tmp_path: Path, top: str
) -> None:
    inner = tmp_path / "CheXpert-v1.0-small"
    tree_chexpert.write(inner)
    for name in ("train.csv", "valid.csv"):
        text = (inner / name).read_text()
        (inner / name).write_text(text.replace("CheXpert-v1.0-small/", top))
    above, inside = read(tmp_path).frame, read(inner).frame
    start = "CheXpert-v1.0-small/"
    assert [path.removeprefix(start) for path in above["path"]] == inside["path"].to_list()
    assert above.drop("path").equals(inside.drop("path"))


def test_demographics_are_joined_by_patient_and_both_sides_counted(folder: Path) -> None:
    found = read(folder)
    (join,) = [j for j in found.joins if j.right == "patients of the demographics"]
    assert (join.matched, join.left_only, join.right_only) == (6, 3, 1)
    race = dict(found.frame.select("patient_id", "race").unique().iter_rows())
    assert race["patient00001"] == "White"
    assert race["patient00003"] is None  # refused
    assert race["patient00004"] is None  # two rows that disagree
    assert "1 patient with several values of race: left empty." in found.notes


def test_without_the_workbook_it_is_read_all_the_same(folder: Path) -> None:
    (folder / "CHEXPERT DEMO.xlsx").unlink()
    assert "race" not in read(folder).frame.columns


def test_a_workbook_that_is_none_is_named(folder: Path) -> None:
    (folder / "CHEXPERT DEMO.xlsx").write_text("PATIENT,GENDER")
    with pytest.raises(TableError, match=r"CHEXPERT DEMO.xlsx is not a readable workbook"):
        read(folder)


def test_a_workbook_with_other_columns_is_named(folder: Path) -> None:
    workbook(folder / "CHEXPERT DEMO.xlsx", ("PATIENT", "GENDER", "AGE", "RACE"), [])
    with pytest.raises(TableError) as error:
        read(folder)
    for column in ("AGE_AT_CXR", "PRIMARY_RACE", "ETHNICITY"):
        assert f"'{column}'" in str(error.value)


def test_every_wrong_cell_of_both_tables_is_named_by_row(folder: Path) -> None:
    with_cell(folder / "train.csv", 4, "Edema", "yes")
    with_cell(folder / "train.csv", 6, "Frontal/Lateral", "Oblique")
    with_cell(folder / "train.csv", 8, "Path", "somewhere/film.jpg")
    with_cell(folder / "valid.csv", 2, "Fracture", "2.0")
    with pytest.raises(TableError) as error:
        read(folder)
    said = str(error.value)
    assert "train.csv: 'Edema' holds 'yes' in 1 row, first in row 4" in said
    assert "train.csv: 'Frontal/Lateral' holds 'Oblique' in 1 row, first in row 6" in said
    assert "'Path' has no patient and study (expected: …/train/patient00001/" in said
    assert "view1_frontal.jpg) in row 8" in said
    assert "train.csv: 3 of 7 rows (42.9%) are not as published (allowed: 0.01" in said
    assert "valid.csv: 'Fracture' holds '2' in 1 row, first in row 2" in said
    assert "`medtransfer sources chexpert`" in said


def test_a_row_that_stands_twice_is_refused(folder: Path) -> None:
    text = (folder / "train.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join([*text, text[3]]) + "\n")
    with pytest.raises(TableError, match=r"'Path' is not unique: 1 value repeated in rows 4, 9"):
        read(folder)


def test_views_say_what_they_keep(folder: Path) -> None:
    found = read_source(SOURCE, folder, views=["PA"])
    assert set(found.frame["view"]) == {"PA"}
    assert found.kept == ("4 of 9: view = PA",)
    both = read_source(SOURCE, folder, views=["PA", "AP"])
    assert both.kept == ("7 of 9: view = PA or AP",)


def test_the_tuning_part_is_drawn_by_patient_whatever_is_beside_it(folder: Path) -> None:
    many = [
        (f"train/patient{n:05d}/study1/view1_frontal.jpg", "Male", "50", "Frontal", "PA")
        for n in range(100, 900)
    ]
    rows = [(*row, *("" for _ in tree_chexpert.LABELS)) for row in many]
    table(folder / "train.csv", tree_chexpert.HEADER, rows)
    for row in many:
        (folder / row[0]).parent.mkdir(parents=True, exist_ok=True)
        (folder / row[0]).touch()
    whole = read(folder).frame.filter(pl.col("split") != "test")
    share = (whole["split"] == "tune").mean()
    assert 0.09 < share < 0.16  # type: ignore[operator]
    for row in many[:400]:
        (folder / row[0]).unlink()
    part = read(folder).frame
    both = part.join(whole, on="image_id", suffix="_whole")
    assert both["split"].to_list() == both["split_whole"].to_list()


def test_the_full_set_is_found_where_its_archives_unpack_to(tmp_path: Path) -> None:
    tree_chexpert.write(tmp_path / "a")
    tree_chexpert.write(tmp_path / "b")
    home = tmp_path / "b" / "CheXpert-v1.0 batch 1 (validate & csv)"
    home.mkdir()
    for name in ("train.csv", "valid.csv", "valid"):
        (tmp_path / "b" / name).rename(home / name)
    for number, patient in enumerate(sorted((tmp_path / "b" / "train").iterdir())):
        batch = tmp_path / "b" / f"CheXpert-v1.0 batch {2 + number % 3} (train {1 + number % 3})"
        batch.mkdir(exist_ok=True)
        patient.rename(batch / patient.name)
    one, two = (read(tmp_path / name).frame for name in "ab")
    assert one.drop("path").equals(two.drop("path"))


TEST_ROWS = [
    ("patient64741/study1", {"Edema": "1", "Support Devices": "1"}),
    ("patient64742/study1", {"No Finding": "1"}),
    ("patient64743/study1", {"Fracture": "1"}),
]
TEST_IMAGES = (
    "test/patient64741/study1/view1_frontal.jpg",
    "test/patient64741/study1/view2_lateral.jpg",
    "test/patient64742/study1/view1_frontal.jpg",
)


def write_test_part(folder: Path, column: str, rows: list[tuple[str, dict[str, str]]]) -> None:
    table(
        folder / ("groundtruth.csv" if column == "Study" else "test_labels.csv"),
        (column, *tree_chexpert.LABELS),
        [(name, *(labels.get(n, "0") for n in tree_chexpert.LABELS)) for name, labels in rows],
    )
    for number, path in enumerate(TEST_IMAGES):
        picture(folder / path, number)


def test_labels_of_the_test_part_are_of_a_study_with_all_its_images(folder: Path) -> None:
    rows = [(f"CheXpert-v1.0/test/{study}", labels) for study, labels in TEST_ROWS]
    write_test_part(folder, "Study", rows)
    found = read(folder)
    by_id = {row["image_id"]: row for row in found.frame.iter_rows(named=True)}
    for view, word in (("view1_frontal", None), ("view2_lateral", "L")):
        row = by_id[f"patient64741/study1/{view}"]
        assert (row["split"], row["view"], row["sex"], row["Edema"]) == ("test", word, None, "1")
    assert by_id["patient64742/study1/view1_frontal"]["No Finding"] == "1"
    assert by_id["patient64541/study1/view1_frontal"]["split"] == "tune"
    (join,) = [j for j in found.joins if j.left == "studies of the test labels"]
    assert (join.matched, join.left_only) == (2, 1)


def test_labels_of_the_test_part_per_image_say_the_same(folder: Path) -> None:
    labels = dict(TEST_ROWS)
    rows = [(path, labels["/".join(path.split("/")[1:3])]) for path in TEST_IMAGES]
    write_test_part(folder, "Path", rows)
    images = read(folder).frame
    (folder / "test_labels.csv").unlink()
    write_test_part(folder, "Study", [(f"CheXpert-v1.0/test/{s}", n) for s, n in TEST_ROWS])
    assert read(folder).frame.equals(images)


def test_demographics_of_chexpert_plus_are_read_in_place_of_the_workbook(folder: Path) -> None:
    before = dict(read(folder).frame.select("patient_id", "race").unique().iter_rows())
    (folder / "CHEXPERT DEMO.xlsx").unlink()
    head = ("path_to_image", "deid_patient_id", "sex", "age", "race", "ethnicity", "report")
    table(
        folder / "df_chexpert_plus_240401.csv",
        head,
        [
            (f"train/{patient}/study1/view1_frontal.jpg", patient, sex, age, race, group, "a, b")
            for patient, sex, age, race, group in tree_chexpert.DEMO
        ],
    )
    assert dict(read(folder).frame.select("patient_id", "race").unique().iter_rows()) == before


def test_a_frontal_film_with_a_lateral_position_has_no_view(folder: Path) -> None:
    found = read(folder)
    views = dict(found.frame.select("image_id", "view").iter_rows())
    assert views["patient00003/study1/view1_frontal"] is None
    assert views["patient00002/study1/view2_lateral"] == "L"
    assert any("lateral position (LL or RL)" in note for note in found.notes)
