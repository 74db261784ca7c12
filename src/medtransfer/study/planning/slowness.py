"""Runs whose speed falls far below the one that was measured for them."""

import os
import time
from collections.abc import Callable, Collection

from medtransfer.engines.machine import usable_cores

SLOW = 0.3
"""Share of the measured speed below which a run is slow. Loading of images, optimiser and a second
worker leave more than half; four busy neighbours on two cores leave a twentieth."""
WINDOW_SECONDS = 60.0
"""Shortest stretch of steps whose speed is judged."""
WINDOW_STEPS = 2


class SpeedWatch:
    """Speed of a run at work, compared with its measured speed.

    It is judged over stretches without a check of the tuning split. Beside what was measured, the
    fastest stretch of the run itself is a measurement.
    """

    def __init__(
        self,
        images_per_step: float,
        checks: Collection[int],
        measured: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to watch a run.

        Args:
            images_per_step: That it trains on; 0 for a linear probe, which is not watched.
            checks: Steps after which the tuning split is predicted, which takes time.
            measured: Images per second of its kind, by a measurement or by finished runs; None
                where neither is there yet.
            clock: Seconds.
        """
        self._images, self._checks = images_per_step, sorted(checks)
        self._measured, self._clock = measured, clock
        self._begun: tuple[float, int] | None = None
        self._fastest = 0.0
        self.share: float | None = None

    def note(self, step: int) -> bool:
        """Take note of a finished step; True the first time that the run is slow.

        Args:
            step: Number of finished steps.
        """
        if not self._images:
            return False
        now = self._clock()
        if self._begun is None or step < self._begun[1] or self._has_check(self._begun[1], step):
            self._begun = now, step
            return False
        begun, first = self._begun
        if now - begun < WINDOW_SECONDS or step - first < WINDOW_STEPS:
            return False
        speed = (step - first) * self._images / (now - begun)
        self._begun = now, step
        expected = max(self._measured() or 0.0, self._fastest)
        self._fastest = max(self._fastest, speed)
        if self.share is not None or not speed < SLOW * expected:
            return False
        self.share = speed / expected
        return True

    def _has_check(self, after: int, upto: int) -> bool:
        return any(after < check <= upto for check in self._checks)


def slow_sentence(share: float) -> str:
    """Sentence on a slow run, with what to do.

    Args:
        share: Of the measured speed.
    """
    return (
        f"at {share:.2g} of the measured speed: {_cause()} Ctrl-C and the same command lose "
        "nothing: resume when the machine is free, or with fewer --workers."
    )


def _cause() -> str:
    """The likely cause, as far as this machine's load tells."""
    cores = usable_cores()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > cores + 1:
        return (
            f"other processes take this machine's cores ({load:.0f} want the {cores}). End them "
            "if they are not needed."
        )
    return "other processes, a slow disk or a hot processor may hold it up."
