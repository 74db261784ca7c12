"""fsck finds every damage of a finished study, and nothing in a sound one."""

import json
import random
import shutil
from pathlib import Path

import pytest
from tests.integrity.damage import delete, files_of, flip, swap, truncate

from medtransfer import fsck
from medtransfer.errors import StudyError
from medtransfer.files import write_json
from medtransfer.report.page import write_report
from medtransfer.runs.folders import StudyFolder
from medtransfer.settings import digest


@pytest.fixture(scope="module")
def sound(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with its report; read-only for tests."""
    folder = tmp_path_factory.mktemp("fsck") / "study"
    shutil.copytree(finished.path, folder)
    write_report(folder)
    return folder


def test_a_finished_study_has_no_fault(sound: Path) -> None:
    report = fsck(sound)
    assert report.faults == ()
    assert report.notes == ()
    listed = {path for path in files_of(sound) if path.name != "verified.json"}
    assert report.files >= len(listed)
    assert report.nbytes > 0


def check_random_damages(sound: Path, tmp_path: Path, count: int, seed: int) -> None:
    draw = random.Random(seed)
    missed: list[str] = []
    for number in range(count):
        folder = tmp_path / "damaged"
        shutil.copytree(sound, folder)
        kind = (flip, flip, truncate, delete, swap)[number % 5]
        if kind is swap:
            swap(folder, draw)
            name = "swap"
        else:
            path = draw.choice(files_of(folder))
            kind(path, draw)
            name = f"{kind.__name__} of {path.relative_to(folder)}"
        if fsck(folder).passed:
            missed.append(name)
        shutil.rmtree(folder)
    assert not missed


@pytest.mark.slow
def test_random_damages_are_found(sound: Path, tmp_path: Path) -> None:
    check_random_damages(sound, tmp_path, 5, seed=1)


@pytest.mark.slow
def test_each_of_200_random_damages_is_found(sound: Path, tmp_path: Path) -> None:
    check_random_damages(sound, tmp_path, 200, seed=2)


@pytest.mark.slow
def test_damage_to_each_file_is_found(sound: Path, tmp_path: Path) -> None:
    draw = random.Random(3)
    missed: list[str] = []
    for path in files_of(sound):
        for damage in (flip, truncate, delete):
            folder = tmp_path / "damaged"
            shutil.copytree(sound, folder)
            damage(folder / path.relative_to(sound), draw)
            if fsck(folder).passed:
                missed.append(f"{damage.__name__} of {path.relative_to(sound)}")
            shutil.rmtree(folder)
    assert not missed


def test_runs_that_changed_places_are_found(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "s")
    first, second = sorted((tmp_path / "s" / "runs").iterdir())[:2]
    first.rename(tmp_path / "between")
    second.rename(first)
    (tmp_path / "between").rename(second)
    faults = [fault for fault in fsck(tmp_path / "s").faults if fault.fault == "is of another run"]
    assert {fault.file.split("/")[1] for fault in faults} == {first.name, second.name}


def test_a_fault_names_file_and_remedy(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "s")
    run = sorted((tmp_path / "s" / "runs").iterdir())[0]
    truncate(run / "predictions.parquet", random.Random(1))
    (fault,) = fsck(tmp_path / "s").faults
    assert fault.file == f"runs/{run.name}/predictions.parquet"
    assert fault.fault.startswith("has ")
    assert fault.remedy == "`medtransfer run` carries the run out again."


def test_a_seal_that_names_a_file_elsewhere_is_found(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "s")
    path = tmp_path / "s" / "seal.json"
    files = json.loads(path.read_text())["files"] | {"../victim": {"size": 1, "sha256": "0"}}
    write_json(path, {"files": files, "seal": digest(files)})
    (fault,) = fsck(tmp_path / "s").faults
    assert (fault.file, fault.fault) == (
        "../victim",
        "lies outside of the folder: the seal is forged",
    )


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"is not the folder of a study.*studies/NAME"):
        fsck(tmp_path)
