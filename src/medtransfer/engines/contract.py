"""Contract of every engine: runs are submitted and polled, and their folders are the truth.

A run is an idempotent command that resumes itself. An engine may lose all that it knows: what was
done is read from the folders of the runs, and what was not is submitted again.
"""

from dataclasses import dataclass
from typing import Protocol

from medtransfer.runs.messages import Message, WorkerRequest


@dataclass(frozen=True)
class RunMessage:
    """A message of a run that an engine carries out.

    Attributes:
        run_id: Its id.
        message: What its worker said.
    """

    run_id: str
    message: Message


@dataclass(frozen=True)
class RunLost:
    """The process that carried out a run is gone.

    Attributes:
        run_id: Its id.
        reason: In words, without a full stop.
        advice: What to do, after "The same command tries again".
        was_stopped: It was asked to stop, and its state is saved.
    """

    run_id: str
    reason: str
    advice: str
    was_stopped: bool = False


EngineEvent = RunMessage | RunLost


class Engine(Protocol):
    """A place where runs are carried out: processes of this machine, or a cluster."""

    @property
    def slots(self) -> int:
        """Number of runs that are carried out at once."""
        ...

    def has_room(self, request: WorkerRequest, /) -> bool:
        """True if a run would start at once."""
        ...

    def submit(self, request: WorkerRequest, /) -> None:
        """Start a run, or resume it from its last checkpoint."""
        ...

    def poll(self) -> EngineEvent | None:
        """Wait for the next event; None after about a second without one."""
        ...

    def stop(self) -> None:
        """Ask all runs to save their state and stop after the current step."""
        ...

    def close(self) -> None:
        """Give back what the engine holds; runs that are still at work are stopped."""
        ...
