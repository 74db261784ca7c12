"""Work on many items, several at a time, that stops at once when its caller does."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4
"""Items per thread that are begun before the first of them is taken."""


def in_parallel(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R]:
    """Results in the order of the items.

    Few results wait at a time, so memory does not grow. When the caller stops, by an error or an
    interruption, no further item is begun; those in work are waited for.

    Args:
        work: What is done with an item; its error is raised in place of the result.
        items: The items.
        threads: Items in work at a time.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
