"""A study that is cut short, on the command line: what is said, and that nothing is lost."""

import json
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Call, Desk

STEP = {
    "event": "StepDone",
    "step": 1,
    "steps": 2,
    "loss": 0.7,
    "images_per_second": 50.0,
    "tune_auroc": None,
}
FULL = {
    "event": "Finished",
    "state": "waiting",
    "message": 'The disk is full: "x" could not be written (0 MiB free). What was finished is '
    "kept; free some space and run the same command again.",
}


@pytest.fixture
def new_run(desk: Desk) -> Desk:
    """One run is done, one is missing."""
    desk.edit("seeds: [0]", "seeds: [0, 1]")
    return desk


def worker(folder: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Put a script in the worker's place: one step, then its end."""
    script = folder / "worker.sh"
    script.write_text(f"#!/bin/sh\nread run\necho '{json.dumps(STEP)}'\n{end}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.mark.slow
def test_a_killed_worker_is_said_with_a_likely_cause_and_the_same_command_goes_on(
    call: Call, new_run: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = new_run.computed()
    with monkeypatch.context() as patch:
        worker(new_run.path, patch, "kill -KILL $$")
        said = call("run", "study.yaml")
    assert said.code == 2
    assert (
        "[2/2] failed scratch/r14x0.5 100% seed 1: the worker process was killed by SIGKILL "
        "(likely out of memory). The same command tries again; a smaller training.micro_batch "
        "needs less" in said.err
    )
    assert "No results: 1 of 2 runs." in said.err
    assert "Report: studies/skin/report.html" in said.out  # of what is done
    assert "1 done, 1 failed" in call("status").out
    again = call("run", "study.yaml")
    assert again.code == 0, again.err
    assert "[2/2] done scratch/r14x0.5 100% seed 1" in again.err
    assert before.items() <= new_run.computed().items()


def test_a_full_disk_stops_the_study_and_fails_no_run(
    call: Call, new_run: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = new_run.computed()
    full = json.dumps(FULL).replace("'", "")
    worker(new_run.path, monkeypatch, f"echo '{full}'\nread next")
    new_run.edit("seeds: [0, 1]", "seeds: [0, 1, 2]")
    said = call("run", "study.yaml")
    assert said.code == 2
    assert said.err.splitlines()[-1] == FULL["message"]
    assert "failed" not in said.err
    assert "1 done, 2 waiting" in call("status").out
    assert before.items() <= new_run.computed().items()
    assert not (new_run.path / "studies" / "skin" / "lease.json").exists()


def test_a_stopped_study_says_how_far_it_is(
    call: Call, new_run: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(
        new_run.path, monkeypatch, 'echo \'{"event": "Interrupted"}\'; kill -INT $PPID; read next'
    )
    said = call("run", "study.yaml")
    assert said.code == 75
    assert said.err.endswith(
        "Stopped; 1 of 2 runs are done. Run the same command again to resume.\n"
    )
    assert "1 done, 1 waiting" in call("status").out
