"""Position in a ladder's grid: one rung on one training set."""

import re
from dataclasses import dataclass

import polars as pl

from medtransfer.data.config import TOGETHER, RetrainArm

ENSEMBLE = re.compile(r"(?P<rung>.+) \(ensemble of (?P<members>\d+) seeds\)")
"""Name of the seeds of a rung as one more rung."""
IS_ENSEMBLE = pl.col("rung").str.contains(r" \(ensemble of \d+ seeds\)$").fill_null(value=False)
"""True for rows of ensembles."""


@dataclass(frozen=True)
class GridKey:
    """One rung on one training set; its runs differ in their seeds alone.

    Attributes:
        rung: Its name.
        label_fraction: Share of the training patients whose labels are used.
        held_out: Cohort left out of training, or trained on again in part.
        retrain_fraction: Share of a shifted cohort's cases that it was trained on again.
        arm: Way in which it was; runs of other ways than the first are in adaptation curves alone.
    """

    rung: str
    label_fraction: float = 1.0
    held_out: str | None = None
    retrain_fraction: float | None = None
    arm: RetrainArm = TOGETHER

    @property
    def training(self) -> tuple[float, str | None, float | None]:
        """Training set: rungs are compared where they share it."""
        return self.label_fraction, self.held_out, self.retrain_fraction

    @property
    def curve(self) -> tuple[str, str | None, float | None]:
        """Curve over label fractions: its points share this."""
        return self.rung, self.held_out, self.retrain_fraction


def of_rungs(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of a table without those of ensembles."""
    return frame.filter(~IS_ENSEMBLE) if "rung" in frame.columns else frame


def ensemble_name(rung: str, members: int) -> str:
    """Name of the seeds of a rung together."""
    return f"{rung} (ensemble of {members} seeds)"


def ensemble_parts(name: str) -> tuple[str, int]:
    """Rung and number of members behind a name; one member if it names no ensemble."""
    match = ENSEMBLE.fullmatch(name)
    return (name, 1) if match is None else (match["rung"], int(match["members"]))
