"""Progress of a training run: time left, and the file that `medtransfer status` reads."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medtransfer.runs.events import Preparing, PretrainStep
from medtransfer.runs.folders import RunFolder

WRITE_SECONDS = 5.0
"""Minimum time between two writes of a progress file."""


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run of a study.

    Attributes:
        step: Finished steps.
        steps: All steps.
        tune_auroc: Of the last check on the tuning split; None before the first.
        images_per_second: Since the run was started or resumed; None in files of earlier versions.
        share_of_measured: Share of its measured speed, once it fell far below; else None.
    """

    step: int
    steps: int
    tune_auroc: float | None
    images_per_second: float | None = None
    share_of_measured: float | None = None

    def record(self) -> Mapping[str, object]:
        """Content of ``progress.json``."""
        return vars(self)


@dataclass(frozen=True)
class RungProgress:
    """Progress of a pre-training run.

    Attributes:
        rung: Name of the rung it makes.
        event: The latest.
    """

    rung: str
    event: Preparing | PretrainStep

    def record(self) -> Mapping[str, object]:
        """Content of ``progress.json``."""
        return {"rung": self.rung, **vars(self.event)}


def read_progress(folder: RunFolder) -> RunProgress | RungProgress | None:
    """The progress that a run wrote last; None before its first step."""
    record = dict(folder.progress())
    match record:
        case {"rung": rung, "what": _}:
            del record["rung"]
            return RungProgress(rung, Preparing(**record))
        case {"rung": rung}:
            del record["rung"]
            return RungProgress(rung, PretrainStep(**record))
        case {"step": _}:
            return RunProgress(**record)
        case _:
            return None


class RunEta:
    """Time left of one training run, from its speed since it was started or resumed."""

    def __init__(self, sides: Sequence[int] = ()) -> None:
        """Set the cost of a step.

        Args:
            sides: Of the input over stretches of equal length, in pixels; a step takes as long
                as its images have pixels. Empty if all are alike.
        """
        self._costs = [side**2 for side in sides] or [1]
        self._began: tuple[float, float] | None = None

    def after(self, step: int, steps: int) -> float | None:
        """Seconds left after some of the steps; None until a second step was seen."""
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
    """Writer of a run's progress file, at most every few seconds."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._written = 0.0
        self._latest: RunProgress | RungProgress | None = None

    def update(self, progress: RunProgress | RungProgress, *, last: bool = False) -> None:
        """Take the latest progress, and write it if the last write was long ago.

        Args:
            progress: Of the run.
            last: The run is at its last step: write now.
        """
        self._latest = progress
        if last or time.monotonic() - self._written > WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the latest progress now."""
        if self._latest is not None:
            self._written = time.monotonic()
            self._folder.write_progress(self._latest.record())
