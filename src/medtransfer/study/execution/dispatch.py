"""Keeping an engine busy: jobs are submitted as it has room, until all have ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from medtransfer.engines.contract import Engine, EngineEvent
from medtransfer.engines.stopping import stopping
from medtransfer.runs.lease import Lease
from medtransfer.runs.messages import WorkerRequest


class Job(Protocol):
    """A request to a worker, and what is done with its messages."""

    @property
    def request(self) -> WorkerRequest:
        """Request for the worker."""
        ...

    @property
    def shared_input(self) -> object | None:
        """Name of an input that the first such job makes; others wait for it. None if none."""
        ...

    @property
    def requires(self) -> str | None:
        """Id of a run that has to end before this one can start; None if none."""
        ...

    def start(self) -> None:
        """Prepare the folder; called before the job is submitted."""
        ...

    def take(self, event: EngineEvent, /) -> bool:
        """Take an event of the run; True if it was the last."""
        ...


J = TypeVar("J", bound=Job)


@dataclass
class TimeWatch:
    """A question whether the time is over, which remembers that it was.

    Attributes:
        until: The question.
        is_over: The answer was yes, before a signal came.
    """

    until: Callable[[], bool]
    is_over: bool = False

    def __call__(self) -> bool:
        """Ask."""
        self.is_over = self.is_over or self.until()
        return self.is_over


def never() -> bool:
    """Say that it is not over."""
    return False


def dispatch(
    engine: Engine,
    jobs: Sequence[J],
    lease: Lease,
    on_end: Callable[[J, int], None],
    *,
    until: Callable[[], bool] = never,
) -> bool:
    """Carry out jobs, in their order as far as the engine has room for them.

    Args:
        engine: Closed at the end.
        jobs: Requests with their handlers.
        lease: Of the study; compared after every event.
        on_end: Called with each job as it ends, and the number of those that are still to start.
        until: Asked about once a second; if it says so, what is at work is stopped and nothing more
            is started, as if a signal had come.

    Returns:
        False if it was asked to stop; jobs that were at work have saved their state.

    Raises:
        MedTransferError: A job's `take` raised it; the others are stopped.
    """
    waiting, active, inputs = list(jobs), dict[str, J](), set[object]()
    with stopping(engine) as asked:
        try:
            while active or (waiting and not asked.is_set()):
                if not asked.is_set() and until():
                    asked.set()
                    engine.stop()
                    continue
                while not asked.is_set() and (job := _next(engine, waiting, active, inputs)):
                    waiting.remove(job)
                    active[job.request.run_id] = job
                    job.start()
                    engine.submit(job.request)
                    if asked.is_set():  # the signal came before there was a run to stop
                        engine.stop()
                event = engine.poll()
                lease.require_held()
                job = None if event is None else active.get(event.run_id)
                if event is not None and job is not None and job.take(event):
                    del active[event.run_id]
                    inputs.add(job.shared_input)
                    on_end(job, len(waiting))
        finally:
            engine.close()
    return not asked.is_set()


def _next(
    engine: Engine, waiting: Sequence[J], active: dict[str, J], inputs: set[object]
) -> J | None:
    """The first waiting job that can start now, if any."""
    being_made = {job.shared_input for job in active.values()} - inputs - {None}
    unended = active.keys() | {job.request.run_id for job in waiting}
    for job in waiting:
        is_ready = job.shared_input not in being_made and job.requires not in unended
        if is_ready and engine.has_room(job.request):
            return job
        if len(active) >= engine.slots:
            return None
    return None
