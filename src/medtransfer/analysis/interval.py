"""A number with its interval, or the reason why there is none. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval.

    Attributes:
        value: NaN where it is undefined.
        low: Likewise.
        high: Likewise.
        reason: Reason if the value or its interval is undefined.
    """

    value: float
    low: float
    high: float
    reason: str | None = None

    @classmethod
    def undefined(cls, reason: str) -> "Interval":
        """No value, with the reason."""
        return cls(math.nan, math.nan, math.nan, reason)

    @classmethod
    def without_interval(cls, value: float, reason: str) -> "Interval":
        """A value alone, with the reason."""
        return cls(value, math.nan, math.nan, reason)


def mean_over_runs(values: Sequence[Interval]) -> Interval:
    """Mean over seeds, with the variance between seeds and that between patients.

    Runs of several seeds see the same patients: averaging makes the part of the variance that comes
    from seeds smaller, not the part that comes from patients. Runs whose values have no interval of
    their own count for seeds alone.

    Args:
        values: One per run, at least one; undefined ones are left out.
    """
    defined = [value for value in values if not math.isnan(value.value)]
    if len(defined) < 2:
        return defined[0] if defined else values[0]
    seeds = np.array([value.value for value in defined])
    centre = float(seeds.mean())
    halves = np.array([(value.high - value.low) / 2 for value in defined])
    within = halves[~np.isnan(halves)] / 1.96
    variance = float(seeds.var(ddof=1)) / len(seeds)
    factor = float(student.ppf(0.975, len(seeds) - 1))
    if len(within):
        variance, factor = variance + float(np.mean(within**2)), 1.96
    half = factor * math.sqrt(variance)
    return Interval(centre, centre - half, centre + half)
