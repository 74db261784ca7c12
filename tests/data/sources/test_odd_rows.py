"""Odd rows: counted, listed by number, left out with their unit, refused above a share."""

from pathlib import Path

import pytest
from tests.data.sources import tree_chexpert, tree_embed, tree_mias, tree_rsna_pneumonia
from tests.data.sources.trees import picture, read_rows, table, with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import import_source, read_source
from medtransfer.data.sources.source import ImportedSource
from medtransfer.errors import ConfigError, TableError


def read(name: str, folder: Path, **options: str) -> ImportedSource:
    return read_source(SOURCES[name], folder, options)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """CheXpert with 300 rows of 300 patients, rows 2 to 301 of the table."""
    head = (f"CheXpert-v1.0/train/patient{n:05d}/study1/view1_frontal.jpg" for n in range(300))
    rows = [(path, "Male", "50", "Frontal", "PA", *[""] * 14) for path in head]
    table(tmp_path / "train.csv", tree_chexpert.HEADER, rows)
    for number in range(300):
        picture(tmp_path / f"train/patient{number:05d}/study1/view1_frontal.jpg", number)
    return tmp_path


def test_a_few_odd_rows_are_left_out_counted_and_listed(many: Path) -> None:
    with_cell(many / "train.csv", 7, "Edema", "perhaps")
    with_cell(many / "train.csv", 90, "Frontal/Lateral", "Oblique")
    written = import_source("chexpert", many, many / "m.parquet")
    (odd,) = written.left_out
    assert (odd.file, odd.rows, odd.beside, odd.total) == ("train.csv", (7, 90), (), 300)
    (note,) = [note for note in written.notes if note.startswith("train.csv")]
    assert note.startswith("train.csv: 2 of 300 rows not as published: left out.")
    assert "'Edema' holds 'perhaps' in 1 row, first in row 7 (allowed: 1, 0, -1, empty)" in note
    assert note.endswith("Left out: rows 7, 90.")
    frame = read("chexpert", many).frame
    assert len(frame) == 298
    assert {"patient00005", "patient00088"}.isdisjoint(frame["patient_id"])


def test_the_share_is_stated_and_can_be_moved(many: Path) -> None:
    for row in (7, 8, 9, 10):
        with_cell(many / "train.csv", row, "Edema", "perhaps")
    with pytest.raises(TableError, match=r"4 of 300 rows \(1\.3%\) are not as published"):
        read("chexpert", many)
    assert len(read("chexpert", many, odd_rows="0.02").frame) == 296
    with pytest.raises(ConfigError, match="'odd_rows' holds 'some' .*a share from 0 to 1"):
        read("chexpert", many, odd_rows="some")
    with pytest.raises(ConfigError, match="'odd_rows' holds '2'"):
        read("chexpert", many, odd_rows="2")


def test_equal_rows_are_kept_once_and_unequal_ones_not_at_all(many: Path) -> None:
    rows = read_rows(many / "train.csv")
    rows += [rows[3], [*rows[9][:3], "Lateral", *rows[9][4:]]]
    table(many / "train.csv", rows[0], rows[1:])
    found = read("chexpert", many)
    (odd,) = found.left_out
    assert odd.rows == (10, 302, 303)
    patients = set(found.frame["patient_id"])
    assert "patient00002" in patients
    assert "patient00008" not in patients


def test_with_an_odd_box_goes_its_whole_image(tmp_path: Path) -> None:
    tree_rsna_pneumonia.write(tmp_path)
    boxes = tmp_path / "stage_2_train_labels.csv"
    before = read("rsna-pneumonia", tmp_path).frame
    with_cell(boxes, 4, "Target", "2")
    name = read_rows(boxes)[3][0]
    rows = [number for number, row in enumerate(read_rows(boxes), 1) if row[0] == name]
    found = read("rsna-pneumonia", tmp_path, odd_rows="0.5")
    odd = found.left_out[0]
    assert odd.rows == (4,) if len(rows) == 1 else sorted(odd.rows + odd.beside) == rows
    assert set(before["image_id"]) - set(found.frame["image_id"]) == {name}


def test_with_an_odd_finding_go_all_images_of_the_patient(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    with_cell(tmp_path / "tables" / "EMBED_OpenData_clinical.csv", 3, "asses", "?")
    found = read("embed", tmp_path, odd_rows="0.2")
    assert "6001" not in set(found.frame["patient_id"])
    assert "6002" in set(found.frame["patient_id"])
    clinical, metadata = found.left_out
    assert (clinical.rows, clinical.beside) == ((3,), (2, 4, 5))
    assert (metadata.rows, metadata.beside) == ((), (2, 3, 4, 5))


def test_with_an_odd_line_goes_its_film(tmp_path: Path) -> None:
    tree_mias.write(tmp_path)
    lines = [line.replace("mdb005 F MISC M", "mdb005 F MISC ?") for line in tree_mias.LINES]
    (tmp_path / "Info.txt").write_text("\n".join(lines))
    found = read("mias", tmp_path, odd_rows="0.2")
    assert "mdb005" not in set(found.frame["image_id"])
    assert (found.left_out[0].rows, found.left_out[0].beside) == ((7,), (6,))
