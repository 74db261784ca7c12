"""Whether a worker that says nothing still works, or hangs."""

import time
from collections.abc import Callable
from typing import Any, Literal

MIN_SECONDS = 600.0
"""Silence that is never taken for a hang where the study sets no limit."""
TIMES_SLOWEST = 20.0
"""Silence is odd when it is this many times as long as the longest before it."""
LONGEST_TICK = 5.0
"""A clock that jumps further between two looks was stopped together with this process."""

Health = Literal["fine", "silent", "hung"]


class Watchdog:
    """Counts how long a worker has been silent while it trains.

    It is awake from the first pass through the network to the last step: reading data before and
    scoring after may take their time. A worker is `silent` after a limit and `hung` after twice
    that.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start asleep.

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

    def record(self, event: dict[str, Any]) -> None:
        """Take note of a word from the worker: whatever it says, it is alive."""
        self._count()
        if self._awake:
            self._slowest = max(self._slowest, self.silence)
        self.silence = 0.0
        match event["event"]:
            case "beat":
                self._awake = True
            case "step":
                self._awake = event["step"] < event["steps"]
            case _:
                self._awake = False

    def look(self) -> Health:
        """What its silence so far means."""
        self._count()
        if not self._awake or self.silence < self.limit:
            return "fine"
        return "silent" if self.silence < 2 * self.limit else "hung"

    def _count(self) -> None:
        now = self._clock()
        self.silence += min(now - self._looked, LONGEST_TICK)
        self._looked = now
