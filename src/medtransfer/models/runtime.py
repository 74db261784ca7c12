"""torch's global generator, for the layers that draw from it without being asked."""

import gc
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from medtransfer.errors import StudyError
from medtransfer.seeds import derive_seed

_random = cast("Any", torch.random)


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Generator[None]:
    """Draw everything inside from ``(seed, purpose)``, and leave the outside as it was.

    Args:
        seed: The run's seed.
        purpose: As for `seeds.derive_seed`.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with _random.fork_rng(devices=devices):
        _random.manual_seed(derive_seed(seed, *purpose))
        yield


OUT_OF_MEMORY_TEXTS = ("can't allocate memory", "out of memory", "not enough memory")
"""Messages of torch's allocators that raise a plain RuntimeError: CPU, Metal, Windows."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error says that memory could not be allocated, whichever allocator raised it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in OUT_OF_MEMORY_TEXTS
    )


def release_memory() -> None:
    """Give what an attempt left behind back to the device, so that a smaller one has it."""
    gc.collect()  # the frames of an error hold tensors in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


T = TypeVar("T")
_dist = cast("Any", dist)


class ProcessLost(StudyError):  # noqa: N818
    """Another process of the run is gone, or has not answered in time."""


@dataclass(frozen=True)
class World:
    """Rank of this process, and the number of processes.

    Attributes:
        rank: From 0; rank 0 alone writes files.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    @property
    def shard_slice(self) -> slice:
        """Slice of this process's items of a list: every `size`-th from its rank on."""
        return slice(self.rank, None, self.size)

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Numbers summed over the processes, in float64."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        self.add(sums)
        return cast("Any", sums).tolist()

    def any(self, flag: bool) -> bool:
        """True if a flag is set in any of the processes."""
        return self.total([float(flag)])[0] > 0

    def add(self, tensor: torch.Tensor) -> None:
        """Sum a tensor over the processes, in place."""
        if self.size > 1:
            self._run_collective(lambda: _dist.all_reduce(tensor))

    def gather(self, own: torch.Tensor, counts: Sequence[int]) -> list[torch.Tensor]:
        """Rows of all processes.

        Args:
            own: [counts[rank], D]
            counts: Rows of each process; those at the end may have none.

        Returns:
            One tensor per process that has rows, in the order of ranks.
        """
        if self.size == 1:
            return [own]
        padded = own.new_zeros((max(counts), own.shape[1]))
        padded[: len(own)] = own
        all_of_them = [torch.empty_like(padded) for _ in range(self.size)]
        self._run_collective(lambda: _dist.all_gather(all_of_them, padded))
        return [rows[:count] for rows, count in zip(all_of_them, counts, strict=False)]

    def wait(self) -> None:
        """Go on when all processes are here."""
        self.total([0.0])

    @contextmanager
    def main_first(self) -> Generator[None]:
        """Rank 0 goes through the block before the others enter it."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def _run_collective(self, collective: Callable[[], None]) -> None:
        try:
            collective()
        except RuntimeError as error:
            raise ProcessLost(
                "Another process of this run is gone, or did not answer in time. Run the same "
                "command again: the run goes on from its last checkpoint."
            ) from error


def world() -> World:
    """This process's world."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


def _is_spread(tensor: torch.Tensor) -> bool:
    """True for a part of a tensor that is spread over processes.

    The module of such tensors is loaded by whoever makes one. It takes half a second, which a
    prediction need not wait for.
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, cast("Any", module).DTensor)


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with all its parts, where it is spread over processes; all of them must ask."""
    return cast("Any", tensor).full_tensor() if _is_spread(tensor) else tensor


def shard_like(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor spread over the processes as another one is, if that is."""
    if _is_spread(like):
        from torch.distributed.tensor import distribute_tensor

        spread = cast("Any", like)
        return distribute_tensor(tensor.to(like.device), spread.device_mesh, spread.placements)
    return tensor
