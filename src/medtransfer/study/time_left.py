"""Time left of a study."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from medtransfer.study.plan import PlannedRun


@dataclass
class RungEta:
    """Time left of a study, from the images per second of each rung.

    Attributes:
        rates: Latest speed of each rung.
    """

    rates: dict[str, float] = field(default_factory=dict[str, float])

    def note(self, rung: str, images_per_second: float) -> None:
        """Remember a rung's speed."""
        if images_per_second > 0:
            self.rates[rung] = images_per_second

    def seconds(self, run: PlannedRun, share_left: float = 1.0) -> float | None:
        """Time left of a run; a rung without a speed is taken to be as slow as the slowest."""
        if not self.rates:
            return None
        rate = self.rates.get(run.cell.rung, min(self.rates.values()))
        return run.num_images * share_left / rate

    def total(self, waiting: Sequence[PlannedRun], current: float) -> float | None:
        """Time left of the study: of the current run and of all that wait."""
        estimates = [self.seconds(run) for run in waiting]
        times = [time for time in estimates if time is not None]
        return current + sum(times) if len(times) == len(estimates) else None
