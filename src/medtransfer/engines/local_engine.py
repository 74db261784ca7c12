"""The engine of one machine: several worker processes, each with threads or a GPU of its own."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Protocol

from medtransfer.engines.contract import EngineEvent, RunLost, RunMessage
from medtransfer.engines.local import EXIT_STOPPED, LocalExecutor, WorkerDied
from medtransfer.runs.messages import Message, WorkerRequest

POLL_SECONDS = 1.0


class Executor(Protocol):
    """A worker process that carries out one run at a time."""

    def execute(self, request: WorkerRequest, /) -> Iterator[Message | None]:
        """Carry out a run; its messages, and None about once a second of silence."""
        ...

    def stop(self) -> None:
        """Ask the worker to save its state and stop."""
        ...

    def close(self) -> None:
        """End the worker."""
        ...


MakeExecutor = Callable[[Path, Mapping[str, str]], Executor]


@dataclass(eq=False)
class Slot:
    """A worker process and what it works on.

    Attributes:
        executor: The process.
        threads: Of the run that it works on; 0 while it is idle.
        last_threads: Of its latest run.
    """

    executor: Executor
    threads: int = 0
    last_threads: int = field(default=0)

    @property
    def is_idle(self) -> bool:
        """True if it works on nothing."""
        return self.threads == 0


@dataclass(frozen=True)
class _Raised:
    """An error that a slot's thread met, raised again by `poll`."""

    error: BaseException


@dataclass(frozen=True)
class _Ended:
    run_id: str


class LocalEngine:
    """Worker processes of this machine.

    With one slot a run is carried out as it is polled. With several, each slot has a thread that
    listens to its process.
    """

    def __init__(
        self,
        study: Path,
        *,
        slots: int = 1,
        cores: int = 1,
        gpus: tuple[str, ...] = (),
        make: MakeExecutor = LocalExecutor,
    ) -> None:
        """Prepare the slots; processes start with their first run.

        Args:
            study: The study's folder.
            slots: Processes at most.
            cores: Threads at most, over all processes; a run that wants more has them alone.
            gpus: One for each slot in turn; empty for what torch picks.
            make: Makes the worker process of a slot, with environment variables of its own.
        """
        self._cores = cores
        self._slots = [
            Slot(make(study, {"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} if gpus else {}))
            for n in range(slots)
        ]
        self._active: dict[str, Slot] = {}
        self._messages: Iterator[Message | None] | None = None
        self._events: Queue[EngineEvent | _Ended | _Raised] = Queue()

    @property
    def slots(self) -> int:
        """Number of runs that are carried out at once."""
        return len(self._slots)

    def has_room(self, request: WorkerRequest) -> bool:
        """True if a process is idle and the cores suffice; a machine without runs always does."""
        if not self._active:
            return True
        if all(not slot.is_idle for slot in self._slots):
            return False
        busy = sum(slot.threads for slot in self._active.values())
        return busy + self._threads_of(request) <= self._cores

    def submit(self, request: WorkerRequest) -> None:
        """Hand a run to an idle process, one that has its number of threads where there is one."""
        threads = self._threads_of(request)
        idle = [slot for slot in self._slots if slot.is_idle]
        slot = next((slot for slot in idle if slot.last_threads == threads), idle[0])
        slot.threads = slot.last_threads = threads
        self._active[request.run_id] = slot
        if self.slots == 1:
            self._messages = slot.executor.execute(request)
        else:
            Thread(target=self._listen, args=(slot, request), daemon=True).start()

    def poll(self) -> EngineEvent | None:
        """Wait for the next event of any process; None after about a second without one.

        Raises:
            MedTransferError: Carrying out a run raised it.
        """
        if self.slots == 1:
            return self._advance()
        try:
            event = self._events.get(timeout=POLL_SECONDS)
        except Empty:
            return None
        match event:
            case _Raised(error):
                raise error
            case _Ended(run_id):
                self._release(run_id)
                return None
            case RunLost():
                self._release(event.run_id)
            case RunMessage():
                pass
        return event

    def stop(self) -> None:
        """Ask all processes to save their state and stop after the current step."""
        for slot in list(self._active.values()):
            slot.executor.stop()

    def close(self) -> None:
        """End all processes; those that are at work are asked to stop first."""
        if self.slots > 1:
            self.stop()
        for slot in self._slots:
            slot.executor.close()
        self._active.clear()

    def _threads_of(self, request: WorkerRequest) -> int:
        """Threads of a run over all of its processes; all cores if it does not say."""
        return max(1, (request.threads or self._cores) * request.training.devices)

    def _release(self, run_id: str) -> None:
        slot = self._active.pop(run_id, None)
        if slot is not None:
            slot.threads = 0

    def _advance(self) -> EngineEvent | None:
        """Next event of the one process."""
        run_id = next(iter(self._active), None)
        if self._messages is None or run_id is None:
            return None
        try:
            message = next(self._messages)
        except WorkerDied as death:
            self._release(run_id)
            return _lost(run_id, death)
        except StopIteration:
            self._release(run_id)
            return None
        return None if message is None else RunMessage(run_id, message)

    def _listen(self, slot: Slot, request: WorkerRequest) -> None:
        """Pass on the messages of a run until it has ended."""
        try:
            for message in slot.executor.execute(request):
                if message is not None:
                    self._events.put(RunMessage(request.run_id, message))
            self._events.put(_Ended(request.run_id))
        except WorkerDied as death:
            self._events.put(_lost(request.run_id, death))
        except BaseException as error:  # noqa: BLE001 — the thread of `poll` raises it
            with contextlib.suppress(RuntimeError):
                self._events.put(_Raised(error))


def _lost(run_id: str, death: WorkerDied) -> RunLost:
    was_stopped = death.signal == "SIGTERM" or death.code == EXIT_STOPPED
    return RunLost(run_id, str(death), death.advice, was_stopped=was_stopped)
