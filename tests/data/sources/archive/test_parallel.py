"""Work on many items: in order, bounded, and at an end when its caller is."""

import threading
import time
from contextlib import closing

import pytest

from medtransfer.data.sources.archive.parallel import AHEAD, in_parallel


def test_results_come_in_order_and_few_wait() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.001 * (item % 3))
        return item

    for taken, result in enumerate(in_parallel(work, range(50), 3)):
        assert result == taken
        assert len(begun) <= taken + 3 * AHEAD + 1
    assert sorted(begun) == list(range(50))


def test_no_item_is_begun_after_its_caller_stopped() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        if item == 4:
            raise ValueError
        return item

    with pytest.raises(ValueError), closing(in_parallel(work, range(1000), 2)) as results:
        assert list(results)
    assert len(begun) < 30
