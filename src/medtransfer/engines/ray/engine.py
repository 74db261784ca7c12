"""The Ray engine: runs as tasks of a cluster, each the command ``medtransfer run --one RUN_ID``.

The folders of the runs are the truth. A cluster may lose workers, nodes or its head: what was not
finished is submitted again, and resumes from its last checkpoint.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medtransfer.engines.contract import EngineEvent, RunLost, RunMessage
from medtransfer.engines.local import SMALLER
from medtransfer.engines.ray.connection import BrokerEvent, Cluster, Connection
from medtransfer.engines.ray.refusal import ClusterRefusedError
from medtransfer.engines.ray.resources import Resources, resources_of
from medtransfer.errors import StudyError, plural
from medtransfer.interruption import EXIT_STOPPED
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import Finished, WorkerRequest

MAX_TASKS = 1000
"""Tasks that Ray is given at once; it starts them as it has room."""
MAX_STARTS = 20
"""Times that a run is submitted which stops without having been asked to."""
MAX_ENTRIES = 20
"""Times that a cluster is entered again without the end of a run in between."""
ENTRY_SECONDS = 15.0
"""Seconds between two attempts to enter a cluster whose head was lost."""
POLL_SECONDS = 1.0
CLOSE_SECONDS = 600.0
"""Seconds that runs have to save their state after an error, as under torchrun."""
STOP_SECONDS = 10.0
"""Seconds that the process that talks to Ray has to end once all was asked to stop."""
SETTLE_SECONDS = 60.0
"""Seconds after the end of a task at which its files must show: network disks are slow."""
PASSED_ON = (
    "MEDTRANSFER_CACHE",
    "MEDTRANSFER_UMASK",
    "MEDTRANSFER_WEIGHTS",
    "HF_HUB_OFFLINE",
    "HF_HUB_CACHE",
    "HF_HOME",
)
"""Variables of this process that a run needs on its node; no token is among them."""
LIMITS = "MEDTRANSFER_MAX_"
STATUS = "`ray status` on a node of the cluster shows its nodes and what they have"
WITHOUT = "`medtransfer run` without --on ray shows more"


@dataclass(frozen=True)
class _Ended:
    """A task that has ended; its files are waited for until a time."""

    until: float
    last: str


class RayEngine:
    """Submits runs as tasks of Ray, and follows them by what the tasks return and their folders."""

    def __init__(
        self,
        study: Path,
        cluster: Cluster,
        *,
        at_once: int | None = None,
        needed: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare; the cluster is entered with the first run.

        Args:
            study: The study's folder, on a disk that all nodes share.
            cluster: Where.
            at_once: Tasks at once, at most; None for what the cluster has room for.
            needed: Bytes of memory that runs take at most, by their ids.
        """
        self._folder, self._cluster = StudyFolder(study), cluster
        self._at_once = at_once or MAX_TASKS
        self._needed = dict(needed or {})
        self._active: dict[str, WorkerRequest] = {}
        self._starts: dict[str, int] = {}
        self._cores: dict[str, int] = {}  # of the first start of a run: they are its threads
        self._settling: dict[str, _Ended] = {}
        self._connection: Connection | None = None
        self._was_entered = False
        self._entries = 0  # again, since the last end of a run
        self._enter_at = 0.0
        self._is_stopping = False

    @property
    def slots(self) -> int:
        """Number of runs that are given to Ray at once."""
        return self._at_once

    def has_room(self, _request: WorkerRequest, /) -> bool:
        """True if Ray may have one more; whether it starts at once is for Ray to say."""
        return len(self._active) < self._at_once

    def submit(self, request: WorkerRequest, /) -> None:
        """Hand a run to Ray.

        Raises:
            StudyError: The cluster does not answer, cannot be used, or has not what the run takes.
        """
        if self._connection is None and not self._was_entered:
            self._connection = Connection(self._folder.path, self._cluster)
            self._was_entered = True
        request.folder(self._folder).describe(request.record())
        self._active[request.run_id] = request
        if self._connection is not None:
            self._send(self._connection, request)

    def poll(self) -> EngineEvent | None:
        """The next run that has ended; None after about a second without one.

        Raises:
            StudyError: The cluster was lost and cannot be entered again, or a node cannot be used.
        """
        if (event := self._settled()) is not None:
            return event
        if self._connection is None:
            return self._enter_again()
        try:
            event = self._connection.receive(POLL_SECONDS)
        except ConnectionError:
            self._leave()
            return None
        return None if event is None else self._take(event)

    def stop(self) -> None:
        """Ask all runs to save their state and stop after the current step."""
        self._is_stopping = True
        if self._connection is not None:
            self._connection.send({"stop": True})

    def close(self) -> None:
        """Leave the cluster; a private one ends. Runs at work save their state first."""
        if self._connection is not None:
            # a second Ctrl-C does not wait; what is at work saves its state by itself
            seconds = STOP_SECONDS if self._is_stopping else CLOSE_SECONDS
            self._connection.close(seconds)
            self._connection = None
        self._active.clear()

    def _send(self, connection: Connection, request: WorkerRequest) -> None:
        run_id = request.run_id
        taken = self._resources(connection, request)
        self._starts[run_id] = self._starts.get(run_id, 0) + 1
        variables = {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith(LIMITS)
        }
        # a run that does not say its threads takes all of its cores
        threads = self._cores.setdefault(run_id, taken.cpus)
        variables["OMP_NUM_THREADS"] = str(threads)
        options = taken.options()
        connection.send({"run": run_id, "options": options, "variables": variables})
        if self._is_stopping:  # asked to before there was a task to stop
            connection.send({"stop": True})

    def _resources(self, connection: Connection, request: WorkerRequest) -> Resources:
        run_id = request.run_id
        needed, cores = self._needed.get(run_id), self._cores.get(run_id)
        return resources_of(request, connection.nodes, needed, cores)

    def _take(self, event: BrokerEvent) -> EngineEvent | None:
        """Take an event of a task.

        Raises:
            StudyError: The node has other versions or another disk.
        """
        run_id = str(event["run"])
        if run_id not in self._active:
            return None
        if event["event"] == "lost":
            self._entries = 0
            del self._active[run_id]
            advice = SMALLER if event["is_memory"] else self._advice()
            return RunLost(run_id, str(event["reason"]), advice)
        if event["is_foreign"]:
            raise StudyError(
                "A node that joined the Ray cluster has other versions, or does not see the "
                "study's folder. Run the same command again: it names the node."
            )
        if event["code"] != EXIT_STOPPED:
            self._entries = 0
            until = time.monotonic() + SETTLE_SECONDS
            self._settling[run_id] = _Ended(until, str(event["last"]))
            return self._settled()
        return self._stopped(run_id)

    def _stopped(self, run_id: str) -> EngineEvent | None:
        """End of a run that has saved its state; it is submitted again unless that was asked."""
        request = self._active.pop(run_id)
        if self._is_stopping or self._starts[run_id] >= MAX_STARTS:
            reason = f"it was stopped {self._starts[run_id]} times"
            return RunLost(run_id, reason, self._advice(), was_stopped=self._is_stopping)
        self._active[run_id] = request
        if self._connection is not None:
            self._send(self._connection, request)
        return None

    def _settled(self) -> EngineEvent | None:
        """A run whose task has ended, once its folder shows how."""
        for run_id, end in self._settling.items():
            run = self._folder.run(run_id)
            state = run.state()
            if state == "waiting" and time.monotonic() < end.until:
                continue
            del self._settling[run_id], self._active[run_id]
            if state == "waiting":
                reason = f"its command ended without a result. {end.last}".rstrip(" .")
                return RunLost(run_id, reason, WITHOUT)
            error = run.error()
            return RunMessage(run_id, Finished(state, "" if error is None else error.message))
        return None

    def _advice(self) -> str:
        return WITHOUT if self._cluster.address.kind == "private" else STATUS

    def _leave(self) -> None:
        """Give up a connection whose process is gone; the runs are submitted again later."""
        if self._connection is not None:
            self._connection.close(0)
            self._connection = None
        self._enter_at = time.monotonic() + ENTRY_SECONDS

    def _enter_again(self) -> EngineEvent | None:
        """Enter a cluster whose head was lost, and submit what was not finished.

        Raises:
            StudyError: It refuses, has not answered for some minutes, or is lost again and again.
        """
        run_id = next(iter(self._active), None)
        if run_id is None:
            time.sleep(POLL_SECONDS)
            return None
        if self._is_stopping:
            del self._active[run_id]
            return RunLost(run_id, "the Ray cluster was lost", "", was_stopped=True)
        if time.monotonic() < self._enter_at:
            time.sleep(POLL_SECONDS)
            return None
        if self._entries >= MAX_ENTRIES:
            raise StudyError(
                f"The Ray cluster was lost again after it was entered {self._entries} times "
                "without the end of a run. See `ray status` and the logs of its head. Finished "
                "runs are kept; the same command goes on."
            )
        self._entries += 1
        unfinished = [run for key, run in self._active.items() if key not in self._settling]
        try:
            connection = self._entered(unfinished)
        except StudyError as error:
            if isinstance(error, ClusterRefusedError) or self._entries >= MAX_ENTRIES:
                text = (
                    "The Ray cluster was lost and could not be entered again "
                    f"({plural(self._entries, 'attempt')})."
                )
                raise StudyError(f"{text} {error} Finished runs are kept.") from error
            self._enter_at = time.monotonic() + ENTRY_SECONDS
            return None
        self._connection = connection
        for request in unfinished:
            self._send(connection, request)
        return None

    def _entered(self, unfinished: Sequence[WorkerRequest]) -> Connection:
        """Enter the cluster; its nodes may not all be back.

        Raises:
            StudyError: It does not answer, cannot be used, or has not what the runs take.
        """
        connection = Connection(self._folder.path, self._cluster)
        try:
            for request in unfinished:
                self._resources(connection, request)
        except StudyError:
            connection.close(0)
            raise
        return connection
