"""Losses against labels between 0 and 1: the share of readers who say that a finding is there.

Each is the mean of the same loss over a reader who is drawn at random: a case of share q counts as
q of a positive and 1 - q of a negative with the same prediction.
"""

import numpy as np
from scipy.special import log_expit, log_softmax

from medtransfer.metrics.calibration import BINS, bin_numbers, calibration_error
from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array, binned_sums
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Scan, Weighted, mean_of


def soft_brier(shares: Floats, probabilities: Floats) -> Weighted:
    """Mean Brier score over readers of a binary target: q (1 - p)² + (1 - q) p². [n], [n]"""
    return mean_of(shares * (1 - probabilities) ** 2 + (1 - shares) * probabilities**2)


def soft_nll(shares: Floats, logits: Floats) -> Weighted:
    """Mean negative log-likelihood over readers of a binary target, from logits. [n], [n]"""
    return mean_of(-shares * log_expit(logits) - (1 - shares) * log_expit(-logits))


def soft_calibration_error(shares: Floats, probabilities: Floats) -> Weighted:
    """Calibration error of a binary target with the mean share as outcome of a bin. [n], [n]"""
    return calibration_error(_in_bins(shares, probabilities))


def soft_class_brier(shares: Floats, probabilities: Floats) -> Weighted:
    """Mean over readers of the squared distance summed over classes. [n, C], [n, C]

    A reader who says class c contributes Σ_k p_k² - 2 p_c + 1.
    """
    squares = (probabilities**2).sum(axis=1) + 1
    return mean_of(squares - 2 * (shares * probabilities).sum(axis=1))


def soft_class_nll(shares: Floats, logits: Floats) -> Weighted:
    """Mean over readers of the negative log-likelihood of the class they say. [n, C], [n, C]"""
    return mean_of(-(shares * log_softmax(logits, axis=1)).sum(axis=1))


def soft_class_calibration_error(shares: Floats, probabilities: Floats) -> Weighted:
    """Calibration error of the top class: the outcome is the share that says it. [n, C], [n, C]"""
    top = probabilities.argmax(axis=1)[:, None]
    outcomes = np.take_along_axis(shares, top, axis=1)[:, 0]
    return calibration_error(_in_bins(outcomes, probabilities.max(axis=1)))


def _in_bins(shares: Floats, confidences: Floats) -> Scan:
    """Sums in 15 equal-width bins as `calibration.in_bins`, which takes outcomes of 0 and 1."""
    number = bin_numbers(confidences).astype(np.int32)
    values = np.stack([np.ones(len(shares)), shares, confidences], axis=1)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return binned_sums(patient, number, values, BINS, counts).reshape(3 * BINS, -1)

    return Scan(run)


SOFT_ENTRIES = (
    Metric(
        name="brier_soft",
        title="Brier score against shares",
        better="lower",
        low=0,
        high=2,
        needs="case",
        formula="mean of q (1 − p)² + (1 − q) p²; for several classes "
        "Σ_c q_c Σ_k (p_k − 1[k = c])²",
        reference="Brier 1950",
    ),
    Metric(
        name="nll_soft",
        title="Negative log-likelihood against shares",
        better="lower",
        low=0,
        high=np.inf,
        needs="case",
        formula="mean of −q log p − (1 − q) log(1 − p); for several classes −Σ_c q_c log p_c",
        reference="Good 1952",
        by_group=False,
    ),
    Metric(
        name="ece_soft",
        title="ECE against shares",
        better="lower",
        low=0,
        high=1,
        needs="case",
        formula="as ece, with the mean share as a bin's outcome; of classes the share of the "
        "top one",
        reference="Guo et al. 2017, arXiv 1706.04599",
        biased=True,
        by_group=False,
    ),
)
"""Metrics of targets that have labels between 0 and 1, in the order of `evaluation`'s estimates."""
