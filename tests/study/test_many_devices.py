"""`training.devices`: the same command, several processes, the same table; none is waited for."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tests.local_run import request

from medtransfer.engines.local import LocalExecutor, WorkerTimedOut
from medtransfer.errors import StudyError
from medtransfer.files import read_json, sha256
from medtransfer.models.tensors import read_tensors
from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.run import pretrain
from medtransfer.runs.events import Event, PretrainStep, RunEnded, RunStep
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import StepDone
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study
from medtransfer.study.status import read_status

pytestmark = pytest.mark.slow


@pytest.fixture
def with_devices(tiny_study: Study) -> Callable[..., Study]:
    def make(devices: int, **changes) -> Study:
        about = tiny_study.model_dump(exclude_unset=True)
        training = {"micro_batch": 2, "devices": devices, **changes}
        return Study.model_validate(about | {"training": about["training"] | training})

    return make


def predictions(folder: StudyFolder) -> pl.DataFrame:
    return pl.read_parquet(folder.path / "predictions.parquet")


def assert_same_table(one: pl.DataFrame, other: pl.DataFrame) -> None:
    facts = [name for name in one.columns if not name.startswith(("logit_", "ood_"))]
    assert one.select(facts).equals(other.select(facts))  # same run id, cases, order
    for name in set(one.columns) - set(facts):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-3)


def ranks_of(parent: int) -> list[int]:
    """Workers below torchrun, which is below this process."""
    found = []
    for launcher in _children(parent):
        found += _children(launcher)
    return sorted(found)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def ended(pid: int) -> bool:
    """Whether a process is gone, though nobody may have asked how it ended."""
    for _ in range(100):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        if status.rsplit(")", 1)[1].split()[0] in "ZX":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("spread", [False, True])
def test_a_study_of_two_devices_has_the_table_of_one(
    with_devices: Callable[..., Study], tmp_path: Path, spread: bool
) -> None:
    golden = predictions(run_study(with_devices(1), tmp_path / "one"))
    heard: list[Event] = []
    folder = run_study(with_devices(2, spread_weights=spread), tmp_path / "two", heard.append)
    assert [event.state for event in heard if isinstance(event, RunEnded)] == ["done"]
    assert any(isinstance(event, RunStep) for event in heard)
    assert_same_table(predictions(folder), golden)
    (run_id,) = folder.run_ids()
    assert folder.run(run_id).environments()[0]["devices"] == 2


@pytest.mark.parametrize(
    ("spread", "tuning"),
    [
        (False, {"mode": "low-rank", "rank": 2}),
        (False, {"mode": "partial", "frozen_stages": 2}),
        (True, {"mode": "partial", "frozen_stages": 2}),
    ],
)
def test_two_devices_train_the_same_part_of_the_weights_as_one(
    with_devices: Callable[..., Study], tmp_path: Path, spread: bool, tuning: dict[str, object]
) -> None:
    golden = predictions(run_study(with_devices(1, tuning=tuning), tmp_path / "one"))
    two = with_devices(2, tuning=tuning, spread_weights=spread)
    assert_same_table(predictions(run_study(two, tmp_path / "two")), golden)


@pytest.mark.parametrize("spread", [False, True])
def test_pretraining_on_two_devices_ends_in_the_rung_of_one(
    recipe: Pretrain, tmp_path: Path, spread: bool
) -> None:
    one = pretrain(recipe, tmp_path / "one", lambda _: None)
    together = {"devices": 2, "spread_weights": spread}
    shared = recipe.model_copy(update={"training": recipe.training.model_copy(update=together)})
    two = pretrain(shared, tmp_path / "two", lambda _: None)
    run_ids = [read_json(folder.path / "run.json")["run_id"] for folder in (one, two)]
    assert run_ids[0] == run_ids[1]
    for here, there in zip(one.history_rows(), two.history_rows(), strict=True):
        assert here == pytest.approx(there, rel=1e-4)
    kept, found = read_tensors(one.model), read_tensors(two.model)
    assert kept.keys() == found.keys()
    for name, value in kept.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


def test_pretraining_whose_process_dies_goes_on_by_the_same_command(
    recipe: Pretrain, tmp_path: Path
) -> None:
    long = recipe.training.model_copy(update={"devices": 2, "epochs": 12.0})
    run = recipe.model_copy(update={"training": long})
    golden = pretrain(run, tmp_path / "golden", lambda _: None)
    killed: list[int] = []

    def kill_one(event: object) -> None:
        if isinstance(event, PretrainStep) and not killed:
            killed.append(ranks_of(os.getpid())[-1])
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(StudyError, match="Another process of this run is gone"):
        pretrain(run, tmp_path / "torn", kill_one)
    torn = pretrain(run, tmp_path / "torn", lambda _: None)
    assert sha256(torn.model) == sha256(golden.model)


def test_a_dead_process_fails_the_run_and_the_same_command_goes_on(
    with_devices: Callable[..., Study], tmp_path: Path
) -> None:
    study = with_devices(2, steps=40, checks=2)
    golden = predictions(run_study(study, tmp_path / "golden"))
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        if isinstance(event, RunStep) and event.step >= 3 and not killed:
            killed.append(ranks_of(os.getpid())[-1])
            os.kill(killed[0], signal.SIGKILL)

    folder = run_study(study, tmp_path / "s", kill_one)
    assert killed
    (run,) = read_status(folder).runs
    assert run.state == "failed"
    assert "Another process of this run is gone" in run.message
    heard: list[Event] = []
    run_study(study, tmp_path / "s", heard.append)
    steps = [event.step for event in heard if isinstance(event, RunStep)]
    assert steps[0] > 1  # it went on
    assert predictions(folder).equals(golden)


def test_a_process_that_hangs_leaves_all_stacks_and_is_ended(
    with_devices: Callable[..., Study], tmp_path: Path
) -> None:
    study = with_devices(2, steps=400, checks=1, hang_seconds=3)
    folder = StudyFolder(tmp_path / "s")
    executor = LocalExecutor(folder.path)
    stopped: list[int] = []

    def carry_out() -> None:
        for message in executor.execute(request(study)):
            if isinstance(message, StepDone) and not stopped:
                stopped.append(ranks_of(os.getpid())[-1])
                os.kill(stopped[0], signal.SIGSTOP)

    try:
        with pytest.raises(WorkerTimedOut, match="made no progress"):
            carry_out()
    finally:
        executor.close()
    assert ended(stopped[0])
    stacks = (folder.run("a" * 12).path / "stacks.txt").read_text()
    assert "all_reduce" in stacks or "all_gather" in stacks  # where the other one waits


def test_too_many_devices_are_refused(with_devices: Callable[..., Study], tmp_path: Path) -> None:
    folder = run_study(with_devices(2, micro_batch=8), tmp_path / "s")
    (run,) = read_status(folder).runs
    assert run.state == "failed"
    assert "training.devices is 2, and a step has only 1 micro-batch" in run.message
