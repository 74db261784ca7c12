"""Mammography: breast, exam and image as the case, and the traps that each set is known for."""

from pathlib import Path

import pytest
from tests.data.sources import tree_cbis_ddsm
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.importing import import_source
from medtransfer.data.sources.source import Imported
from medtransfer.errors import ConfigError, TableError


def read(name: str, folder: Path, **options: str) -> Imported:
    return import_source(SOURCES[name], folder, options)


def rows_of(found: Imported) -> dict[str, dict[str, object]]:
    return {row["image_id"]: row for row in found.frame.iter_rows(named=True)}


def of(found: Imported, column: str) -> dict[str, object]:
    return dict(found.frame.select("image_id", column).iter_rows())


def test_cbis_is_one_row_a_film_malignant_if_any_of_its_findings_is(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    labels = of(read("cbis-ddsm", tmp_path, case="image"), "malignant")
    assert len(labels) == 9
    assert labels["Mass-Training_P_00001_LEFT_CC"] == "1"  # the first of its rows is benign
    assert labels["Mass-Training_P_00001_LEFT_MLO"] == "0"
    assert labels["Calc-Test_P_00038_LEFT_CC"] == "0"  # benign without callback


def test_cbis_case_is_the_breast_or_the_exam(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    breast = rows_of(read("cbis-ddsm", tmp_path))
    film = breast["Mass-Training_P_00001_LEFT_MLO"]
    assert (film["case_id"], film["malignant"]) == ("P_00001_L", "1")
    assert breast["Mass-Training_P_00001_RIGHT_CC"]["malignant"] == "0"
    exam = rows_of(read("cbis-ddsm", tmp_path, case="exam"))
    film = exam["Mass-Training_P_00001_RIGHT_CC"]
    assert (film["case_id"], film["malignant"]) == ("P_00001", "1")
    with pytest.raises(ConfigError, match="allowed: breast, exam, image"):
        read("cbis-ddsm", tmp_path, case="source")


def test_cbis_patient_of_both_parts_is_in_one_and_counted(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    found = read("cbis-ddsm", tmp_path)
    said = "1 patient in both the training and the test"
    patients = found.frame.group_by("patient_id").n_unique()
    assert patients["split"].to_list() == [1] * len(patients)
    assert rows_of(found)["Mass-Test_P_00016_LEFT_CC"]["split"] in ("train", "tune")
    assert rows_of(found)["Mass-Test_P_00016_LEFT_CC"]["patient_id"] == "P_00016"
    assert any(note.startswith(said) for note in found.notes)


def test_cbis_assessment_0_says_nothing_and_both_densities_are_read(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    rows = rows_of(read("cbis-ddsm", tmp_path, case="image"))
    assert rows["Mass-Training_P_00002_RIGHT_MLO"]["birads_high"] is None
    assert rows["Mass-Training_P_00001_LEFT_CC"]["birads_high"] == "1"
    assert rows["Mass-Training_P_00001_LEFT_CC"]["birads"] == "4"  # the worst of its findings
    assert rows["Calc-Training_P_00005_RIGHT_CC"]["density"] == "D"
    assert rows["Mass-Training_P_00002_RIGHT_MLO"]["density"] == "A"


def test_cbis_is_the_same_in_every_layout(tmp_path: Path) -> None:
    frames = []
    for write in (
        tree_cbis_ddsm.write, tree_cbis_ddsm.write_classic, tree_cbis_ddsm.write_described
    ):  # fmt: skip
        folder = tmp_path / write.__name__
        write(folder)
        frames.append(read("cbis-ddsm", folder).frame)
    assert frames[0].drop("path").equals(frames[1].drop("path"))
    assert frames[0].drop("path").equals(frames[2].drop("path"))
    assert all("cropped" not in path for path in frames[2]["path"])
    assert "2-999" not in " ".join(frames[0]["path"])


def test_cbis_refuses_a_path_that_is_of_another_film(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    file = tmp_path / "csv" / "mass_case_description_train_set.csv"
    with_cell(file, 3, "left or right breast", "RIGHT")
    with_cell(file, 4, "pathology", "UNPROVEN")
    with pytest.raises(TableError, match=r"(?s)'UNPROVEN'.*not of the patient.*row 3"):
        read("cbis-ddsm", tmp_path)
