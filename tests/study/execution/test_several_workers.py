"""A study by several workers: the bits of a serial one, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.in_process import run_here, study_digests

from medtransfer.runs.events import Event, RunEnded, RunStep
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study

pytestmark = pytest.mark.slow


@pytest.fixture
def six_runs(tiny_study: Study) -> Study:
    """Two rungs by two seeds, and two linear probes that share their features."""
    fields = tiny_study.model_dump(exclude_unset=True)
    linear = {"tuning": {"mode": "linear", "penalties": [0.1, 0.01]}, "checks": 1}
    return Study.model_validate(
        fields
        | {
            "rungs": [
                "scratch/r14x0.5",
                "imagenet/effnet-lite0",
                {"rung": "scratch/r26x0.25", "training": linear},
            ],
            "seeds": [0, 1],
        }
    )


def test_two_workers_end_in_the_bits_of_one(six_runs: Study, tmp_path: Path) -> None:
    heard: list[Event] = []
    folder = run_study(six_runs, tmp_path / "two", heard.append, workers=2)
    steps = [event.run.run_id for event in heard if isinstance(event, RunStep)]
    assert len({*steps[:8]}) > 1  # side by side
    assert [e.state for e in heard if isinstance(e, RunEnded)] == ["done"] * 6
    assert study_digests(folder) == study_digests(run_here(six_runs, tmp_path / "one"))
    for run_id in folder.run_ids():
        assert folder.run(run_id).environments()[0]["threads"] == 1
        assert json.loads((folder.run(run_id).path / "run.json").read_text())["threads"] == 1


def workers_of(pid: int) -> list[int]:
    """Children of all threads of a process: each worker is started by the thread that listens."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in lists for child in text.split()]


def start(study: Study, folder: Path) -> "subprocess.Popen[str]":
    path = folder.parent / "study.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json", exclude_unset=True)))
    command = [sys.executable, "-m", "medtransfer", "run", str(path)]
    return subprocess.Popen(
        [*command, "--out", str(folder), "--workers", "2", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for_steps(process: "subprocess.Popen[str]", number: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        number -= '"RunStep"' in line
        if not number:
            return
    pytest.fail("it ended before it was killed")


def test_killed_workers_and_drivers_cost_no_bit_and_no_run(six_runs: Study, tmp_path: Path) -> None:
    golden = study_digests(run_here(six_runs, tmp_path / "golden"))
    folder = tmp_path / "torn" / "s"
    folder.parent.mkdir()
    for _ in range(2):  # the driver dies; its workers notice
        with start(six_runs, folder) as process:
            wait_for_steps(process, 3)
            orphans = workers_of(process.pid)
            assert orphans
            process.kill()
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in orphans):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with start(six_runs, folder) as process:
        wait_for_steps(process, 2)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)  # a worker dies; the other goes on
        process.communicate()
    assert process.returncode == 2  # one run failed
    run_study(six_runs, folder, workers=2)
    assert study_digests(StudyFolder(folder)) == golden
