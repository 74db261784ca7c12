"""Detection of workers that hang."""

import time
from collections.abc import Callable
from typing import Literal

from medtransfer.runs.messages import Heartbeat, Message, StepDone

MIN_SECONDS = 600.0
"""Shortest silence that counts as a hang if the study sets no limit."""
TIMES_SLOWEST = 20.0
"""Silence is odd when it is this many times as long as the longest before it."""
LONGEST_TICK = 5.0
"""If the clock jumps further between two looks, the machine slept: the rest is not counted."""

Health = Literal["fine", "silent", "hung"]


class Watchdog:
    """Counter of a worker's silence while it trains.

    It counts from the first pass through the network to the last step: reading data before and
    scoring after may take long. A worker is `silent` after the limit and `hung` after twice the
    limit.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait for the first pass through the network.

        Args:
            seconds: The limit; None for 20 times the longest silence so far, at least 600 s.
            clock: In seconds.
        """
        self._seconds, self._clock = seconds, clock
        self._awake = False
        self._slowest = 0.0
        self.silence = 0.0
        self._looked = clock()

    @property
    def limit(self) -> float:
        """Seconds of silence until stacks are printed."""
        if self._seconds is not None:
            return self._seconds
        return max(MIN_SECONDS, TIMES_SLOWEST * self._slowest)

    def record(self, message: Message) -> None:
        """Take note of a message: the worker is alive."""
        self._count()
        if self._awake:
            self._slowest = max(self._slowest, self.silence)
        self.silence = 0.0
        match message:
            case Heartbeat():
                self._awake = True
            case StepDone():
                self._awake = message.step < message.steps
            case _:
                self._awake = False

    def look(self) -> Health:
        """Judge the silence so far."""
        self._count()
        if not self._awake or self.silence < self.limit:
            return "fine"
        return "silent" if self.silence < 2 * self.limit else "hung"

    def _count(self) -> None:
        now = self._clock()
        self.silence += min(now - self._looked, LONGEST_TICK)
        self._looked = now
