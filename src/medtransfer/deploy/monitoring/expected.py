"""Performance that calibrated probabilities lead to expect, without labels.

If a case with probability p is positive with probability p, a call at p is right with
probability p: sums of probabilities stand for counts of positives (confidence-based performance
estimation; Guillory et al. 2021, Garg et al. 2022). The assumption is that the probabilities are
calibrated on the cases at hand. A change of the mix of cases keeps it, a change of what a score
means does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.statistics.bootstrap import percentile_interval

METRICS = ("auroc", "sensitivity", "specificity")


@dataclass(frozen=True)
class Expected:
    """An expected value.

    Attributes:
        value: None if undefined.
        low: Lower end of its 95 % interval over patients; None without an interval.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def expected_performance(
    probabilities: Floats,
    scores: Floats,
    calls: Mapping[str, Flags],
    patient: NDArray[np.int64],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, Expected]:
    """Expected AUROC, and sensitivity and specificity at operating points.

    Args:
        probabilities: Calibrated. [n]
        scores: By which cases are ranked. [n]
        calls: Cases called positive, by operating point. Each [n]
        patient: Number of each case's patient, from 0. [n]
        replicates: Bootstrap replicates, by patient.
        rng: Draws them.

    Returns:
        `auroc`, `sensitivity@<point>`, `specificity@<point>`.
    """
    weights = _weights(patient, replicates, rng)
    order = np.argsort(scores, kind="stable")
    values = {"auroc": _auroc(probabilities[order], scores[order], weights[:, order])}
    positive, negative = weights * probabilities, weights * (1 - probabilities)
    for point, called in calls.items():
        tp, fp = positive[:, called].sum(axis=1), negative[:, called].sum(axis=1)
        fn, tn = positive[:, ~called].sum(axis=1), negative[:, ~called].sum(axis=1)
        values[f"sensitivity@{point}"] = _share(tp, fn)
        values[f"specificity@{point}"] = _share(tn, fp)
    return {name: _estimate(numbers) for name, numbers in values.items()}


def _weights(patient: NDArray[np.int64], replicates: int, rng: np.random.Generator) -> Floats:
    """Times that each case counts: once, then as often as its patient is drawn. [1 + R, n]"""
    patients = int(patient.max()) + 1
    drawn = rng.multinomial(patients, np.full(patients, 1 / patients), size=replicates)
    return np.concatenate([np.ones((1, len(patient))), drawn[:, patient].astype(np.float64)])


def _auroc(probabilities: Floats, scores: Floats, weights: Floats) -> Floats:
    """P(a positive scores above a negative) + ½ P(tie), over cases in rising order. [1 + R]"""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores) > 0]))
    positive = np.add.reduceat(weights * probabilities, starts, axis=1)
    negative = np.add.reduceat(weights * (1 - probabilities), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * (below + negative / 2)).sum(axis=1), pairs)


def _share(part: Floats, rest: Floats) -> Floats:
    return _ratio(part, part + rest)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """A share, NaN where the whole is 0."""
    defined = whole > 0
    return np.where(defined, part / np.where(defined, whole, 1.0), np.nan)


def _estimate(numbers: Floats) -> Expected:
    if not np.isfinite(numbers[0]):
        return Expected(None)
    interval = percentile_interval(numbers) if len(numbers) > 1 else None
    low, high = interval or (None, None)
    return Expected(float(numbers[0]), low, high)
