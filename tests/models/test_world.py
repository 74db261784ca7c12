"""A process alone is a world of its own; one whose others are gone says so."""

from itertools import chain

import pytest
import torch
import torch.distributed as dist

from medtransfer.errors import MedTransferError
from medtransfer.models.runtime import ProcessLost, World, full_tensor, shard_like, world


def test_a_process_alone_adds_and_waits_for_nobody() -> None:
    alone = world()
    assert (alone, alone.is_main) == (World(0, 1), True)
    assert alone.total([1.5, 2]) == [1.5, 2]
    assert alone.any(True) is True
    assert alone.any(False) is False
    rows = torch.rand(3, 2)
    assert alone.gather(rows, [3]) == [rows]
    alone.add(rows)
    with alone.main_first():
        pass
    assert full_tensor(rows) is rows
    assert shard_like(rows, rows) is rows


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 8])
def test_shares_are_everything_once(size: int, count: int) -> None:
    shares = [list(range(count))[World(rank, size).shard_slice] for rank in range(size)]
    assert sorted(chain.from_iterable(shares)) == list(range(count))
    assert len(shares[0]) - len(shares[-1]) <= 1  # the work is even


def test_a_world_that_does_not_answer_is_a_reason_a_user_can_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closed(_tensor: torch.Tensor) -> None:
        raise RuntimeError("Connection closed by peer [127.0.0.1]:4242")

    monkeypatch.setattr(dist, "all_reduce", closed)
    with pytest.raises(ProcessLost, match="Run the same command again") as caught:
        World(0, 2).total([1.0])
    assert isinstance(caught.value, MedTransferError)
    assert "4242" in str(caught.value.__cause__)
