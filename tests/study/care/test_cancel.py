"""Cancelling from another process: the holder of the lease stops as on Ctrl-C."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.conftest import ROOT

from medtransfer import cancel_study
from medtransfer.errors import StudyError
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.lease import RunPlace

HOLDER = """
import sys, time
from pathlib import Path
from medtransfer.interruption import StopRequested, interruptible
from medtransfer.runs.folders import Lease, StudyFolder

lease = Lease(StudyFolder(Path(sys.argv[1])))
try:
    with interruptible():
        lease.take()
        print("at work", flush=True)
        time.sleep(60)
except StopRequested:
    print("stopped", flush=True)
finally:
    lease.drop()
"""


def start(path: Path, *before: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [*before, sys.executable, "-c", HOLDER, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("before", [(), ("nohup",), ("env", "--ignore-signal=INT")])
def test_the_process_at_work_stops_as_on_ctrl_c(tmp_path: Path, before: tuple[str, ...]) -> None:
    process = start(tmp_path, *before)
    cancellation = cancel_study(StudyFolder(tmp_path), wait=30)
    output, _ = process.communicate(timeout=30)
    assert output == "stopped\n"
    assert cancellation.has_stopped
    assert [asked.pid for asked in cancellation.processes] == [process.pid]
    assert not list(tmp_path.iterdir())  # neither lease nor request is left


def test_a_study_at_rest_cannot_be_cancelled(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No process works on"):
        cancel_study(StudyFolder(tmp_path), wait=0)
    assert not list(tmp_path.iterdir())


def test_a_holder_that_does_not_answer_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medtransfer.runs.lease.interrupt_self", lambda: None)
    lease = Lease(StudyFolder(tmp_path))
    lease.take()
    try:
        cancellation = cancel_study(StudyFolder(tmp_path), wait=0.1)
    finally:
        lease.drop()
    assert not cancellation.has_stopped
    assert json.loads(json.dumps(cancellation.plain()))["processes"][0]["has_stopped"] is False


def test_a_run_of_a_cluster_is_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr("medtransfer.runs.lease.interrupt_self", asked.set)
    monkeypatch.setattr("medtransfer.runs.lease.LISTEN_SECONDS", 0.01)
    lease = Lease(RunPlace.of(tmp_path, "a" * 12), "run")
    lease.take()
    threading.Thread(target=lambda: asked.wait(10) and lease.drop()).start()
    cancellation = cancel_study(StudyFolder(tmp_path), wait=10)
    assert cancellation.has_stopped
    assert [process.run_id for process in cancellation.processes] == ["a" * 12]


def test_a_request_to_an_earlier_holder_stops_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    monkeypatch.setattr("medtransfer.runs.lease.interrupt_self", asked.set)
    monkeypatch.setattr("medtransfer.runs.lease.LISTEN_SECONDS", 0.01)
    (tmp_path / "stop.json").write_text('{"token": "of a dead process"}')
    lease = Lease(StudyFolder(tmp_path))
    lease.take()
    assert not (tmp_path / "stop.json").exists()
    (tmp_path / "stop.json").write_text('{"token": "of a dead process"}')
    assert not asked.wait(0.1)
    lease.drop()
