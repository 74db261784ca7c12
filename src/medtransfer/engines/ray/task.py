"""Task of a Ray worker: one run of a study, as the command ``medtransfer run --one RUN_ID``."""

import contextlib
import os
import signal
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
from medtransfer.interruption import EXIT_STOPPED
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.lease import LEASE_SECONDS, Lease, RunPlace

TICK_SECONDS = 0.1
LEASE_TICK_SECONDS = 2.0
LEASE_MARGIN = 60
"""Seconds beyond its term that the lease of a lost process is waited for: clocks differ."""
FOLDER_SECONDS = 60.0
"""Seconds that the run's folder is waited for: network disks show it late to other nodes."""
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
        last: Last lines that it printed, as one.
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
    if dict(task.versions) != versions_here():
        return TaskEnd(2, is_foreign=True)
    process = None
    try:
        if not _sees(folder.run(task.run_id).path):
            return TaskEnd(2, is_foreign=True)
        if folder.run(task.run_id).is_done():
            return TaskEnd(0)
        _wait_for_lease(folder.path, task.run_id)
        process = _start(task, folder.path)
        return _follow(process)
    except KeyboardInterrupt:  # so Ray cancels what is at work
        if process is None:
            return TaskEnd(EXIT_STOPPED)
        process.terminate()
        return _follow(process)


def _sees(path: Path) -> bool:
    """True if this node sees a folder within the time of a slow disk."""
    deadline = time.monotonic() + FOLDER_SECONDS
    while not (is_there := path.is_dir()) and time.monotonic() < deadline:
        time.sleep(TICK_SECONDS)
    return is_there


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
    is_over = False
    while not is_over:
        try:
            # for a time: Ray's interrupt does not wake a call that waits for good
            process.wait(timeout=TICK_SECONDS)
            is_over = True
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            process.terminate()
    reader.join(timeout=1)
    # it was asked to stop before it could take the signal: nothing was lost
    code = EXIT_STOPPED if process.returncode == -signal.SIGTERM else process.returncode
    return TaskEnd(code, printable(" ".join(printed), 300))


def _read(process: "subprocess.Popen[str]", printed: "deque[str]") -> None:
    with contextlib.suppress(ValueError):
        for line in process.stderr or ():
            printed.extend([line.strip()] if line.strip() else [])
