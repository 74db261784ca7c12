"""Thresholds of an arm on the network's own probabilities."""

import numpy as np
from scipy.special import expit, logit

from medtransfer.posthoc.calibrators import Calibrator, Isotonic, Platt, Temperature


def network_threshold(calibrator: Calibrator, threshold: float) -> float | None:
    """Smallest probability of the network that a calibrator maps to a threshold or above.

    A bundle calls a case by the network's own probability, so that a call does not depend on the
    calibrator that is reported.

    Args:
        calibrator: Of a binary target.
        threshold: On the calibrated probability.

    Returns:
        1 if nothing reaches the threshold; None if the calibrator does not rise with the logit, so
        that no threshold does the same.
    """
    match calibrator:
        case Temperature():
            edge = calibrator.temperature * _logit(threshold)
        case Platt() if calibrator.slope > 0:
            edge = (_logit(threshold) - calibrator.intercept) / calibrator.slope
        case Isotonic():
            edge = _isotonic_edge(calibrator, threshold)
        case _:
            return None
    return float(expit(edge))


def _logit(threshold: float) -> float:
    return float(logit(min(max(threshold, 0.0), 1.0)))


def _isotonic_edge(calibrator: Isotonic, threshold: float) -> float:
    """Smallest logit at which rising steps, linear between the knots, reach a threshold."""
    reached = calibrator.levels >= threshold
    if reached.all():
        return -np.inf
    if not reached.any():
        return np.inf
    at = int(np.argmax(reached))
    left, right = calibrator.levels[at - 1], calibrator.levels[at]
    share = (threshold - left) / (right - left)
    return float(calibrator.knots[at - 1] + share * np.diff(calibrator.knots)[at - 1])
