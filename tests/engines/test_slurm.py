"""The Slurm engine: its script, its refusals, and a study through fake commands of Slurm."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.in_process import run_here, study_digests
from tests.local_run import request

from medtransfer.engines import slurm
from medtransfer.engines.contract import RunLost, RunMessage
from medtransfer.engines.slurm import SlurmEngine, check_sbatch
from medtransfer.errors import ConfigError, StudyError
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import Finished
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study


@pytest.fixture
def recorded(fake: Path) -> Path:
    """An `sbatch` that only notes what it is given."""
    (fake / "sbatch").write_text('#!/bin/bash\necho "$@" >> "$FAKE/calls"\necho 41\n')
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    place = StudyFolder(tmp_path / "s")
    place.claim("chest")
    return place


def test_runs_are_one_array_of_a_script_that_a_reader_understands(
    folder: StudyFolder, recorded: Path, tiny_study: Study
) -> None:
    engine = SlurmEngine(folder.path, options=["--partition=gpu --gres=gpu:1"], at_once=4)
    for letter in "abc":
        assert engine.has_room(request(tiny_study, letter * 12))
        engine.submit(request(tiny_study, letter * 12))
    assert engine.poll() is None
    script = (folder.path / "slurm" / "0000.sh").read_text()
    for line in (
        "#SBATCH --job-name=medtransfer-chest",
        "#SBATCH --array=0-2%4",
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --requeue",
    ):
        assert line in script.splitlines()
    assert f"--out {folder.path} --one " in script
    subprocess.run(["bash", "-n", str(folder.path / "slurm" / "0000.sh")], check=True)
    listed = (folder.path / "slurm" / "0000.txt").read_text().split()
    assert listed == ["a" * 12, "b" * 12, "c" * 12]
    assert (recorded / "calls").read_text() == f"--parsable {folder.path}/slurm/0000.sh\n"
    record = json.loads((folder.run("a" * 12).path / "run.json").read_text())
    assert record["run_id"] == "a" * 12


@pytest.mark.usefixtures("recorded")
def test_the_folder_of_a_run_tells_how_it_ended(folder: StudyFolder, tiny_study: Study) -> None:
    engine = SlurmEngine(folder.path)
    for letter in "ab":
        engine.submit(request(tiny_study, letter * 12))
    assert engine.poll() is None
    folder.run("b" * 12).fail("diverged", "the loss is no number")
    assert engine.poll() == RunMessage("b" * 12, Finished("diverged", "the loss is no number"))
    (folder.run("a" * 12).path / "done").write_text("{}")
    assert engine.poll() == RunMessage("a" * 12, Finished("done"))


def test_a_job_that_is_gone_without_a_result_is_lost_after_a_while(
    folder: StudyFolder, recorded: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SlurmEngine(folder.path)
    engine.submit(request(tiny_study, "a" * 12))
    assert engine.poll() is None
    (recorded / "broken").touch()
    monkeypatch.setattr(slurm, "SETTLE_SECONDS", 0.0)
    assert [engine.poll() for _ in range(3)] == [None] * 3  # nobody knows: it is waited for
    (recorded / "broken").unlink()
    (recorded / "invalid").touch()
    assert engine.poll() is None
    lost = engine.poll()
    assert isinstance(lost, RunLost)
    assert lost.reason == "the Slurm job of the run ended without a result"


def test_jobs_of_a_killed_driver_are_not_submitted_again(
    folder: StudyFolder, recorded: Path, tiny_study: Study
) -> None:
    first = SlurmEngine(folder.path)
    for letter in "ab":
        first.submit(request(tiny_study, letter * 12))
    first.poll()
    (recorded / "queued").write_text("1\n")  # the first is over, and left no result
    second = SlurmEngine(folder.path)
    for letter in "ab":
        second.submit(request(tiny_study, letter * 12))
    second.poll()
    assert (folder.path / "slurm" / "0001.txt").read_text().split() == ["a" * 12]


@pytest.mark.usefixtures("recorded")
def test_stopping_leaves_the_jobs_in_the_queue(folder: StudyFolder, tiny_study: Study) -> None:
    engine = SlurmEngine(folder.path)
    engine.submit(request(tiny_study, "a" * 12))
    engine.poll()
    engine.stop()
    lost = engine.poll()
    assert isinstance(lost, RunLost)
    assert lost.was_stopped


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("partition=gpu", "holds 'partition=gpu'"),
        ("--comment='a\nb'", "long options with '='"),
        ("--array=0-3", "which the script sets itself"),
    ],
)
def test_options_that_are_none_are_refused(option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_sbatch([option])


def test_a_machine_without_slurm_is_told_where_to_go(
    folder: StudyFolder, tiny_study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = SlurmEngine(folder.path)
    engine.submit(request(tiny_study, "a" * 12))
    with pytest.raises(StudyError, match="'sbatch' is not installed here.* on a login node"):
        engine.poll()


def test_a_study_is_refused_before_its_data_are_read_where_slurm_is_not_installed(
    tiny_study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="'sbatch' is not installed here"):
        run_study(tiny_study, tmp_path / "s", on="slurm")
    assert not (tmp_path / "s").exists()


def test_options_for_sbatch_without_slurm_are_refused(tiny_study: Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--sbatch is for --on slurm"):
        run_study(tiny_study, tmp_path / "s", sbatch=["--partition=gpu"])
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_a_study_by_jobs_that_are_stopped_and_requeued_has_the_bits_of_a_serial_one(
    fake: Path, tiny_study: Study, tmp_path: Path
) -> None:
    training = tiny_study.training.model_dump(exclude_unset=True) | {"steps": 40, "checks": 2}
    study = Study.model_validate(
        tiny_study.model_dump(exclude_unset=True) | {"seeds": [0, 1], "training": training}
    )
    folder = run_study(study, tmp_path / "s", on="slurm")
    assert study_digests(folder) == study_digests(run_here(study, tmp_path / "serial"))
    assert (fake / "codes").read_text().split("\n")[:2] == ["0 75", "0 0"]
    assert (fake / "requeued").read_text() == "requeue 7_0\n"
    assert len((fake / "calls").read_text().splitlines()) == 1
