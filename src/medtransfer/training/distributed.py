"""One run by several processes: gradients summed, statistics made again, weights spread.

Which process does what is a function of its rank and their number. A step has the same
micro-batches as in one process; each process takes every n-th of them.
"""

import math
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from medtransfer.errors import StudyError, plural
from medtransfer.models.runtime import World, full_tensor, world

TIMEOUT_MINUTES = 10
"""Time that a process waits for the others before it takes them for lost."""
BUCKET_NUMBERS = 2**24
"""Numbers summed in one message."""


def is_launched_together() -> bool:
    """True if torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join_world(device: str) -> World:
    """Meet the other processes of a run, by the variables that torchrun sets.

    Args:
        device: `training.device`. NCCL carries CUDA tensors, Gloo those of the CPU.

    Raises:
        StudyError: There are fewer GPUs than processes here.
    """
    backend = "gloo"
    if device in ("auto", "cuda") and torch.cuda.is_available():
        local_rank, num_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local_rank >= num_gpus:
            raise StudyError(
                f"training.devices is larger than the {plural(num_gpus, 'GPU')} of this machine. "
                f"Set it to {num_gpus}, or set training.device to cpu."
            )
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=timedelta(minutes=TIMEOUT_MINUTES))
    return world()


def require_work_for_all(everyone: World, count: int) -> None:
    """Refuse a world with more processes than a step has micro-batches.

    Raises:
        StudyError: Some would have no work.
    """
    if everyone.size > count:
        raise StudyError(
            f"training.devices is {everyone.size}, and a step has only "
            f"{plural(count, 'micro-batch').replace('batchs', 'batches')}: the others would have "
            "no work. Set a smaller training.micro_batch, or fewer devices."
        )


def sum_gradients(weights: Sequence[nn.Parameter], everyone: World) -> None:
    """Add up the gradients of all processes, so that each has the step's.

    Weights that are spread over the processes have theirs summed already. A weight that has no
    gradient in any process is left without.
    """
    whole = [weight for weight in weights if not isinstance(weight, DTensor)]
    has = everyone.total([float(weight.grad is not None) for weight in whole])
    used = [weight for weight, count in zip(whole, has, strict=True) if count]
    for bucket in _buckets(used):
        parts = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in bucket
        ]
        flat = torch.cat([part.reshape(-1) for part in parts])
        everyone.add(flat)
        sums = _cut(flat, [part.numel() for part in parts])
        for weight, part, total in zip(bucket, parts, sums, strict=True):
            weight.grad = part.copy_(total.view(part.shape))  # keeps the memory format


def clip_gradients(weights: Sequence[nn.Parameter], max_norm: float) -> None:
    """Scale the gradients of a step down to a largest norm over all weights, spread or not."""
    if not any(isinstance(weight, DTensor) for weight in weights):
        nn.utils.clip_grad_norm_(weights, max_norm)
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norms = [full_tensor(cast("Any", gradient).norm()).item() for gradient in gradients]
    total = math.hypot(*norms)
    for gradient in gradients:
        gradient.mul_(min(1.0, max_norm / (total + 1e-6)))


def _buckets(weights: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for weight in weights:
        if bucket and (
            sum(w.numel() for w in bucket) + weight.numel() > BUCKET_NUMBERS
            or weight.dtype != bucket[0].dtype
        ):
            yield bucket
            bucket = []
        bucket.append(weight)
    if bucket:
        yield bucket


class RunningStatistics:
    """Batch normalisation's running statistics, as if one process had seen every micro-batch.

    Each micro-batch is let change the statistics from where the step began; what it changed is
    told to the others, and all of it is made again in the order of the micro-batches.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [
            layer
            for layer in network.modules()
            if isinstance(layer, _BatchNorm) and layer.running_mean is not None
        ]
        self._before = self._now() if self._layers else torch.zeros(0)
        self._changes: list[torch.Tensor] = []

    def record(self) -> None:
        """After a micro-batch: take note of what it changed, and undo it."""
        if self._layers:
            self._changes.append(self._now() - self._before)
            self._set(self._before)

    def replay(self, everyone: World, count: int) -> None:
        """After the last: make the changes of all processes, in order.

        Args:
            everyone: The processes.
            count: Micro-batches of the step.
        """
        if not self._layers:
            return
        counts = [len(range(rank, count, everyone.size)) for rank in range(everyone.size)]
        local_changes = (
            torch.stack(self._changes) if self._changes else self._before.new_zeros((0, 1))
        )
        local_changes = (
            local_changes if len(local_changes) else self._before.new_zeros((0, len(self._before)))
        )
        changes = everyone.gather(local_changes, counts)
        now, share = self._before, self._shares()
        for index in range(count):
            change = changes[index % everyone.size][index // everyone.size]
            # a running mean moves by its share of what is new: new = before + change / share
            now = now + change + share * (self._before - now)
        self._set(now)
        for layer in self._layers:
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked += count - len(self._changes)

    def _shares(self) -> torch.Tensor:
        """Share of each micro-batch in a running statistic."""
        return torch.cat(
            [
                torch.full_like(values, layer.momentum or 0.0)
                for layer in self._layers
                for values in _statistics(layer)
            ]
        )

    def _now(self) -> torch.Tensor:
        return torch.cat([v.detach().clone() for layer in self._layers for v in _statistics(layer)])

    def _set(self, values: torch.Tensor) -> None:
        statistics = [statistic for layer in self._layers for statistic in _statistics(layer)]
        for statistic, value in zip(
            statistics, _cut(values, [len(s) for s in statistics]), strict=True
        ):
            statistic.copy_(value)


def _cut(flat: torch.Tensor, sizes: list[int]) -> Sequence[torch.Tensor]:
    return cast("Any", flat).split(sizes)


def _statistics(layer: _BatchNorm) -> list[torch.Tensor]:
    return [v for v in (layer.running_mean, layer.running_var) if v is not None]


def shard_weights(network: nn.Module, device: torch.device, everyone: World) -> None:
    """Spread a network's weights, gradients and moments over the processes (FSDP2).

    Each of its larger blocks is gathered for its pass and let go again. The passes of all
    processes must be equal in number.

    Raises:
        StudyError: The network has batch normalisation, whose statistics would differ.
    """
    if any(isinstance(layer, _BatchNorm) for layer in network.modules()):
        raise StudyError(
            "training.spread_weights is for networks without batch normalisation, and this rung "
            "has it. Leave it out: such networks fit on one device."
        )
    mesh = init_device_mesh(device.type, (everyone.size,))
    for block in [*_blocks(network), network]:
        fully_shard(block, mesh=mesh)
        spread = cast("Any", block)
        spread.set_gradient_divide_factor(1.0)  # summed, not averaged: losses are shares
        spread.set_force_sum_reduction_for_comms(enable=True)  # Gloo knows sums alone


def _blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks of a timm network: what its stages or its list of layers hold."""
    stages = getattr(network, "stages", None)
    if stages is None:
        return list(getattr(network, "blocks", []))
    return [block for stage in stages for block in getattr(stage, "blocks", [stage])]


def is_sharded(network: nn.Module) -> bool:
    """True if a network's weights are sharded over processes."""
    return any(isinstance(weight, DTensor) for weight in network.parameters())
