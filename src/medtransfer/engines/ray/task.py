"""Task of a Ray worker: one run of a study, as the command ``medtransfer run --one RUN_ID``."""

import contextlib
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from medtransfer.engines.ray.versions import Versions, versions_here
from medtransfer.errors import printable
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.lease import LEASE_SECONDS, Lease, RunPlace

TICK_SECONDS = 0.1
LEASE_TICK_SECONDS = 2.0
LEASE_MARGIN = 60
"""Seconds beyond its term that the lease of a lost process is waited for: clocks differ."""
LAST_LINES = 5
"""Of what the command printed, kept for the reason why it ended without a result."""
OF_RAY = "RAY_"
"""Start of the variables that a run has no use for, the token of the cluster among them."""


@dataclass(frozen=True)
class RunTask:
    """A run, for a worker of any node.

    Attributes:
        study: The study's folder, on a disk that all nodes share.
        run_id: Its id.
        variables: Environment variables of the command.
        versions: Of the process that submitted it.
    """

    study: str
    run_id: str
    variables: Mapping[str, str]
    versions: Versions


@dataclass(frozen=True)
class TaskEnd:
    """End of a task.

    Attributes:
        code: Exit code of the command.
        last: Last line that it printed.
        is_foreign: The node has other versions or another disk, and nothing was started.
    """

    code: int
    last: str = ""
    is_foreign: bool = False


def carry_out(task: RunTask) -> TaskEnd:
    """Carry out a run to its end, or until the task is cancelled and the run's state is saved.

    Nodes that join a cluster later were not looked at when it was entered, so each task looks.
    """
    folder = StudyFolder(Path(task.study))
    if dict(task.versions) != versions_here() or not folder.run(task.run_id).path.is_dir():
        return TaskEnd(2, is_foreign=True)
    if folder.run(task.run_id).is_done():
        return TaskEnd(0)
    try:
        _wait_for_lease(folder.path, task.run_id)
        process = _start(task, folder.path)
    except KeyboardInterrupt:  # so Ray cancels what is at work
        return TaskEnd(75)
    return _follow(process)


def _wait_for_lease(study: Path, run_id: str) -> None:
    """Wait until a process that was lost with its node no longer counts as alive."""
    lease, begun = Lease(RunPlace.of(study, run_id), "run"), time.monotonic()
    while lease.holder() is not None and time.monotonic() - begun < LEASE_SECONDS + LEASE_MARGIN:
        time.sleep(LEASE_TICK_SECONDS)


def _start(task: RunTask, study: Path) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_RAY)}
    command = [sys.executable, "-P", "-m", "medtransfer.engines.ray.leash", str(os.getpid())]
    command += [sys.executable, "-P", "-m", "medtransfer", "run", str(study / "study.yaml")]
    command += ["--out", str(study), "--one", task.run_id, "--json"]
    return subprocess.Popen(  # noqa: S603 — our own module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env={**kept, **task.variables},
        cwd=study,
        start_new_session=True,
    )


def _follow(process: "subprocess.Popen[str]") -> TaskEnd:
    """Wait for the command; a cancelled task has it save its state first."""
    printed: deque[str] = deque(maxlen=LAST_LINES)
    reader = Thread(target=_read, args=(process, printed), daemon=True)
    reader.start()
    while process.poll() is None:
        try:
            time.sleep(TICK_SECONDS)
        except KeyboardInterrupt:
            process.terminate()
    reader.join(timeout=1)
    return TaskEnd(process.returncode, printable(" ".join(printed), 300))


def _read(process: "subprocess.Popen[str]", printed: "deque[str]") -> None:
    with contextlib.suppress(ValueError):
        for line in process.stderr or ():
            printed.extend([line.strip()] if line.strip() else [])
