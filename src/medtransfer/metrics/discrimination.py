"""How well positives are told from negatives.

Every function binds a metric to its cases and gives back a function of weights ``[R, n]``, one
row per replicate; a weight says how often a case counts. Ties count one half.
"""

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.bootstrap import Floats, Weighted

Labels = NDArray[np.int64]


def auroc(targets: Labels, scores: Floats) -> Weighted:
    """Area under the ROC curve: P(positive scores above negative) + ½ P(tie).

    Hanley and McNeil 1982. Undefined without a positive or without a negative.

    Args:
        targets: 0 or 1. [n]
        scores: Larger is more positive. [n]
    """
    order = np.argsort(scores, kind="stable")
    positive = targets[order].astype(bool)
    starts = _tie_starts(scores[order])

    def of(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        positives = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        negatives = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives
        wins = (positives * (below + 0.5 * negatives)).sum(axis=1)
        return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))

    return of


def average_precision(targets: Labels, scores: Floats) -> Weighted:
    """Area under the precision-recall curve as average precision: Σ (R_k - R_{k-1}) P_k.

    Undefined without a positive.

    Args:
        targets: 0 or 1. [n]
        scores: Larger is more positive. [n]
    """
    order = np.argsort(-scores, kind="stable")
    positive = targets[order].astype(bool)
    starts = _tie_starts(scores[order])

    def of(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        gained = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        hits = np.cumsum(gained, axis=1)
        called = np.cumsum(np.add.reduceat(sorted_weights, starts, axis=1), axis=1)
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        return _ratio((gained * precision).sum(axis=1), hits[:, -1])

    return of


def weighted_mean(values: Floats, counted: NDArray[np.bool_] | None = None) -> Weighted:
    """Mean of a number per case, over the cases that count. Undefined if none does.

    Args:
        values: [n]
        counted: Which cases count; all by default. [n]
    """
    mask = np.ones(len(values)) if counted is None else counted.astype(np.float64)
    masked = np.where(mask > 0, values, 0.0)

    def of(weights: Floats) -> Floats:
        return _ratio(weights @ masked, weights @ mask)

    return of


def accuracy(targets: Labels, decisions: NDArray[np.bool_]) -> Weighted:
    """Share of cases decided rightly."""
    return weighted_mean((decisions == targets.astype(bool)).astype(np.float64))


def sensitivity(targets: Labels, decisions: NDArray[np.bool_]) -> Weighted:
    """Share of positives called positive. Undefined without a positive."""
    return weighted_mean(decisions.astype(np.float64), targets == 1)


def specificity(targets: Labels, decisions: NDArray[np.bool_]) -> Weighted:
    """Share of negatives called negative. Undefined without a negative."""
    return weighted_mean((~decisions).astype(np.float64), targets == 0)


def balanced_accuracy(classes: Labels, decisions: Labels) -> Weighted:
    """Mean over the classes that occur of the share decided rightly.

    Undefined in a replicate that misses one of them.

    Args:
        classes: True class of each case. [n]
        decisions: Decided class. [n]
    """
    right = (classes == decisions).astype(np.float64)
    recalls = [weighted_mean(right, classes == label) for label in np.unique(classes)]

    def of(weights: Floats) -> Floats:
        return np.mean([recall(weights) for recall in recalls], axis=0)

    return of


def top_k_accuracy(classes: Labels, probabilities: Floats, k: int) -> Weighted:
    """Share of cases whose class is among the k most probable; ties favour the lower class.

    Args:
        classes: True class of each case. [n]
        probabilities: [n, C]
        k: 1 to C.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return weighted_mean((best == classes[:, None]).any(axis=1).astype(np.float64))


def operating_threshold(targets: Labels, scores: Floats, point: str) -> float | None:
    """The threshold of an operating point: cases with ``score >= threshold`` are called positive.

    Args:
        targets: 0 or 1, of the tuning split. [n]
        scores: [n]
        point: ``sens90``: the largest threshold with at least 90 % sensitivity; ``spec80``: the
            smallest with at least 80 % specificity; ``youden``: the one with the largest
            sensitivity + specificity - 1 (Youden 1950), the largest among equals.

    Returns:
        None without a positive or without a negative.
    """
    positives, negatives = np.sort(scores[targets == 1]), np.sort(scores[targets == 0])
    if not len(positives) or not len(negatives):
        return None
    candidates = np.append(np.unique(scores), np.nextafter(scores.max(), np.inf))
    sensitivities = 1 - np.searchsorted(positives, candidates) / len(positives)
    specificities = np.searchsorted(negatives, candidates) / len(negatives)
    # a share of n cases carries rounding: 0.9 of 10 is reached by 9
    if point == "youden":
        gain = sensitivities + specificities
        return float(candidates[np.flatnonzero(gain >= gain.max() - 1e-12)[-1]])
    share = int(point[4:]) / 100 - 1e-12
    if point.startswith("sens"):
        return float(candidates[np.flatnonzero(sensitivities >= share)[-1]])
    return float(candidates[np.flatnonzero(specificities >= share)[0]])


def _tie_starts(ordered: Floats) -> NDArray[np.int64]:
    """Where each run of equal scores begins."""
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return np.append(0, changes).astype(np.int64)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
