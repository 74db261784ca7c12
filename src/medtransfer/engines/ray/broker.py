"""The process that talks to Ray: commands come in as JSON lines, events go out as JSON lines.

It is a process of its own, started as ``python -m medtransfer.engines.ray.broker``, because Ray
takes over the signals of its process, and ends it when the head of the cluster is lost. It starts a
private cluster or enters one, looks at its nodes, and keeps a task for each run.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from queue import Empty, Queue
from threading import Event as ThreadEvent
from threading import Thread
from typing import Any

from medtransfer.engines.ray.refusal import ClusterRefusedError
from medtransfer.engines.ray.resources import RayNode
from medtransfer.engines.ray.task import RunTask, TaskEnd, carry_out
from medtransfer.engines.ray.versions import version_faults, versions_here
from medtransfer.errors import StudyError, fault_list, printable
from medtransfer.interruption import EXIT_STOPPED

OBJECT_BYTES = 100 * 2**20
"""Object store of a private cluster: tasks pass words alone, and 75 MiB is the least Ray takes."""
WAIT_SECONDS = 0.5
PROBE_SECONDS = 60.0
"""Seconds that a node has to answer before anything is run."""
WATCH_SECONDS = 5.0
"""Seconds between two looks whether the cluster is still the one that was entered."""
LOST_SECONDS = 120.0
"""Seconds without an answer of the head after which it counts as lost."""
EXIT_LOST = 3
OUT_OF_MEMORY = "OutOfMemoryError"
"""Class of Ray's error for a task that took more memory than its node had."""
RETRIES = 5
"""Times that Ray starts a task again whose worker or node died."""
SAME = "Start Ray on all nodes from the same environment as this command."
DISK = "Put the study on a disk that all nodes share under the same path."
SILENT = "`ray status` lists the nodes; start Ray again on those that do not answer."
NOT_LOOPBACK = (
    "Ray does not keep its private cluster on this machine's loopback, so others could reach it. "
    "Give the command without --on ray, or start a cluster with a token and give its address, see "
    "docs/how-to/cluster.md."
)
OPEN = (
    "The Ray cluster takes commands from anybody who reaches its ports: node {nodes} has no token "
    "authentication. Start it with RAY_AUTH_MODE=token on all nodes, see docs/how-to/cluster.md."
)
Ray = Any  # an extra: its types are not there where it is not installed


class Broker:
    """Keeper of the tasks of one study."""

    def __init__(self, ray: Ray, study: str, output: int) -> None:
        self._ray, self._study, self._output = ray, study, output
        self._tasks: dict[Any, str] = {}  # references of Ray
        self._versions = versions_here()
        self._commands: Queue[Mapping[str, Any] | None] = Queue()  # lines of the engine
        self._seen = 0.0
        self._is_over = ThreadEvent()

    def send(self, event: str, **fields: object) -> None:
        """Write one event for the engine."""
        _tell(self._output, event, **fields)

    def serve(self) -> None:
        """Take commands until the engine closes its end; tasks at work then save their state."""
        self._seen = time.monotonic()  # a private cluster may have taken long to start
        Thread(target=self._read, daemon=True).start()
        Thread(target=self._look, daemon=True).start()
        is_open = True
        while is_open or self._tasks:
            if time.monotonic() - self._seen > LOST_SECONDS:
                os._exit(EXIT_LOST)
            try:
                command = self._commands.get(timeout=0 if self._tasks else WAIT_SECONDS)
            except Empty:
                self._collect()
                continue
            if command is None:
                is_open = False
            if command is None or "stop" in command:
                self._cancel()
            else:
                self._submit(command)
        self._is_over.set()

    def _read(self) -> None:
        for line in sys.stdin:
            self._commands.put(json.loads(line))
        self._commands.put(None)

    def _look(self) -> None:
        """End this process when its node is no longer one of the cluster's.

        Ray waits for good if a new head has the address of the old one: it knows no task of ours.
        A look that fails says nothing of the node: `serve` ends when they fail for long.
        """
        node = self._ray.get_runtime_context().get_node_id()
        while not self._is_over.wait(WATCH_SECONDS):
            try:
                alive = {each["NodeID"] for each in self._ray.nodes() if each["Alive"]}
            except ray_errors(self._ray):
                continue
            if node not in alive and not self._is_over.is_set():
                os._exit(EXIT_LOST)
            self._seen = time.monotonic()

    def _submit(self, command: Mapping[str, Any]) -> None:
        task = RunTask(self._study, command["run"], command["variables"], self._versions)
        # what the command makes of a run is read from its folder: only lost workers are retried
        options = {**command["options"], "max_retries": RETRIES, "retry_exceptions": False}
        remote = self._ray.remote(carry_out).options(**options, name="medtransfer")
        self._tasks[remote.remote(task)] = task.run_id

    def _cancel(self) -> None:
        for reference in self._tasks:
            self._ray.cancel(reference, force=False, recursive=False)

    def _collect(self) -> None:
        """Tell the engine of tasks that have ended."""
        if not self._tasks:
            return
        ended, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=WAIT_SECONDS)
        for reference in ended:
            run_id = self._tasks.pop(reference)
            try:
                end: TaskEnd = self._ray.get(reference)
            except self._ray.exceptions.TaskCancelledError:
                end = TaskEnd(EXIT_STOPPED)
            except self._ray.exceptions.RayError as error:
                kind = type(error).__name__
                self.send(
                    "lost", run=run_id, reason=lost_reason(kind), is_memory=kind == OUT_OF_MEMORY
                )
                continue
            self.send("ended", run=run_id, **asdict(end))


