"""Intervals that hold where few patients are positive: score intervals instead of replicates.

The bootstrap cannot imagine cases that the sample lacks: with one positive patient, or where every
positive is above every negative, its replicates hardly vary and its interval is far too narrow.
A score interval asks instead which true values would make the sample unlikely, so that it has a
width even there. Coverage by simulation: docs/explanation/intervals.md.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from medtransfer.statistics.bootstrap import LEVEL

MIN_PATIENTS = 5
"""Positive and negative patients below which no interval is given: no method that was tried holds
its level there for all shapes of the scores."""
FEW_PATIENTS = 50
"""Positive or negative patients below which the score interval replaces the bootstrap."""
NORMAL_QUANTILE = float(ndtri((1 + LEVEL) / 2))


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
    if value == outside:
        return outside
    inside = value + np.copysign(1e-12, outside - value)  # at 0 and 1 themselves the test is 0 / 0
    return float(brentq(beyond, outside, inside, xtol=1e-9)) if beyond(inside) < 0 else value
