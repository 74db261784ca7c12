"""Metrics as one would write them down: dense weights, no kernel, no sharing, no shortcut.

The reference that the compiled passes are held to. Every function takes the cases and their
weights in every replicate, `[R, n]`, and gives values `[R]`, NaN where undefined.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from medtransfer.metrics.calibration import BINS, bin_numbers
from medtransfer.metrics.kernels.sums import Floats

Truth = NDArray[np.bool_]


def each_row(of: Callable[[Floats], float], weights: Floats) -> Floats:
    """A function of one replicate's weights, for each of them; 0 / 0 is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([of(row) for row in weights], dtype=np.float64)


def area(won: Floats, own: Floats, other: Floats) -> float:
    """Σ own_i won_ij other_j over Σ own Σ other."""
    return float(own @ won @ other / (own.sum() * other.sum()))


def wins(scores: Floats, others: Floats) -> Floats:
    """1 where a score is above another, ½ where equal. [n, m]"""
    return (scores[:, None] > others) + 0.5 * (scores[:, None] == others)


def auroc(positive: Truth, scores: Floats, weights: Floats) -> Floats:
    """Over all pairs of a positive and a negative."""
    won = wins(scores[positive], scores[~positive])
    return each_row(lambda w: area(won, w[positive], w[~positive]), weights)


def roc_points(positive: Truth, scores: Floats, w: Floats) -> tuple[Floats, Floats]:
    """False and true positive rate at every distinct score, from above."""
    levels = np.unique(scores)[::-1]
    rates = [
        [w[(scores >= level) & own].sum() / w[own].sum() for level in levels]
        for own in (~positive, positive)
    ]
    return np.array([0.0, *rates[0]]), np.array([0.0, *rates[1]])


def partial_area(positive: Truth, scores: Floats, weights: Floats, most: float) -> Floats:
    """McClish 1989, by integrating the curve up to `most`."""

    def of(w: Floats) -> float:
        x, y = roc_points(positive, scores, w)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return np.nan
        end = int(np.searchsorted(x, most, side="right"))
        cut = np.interp(most, x[end - 1 : end + 1], y[end - 1 : end + 1]) if end < len(x) else 1.0
        inside = np.trapezoid(np.append(y[:end], cut), np.append(x[:end], most))
        return float(0.5 * (1 + (inside - most**2 / 2) / (most - most**2 / 2)))

    return each_row(of, weights)


def average_precision(positive: Truth, scores: Floats, weights: Floats) -> Floats:
    """Σ (R_k - R_{k-1}) P_k over the distinct scores, from above."""
    levels = np.unique(scores)[::-1]

    def of(w: Floats) -> float:
        found, before = 0.0, 0.0
        for level in levels:
            called = w[scores >= level].sum()
            hits = w[(scores >= level) & positive].sum()
            found += (hits - before) * hits / called if called > 0 else 0.0
            before = hits
        return found / w[positive].sum()

    return each_row(of, weights)


def adjusted_precision(
    positive: Truth, scores: Floats, weights: Floats, prevalence: float
) -> Floats:
    """Average precision after both classes were given the weight of a prevalence."""
    shares = np.where(positive, prevalence, 1 - prevalence)
    with np.errstate(invalid="ignore", divide="ignore"):
        totals = [weights[:, own].sum(axis=1)[:, None] for own in (positive, ~positive)]
        moved = weights * shares / np.where(positive, *totals)
    found = average_precision(positive, scores, moved)
    return np.where((totals[0] > 0).ravel() & (totals[1] > 0).ravel(), found, np.nan)


def threshold(positive: Truth, scores: Floats, weights: Floats, point: str) -> Floats:
    """The threshold of an operating point among the scores that a replicate has."""

    def of(w: Floats) -> float:
        found = [
            (
                w[(scores >= t) & positive].sum() / w[positive].sum(),
                w[(scores < t) & ~positive].sum() / w[~positive].sum(),
                t,
            )
            for t in np.unique(scores[w > 0])
        ]
        if not found or not np.isfinite(found[0][:2]).all():
            return np.nan
        if point == "youden":
            best = max(hit + spared for hit, spared, _ in found)
            good = [t for hit, spared, t in found if hit + spared > max(1, best - 1e-9)]
            return max(good, default=np.nan)
        share = int(point[4:]) / 100 - 1e-9
        if point.startswith("sens"):
            return max(t for hit, _, t in found if hit >= share)
        return min((t for _, spared, t in found if spared >= share), default=np.nan)

    return each_row(of, weights)


def risk_coverage(certain: Floats, wrong: Truth, w: Floats) -> tuple[Floats, Floats]:
    """Weight and errors of the cases at least as certain as each level, from above."""
    levels = np.unique(certain)[::-1]
    kept = [certain >= level for level in levels]
    return np.array([w[k].sum() for k in kept]), np.array([w[k & wrong].sum() for k in kept])


def risk_coverage_area(certain: Floats, wrong: Truth, weights: Floats) -> Floats:
    """Mean over the cases of the risk at the coverage that lets each of them in."""

    def of(w: Floats) -> float:
        kept, errors = risk_coverage(certain, wrong, w)
        risk = np.divide(errors, kept, out=np.zeros_like(kept), where=kept > 0)
        return float((np.diff(kept, prepend=0) * risk).sum() / kept[-1])

    return each_row(of, weights)


