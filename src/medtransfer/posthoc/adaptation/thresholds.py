"""Thresholds of operating points at another hospital: observed, or expected from probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.cases import BUDGET, Labels
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.arms import LACKS_CLASS
from medtransfer.posthoc.risk_control import guarantee_of, guaranteed_threshold

NO_GUARANTEE = "no threshold: a guaranteed operating point is set on labels, by the arm threshold"
ROUNDING = 1e-9
"""Rounding of a share of n cases."""


@dataclass(frozen=True)
class LocalThreshold:
    """Threshold of an operating point at another hospital.

    Attributes:
        threshold: Probability from which a case is called positive; None if there is none.
        reason: Reason that there is none.
    """

    threshold: float | None
    reason: str | None = None


def observed_threshold(
    targets: Labels, probabilities: Floats, patients: NDArray[np.int64], point: str
) -> LocalThreshold:
    """Set an operating point on labelled cases, as on the tuning split.

    Args:
        targets: 0 or 1. [n]
        probabilities: Of the positive class. [n]
        patients: Number of each case's patient. [n]
        point: Operating point, as `sens90`.
    """
    if guarantee_of(point):
        fit = guaranteed_threshold(targets, probabilities, patients.astype(np.str_), point)
        reason = None if fit.reason is None else fit.reason.replace("tune", "local")
        return LocalThreshold(fit.threshold, reason)
    threshold = operating_threshold(targets, probabilities, point)
    reason = f"no threshold: {LACKS_CLASS}" if threshold is None else None
    return LocalThreshold(threshold, reason)


def expected_threshold(probabilities: Floats, point: str) -> LocalThreshold:
    """Set an operating point without labels, from the probabilities of some cases.

    A case of probability p is taken for p positives and 1 - p negatives, so the sensitivity of a
    threshold t is ``Σ p [p ≥ t] / Σ p`` and its specificity ``Σ (1 - p) [p < t] / Σ (1 - p)``. It
    is right where the probabilities are.

    Args:
        probabilities: Of the positive class. [n]
        point: Operating point, as `sens90`.
    """
    if guarantee_of(point):
        return LocalThreshold(None, NO_GUARANTEE)
    if not len(probabilities):
        return LocalThreshold(None, "no threshold: there is no case")
    if point.startswith(BUDGET):
        no_labels = np.zeros(len(probabilities), dtype=np.int64)
        return LocalThreshold(operating_threshold(no_labels, probabilities, point))
    scores = np.sort(probabilities)
    candidates = np.append(np.unique(scores), np.nextafter(scores[-1], np.inf))
    below = np.searchsorted(scores, candidates)
    missed = np.append(0.0, np.cumsum(scores))[below]
    cleared = np.append(0.0, np.cumsum(1 - scores))[below]
    positives, negatives = float(scores.sum()), float((1 - scores).sum())
    if positives <= 0 or negatives <= 0:
        return LocalThreshold(None, "no threshold: all probabilities are 0 or all are 1")
    sensitivities, specificities = 1 - missed / positives, cleared / negatives
    return LocalThreshold(_chosen(candidates, sensitivities, specificities, point))


def _chosen(candidates: Floats, sensitivities: Floats, specificities: Floats, point: str) -> float:
    """The candidate of an operating point, by the rules of `operating_threshold`."""
    if point == "youden":
        gain = sensitivities + specificities
        return float(candidates[np.flatnonzero(gain >= gain.max() - ROUNDING)[-1]])
    share = int(point[4:]) / 100 - ROUNDING
    if point.startswith("sens"):
        return float(candidates[np.flatnonzero(sensitivities >= share)[-1]])
    return float(candidates[np.flatnonzero(specificities >= share)[0]])