def lost_reason(error: str) -> str:
    """Words for a task that ended without an answer, by the class of Ray's error."""
    if error == OUT_OF_MEMORY:
        return "Ray ended the process because the memory of its node ran out"
    if error in ("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError"):
        return f"its Ray worker or node died {RETRIES + 1} times"
    return f"Ray lost its task ({error})"


def ray_errors(ray: Ray) -> tuple[type[Exception], ...]:
    """Classes of the errors that Ray raises; its client lets those of gRPC through."""
    errors = (ray.exceptions.RayError, OSError, RuntimeError, ValueError)
    grpc = sys.modules.get("grpc")
    return errors if grpc is None else (*errors, grpc.RpcError)


def enter(ray: Ray, config: Mapping[str, Any]) -> None:
    """Start a private cluster on this machine, or enter one.

    Raises:
        ConnectionError: It refuses.
    """
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if config["address"] == "local":
        ray.init(
            address="local",
            num_cpus=config["cores"],
            num_gpus=config["gpus"],
            include_dashboard=False,
            object_store_memory=OBJECT_BYTES,
            _temp_dir=config["place"],
            **quiet,
        )
        return
    if not config["address"].startswith("ray://"):
        # ray.init asks a head for 20 s that refuses the token, and then does not say why
        import_module("ray._raylet").GcsClient(address=config["address"])
    ray.init(address=config["address"], **quiet)


