"""Intervals that hold where few patients are positive: score intervals instead of replicates.

The bootstrap cannot imagine cases that the sample lacks: with one positive patient, or where every
positive is above every negative, its replicates hardly vary and its interval is far too narrow.
A score interval asks instead which true values would make the sample unlikely, so that it has a
width even there. Coverage by simulation: docs/explanation/intervals.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from medtransfer.metrics.cases import AnyCases, TargetCases
from medtransfer.metrics.kernels.sums import Flags, Floats, Int32Array
from medtransfer.metrics.metric import Metric
from medtransfer.statistics.bootstrap import LEVEL

MIN_PATIENTS = 5
"""Positive and negative patients below which no interval is given: no method that was tried holds
its level there for all shapes of the scores."""
MIN_BOOTSTRAP = 10
"""Patients of each class it needs below which a bootstrap interval is not given."""
FEW_OF_SHARE = f"no interval: a share of fewer than {MIN_PATIENTS} patients"
"""Reason that a share, such as sensitivity, has none."""
FEW_PATIENTS = 50
"""Positive or negative patients below which the score interval replaces the bootstrap."""
NORMAL_QUANTILE = float(ndtri((1 + LEVEL) / 2))


def student_factor(patients: int) -> float:
    """Factor by which replicates of a difference deviate too little where patients are few.

    The variance of m resampled patients is too small by (m - 1) / m, and their quantiles are the
    normal distribution's where Student's with m - 1 degrees are due.

    Args:
        patients: Of the class or share that has the fewest, m; over 1.
    """
    factor = float(stdtrit(patients - 1, (1 + LEVEL) / 2)) / NORMAL_QUANTILE
    return factor * float((patients / (patients - 1)) ** 0.5)


def widened_interval(
    value: float, interval: tuple[float, float], patients: int
) -> tuple[float, float]:
    """The interval of a difference by replicates, widened by `student_factor`.

    Args:
        value: The difference.
        interval: Its percentile interval.
        patients: As there.
    """
    factor = student_factor(patients)
    return value - factor * (value - interval[0]), value + factor * (interval[1] - value)


def difference_of_intervals(
    values: tuple[float, float], intervals: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[float, float]:
    """The interval of a difference of two independent estimates from their own intervals.

    Squared distances to the ends add up (Newcombe 1998, method 10; Zou and Donner 2008).

    Args:
        values: The estimates; the second is subtracted.
        intervals: Of each, at 95 %.
    """
    (one, other), (first, second) = values, intervals
    below = ((one - first[0]) ** 2 + (second[1] - other) ** 2) ** 0.5
    above = ((first[1] - one) ** 2 + (other - second[0]) ** 2) ** 0.5
    return one - other - below, one - other + above


def wilson_interval(share: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927; Newcombe 1998, method 3).

    Args:
        share: The proportion. 0 to 1
        trials: Cases behind it, divided by the design effect; over 0.

    Returns:
        Lower and upper end at 95 %, within 0 and 1.
    """
    square = NORMAL_QUANTILE**2 / trials
    centre = (share + square / 2) / (1 + square)
    width = np.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    # at 0 and 1 an end is the share itself, but for rounding
    low, high = float(centre - width), float(centre + width)
    return max(0.0, min(share, low)), min(1.0, max(share, high))


def auroc_interval(
    value: float, positives: int, negatives: int, variance: float | None = None
) -> tuple[float, float]:
    """Score interval of an AUROC, for few patients and for complete separation.

    Newcombe 2006, method 5: the true values θ for which ``|A - θ|`` is at most 1.96 standard
    errors of an AUROC of θ, by Hanley and McNeil's variance with ``N = (m + n) / 2 - 1``::

        θ (1 - θ) (1 + N (1 - θ) / (2 - θ) + N θ / (1 + θ)) / (m n)

    That variance supposes scores of a common shape and independent cases. Where the data's own
    variance (DeLong's, clustered by patient) is larger at A, all variances are multiplied by the
    ratio of the two.

    Args:
        value: The AUROC, A. 0 to 1
        positives: Patients with a positive case, m; over 0.
        negatives: Patients with a negative case, n; over 0.
        variance: DeLong's, by `delong`; None or NaN where it is undefined.

    Returns:
        Lower and upper end at 95 %; the upper end is 1 where A is 1, the lower 0 where A is 0.
    """
    extra = max(0.0, (positives + negatives) / 2 - 1)

    def model(theta: float) -> float:
        spread = 1 + extra * (1 - theta) / (2 - theta) + extra * theta / (1 + theta)
        return max(0.0, theta * (1 - theta)) * spread / (positives * negatives)

    inflation = 1.0
    if variance is not None and np.isfinite(variance) and model(value) > 0:
        inflation = max(1.0, variance / model(value))

    def beyond(theta: float) -> float:
        return abs(value - theta) - NORMAL_QUANTILE * np.sqrt(inflation * model(theta))

    return _end(beyond, 0.0, value), _end(beyond, 1.0, value)


def _end(beyond: Callable[[float], float], outside: float, value: float) -> float:
    """Find the end of an interval: a score test rejects from there to the end of the range."""
    from scipy.optimize import brentq  # slow to import, and predictions need none

    if value == outside:
        return outside
    inside = value + np.copysign(1e-12, outside - value)  # at 0 and 1 themselves the test is 0 / 0
    return float(brentq(beyond, outside, inside, xtol=1e-9)) if beyond(inside) < 0 else value


