"""`import`, `sources` and `init` as a user calls them, from a download to a study."""

import json
import shlex
from pathlib import Path

import pytest
from tests.cli.conftest import Call
from tests.data.sources import tree_chexpert, tree_csv, tree_nih_chestxray14
from tests.data.sources.archive.exports import an_export

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.manifest import read_manifest


def test_a_download_becomes_a_manifest_and_then_a_study(call: Call, tmp_path: Path) -> None:
    tree_nih_chestxray14.write(tmp_path / "nih")
    said = call("import", "nih-chestxray14", "nih", "-o", "nih.parquet", "--view", "PA")
    assert said.code == 0, said.err
    assert "NIH ChestX-ray14: 6 images: 6 cases of 4 patients." in said.out
    assert "Kept 6 of 8: view = PA." in said.out
    assert "8 matched; without a partner: 0 rows, 0 image files" in said.out
    assert said.out.splitlines()[-1] == ("Wrote nih.parquet. Next: medtransfer init nih.parquet")
    assert call("init", "nih.parquet").code == 0
    study = read_study(tmp_path / "study.yaml")
    assert study.data.image_root is None
    assert len(read_manifest(study.data.manifest)) == 6


def test_a_manifest_elsewhere_names_its_image_root(call: Call, tmp_path: Path) -> None:
    tree_nih_chestxray14.write(tmp_path / "my data" / "nih")
    said = call("import", "nih-chestxray14", "my data/nih", "-o", "work/nih.parquet")
    assert said.code == 0, said.err
    command = said.out.splitlines()[-1].split("Next: medtransfer ")[1]
    assert call(*shlex.split(command)).code == 0
    study = read_study(tmp_path / "work" / "study.yaml")
    assert study.data.image_root == (tmp_path / "my data" / "nih").resolve()
    manifest = read_manifest(study.data.manifest, image_root=study.data.image_root)
    assert all((manifest.root / path).is_file() for path in manifest.frame["path"])


def test_the_study_may_be_in_another_folder_than_its_manifest(call: Call, tmp_path: Path) -> None:
    tree_nih_chestxray14.write(tmp_path / "nih")
    call("import", "nih-chestxray14", "nih", "-o", "nih/m.parquet")
    assert call("init", "nih/m.parquet", "-o", "studies/here.yaml").code == 0
    study = read_study(tmp_path / "studies" / "here.yaml")
    assert study.data.manifest == (tmp_path / "nih" / "m.parquet").resolve()


def test_a_table_of_ones_own_is_imported_by_its_columns(call: Call, tmp_path: Path) -> None:
    tree_csv.write(tmp_path)
    said = call(
        "import",
        "csv",
        ".",
        "-o",
        "m.csv",
        "--columns",
        "patient_id=PatID,path=File",
        "--columns",
        "cohort:=north",
        "--option",
        "targets=Edema",
        "--values",
        "Edema=yes:1,no:0,maybe:-1",
    )
    assert said.code == 0, said.err
    frame = read_manifest(tmp_path / "m.csv", targets=["Edema"]).frame
    assert frame["patient_id"].to_list() == ["007", "007", "08", "09"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["chexprt", "x"], "Source 'chexprt' does not exist. Did you mean 'chexpert' or"),
        (["chexpert", "nowhere"], '"nowhere" is not a folder'),
        (["chexpert", "empty"], "train.csv is not below the folder"),
        (["chexpert", "full", "--option", "x"], "'x' is not name=value"),
        (["chexpert", "full", "--option", "a=1", "--option", "a=2"], "'a' is given twice"),
        (["chexpert", "full", "--columns", "a=b"], "option 'columns' does not exist"),
        (["chexpert", "full", "--view", "Pa"], "view 'Pa' is not in it. Did you mean 'PA'"),
        (["chexpert", "full", "-o", "m.xlsx"], "must end in .csv or .parquet"),
        (["folder", "full", "--harmonise"], "has no target with a shared name"),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_message(
    call: Call, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "empty").mkdir()
    tree_chexpert.write(tmp_path / "full")
    said = call("import", *words)
    assert said.code == 2, said.out
    assert expected in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "manifest.parquet").exists()


@pytest.mark.slow
def test_sources_are_listed_and_told_in_full(call: Call) -> None:
    said = call("sources")
    for name in SOURCES:
        assert name in said.out
        full = call("sources", name)
        assert full.code == 0
        assert SOURCES[name].title in full.out
        assert json.loads(call("sources", name, "--json").out)["name"] == name
    assert [s["name"] for s in json.loads(call("sources", "--json").out)] == list(SOURCES)
    assert call("sources", "nhi-chestxray14").code == 2


def test_cohorts_are_harmonised_and_joined(call: Call, tmp_path: Path) -> None:
    tree_chexpert.write(tmp_path / "a")
    tree_nih_chestxray14.write(tmp_path / "b")
    said = call("import", "chexpert", "a", "-o", "a.parquet", "--harmonise")
    assert "'Pleural Other' has no shared name and is left out (3 labels, 1 of them 1)." in said.out
    assert call("import", "nih-chestxray14", "b", "-o", "b.csv", "--harmonise").code == 0
    said = call("join", "a.parquet", "b.csv", "-o", "both.parquet")
    assert said.code == 0, said.err
    assert "chexpert: 9 images, nih-chestxray14: 8 images" in said.out
    assert call("init", "both.parquet").code == 0
    study = read_study(tmp_path / "study.yaml")
    assert "Effusion" in study.data.targets
    assert call("join", "a.parquet").code == 2


def test_an_export_of_an_archive_becomes_a_manifest_and_then_a_study(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    an_export(tmp_path / "export", 6)
    rows = "".join(f"A{n:03d};{'ja' if n % 2 else 'nein'}\n" for n in range(6))
    (tmp_path / "labels.csv").write_text("Fallnummer;edema\n" + rows)
    (tmp_path / "secret").write_text("0123456789abcdef" * 3)
    labels = ["--labels", "labels.csv", "--on", "AccessionNumber=Fallnummer"]
    words = ["--values", "edema=ja:1,nein:0", "--option", "targets=edema", "--secret", "secret"]
    said = call("import", "dicom", "export", "-o", "work/m.csv", *labels, *words)
    assert said.code == 0, said.err
    assert "A folder of DICOM files: 12 images: 6 cases of 6 patients." in said.out
    assert "importing (12 images)" in said.err
    assert not (tmp_path / "settings").exists()
    command = said.out.splitlines()[-1].split("Next: medtransfer ")[1]
    assert call(*shlex.split(command)).code == 0
    study = read_study(tmp_path / "work" / "study.yaml")
    assert list(study.data.targets) == ["edema"]
    checked = call("check", "work/m.csv", "--image-root", "export")
    assert "Read 12 rows" not in checked.err
    assert "cannot be used" not in checked.err


def test_an_address_is_asked_of_dicomweb_alone(call: Call) -> None:
    said = call("import", "dicomweb", "no/address", "--option", "modality=DX")
    assert said.code == 2
    assert "must begin with https:// or http://" in said.err
    said = call("import", "folder", "https://archive/dicom-web")
    assert said.code == 2
    assert "is not a folder" in said.err