def look_at_nodes(ray: Ray, config: Mapping[str, Any]) -> list[RayNode]:
    """Have every node read a file that was written here, and tell its versions and GPUs.

    Raises:
        StudyError: A node cannot carry out runs of this study.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    alive.sort(key=lambda node: ("node:__internal_head__" not in node["Resources"], node["NodeID"]))
    if config["address"] == "local" and alive[0]["NodeManagerAddress"] not in ("127.0.0.1", "::1"):
        raise ClusterRefusedError(NOT_LOOPBACK)
    affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    asked = [
        ray.remote(_look_around)
        .options(num_cpus=0, scheduling_strategy=affinity(node["NodeID"], soft=False))
        .remote(config["probe"])
        for node in alive
    ]
    answered, _ = ray.wait(asked, num_returns=len(asked), timeout=PROBE_SECONDS)
    answers: list[Mapping[str, Any] | None] = []
    for reference in asked:
        try:
            answers.append(ray.get(reference) if reference in answered else None)
        except ray.exceptions.RayError:
            answers.append(None)
    _require_same(answers, str(config["mark"]))
    return [
        RayNode(
            number,
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
            memory=int(node["Resources"].get("memory", 0)),
            gpu_bytes=int((answer or {}).get("gpu_bytes", 0)),
        )
        for number, (node, answer) in enumerate(zip(alive, answers, strict=True), start=1)
    ]


def _look_around(probe: str) -> dict[str, object]:
    """Facts of a node. It is sent whole, and imports here: the node may lack all of them."""
    import os
    import subprocess
    from importlib import import_module
    from pathlib import Path

    try:
        versions = import_module("medtransfer.engines.ray.versions").versions_here()
    except ImportError:
        versions = None
    try:
        text = Path(probe).read_text("utf-8")
    except OSError:
        text = ""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603 — our own words
        sizes = [int(word) for word in shown.stdout.split() if word.isdigit()]
    except (OSError, subprocess.TimeoutExpired):
        sizes = []
    return {
        "versions": versions,
        "probe": text,
        "auth": os.environ.get("RAY_AUTH_MODE", ""),
        "gpu_bytes": min(sizes, default=0) * 2**20,
    }


def _require_same(answers: list[Mapping[str, Any] | None], mark: str) -> None:
    """Compare the answers of all nodes with this process, and name all that differs.

    Raises:
        ClusterRefusedError: A node has other versions, or takes commands from anybody.
        StudyError: A node does not answer, or does not see the study's folder.
    """
    expected, faults, advice = versions_here(), list[str](), set[str]()
    is_open = [str(n) for n, answer in enumerate(answers, 1) if answer and not _has_auth(answer)]
    if is_open:
        raise ClusterRefusedError(OPEN.format(nodes=", ".join(is_open)))
    for number, answer in enumerate(answers, start=1):
        if answer is None:
            faults.append(f"node {number} has not answered for {PROBE_SECONDS:.0f} s")
            advice.add(SILENT)
            continue
        if differing := version_faults(number, answer["versions"], expected):
            faults += differing
            advice.add(SAME)
        if answer["probe"] != mark:
            faults.append(f"node {number} does not see the study's folder")
            advice.add(DISK)
    if faults:
        kind = ClusterRefusedError if SAME in advice else StudyError
        raise kind(fault_list("The Ray cluster cannot be used", faults, " ".join(sorted(advice))))


def _has_auth(answer: Mapping[str, Any]) -> bool:
    return str(answer["auth"]).lower() in ("token", "k8s")


def main() -> None:
    """Enter the cluster and serve the engine, until it closes this process's input."""
    # whatever Ray prints must not get between the events
    output = os.dup(1)
    os.dup2(2, 1)
    broker = begin(json.loads(sys.argv[1]), output)
    if broker is None:
        sys.exit(2)
    broker.serve()
    import_module("ray").shutdown()


def begin(config: Mapping[str, Any], output: int) -> Broker | None:
    """Enter the cluster and look at its nodes; None if that failed, as the engine was told.

    Args:
        config: Of the engine.
        output: Descriptor of the pipe to the engine.
    """
    try:
        ray = import_module("ray")
    except ImportError as error:
        _tell_failure(output, error)
        return None
    broker = Broker(ray, config["study"], output)
    try:
        enter(ray, config)
        broker.send("entered")
        nodes = look_at_nodes(ray, config)
    except StudyError as error:
        is_final = isinstance(error, ClusterRefusedError)
        broker.send("refused", text=str(error), is_final=is_final)
        return None
    except (ImportError, *ray_errors(ray)) as error:
        _tell_failure(output, error)
        return None
    broker.send("ready", nodes=[asdict(node) for node in nodes])
    return broker


def _tell(output: int, event: str, **fields: object) -> None:
    os.write(output, (json.dumps({"event": event, **fields}) + "\n").encode())


def _tell_failure(output: int, error: Exception) -> None:
    first = printable(str(error).strip().split("\n")[0], 200)
    _tell(output, "failed", kind=type(error).__name__, text=first)


if __name__ == "__main__":
    main()
