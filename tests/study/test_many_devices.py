"""`training.devices`: the same command, several processes, the same table; none is waited for."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medtransfer.study.config import Study
from medtransfer.study.executors.local import LocalExecutor, WorkerHung
from medtransfer.study.grid import expand
from medtransfer.study.progress import Event, RunEnded, RunStep
from medtransfer.study.schedule import run_study
from medtransfer.study.status import read_status
from medtransfer.study.store import StudyFolder

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


def test_a_dead_process_fails_the_run_and_the_same_command_goes_on(
    with_devices: Callable[..., Study], tmp_path: Path
) -> None:
    study = with_devices(2, steps=40, checks=2)
    golden = predictions(run_study(study, tmp_path / "golden"))
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        if isinstance(event, RunStep) and event.step >= 1 and not killed:
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
    (cell,) = expand(study, None)  # type: ignore[arg-type] — no cohort is left out
    about = {"run_id": "a" * 12, "run": cell.run.model_dump(mode="json")}
    folder = StudyFolder(tmp_path / "s")
    executor = LocalExecutor(folder.path)
    stopped: list[int] = []

    def carry_out() -> None:
        for event in executor.execute(about):
            if event and event["event"] == "step" and not stopped:
                stopped.append(ranks_of(os.getpid())[-1])
                os.kill(stopped[0], signal.SIGSTOP)

    try:
        with pytest.raises(WorkerHung, match="made no progress"):
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
