"""What a watcher of a study hears, and how much time is left."""

from collections.abc import Callable
from dataclasses import dataclass, field

from medtransfer.study.plan import PlannedRun
from medtransfer.study.store import State


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


Event = Preparing | Planned | RunStep | RunEnded | Scoring
Watcher = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """A study that nobody watches."""


@dataclass
class Clock:
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
