"""How far a pre-training run is, from its folder alone."""

import json
from pathlib import Path

import pytest

from medtransfer.files import write_json
from medtransfer.runs.events import Preparing, PretrainStep
from medtransfer.runs.folders import Lease, RunFolder, StudyFolder
from medtransfer.runs.progress import RungProgress, RunProgress
from medtransfer.study.status import RungStatus, read_rung_status

STEP = PretrainStep(40, 100, 0.5, 80.0, 0.25, 12.0)


def status(path: Path) -> RungStatus:
    found = read_rung_status(path)
    assert found is not None
    return found


@pytest.fixture
def training(tmp_path: Path) -> RunFolder:
    """A run that has come to step 40."""
    folder = RunFolder(tmp_path)
    folder.write_progress(RungProgress("own/natural", STEP).record())
    return folder


def test_a_run_at_work_is_running_and_a_stopped_one_waits(training: RunFolder) -> None:
    assert status(training.path) == RungStatus("own/natural", "waiting", training=STEP)
    lease = Lease(StudyFolder(training.path))
    lease.take()
    assert status(training.path) == RungStatus("own/natural", "running", training=STEP)
    lease.drop()
    assert status(training.path).state == "waiting"


def test_a_run_whose_images_are_read_says_so(tmp_path: Path) -> None:
    reading = Preparing("reading images", 1_200, 4_800)
    RunFolder(tmp_path).write_progress(RungProgress("own/natural", reading).record())
    assert status(tmp_path) == RungStatus("own/natural", "waiting", preparing=reading)


def test_a_failed_run_says_why_until_it_is_tried_again(training: RunFolder) -> None:
    training.fail("diverged", "the loss is not finite at step 41", step=41)
    found = status(training.path)
    assert (found.state, found.message) == ("diverged", "the loss is not finite at step 41")
    Lease(StudyFolder(training.path)).take()
    assert (status(training.path).state, status(training.path).message) == ("running", "")


def test_a_rung_that_is_made_tells_its_time_and_its_last_look(training: RunFolder) -> None:
    look = {"train_loss": 0.3, "held_out_score": 0.875}
    write_json(training.path / "rung.json", {"name": "own/natural", "last_look": look})
    write_json(training.path / "cost.json", {"steps": 100, "seconds": 50.0, "images_seen": 1600})
    write_json(training.path / "done", {})
    made = PretrainStep(100, 100, 0.3, 32.0, 0.875, 0.0)
    assert status(training.path) == RungStatus("own/natural", "done", training=made, seconds=50.0)


def test_machines_get_the_same_as_people(training: RunFolder) -> None:
    plain = json.loads(json.dumps(status(training.path).plain()))
    assert (plain["rung"], plain["state"], plain["preparing"]) == ("own/natural", "waiting", None)
    assert plain["training"] == vars(STEP)


def test_other_folders_are_not_taken_for_a_rung(tmp_path: Path) -> None:
    assert read_rung_status(tmp_path / "nowhere") is None
    RunFolder(tmp_path).write_progress(RunProgress(3, 6, None).record())  # of a study
    assert read_rung_status(tmp_path) is None
