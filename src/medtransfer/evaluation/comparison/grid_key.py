"""Position in a ladder's grid: one rung on one training set."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GridKey:
    """One rung on one training set; its runs differ in their seeds alone.

    Attributes:
        rung: Its name.
        label_fraction: Share of the training patients whose labels are used.
        held_out: Cohort left out of training, or trained on again in part.
        retrain_fraction: Share of a shifted cohort's cases that it was trained on again.
    """

    rung: str
    label_fraction: float = 1.0
    held_out: str | None = None
    retrain_fraction: float | None = None

    @property
    def training(self) -> tuple[float, str | None, float | None]:
        """Training set: rungs are compared where they share it."""
        return self.label_fraction, self.held_out, self.retrain_fraction

    @property
    def curve(self) -> tuple[str, str | None, float | None]:
        """Curve over label fractions: its points share this."""
        return self.rung, self.held_out, self.retrain_fraction
