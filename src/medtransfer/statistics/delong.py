"""Variance of AUROCs without resampling: DeLong's, and Obuchowski's for cases within patients.

A cross-check of the bootstrap, and quick: O(n log n) by midranks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL

NO_SPREAD = 1e-9
"""A standard error below it is rounding."""


@dataclass(frozen=True)
class Aurocs:
    """AUROCs of several rungs on the same cases.

    Attributes:
        values: NaN where a class is missing. [K]
        covariance: NaN where a class is missing or comes from one patient only. [K, K]
        reason: Why something is undefined.
    """

    values: Floats
    covariance: Floats
    reason: str | None = None


def delong(targets: Labels, scores: Floats, patient: NDArray[np.int64] | None = None) -> Aurocs:
    """AUROCs and their covariance.

    The structural components of DeLong, DeLong and Clarke-Pearson 1988, by the midranks of Sun
    and Xu 2014. With m positives, n negatives, T the midrank among all cases and T⁺, T⁻ among
    those of one class::

        V10_i = (T_i - T⁺_i) / n        V01_j = 1 - (T_j - T⁻_j) / m        A = mean of V10

    Their deviations from A are summed within patients (Obuchowski 1997): X and Y, [K, P]. With
    I10 patients who have a positive case, I01 who have a negative one and I in all::

        cov = I10 / (I10-1) XXᵀ / m² + I01 / (I01-1) YYᵀ / n² + I / (I-1) (XYᵀ + YXᵀ) / (mn)

    Without patients every case is one of its own, and this is DeLong's covariance.

    Args:
        targets: 0 or 1. [n]
        scores: Of each rung; larger is more positive. [K, n]
        patient: Patient of each case, as numbers; both classes may occur in one. [n]
    """
    rungs = len(scores)
    positive = targets == 1
    m, n = int(positive.sum()), int((~positive).sum())
    unknown = np.full((rungs, rungs), np.nan)
    if not m or not n:
        reason = "no positive case" if not m else "no negative case"
        return Aurocs(np.full(rungs, np.nan), unknown, reason)
    placements = _placements(scores, positive)
    values: Floats = placements[:, positive].mean(axis=1)
    unit = np.arange(len(targets), dtype=np.int64)
    if patient is not None:
        unit = np.unique(patient, return_inverse=True)[1].ravel().astype(np.int64)
    with_positive, with_negative = (len(np.unique(unit[c])) for c in (positive, ~positive))
    if min(with_positive, with_negative) < 2:
        rare = "positive" if with_positive < 2 else "negative"
        subject = "only one" if patient is None else "only one patient with a"
        return Aurocs(values, unknown, f"no variance: {subject} {rare} case")
    deviations = placements - values[:, None]
    x = _sums(np.where(positive, deviations, 0.0), unit) / m
    y = _sums(np.where(positive, 0.0, deviations), unit) / n
    covariance = _spread(x, x, with_positive) + _spread(y, y, with_negative)
    crossed = _spread(x, y, x.shape[1])
    return Aurocs(values, covariance + crossed + crossed.T)


def logit_intervals(found: Aurocs) -> Floats:
    """95 % intervals on the logit scale, ``expit(logit(A) ± 1.96 √var / (A (1 - A)))``.

    Pepe 2003, 5.2.4; closer to the nominal rate near 1 than ``A ± 1.96 √var``.

    Returns:
        NaN where A is 0 or 1, and where the variance is undefined, or 0 because no pair is ordered
        otherwise than the rest: nothing is then known of the spread. [K, 2]
    """
    inside = (found.values > 0) & (found.values < 1)
    values = np.where(inside, found.values, np.nan)
    width = ndtri((1 + LEVEL) / 2) * _errors(found) / (values * (1 - values))
    centre = np.asarray(logit(values), dtype=np.float64)
    return np.asarray(expit(np.stack([centre - width, centre + width], axis=1)), dtype=np.float64)


def _placements(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Share of the other class that each case is rightly ordered against, ties ½. [K, n]"""
    below = np.stack([_midranks(row) for row in scores])
    for same_class in (positive, ~positive):
        below[:, same_class] -= np.stack([_midranks(row) for row in scores[:, same_class]])
    m, n = int(positive.sum()), int((~positive).sum())
    return np.where(positive, below / n, 1 - below / m)


def _midranks(scores: Floats) -> Floats:
    """Ranks from 1; equal scores share the mean of theirs. [n]"""
    ordered = np.sort(scores)
    smaller = np.searchsorted(ordered, scores, side="left")
    not_larger = np.searchsorted(ordered, scores, side="right")
    return (smaller + not_larger + 1) / 2


def _sums(values: Floats, unit: NDArray[np.int64]) -> Floats:
    """Sums within units. [K, n] to [K, P]"""
    return np.stack([np.bincount(unit, weights=row).astype(np.float64) for row in values])


def _spread(left: Floats, right: Floats, units: int) -> Floats:
    """Products summed over units, unbiased for the mean that was taken out. [K, K]"""
    return units / (units - 1) * (left @ right.T)


def _errors(found: Aurocs) -> Floats:
    """Standard errors, NaN where there is no spread. [K]"""
    errors = np.sqrt(np.maximum(np.diag(found.covariance), 0.0))
    return np.where(errors < NO_SPREAD, np.nan, errors)
