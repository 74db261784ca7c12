"""Settings of adaptation curves. A change fits arms again; it trains and predicts nothing again."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from medtransfer.errors import listed
from medtransfer.posthoc.adaptation.arms import ARMS, MIN_ISOTONIC, AnyArm, TrainedArm
from medtransfer.settings import Settings, scoring

PatientCount = Annotated[int, Field(ge=2, le=1_000_000)]


class AdaptConfig(Settings):
    """Adaptation to a shifted hospital with a few of its patients."""

    patients: tuple[PatientCount, ...] = scoring((25, 50, 100, 200, 400, 800), min_length=1)
    """Numbers of labelled patients to adapt with, rising. A smaller set lies inside the larger;
    numbers over what a hospital has to draw from are reported as such."""
    arms: tuple[AnyArm | TrainedArm, ...] = scoring(ARMS, min_length=1)
    """Ways to adapt; `carried`, that nothing is changed, is always there. `probe`, a new linear
    head on the network's features, is not among the default ones: it needs the weights of finished
    runs (`keep`), a pass over the shifted images, and more time. Neither are `sequential`, the
    training at home goes on with the patients alone, and `shifted-only`, a training on them alone
    from the rung's weights: these are runs of their own, on the shares of `retrain_fractions`;
    `sequential` leaves linear probes out."""
    pool: float = scoring(0.5, gt=0, lt=1)
    """Share of a hospital's patients that are drawn from; the others test. Where a study trains on
    a hospital again, its division is taken instead."""
    draws: int = scoring(10, ge=1, le=1000)
    """Random orders in which the patients are drawn; values are means over them."""
    min_isotonic: int = scoring(MIN_ISOTONIC, ge=1)
    """Positive and negative cases that `isotonic` needs."""
    seed: int = scoring(0, ge=0)
    """Of the division, the orders and the folds of the cross-validation."""

    @field_validator("patients")
    @classmethod
    def _rising(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if any(b <= a for a, b in pairwise(sizes)):
            raise ValueError(f"patients do not rise: {listed(sizes, 20)}")
        return sizes
