"""Pace of an automatic study: how long a stop takes, and what the test cases will take."""

from collections.abc import Callable, Iterable

from medtransfer.runs.events import Event, RunEnded, RunStep

MAX_SHARE = 0.4
"""Of the whole time, that is kept for the end at most: otherwise nothing would be trained."""


class Pace:
    """Silences of runs: between two steps, in a check, and in the predictions at a run's end.

    A run hears that it is to stop after a step. So a stage must be told to stop as long before its
    time as the longest silence of its runs. A finalist predicts its test cases in about the time
    that its longest silence took, times the cases.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin to listen.

        Args:
            now: Clock, in seconds.
        """
        self._now = now
        self._heard: dict[str, float] = {}
        self._free = now()
        self._longest = 0.0
        self._by_rung: dict[str, float] = {}

    def begin_stage(self) -> None:
        """Begin a stage: its runs are others than those before."""
        self._heard, self._free, self._longest = {}, self._now(), 0.0

    def hear(self, event: Event) -> None:
        """Take an event of a run; others are of work before a run, which is no silence of it."""
        if not isinstance(event, (RunStep, RunEnded)):
            self._free = self._now()
            return
        now, run = self._now(), event.run
        silence = now - self._heard.get(run.run_id, self._free)
        self._longest = max(self._longest, silence)
        self._by_rung[run.rung] = max(self._by_rung.get(run.rung, 0.0), silence)
        if isinstance(event, RunEnded):
            self._heard.pop(run.run_id, None)
            self._free = now
        else:
            self._heard[run.run_id] = now

    def stop_seconds(self, most: float) -> float:
        """Seconds that runs of the stage may take to stop.

        Args:
            most: Seconds that are allowed for it.
        """
        return min(self._longest, most)

    def test_seconds(self, rungs: Iterable[str], cases: float) -> float:
        """Seconds in which a run of each rung predicts its test cases; 0 for an unheard rung.

        Args:
            rungs: Of the runs; a rung that has several runs is named as often.
            cases: Training and test cases of a run, as a multiple of the training cases.
        """
        return cases * sum(self._by_rung.get(rung, 0.0) for rung in rungs)

    def dearest(self, count: int) -> list[str]:
        """The rungs of the longest silences."""
        return sorted(self._by_rung, key=lambda rung: -self._by_rung[rung])[:count]
