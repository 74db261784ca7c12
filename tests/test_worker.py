"""The worker: every way a run can end is told to the parent and left in the run's folder."""

import errno
import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from medtransfer import worker as module
from medtransfer.errors import StudyError, WeightsError
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import InputsChangedError
from medtransfer.runs.messages import Finished, Interrupted, Message, StepDone, from_json
from medtransfer.runs.records import RunError
from medtransfer.study.config import Study
from medtransfer.training.loop import Diverged, StepReport, Stopped
from medtransfer.worker import Worker
from tests.local_run import request

RUN = "0123456789ab"


class Bench:
    """A worker whose `transfer` is put in by the test."""

    def __init__(self, folder: Path, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = dict(request(study, RUN).record())
        self.output = io.StringIO()
        self.worker = Worker(StudyFolder(folder), self.output)
        self.own: RunFolder = self.worker.study.run(RUN)
        self._monkeypatch = monkeypatch

    def work(self, transfer: Callable[..., None]) -> list[Message]:
        self._monkeypatch.setattr(module, "transfer", transfer)
        self.worker.work(self.record)
        return self.messages()

    def messages(self) -> list[Message]:
        return [from_json(line) for line in self.output.getvalue().splitlines()]

    def failure(self, error: Exception) -> Finished:
        """The one message of a run that raises an error."""
        (message,) = self.work(failing(error))
        assert isinstance(message, Finished)
        return message


@pytest.fixture
def bench(tmp_path: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, tiny_study, monkeypatch)


def failing(error: Exception) -> Callable[..., None]:
    def transfer(*_: object, **__: object) -> None:
        raise error

    return transfer


def report(step: int, steps: int = 6) -> StepReport:
    return StepReport(step, steps, 0.7, 100.0, None)


def test_a_run_that_ends_well_says_so(bench: Bench) -> None:
    assert bench.work(lambda *_, **__: None) == [Finished("done")]
    assert bench.own.error() is None
    assert json.loads((bench.own.path / "run.json").read_text())["run_id"] == RUN
    assert bench.own.environments()[0]["threads"]


def test_what_a_user_can_mend_is_left_without_a_traceback(bench: Bench) -> None:
    reason = "the weights are of another network"
    assert bench.failure(WeightsError(reason)) == Finished("failed", reason)
    assert bench.own.error() == RunError("failed", reason)


def test_a_bug_keeps_its_traceback_and_does_not_end_the_worker(bench: Bench) -> None:
    message = bench.failure(ZeroDivisionError("division by zero"))
    assert message.message == "a bug: ZeroDivisionError"
    error = bench.own.error()
    assert error is not None
    assert "ZeroDivisionError: division by zero" in (error.traceback or "")
    assert bench.work(lambda *_, **__: None)[-1] == Finished("done")
    assert bench.own.error() is None  # it was tried again, and went well


def test_a_network_too_large_for_the_memory_is_no_bug(bench: Bench) -> None:
    message = bench.failure(MemoryError())
    assert message.state == "failed"
    assert "Choose a smaller rung" in message.message
    error = bench.own.error()
    assert error is not None
    assert error.traceback is None


def test_divergence_is_a_state_of_its_own_with_its_step(bench: Bench) -> None:
    assert bench.failure(Diverged(41)).state == "diverged"
    assert bench.own.state() == "diverged"
    error = bench.own.error()
    assert error is not None
    assert error.step == 41


def test_a_run_that_was_stopped_ends_the_worker_and_leaves_no_error(bench: Bench) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.work(failing(Stopped()))
    assert ended.value.code == 75
    assert bench.messages() == [Interrupted()]
    assert bench.own.state() == "waiting"


def disk_error(code: int) -> StudyError:
    error = StudyError(f"a disk error ({os.strerror(code)})")
    error.__cause__ = OSError(code, os.strerror(code))
    return error


def test_data_that_changed_are_no_failure_of_the_run(bench: Bench) -> None:
    message = bench.failure(InputsChangedError("The data changed."))
    assert message == Finished("waiting", "The data changed.", inputs_changed=True)
    assert bench.own.state() == "waiting"


def test_a_full_disk_is_no_failure_of_the_run(bench: Bench) -> None:
    message = bench.failure(disk_error(errno.ENOSPC))
    assert message.state == "waiting"
    assert "No space left" in message.message
    assert bench.own.state() == "waiting"


def test_a_disk_that_takes_no_error_either_is_told_to_the_parent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise disk_error(errno.EIO)

    monkeypatch.setattr(RunFolder, "fail", refuse)
    message = bench.failure(disk_error(errno.EIO))
    assert message.message == f"a disk error ({os.strerror(errno.EIO)})"
    assert bench.own.state() == "waiting"


def test_a_settings_file_of_another_version_fails_its_run_alone(bench: Bench) -> None:
    bench.record["run"] = {"surprise": 1}
    (message,) = bench.work(lambda *_, **__: None)
    assert isinstance(message, Finished)
    assert message.state == "failed"
    assert bench.own.state() == "failed"


def test_steps_are_told_but_not_too_often_and_the_last_always(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "monotonic", iter([10.0, 10.1, 10.3, 10.31]).__next__)
    for step in (1, 2, 3, 6):
        assert bench.worker.on_step(report(step)) is False
    assert bench.messages() == [StepDone(**vars(report(step))) for step in (1, 3, 6)]


def test_asked_to_stop_it_stops_after_the_step_it_is_at(bench: Bench) -> None:
    def transfer(*words: object, **_: object) -> None:
        on_step = words[3]
        assert callable(on_step)
        assert on_step(report(1)) is False
        bench.worker.ask_to_stop(signal.SIGTERM, None)
        assert on_step(report(2)) is True
        raise Stopped

    with pytest.raises(SystemExit) as ended:
        bench.work(transfer)
    assert ended.value.code == 75


def test_asked_to_stop_while_idle_it_goes_at_once(bench: Bench) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.worker.ask_to_stop(signal.SIGTERM, None)
    assert ended.value.code == 75


def test_asked_to_stop_at_its_last_step_it_still_tells_that_it_is_done(bench: Bench) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.work(lambda *_, **__: bench.worker.ask_to_stop(signal.SIGTERM, None))
    assert ended.value.code == 75
    assert bench.messages()[-1] == Finished("done")


class GoneError(Exception):
    """In place of the end of the process."""


@pytest.fixture
def leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_code: int) -> None:
        raise GoneError

    monkeypatch.setattr(module.os, "_exit", gone)


@pytest.mark.usefixtures("leave")
def test_without_a_parent_it_does_not_train_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = os.getppid() + 1
    monkeypatch.setattr(module.os, "getppid", lambda: another)
    with pytest.raises(GoneError):
        bench.worker.on_step(report(3))


@pytest.mark.usefixtures("leave")
def test_without_a_listener_it_does_not_train_on(bench: Bench) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    worker = Worker(bench.worker.study, Closed())
    with pytest.raises(GoneError):
        worker.on_step(report(3))
