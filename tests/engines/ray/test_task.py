"""A Ray worker's task: what it makes of interrupts, and of a disk that shows a folder late."""

import io
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from medtransfer.engines.ray import task as module
from medtransfer.engines.ray.task import RunTask, TaskEnd, carry_out
from medtransfer.engines.ray.versions import versions_here
from medtransfer.runs.folders import StudyFolder

RUN = "a" * 12


class FakeProcess:
    """A command that ends when it is asked to; each wait has an outcome of its own."""

    def __init__(self, *waits: type[BaseException] | int, returncode: int = 75) -> None:
        self.waits, self.code = list(waits), returncode
        self.returncode: int | None = None
        self.asked = 0
        self.stderr = io.StringIO("one\n\ntwo\n")

    def terminate(self) -> None:
        self.asked += 1

    def wait(self, timeout: float) -> None:
        outcome = self.waits.pop(0) if self.waits else 0
        if outcome is subprocess.TimeoutExpired:
            raise subprocess.TimeoutExpired("run", timeout)
        if isinstance(outcome, type):
            raise outcome
        self.returncode = self.code


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunTask:
    """A run that was submitted."""
    folder = StudyFolder(tmp_path / "s")
    folder.claim("chest")
    folder.run(RUN).describe({})
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(module, "FOLDER_SECONDS", 0.0)
    return RunTask(str(folder.path), RUN, {}, versions_here())


def start(process: FakeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_start", lambda *_: process)


def test_a_cancelled_task_has_its_command_save_its_state(
    task: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = FakeProcess(subprocess.TimeoutExpired, KeyboardInterrupt, KeyboardInterrupt)
    start(process, monkeypatch)
    assert carry_out(task) == TaskEnd(75, "one two")
    assert process.asked == 2


def test_an_interrupt_outside_the_wait_reaches_the_command_as_well(
    task: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, begun = FakeProcess(), list[str]()
    start(process, monkeypatch)

    class Thread(module.Thread):
        def start(self) -> None:
            if not begun:
                begun.append("reader")
                raise KeyboardInterrupt
            super().start()

    monkeypatch.setattr(module, "Thread", Thread)
    assert carry_out(task) == TaskEnd(75, "one two")
    assert process.asked == 1


def test_an_interrupt_before_the_command_leaves_nothing(
    task: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_wait_for_lease", interrupt)
    assert carry_out(task) == TaskEnd(75)


@pytest.mark.parametrize(("code", "seen"), [(-15, 75), (-9, -9), (2, 2), (0, 0)])
def test_a_command_that_was_stopped_before_it_heard_signals_did_not_fail(
    task: RunTask, monkeypatch: pytest.MonkeyPatch, code: int, seen: int
) -> None:
    start(FakeProcess(returncode=code), monkeypatch)
    assert carry_out(task).code == seen


def test_a_folder_that_a_node_sees_late_is_waited_for(
    task: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLDER_SECONDS", 9.0)
    start(FakeProcess(returncode=0), monkeypatch)
    there = StudyFolder(Path(task.study)).run(RUN).path
    late = there.rename(there.with_name("late"))
    timer = Timer(0.05, late.rename, (there,))
    timer.start()
    assert carry_out(task).code == 0
    timer.join()


def test_a_node_with_other_versions_or_another_disk_starts_nothing(
    task: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_start", None)
    other = RunTask(task.study, RUN, {}, versions_here() | {"torch": "1"})
    assert carry_out(other).is_foreign
    assert carry_out(RunTask(task.study + "-elsewhere", RUN, {}, versions_here())).is_foreign


def test_the_command_has_no_token_and_ends_with_its_worker(
    task: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[list[str]]()

    def popen(command: list[str], **options: object) -> FakeProcess:
        variables = options["env"]
        assert isinstance(variables, dict)
        assert "RAY_AUTH_TOKEN" not in variables
        said.append(command)
        return FakeProcess(returncode=0)

    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setattr(subprocess, "Popen", popen)
    assert carry_out(task).code == 0
    (command,) = said
    assert command[:4] == [sys.executable, "-P", "-m", "medtransfer.engines.ray.leash"]
