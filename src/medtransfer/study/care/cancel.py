"""Cancelling a study from another terminal: its processes stop as on Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import cast

from medtransfer.errors import StudyError
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.lease import Holder, RunPlace, leased_runs
from medtransfer.study.execution.worker_count import LOCAL, read_engine

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class AskedProcess:
    """A process that was asked to stop.

    Attributes:
        pid: Its number on its machine.
        host: The machine.
        run_id: The run that it carries out alone; empty for the process of the whole study.
        has_stopped: True once it gave up its lease.
    """

    pid: int
    host: str
    run_id: str = ""
    has_stopped: bool = False

    @classmethod
    def of(cls, holder: Holder, run_id: str = "") -> "AskedProcess":
        """The process that holds a lease."""
        return cls(int(cast("int", holder["pid"])), str(holder["host"]), run_id)


@dataclass(frozen=True)
class Cancellation:
    """Processes of a study that were asked to stop.

    Attributes:
        processes: In the order in which they were asked.
        engine: Where runs are trained; jobs of Slurm stay queued.
    """

    processes: tuple[AskedProcess, ...]
    engine: str = LOCAL

    @property
    def has_stopped(self) -> bool:
        """True if all of them have stopped."""
        return all(process.has_stopped for process in self.processes)

    def plain(self) -> dict[str, object]:
        """The outcome as a JSON object."""
        return {**asdict(self), "has_stopped": self.has_stopped}


def _keep_waiting() -> None:
    """Wait in silence."""


def cancel_study(
    folder: StudyFolder, *, wait: float = 600.0, on_wait: Callable[[], None] = _keep_waiting
) -> Cancellation:
    """Ask the processes of a study to save their state and stop, and wait for them.

    The request is a file beside the lease of each, so it reaches processes on other machines that
    share the disk. A pre-training is cancelled in the same way.

    Args:
        folder: Of the study.
        wait: Longest time to wait, in seconds; the request stands afterwards.
        on_wait: Called while waiting, twice a second.

    Returns:
        The processes, and whether they have stopped.

    Raises:
        StudyError: No process works on the study.
    """
    leases = {"": Lease(folder)}
    leases |= {
        run_id: Lease(RunPlace.of(folder.path, run_id), "run")
        for run_id, _ in leased_runs(folder.path)
    }
    asked = {
        run_id: AskedProcess.of(holder, run_id)
        for run_id, lease in leases.items()
        if (holder := lease.ask_to_stop()) is not None
    }
    if not asked:
        raise StudyError(
            f'No process works on "{folder.path}". `medtransfer status` shows its runs.'
        )
    ends = time.monotonic() + wait
    while time.monotonic() < ends and any(leases[run_id].holder() for run_id in asked):
        on_wait()
        time.sleep(POLL_SECONDS)
    stopped = (
        replace(process, has_stopped=leases[run_id].holder() is None)
        for run_id, process in asked.items()
    )
    return Cancellation(tuple(stopped), read_engine(folder))