def retained_risk(certain: Floats, wrong: Truth, weights: Floats, share: float) -> Floats:
    """Errors among the most certain share, linear in between, over that share."""

    def of(w: Floats) -> float:
        kept, errors = risk_coverage(certain, wrong, w)
        room = share * kept[-1]
        return float(np.interp(room, np.append(0, kept), np.append(0, errors)) / room)

    return each_row(of, weights)


def coverage_at_risk(certain: Floats, wrong: Truth, weights: Floats, risk: float) -> Floats:
    """Largest share of most certain cases with at most a risk."""

    def of(w: Floats) -> float:
        kept, errors = risk_coverage(certain, wrong, w)
        good = kept[(kept > 0) & (errors <= risk * kept * (1 + 1e-12))]
        return float(max(good, default=0.0) / kept[-1])

    return each_row(of, weights)


def kept_weights(certain: Floats, weights: Floats, share: float) -> Floats:
    """How much of each case is among the most certain share. [R, n]"""
    levels = np.unique(certain)[::-1]
    kept = np.zeros_like(weights)
    for r, w in enumerate(weights):
        room = share * w.sum()
        for level in levels:
            own = certain == level
            part = min(1.0, max(0.0, room) / w[own].sum()) if w[own].any() else 0.0
            kept[r, own] = part * w[own]
            room -= w[own].sum()
    return kept


def retained_auroc(
    positive: Truth, scores: Floats, certain: Floats, weights: Floats, share: float
) -> Floats:
    """AUROC of the most certain share."""
    return auroc(positive, scores, kept_weights(certain, weights, share))


def oracle_auroc(
    positive: Truth, scores: Floats, certain: Floats, weights: Floats, share: float
) -> Floats:
    """AUROC where the deferred part of each case has the score that is right (Kivlichan 2021)."""
    kept = kept_weights(certain, weights, share)
    right = np.where(positive, np.inf, -np.inf)
    twice = np.concatenate([kept, weights - kept], axis=1)
    return auroc(np.tile(positive, 2), np.concatenate([scores, right]), twice)


def binned(outcomes: Floats, confidences: Floats, weights: Floats) -> Floats:
    """Weight, outcomes and confidences in each bin. [3, R, 15]"""
    member = bin_numbers(confidences)[:, None] == np.arange(BINS)
    columns = (np.ones(len(outcomes)), outcomes, confidences)
    return np.stack([(weights * column) @ member for column in columns])


def calibration_error(outcomes: Floats, confidences: Floats, weights: Floats) -> Floats:
    """Guo et al. 2017, from the means of the bins."""
    weight, outcome, confidence = binned(outcomes, confidences, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = np.abs(outcome / weight - confidence / weight)
        return np.nansum(weight * gaps, axis=1) / weight.sum(axis=1)


def mass_calibration_error(outcomes: Floats, confidences: Floats, weights: Floats) -> Floats:
    """15 bins of equal weight, a level of confidence going where its middle lies."""

    def of(w: Floats) -> float:
        sums, before = np.zeros(BINS), 0.0
        for level in np.unique(confidences):
            own = confidences == level
            if w[own].any():
                place = int((before + w[own].sum() / 2) / w.sum() * BINS)
                sums[min(place, BINS - 1)] += (w * (outcomes - confidences))[own].sum()
                before += w[own].sum()
        return float(np.abs(sums).sum() / w.sum())

    return each_row(of, weights)


def reliability_and_resolution(
    outcomes: Floats, confidences: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Two parts of the Brier score (Murphy 1973), from the means of the bins."""
    weight, outcome, confidence = binned(outcomes, confidences, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weight.sum(axis=1)
        mean = outcome.sum(axis=1) / total
        apart = np.nansum(weight * (outcome / weight - confidence / weight) ** 2, axis=1) / total
        away = np.nansum(weight * (outcome / weight - mean[:, None]) ** 2, axis=1) / total
    return apart, away


def smooth_calibration_error(
    outcomes: Floats, confidences: Floats, weights: Floats, narrowest: float
) -> Floats:
    """Błasiok and Nakkiran 2023, kernel by kernel, its bandwidth by Brent's method."""
    points = (np.arange(1000) + 0.5) / 1000
    mirrors = np.concatenate(
        [2 * turn + side * confidences for turn in range(-3, 4) for side in (1, -1)]
    )

    def of(w: Floats) -> float:
        if not w.any():
            return np.nan
        residual = np.tile(w / w.sum() * (outcomes - confidences), 14)

        def error(bandwidth: float) -> float:
            near = np.exp(-0.5 * ((points[:, None] - mirrors) / bandwidth) ** 2)
            return float(np.abs(near @ residual).mean() / (bandwidth * np.sqrt(2 * np.pi)))

        if error(narrowest) <= narrowest:
            return error(narrowest)
        return brentq(lambda bandwidth: error(bandwidth) - bandwidth, narrowest, 1, xtol=1e-7)

    return each_row(of, weights)


def reliability_curve(
    outcomes: Floats, confidences: Floats
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean confidence, share of positives and count of each bin. [15] each.

    Both means are NaN in an empty bin.
    """
    number = bin_numbers(confidences)
    counts = np.bincount(number, minlength=BINS)
    filled = np.where(counts > 0, counts, np.nan)
    mean_confidence = np.bincount(number, confidences, BINS) / filled
    share = np.bincount(number, outcomes, BINS) / filled
    return mean_confidence, share, counts
