"""What a watcher of a study or a pre-training run hears, and how much time is left."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medtransfer.runs.folders import RunFolder, State
from medtransfer.study.plan import PlannedRun

NOTE_SECONDS = 5.0
"""Least time between two notes on how far a run is."""


@dataclass(frozen=True)
class Preparing:
    """Images are being read or cached.

    Attributes:
        what: In words.
        done: Of `total`.
        total: Number of images.
    """

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Planned:
    """The runs are known; some may be done already."""

    runs: tuple[PlannedRun, ...]
    done: int


@dataclass(frozen=True)
class RunStep:
    """A run has come further.

    Attributes:
        run: Which.
        step: Finished steps.
        steps: Of how many.
        loss: Of the last step.
        images_per_second: In this sitting.
        tune_auroc: Of the last look at the tuning split.
        seconds_left: Of the run.
        study_seconds_left: Of the study; None while unknown.
    """

    run: PlannedRun
    step: int
    steps: int
    loss: float
    images_per_second: float
    tune_auroc: float | None
    seconds_left: float
    study_seconds_left: float | None


@dataclass(frozen=True)
class RunEnded:
    """A run is over.

    Attributes:
        run: Which.
        state: How it ended.
        message: Why, unless it is done.
        finished: Runs of the study that are over.
        total: Runs of the study.
    """

    run: PlannedRun
    state: State
    message: str
    finished: int
    total: int


@dataclass(frozen=True)
class Scoring:
    """The study's tables are being made."""

    what: str


@dataclass(frozen=True)
class PretrainStep:
    """Pre-training has come further.

    Attributes:
        step: Finished steps.
        steps: Of how many.
        loss: Of the last step.
        images_per_second: In this sitting.
        held_out_score: Of the last look at the images held out; None before the first.
        seconds_left: None while unknown.
    """

    step: int
    steps: int
    loss: float
    images_per_second: float
    held_out_score: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class RungMade:
    """Pre-training is over; the rung is there.

    Attributes:
        rung: As a study names it.
        folder: Where it lies.
    """

    rung: str
    folder: str


Event = Preparing | Planned | RunStep | RunEnded | Scoring | PretrainStep | RungMade
OnEvent = Callable[[Event], None]


def ignore_progress(_event: Event) -> None:
    """Nobody watches."""


@dataclass
class RungEta:
    """Estimates time left from the images per second of each rung.

    Attributes:
        rates: Last known speed of each rung.
    """

    rates: dict[str, float] = field(default_factory=dict[str, float])

    def note(self, rung: str, images_per_second: float) -> None:
        """Remember a rung's speed."""
        if images_per_second > 0:
            self.rates[rung] = images_per_second

    def seconds(self, run: PlannedRun, share_left: float = 1.0) -> float | None:
        """Time a run still takes; a rung not seen yet is taken to be as slow as the slowest."""
        if not self.rates:
            return None
        rate = self.rates.get(run.cell.rung, min(self.rates.values()))
        return run.num_images * share_left / rate

    def total(self, waiting: list[PlannedRun], current: float) -> float | None:
        """Time the study still takes: the current run's and that of those who wait."""
        times = [self.seconds(run) for run in waiting]
        known = [time for time in times if time is not None]
        return current + sum(known) if len(known) == len(times) else None


class RunEta:
    """Estimates what is left of one training run from what this sitting has done of it."""

    def __init__(self, sides: Sequence[int] = ()) -> None:
        """Say what a step costs.

        Args:
            sides: Of the input over stretches of equal length, in pixels; a step takes as long
                as its images have pixels. Empty if all are alike.
        """
        self._costs = [side**2 for side in sides] or [1]
        self._began: tuple[float, float] | None = None

    def after(self, step: int, steps: int) -> float | None:
        """Seconds left after some of the steps; None where nothing was done under our eyes."""
        now, work = time.monotonic(), self._work(step / steps)
        if self._began is None:
            self._began = (now, work)
        began, before = self._began
        left = self._work(1.0) - work
        if left <= 0:
            return 0.0
        return (now - began) / (work - before) * left if work > before else None

    def _work(self, share: float) -> float:
        stretches = enumerate(self._costs)
        return sum(cost * min(1.0, max(0.0, share * len(self._costs) - i)) for i, cost in stretches)


class ProgressFile:
    """Leaves in a run's folder how far it is, not too often, for `medtransfer status`."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._noted = 0.0
        self._latest: dict[str, Any] = {}

    def update(self, about: dict[str, Any], *, last: bool = False) -> None:
        """Note how far the run is.

        Args:
            about: What `RunFolder.progress` gives back.
            last: It comes no further: written whatever the time.
        """
        self._latest = about
        if last or time.monotonic() - self._noted > NOTE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the latest note now."""
        if self._latest:
            self._noted = time.monotonic()
            self._folder.write_progress(self._latest)
