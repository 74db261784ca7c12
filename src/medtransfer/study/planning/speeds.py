"""Speed of each kind of run, and the time left of a study: one reading for run, status and plan."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.progress import RunProgress, read_progress

MAX_SAMPLES = 30
"""Finished runs of one kind that are read; more change no estimate."""
SPREAD = 1.25
"""Range of a speed that one or two runs have shown, as a factor: repeated runs of one network
differed by up to a quarter on a machine that others use."""
UNKNOWN = 2.0
"""Range, as a factor, where a kind is taken to be as slow as the slowest."""


@dataclass(frozen=True)
class RunSize:
    """Size of a run, for the time that it takes.

    Attributes:
        run_id: Its id.
        kind: From `kinds.kind_of`.
        images: That it trains on, counted as often as they are seen.
        share_left: Part of it that is not done.
    """

    run_id: str
    kind: str
    images: int
    share_left: float = 1.0


@dataclass(frozen=True)
class Seconds:
    """Time with its range.

    Attributes:
        low: Shortest that is likely.
        middle: Estimate.
        high: Longest that is likely.
    """

    low: float
    middle: float
    high: float

    def __add__(self, other: "Seconds") -> "Seconds":
        """Sum of two times; ranges add up, since speeds of a machine move together."""
        return Seconds(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def scaled(self, factor: float) -> "Seconds":
        """Times as many seconds."""
        return Seconds(self.low * factor, self.middle * factor, self.high * factor)


ZERO = Seconds(0.0, 0.0, 0.0)
FIT = Seconds(0.3, 1.0, 5.0)
"""Time of a run whose features are there, where none was finished yet: a head is fitted."""


@dataclass(frozen=True)
class Speed:
    """Images per second of a kind of run, and the seconds that each run takes besides.

    Attributes:
        low: Slowest.
        middle: Mean.
        high: Fastest.
        besides: Start, predictions and scoring of a run, in seconds.
    """

    low: float
    middle: float
    high: float
    besides: float = 0.0

    def seconds(self, images: float, share_left: float) -> Seconds:
        """Time of a run of so many images."""
        trained = images * share_left
        rest = self.besides if share_left > 0 else 0.0
        return Seconds(
            trained / self.high + rest, trained / self.middle + rest, trained / self.low + rest
        )


@dataclass
class _Samples:
    rates: list[float] = field(default_factory=list[float])
    besides: list[float] = field(default_factory=list[float])
    live: float | None = None

    def speed(self) -> Speed | None:
        if not self.rates and self.live is None:
            return None
        rates = self.rates or [self.live or 0.0]
        middle = len(rates) / sum(1 / rate for rate in rates)  # mean of the times
        spread = SPREAD if len(rates) < 3 else 1.0
        besides = sorted(self.besides)[len(self.besides) // 2] if self.besides else 0.0
        return Speed(min(rates) / spread, middle, max(rates) * spread, besides)


class Speeds:
    """Speed of each kind of run: of finished runs, else of the latest steps of one at work."""

    def __init__(self) -> None:
        self._samples: dict[str, _Samples] = {}
        self._rules: dict[str, Speed] = {}
        self._fits: dict[str, list[float]] = {}

    def note_finished(self, kind: str, images_per_second: float, besides: float = 0.0) -> None:
        """Take note of a finished run.

        Args:
            kind: From `kinds.kind_of`.
            images_per_second: Mean over its training.
            besides: Seconds that it took before and after its training.
        """
        samples = self._samples.setdefault(kind, _Samples())
        if images_per_second > 0 and len(samples.rates) < MAX_SAMPLES:
            samples.rates.append(images_per_second)
            samples.besides.append(max(0.0, besides))

    def note_fit(self, kind: str, seconds: float) -> None:
        """Take note of a finished run that had its features, from start to end."""
        self._fits.setdefault(kind, []).append(max(0.0, seconds))

    def note_step(self, kind: str, images_per_second: float) -> None:
        """Take note of a training step."""
        if images_per_second > 0:
            self._samples.setdefault(kind, _Samples()).live = images_per_second

    def note_rule(self, kind: str, speed: Speed) -> None:
        """Take note of an estimate by rule, for a kind that was not measured."""
        self._rules[kind] = speed

    def is_measured(self, kind: str) -> bool:
        """True if a run of the kind was seen at work."""
        return self.has_rate(kind) or kind in self._fits

    def has_rate(self, kind: str) -> bool:
        """True if a run of the kind was seen reading images."""
        samples = self._samples.get(kind)
        return samples is not None and samples.speed() is not None

    def finished_rate(self, kind: str) -> float | None:
        """Images per second of finished runs of a kind; None if none is finished."""
        samples = self._samples.get(kind)
        if samples is None or not samples.rates:
            return None
        return len(samples.rates) / sum(1 / rate for rate in samples.rates)

    def of(self, kind: str) -> Speed | None:
        """Speed of a kind; without a measurement or a rule, that of the slowest kind known."""
        samples = self._samples.get(kind)
        speed = None if samples is None else samples.speed()
        if speed is not None or kind in self._rules:
            return speed or self._rules[kind]
        speeds = [each for kind in self._samples if (each := self._samples[kind].speed())]
        if not speeds:
            return None
        slowest = min(speeds, key=lambda each: each.middle)
        return Speed(slowest.low / UNKNOWN, slowest.middle, slowest.high * UNKNOWN, slowest.besides)

    def seconds(self, run: RunSize) -> Seconds | None:
        """Time left of a run; None if no speed is known."""
        if run.share_left <= 0:
            return ZERO
        if run.images == 0:  # its features are there
            return self._fit(run.kind)
        speed = self.of(run.kind)
        return None if speed is None else speed.seconds(run.images, run.share_left)

    def _fit(self, kind: str) -> Seconds:
        """Time of a run that has its features."""
        times = sorted(self._fits.get(kind, ()))
        return Seconds(times[0], times[len(times) // 2], times[-1]) if times else FIT

    def total(self, runs: Iterable[RunSize], workers: int) -> Seconds | None:
        """Time left of a study, its unfinished runs shared out over workers.

        Args:
            runs: Unfinished ones.
            workers: Runs that are carried out at once.

        Returns:
            None if the speed of a run is not known.
        """
        times: list[Seconds] = []
        for run in runs:
            seconds = self.seconds(run)
            if seconds is None:
                return None
            times.append(seconds)
        at_once = max(1, min(workers, len(times)))
        return Seconds(*(_shared([getattr(t, part) for t in times], at_once) for part in PARTS))


PARTS = ("low", "middle", "high")


def _shared(times: Sequence[float], at_once: int) -> float:
    """Time of runs that are carried out side by side: no shorter than the longest of them."""
    return max(sum(times) / at_once, max(times, default=0.0))


def read_speeds(folder: StudyFolder, runs: Iterable[RunSize]) -> Speeds:
    """Speeds that the runs of a study have shown.

    Args:
        folder: Of the study.
        runs: All of them.
    """
    speeds, counts, started = Speeds(), dict[str, int](), set(folder.run_ids())
    for size in runs:
        if size.run_id not in started:
            continue
        run = folder.run(size.run_id)
        if not run.is_done():
            if isinstance(progress := read_progress(run), RunProgress):
                speeds.note_step(size.kind, progress.images_per_second or 0.0)
        elif counts.get(size.kind, 0) < MAX_SAMPLES:
            counts[size.kind] = counts.get(size.kind, 0) + 1
            note_run(speeds, size, run)
    return speeds


def share_left(run: RunFolder) -> float:
    """Part of an unfinished run that is not done, by its last progress file."""
    progress = read_progress(run)
    if not isinstance(progress, RunProgress) or not progress.steps:
        return 1.0
    return max(0.0, 1 - progress.step / progress.steps)


def note_run(speeds: Speeds, size: RunSize, run: RunFolder) -> None:
    """Take note of a finished run's speed, from its folder."""
    cost = run.cost()
    images = cost.images or size.images  # earlier versions did not write it
    # a resumed run has its latest start in run.json, and then too little is counted
    begun, ended = (_time(run.path / name) for name in ("run.json", "cost.json"))
    if not images:
        speeds.note_fit(size.kind, ended - begun if begun else cost.seconds)
    elif cost.seconds:
        besides = ended - begun - cost.seconds if begun else 0.0
        speeds.note_finished(size.kind, images / cost.seconds, besides)


def rough_time(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.4 h`` or ``5.2 days``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 86_400:,.1f} days"


class TimeLeft:
    """Time left of a study, worked out again only so often that it costs next to nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = -math.inf
        self._seconds: float | None = None

    def seconds(self, work: Callable[[], Seconds | None]) -> float | None:
        """Latest estimate; `work` makes it, at most a twentieth of the time."""
        begun = self._clock()
        if begun >= self._next or self._seconds is None:
            total = work()
            self._seconds = None if total is None else total.middle
            self._next = begun + 20 * (self._clock() - begun)
        return self._seconds


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
