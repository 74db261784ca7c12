"""Resources that a run takes of a Ray cluster: cores, GPUs or a part of one, and memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from medtransfer.errors import StudyError, plural
from medtransfer.runs.messages import WorkerRequest

GPU_SHARES = (0.125, 0.25, 0.5)
"""Parts of a GPU that a small run may take; a larger one has a GPU alone."""


@dataclass(frozen=True)
class RayNode:
    """Resources of a node.

    Attributes:
        number: From 1, the head first: nodes are not named.
        cpus: Its cores.
        gpus: Its GPUs.
        memory: Bytes that runs may take of its memory.
        gpu_bytes: Memory of its smallest GPU; 0 if it is not known.
    """

    number: int
    cpus: int
    gpus: int = 0
    memory: int = 0
    gpu_bytes: int = 0


@dataclass(frozen=True)
class Resources:
    """Resources of a run.

    Attributes:
        cpus: Cores, one for each of its threads.
        gpus: GPUs, or a part of one.
        memory: Bytes of a node's memory; 0 to leave it open.
    """

    cpus: int
    gpus: float = 0
    memory: int = 0

    def options(self) -> dict[str, float]:
        """The resources as options of a Ray task."""
        named = {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory}
        return {name: amount for name, amount in named.items() if amount or name != "memory"}


def resources_of(
    request: WorkerRequest,
    nodes: Sequence[RayNode],
    needed: int | None = None,
    cores: int | None = None,
) -> Resources:
    """Resources that a run takes of a cluster's nodes.

    A run that says its threads has as many cores. Another one shares the smallest of its nodes with
    as many runs as that has GPUs for.

    Args:
        request: The run.
        nodes: Of the cluster.
        needed: Bytes of memory that the run takes, at most; None if that is not known.
        cores: Cores that it had at its first start; None if it was not started.

    Raises:
        StudyError: No node has what it takes.
    """
    devices = request.training.devices
    gpus = _gpus(request, nodes, needed)
    fitting = [node for node in nodes if node.cpus and node.gpus >= gpus]
    if not fitting:
        raise StudyError(_refusal(request.run_id, gpus, nodes))
    most = max(node.cpus for node in fitting)
    if cores is None and request.threads is not None:
        cores = request.threads * devices
    if cores is not None:
        cpus = min(most, cores)
    else:
        cpus = max(1, min(int(node.cpus / _runs(node, gpus)) for node in fitting))
    memory = 0
    if needed is not None and not gpus:
        # of one node: what is asked of several at once is waited for in vain
        memory = min(needed, max(node.memory for node in fitting if node.cpus >= cpus))
    return Resources(cpus, gpus, memory)


def _refusal(run_id: str, gpus: float, nodes: Sequence[RayNode]) -> str:
    """Words for a run that no node can carry out."""
    if not any(node.cpus for node in nodes):
        return (
            f"Run {run_id} takes a core, and no node of the Ray cluster has one for runs. Start a "
            "node with `ray start --num-cpus` above 0."
        )
    most = max((node.gpus for node in nodes if node.cpus), default=0)
    return (
        f"Run {run_id} takes {plural(int(gpus) or 1, 'GPU')} of one node; the nodes of the Ray "
        f"cluster have {most} at most beside cores. Set training.device or training.devices to "
        "what they have."
    )


def _gpus(request: WorkerRequest, nodes: Sequence[RayNode], needed: int | None) -> float:
    """GPUs of a run; a part of one where several such runs fit into its memory."""
    device, devices = request.training.device, request.training.devices
    having = [node for node in nodes if node.gpus]
    if device in ("cpu", "mps") or (device == "auto" and not having):
        return 0
    smallest = min((node.gpu_bytes for node in having), default=0)
    if devices > 1 or needed is None or not smallest:
        return devices
    return next((share for share in GPU_SHARES if needed <= share * smallest), 1)


def _runs(node: RayNode, gpus: float) -> int:
    """Runs that a node has GPUs for at once; one if they take none."""
    return max(1, int(node.gpus / gpus)) if gpus else 1
