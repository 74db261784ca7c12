"""Kermany's chest films: patients by name, numbers that two causes share, folders as a split."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_kermany_pneumonia as tree
from tests.data.sources.trees import picture

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

KERMANY = SOURCES["kermany-pneumonia"]


def test_a_number_and_a_cause_are_a_patient(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(KERMANY, tmp_path)
    patient = dict(imported.frame.select("image_id", "patient_id").iter_rows())
    assert patient["person1_bacteria_1"] == patient["person1_bacteria_2"] == "person1_bacteria"
    assert patient["person1_virus_6"] == "person1_virus"
    assert patient["person447_virus_921_1"] == "person447_virus"
    assert patient["IM-0115-0001"] == "IM-0115" != patient["NORMAL2-IM-0115-0001"]
    assert patient["IM-0523-0001-0002"] == "IM-0523"
    parts = dict(imported.frame.select("image_id", "split").iter_rows())
    assert parts["person1946_bacteria_4874"] == "tune"
    assert parts["person1_virus_6"] == "test"
    assert "1 image outside the folders, or once more: left out." in imported.notes


def test_by_number_alone_the_folders_are_no_split(tmp_path: Path) -> None:
    tree.write(tmp_path)
    imported = read_source(KERMANY, tmp_path, {"persons": "number"})
    frame = imported.frame.filter(pl.col("image_id").str.starts_with("person1_"))
    assert set(frame["patient_id"]) == {"person1"}
    assert "split" not in imported.frame.columns
    assert any(note.startswith("2 patients have films in several") for note in imported.notes)


def test_version_3_names_the_patient_in_the_middle(tmp_path: Path) -> None:
    tree.write(tmp_path, tree.NUMBERED)
    frame = read_source(KERMANY, tmp_path).frame
    rows = {row["image_id"]: row for row in frame.to_dicts()}
    assert rows["BACTERIA-7422-0002"]["patient_id"] == "7422"
    assert (rows["VIRUS-64126-0001"]["cause"], rows["VIRUS-64126-0001"]["Pneumonia"]) == (
        "virus",
        "1",
    )
    assert rows["NORMAL-1049278-0001"]["No Finding"] == "1"
    assert set(frame.filter(split="test")["image_id"]) == {
        *tree.NUMBERED["test/NORMAL"],
        *tree.NUMBERED["test/PNEUMONIA"],
    }


def test_films_of_other_names_are_counted_or_refused(tmp_path: Path) -> None:
    tree.write(tmp_path)
    picture(tmp_path / "chest_xray" / "train" / "NORMAL" / "person9_virus_9.jpeg", 90)
    with pytest.raises(TableError, match=r"1 of 13 films \(7\.7%\) have a name"):
        read_source(KERMANY, tmp_path)
    imported = read_source(KERMANY, tmp_path, {"odd_rows": "0.1"})
    assert len(imported.frame) == 12
    assert "1 film whose name tells no patient of its folder: left out." in imported.notes


@pytest.mark.shared
def test_the_shared_films_have_the_patients_that_were_kept(shared: Path, tmp_path: Path) -> None:
    packed = pl.read_parquet(shared / "cxr_kermany.parquet")
    packed = packed.with_columns(pl.col("image_id").str.replace(r"\.jpeg$", "")).sort("image_id")
    for name, label, data in packed.select("image_id", "label", "image").iter_rows():
        path = tmp_path / "train" / label.upper() / f"{name}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    frame = read_source(KERMANY, tmp_path, {"persons": "number"}).frame
    assert frame["image_id"].to_list() == packed["image_id"].to_list()
    assert frame["patient_id"].to_list() == packed["patient_id"].to_list()
    assert frame["cause"].to_list() == packed["subtype"].to_list()
    assert (frame["Pneumonia"] == "1").to_list() == (packed["label"] == "pneumonia").to_list()
