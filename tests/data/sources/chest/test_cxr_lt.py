"""CXR-LT 2024: labels by film and part, ids from paths, and what radiologists read."""

from pathlib import Path

import pytest
from tests.data.sources import tree_cxr_lt
from tests.data.sources.tree_cxr_lt import FILMS, FOUND, GOLD

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.chest.cxr_lt import RARE, READ, SHARED
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

CXR_LT = SOURCES["cxr-lt"]


def test_each_part_is_a_split_and_each_film_has_the_labels_of_its_study(tmp_path: Path) -> None:
    tree_cxr_lt.write(tmp_path)
    rows = {row["image_id"]: row for row in read_source(CXR_LT, tmp_path).frame.to_dicts()}
    for dicom, subject, study, view, part in FILMS:
        row = rows[dicom]
        assert (row["patient_id"], row["case_id"]) == (f"p{subject}", f"s{study}")
        words = {"train": "train", "development": "tune", "test": "test"}
        assert row["split"] == words[part.split("_")[0]]
        assert row["view"] == ({"LATERAL": "L", "LL": "L"}.get(view, view) or None)
        assert {name for name in SHARED if row[name] == "1"} == {*FOUND.get(study, ())}
        assert {row[name] for name in SHARED} <= {"0", "1"}


def test_radiologists_labels_are_those_of_task_2_alone(tmp_path: Path) -> None:
    tree_cxr_lt.write(tmp_path)
    imported = read_source(CXR_LT, tmp_path, {"labels": "radiologists"})
    (row,) = imported.frame.to_dicts()
    assert row["image_id"] == GOLD[0]
    assert [name for name in READ if row[name] == "1"] == [GOLD[1]]
    assert not RARE & {*imported.frame.columns}
    assert (len(SHARED), len(READ)) == (40, 26)


def test_a_film_in_two_parts_and_a_folder_without_tables_are_refused(tmp_path: Path) -> None:
    tree_cxr_lt.write(tmp_path)
    tables = tmp_path / "cxr-lt-2024"
    text = (tables / "train_labeled.csv").read_text("utf-8")
    (tables / "test_labeled_task1.csv").write_text(text, "utf-8")
    with pytest.raises(TableError, match="4 rows name a film that is in several parts"):
        read_source(CXR_LT, tmp_path)
    for path in tables.iterdir():
        path.unlink()
    with pytest.raises(TableError, match=r"train_labeled\.csv is not below the folder"):
        read_source(CXR_LT, tmp_path)
