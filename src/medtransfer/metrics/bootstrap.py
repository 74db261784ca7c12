"""Intervals by resampling patients.

One set of replicates per cohort, drawn from the seed and the cohort's patients alone: every rung,
metric and group is measured on the same resampled patients, so their differences are paired.
Replicates are weights (how often each patient was drawn), so a metric is computed for all of them
in one vectorised pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.seeds import generator

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], Floats]
"""A metric bound to its cases: weights [R, n] to values [R], NaN where undefined."""

LEVEL = 0.95
LEAST_DEFINED = 0.5
"""Least share of replicates in which a metric must be defined to get an interval."""
CHUNK = 2**24
"""Weights held at once."""


@dataclass(frozen=True)
class Replicates:
    """How often each patient of a cohort is drawn in each replicate.

    Attributes:
        patient: Number of each case's patient. [n]
        counts: Draws of each patient; the first row is the sample itself, all ones. [1 + R, P]
    """

    patient: NDArray[np.int64]
    counts: NDArray[np.uint16]

    @property
    def rows(self) -> int:
        """The sample itself and its replicates."""
        return len(self.counts)

    def values(self, metric: Weighted, cases: NDArray[np.bool_]) -> Floats:
        """A metric of some cases, in the sample and in every replicate.

        Args:
            metric: Bound to just those cases.
            cases: Which of the cohort's cases they are. [n]

        Returns:
            The value, then its replicates. [1 + R]
        """
        patient = self.patient[cases]
        step = max(1, CHUNK // max(1, len(patient)))
        parts = [
            metric(self.counts[start : start + step][:, patient].astype(np.float64))
            for start in range(0, self.rows, step)
        ]
        return np.concatenate(parts)


def draw_replicates(
    patient_ids: Sequence[str] | NDArray[np.str_], replicates: int, seed: int, cohort: str
) -> Replicates:
    """Resample the patients of a cohort with replacement.

    Args:
        patient_ids: Patient of each case. [n]
        replicates: How many, R.
        seed: Of the evaluation.
        cohort: Its name; cohorts are resampled independently.
    """
    patients, patient = np.unique(np.asarray(patient_ids, dtype=np.str_), return_inverse=True)
    rng = generator(seed, "bootstrap", cohort)
    number = len(patients)
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=replicates)
    sample = np.ones((1, number), dtype=np.int64)
    counts = np.concatenate([sample, drawn]).astype(np.uint16)
    return Replicates(patient.astype(np.int64).ravel(), counts)


def percentile_interval(values: Floats) -> tuple[float, float] | None:
    """The percentile interval of replicates (Efron and Tibshirani 1993, section 13.3).

    Args:
        values: The value, then its replicates, NaN where undefined. [1 + R]

    Returns:
        Lower and upper end, or None where the metric is undefined in more than half of the
        replicates.
    """
    quantiles = interval_quantiles(values[1:])
    return quantiles if np.isfinite(values[0]) else None


def squared_interval(values: Floats, high: float) -> tuple[float, float] | None:
    """The basic interval on the squared scale, ``√(2 v² - q²)``, for a calibration error.

    Chance alone pushes a calibration error up, and its replicates up again, so that a percentile
    interval hardly ever holds the truth. Squares add up: the square of the error is pushed by
    about as much in the replicates as in the sample, and ``2 v² - q²`` (Davison and Hinkley 1997,
    5.2, on another scale) takes that out. Coverage: docs/explanation/intervals.md.

    Args:
        values: The value, then its replicates; not below 0. [1 + R]
        high: Largest possible value.

    Returns:
        Lower and upper end, holding the value itself; None as for `percentile_interval`.
    """
    quantiles = interval_quantiles(values[1:])
    value = float(values[0])
    if quantiles is None or not np.isfinite(value):
        return None
    lower, upper = (np.sqrt(max(0.0, 2 * value**2 - q**2)) for q in reversed(quantiles))
    return float(min(lower, value)), float(min(high, max(upper, value)))


def two_sided_p(differences: Floats) -> float | None:
    """Bootstrap p-value of "no difference": twice the smaller tail beyond zero.

    Args:
        differences: The difference, then its replicates. [1 + R]
    """
    replicates = differences[1:][np.isfinite(differences[1:])]
    if not len(replicates) or not np.isfinite(differences[0]):
        return None
    below = (1 + (replicates <= 0).sum()) / (1 + len(replicates))
    above = (1 + (replicates >= 0).sum()) / (1 + len(replicates))
    return float(min(1.0, 2 * min(below, above)))


def interval_quantiles(replicates: Floats) -> tuple[float, float] | None:
    """The 2.5 % and 97.5 % quantiles, None where too few replicates are defined. [R]"""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < LEAST_DEFINED * len(replicates) or not len(defined):
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