@dataclass(frozen=True)
class Support:
    """Patients behind an estimate.

    Attributes:
        positives: Patients with a positive case; None where there are several classes.
        negatives: Patients with a negative case.
        cases: Cases that a share is taken of; all cases for other metrics.
        patients: Their patients.
    """

    positives: int | None
    negatives: int | None
    cases: int
    patients: int

    def lacking(self, metric: Metric) -> str | None:
        """Reason that no interval of a metric can be trusted; None if one can."""
        if metric.share is not None:
            lacks = self.patients < MIN_PATIENTS
            return FEW_OF_SHARE if lacks else None
        least = MIN_PATIENTS if metric.name == "auroc" else MIN_BOOTSTRAP
        if metric.needs == "case" or self.positives is None or self.negatives is None:
            return None
        sides = {"positive": self.positives, "negative": self.negatives}
        for side, patients in sides.items():
            if metric.needs in (side, "both") and patients < least:
                return f"no interval: fewer than {least} patients with a {side} case"
        return None

    def fewest(self, metric: Metric) -> int:
        """Patients of the class that a metric needs and that has the fewest, or of its share."""
        if metric.share is not None or self.positives is None or self.negatives is None:
            return self.patients
        sides = {"positive": self.positives, "negative": self.negatives}
        needed = [count for side, count in sides.items() if metric.needs in (side, "both")]
        return min(needed, default=self.patients)

    def is_small(self, metric: Metric) -> bool:
        """True if replicates alone cannot show how far a metric may be off."""
        return self.fewest(metric) < FEW_PATIENTS

    def interval(self, metric: Metric, values: Floats) -> tuple[float, float] | None:
        """Interval of a share, or of an AUROC of few patients or at an end of its range.

        Args:
            metric: Their metric.
            values: The value, then its replicates. [1 + R]

        Returns:
            None where the replicates' interval serves.
        """
        value = float(values[0])
        if metric.share is not None:
            return wilson_interval(value, self._trials(values))
        if metric.name != "auroc" or self.positives is None or self.negatives is None:
            return None
        if not (self.is_small(metric) or value in (0.0, 1.0)):
            return None
        smaller = min(self.positives, self.negatives)
        variance = _variance(values[1:]) * smaller / max(1, smaller - 1)
        return auroc_interval(value, self.positives, self.negatives, variance)

    def _trials(self, values: Floats) -> float:
        """Independent cases that tell as much: the patients where all cases agree."""
        value = float(values[0])
        variance = _variance(values[1:]) * self.patients / max(1, self.patients - 1)
        if value <= 0 or value >= 1 or not variance > 0:
            return self.patients
        return min(self.cases, value * (1 - value) / variance)


def _variance(replicates: Floats) -> float:
    """``np.nanvar(replicates)`` to the last bit, in a quarter of its time where none is NaN. [R]"""
    apart = replicates - replicates.sum() / max(1, len(replicates))
    variance = float((apart * apart).sum() / max(1, len(replicates)))
    return variance if np.isfinite(variance) else float(np.nanvar(replicates))


class Patients:
    """Patient of each of some cases, to count those behind a metric of them.

    Args:
        cases: The labelled cases.
        patient: Number of each case's patient, from 0. [n]
    """

    def __init__(self, cases: AnyCases, patient: NDArray[np.int64] | Int32Array) -> None:
        self.cases = cases
        self.patient = patient
        self._numbers = int(patient.max(initial=-1)) + 1
        self._counts: dict[tuple[str, str | None], tuple[int, int]] = {}

    def behind(self, metric: Metric, point: str | None) -> Support:
        """Patients behind a metric at an operating point."""
        share = metric.share or "case"
        at = point if share in ("called", "cleared") else None
        cases, patients = self._count(share, at)
        if not isinstance(self.cases, TargetCases):
            return Support(None, None, cases, patients)
        positives, negatives = (self._count(side, None)[1] for side in ("positive", "negative"))
        return Support(positives, negatives, cases, patients)

    def _count(self, share: str, point: str | None) -> tuple[int, int]:
        """Cases that a share is taken of, and their patients."""
        if (share, point) not in self._counts:
            rows = self._rows(share, point)
            occurs = np.zeros(self._numbers, dtype=np.bool_)
            occurs[self.patient if rows is None else self.patient[rows]] = True
            cases = len(self.cases) if rows is None else int(rows.sum())
            self._counts[share, point] = cases, int(occurs.sum())
        return self._counts[share, point]

    def _rows(self, share: str, point: str | None) -> Flags | None:
        """Cases that a share is taken of; None for all."""
        cases = self.cases
        if not isinstance(cases, TargetCases) or share == "case":
            return None
        if share in ("called", "cleared") and point is not None:
            called = cases.predicted_positive[point]
            return called if share == "called" else ~called
        is_positive = share == "positive" or (share == "ill" and not cases.healthy)
        return cases.targets == (1 if is_positive else 0)


@dataclass(frozen=True)
class MeanSupport:
    """Support of a mean over targets.

    Attributes:
        lacking: Reason that it can have no interval.
        fewest: Patients of the class or share of a target that has the fewest.
        widening: Squares to add to the distances to both ends: what the targets' own intervals
            have beyond their replicates.
    """

    lacking: str | None
    fewest: int
    widening: tuple[float, float]

    def widened(
        self, value: float, interval: tuple[float, float], entry: Metric
    ) -> tuple[float, float]:
        """The interval of the replicates with what small targets lack there."""
        if not any(self.widening):
            return interval
        low = value - ((value - interval[0]) ** 2 + self.widening[0]) ** 0.5
        high = value + ((interval[1] - value) ** 2 + self.widening[1]) ** 0.5
        return max(entry.low, low), min(entry.high, high)
