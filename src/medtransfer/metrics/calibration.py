"""Whether probabilities can be taken at their word, and temperature scaling."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from medtransfer.metrics.calibration_kernels import mass_sums
from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels import Counts, Floats, Numbers, binned_sums
from medtransfer.metrics.weighted import Column, Scan, Weighted, mean_of, ratio, run_ends

BINS = 15
TEMPERATURES = (0.05, 20.0)
"""Range a temperature is looked for in."""


def binary_nll(targets: Labels, logits: Floats) -> Weighted:
    """Mean negative log-likelihood of a binary target, from logits. [n], [n]"""
    return mean_of(-np.where(targets == 1, log_expit(logits), log_expit(-logits)))


def binary_log_loss(targets: Labels, probabilities: Floats) -> Weighted:
    """Mean negative log-likelihood of a binary target, from probabilities. [n], [n]"""
    return mean_of(_surprise(np.where(targets == 1, probabilities, 1 - probabilities)))


def binary_brier(targets: Labels, probabilities: Floats) -> Weighted:
    """Mean squared distance of the probability from the truth (Brier 1950). [n], [n]"""
    return mean_of((probabilities - targets) ** 2)


def class_nll(classes: Labels, logits: Floats) -> Weighted:
    """Mean negative log-likelihood of the true class, from logits. [n], [n, C]"""
    return mean_of(-log_softmax(logits, axis=1)[np.arange(len(classes)), classes])


def class_log_loss(classes: Labels, probabilities: Floats) -> Weighted:
    """Mean negative log-likelihood of the true class, from probabilities. [n], [n, C]"""
    return mean_of(_surprise(probabilities[np.arange(len(classes)), classes]))


def class_brier(classes: Labels, probabilities: Floats) -> Weighted:
    """Mean over cases of the squared distance summed over classes; 0 to 2. [n], [n, C]"""
    truth = np.eye(probabilities.shape[1])[classes]
    return mean_of(((probabilities - truth) ** 2).sum(axis=1))


def in_bins(outcomes: Floats, confidences: Floats) -> Scan:
    """Sums in 15 equal-width bins: weight, outcomes, confidences, one below the other. [3B, W]

    Bins are closed above, the first on both sides.

    Args:
        outcomes: 0 or 1. [n]
        confidences: 0 to 1. [n]
    """
    number = bin_numbers(confidences).astype(np.int32)
    values = np.stack([np.ones(len(outcomes)), outcomes, confidences], axis=1)

    def run(patient: Numbers, counts: Counts) -> Floats:
        return binned_sums(patient, number, values, BINS, counts).reshape(3 * BINS, -1)

    return Scan(run)


def calibration_error(outcomes: Floats, confidences: Floats) -> Weighted:
    """Expected calibration error, 15 equal-width bins on [0, 1]: Σ n_b/n |mean o_b - mean c_b|.

    Guo et al. 2017. For a binary target pass the truth and the positive probability; for several
    classes whether the top class is right, and its probability.

    Args:
        outcomes: 0 or 1. [n]
        confidences: 0 to 1. [n]
    """
    return error_of(in_bins(outcomes, confidences))


def error_of(bins: Scan) -> Weighted:
    """Expected calibration error from sums in bins."""

    def of(rows: Floats) -> Floats:
        weight, outcome, confidence = np.split(rows, 3)
        return ratio(np.abs(outcome - confidence).sum(axis=0), weight.sum(axis=0))

    return Weighted((bins,), of)


def reliability_of(bins: Scan) -> Weighted:
    """Miscalibration part of the Brier score: Σ n_b/n (mean p_b - mean y_b)² (Murphy 1973)."""

    def of(rows: Floats) -> Floats:
        weight, outcome, confidence = np.split(rows, 3)
        squares = ratio((outcome - confidence) ** 2, weight)
        return ratio(np.nansum(squares, axis=0), weight.sum(axis=0))

    return Weighted((bins,), of)


def resolution_of(bins: Scan) -> Weighted:
    """How far the bins' outcomes lie from the mean: Σ n_b/n (mean y_b - mean y)² (Murphy 1973)."""

    def of(rows: Floats) -> Floats:
        weight, outcome, _ = np.split(rows, 3)
        total = weight.sum(axis=0)
        own = np.nansum(ratio(outcome**2, weight), axis=0)
        return np.maximum(0.0, ratio(own, total) - ratio(outcome.sum(axis=0), total) ** 2)

    return Weighted((bins,), of)


def uncertainty_of(positive: Column, ones: Column) -> Weighted:
    """Brier score of always saying the share of positives: ȳ (1 - ȳ) (Murphy 1973)."""

    def of(positives: Floats, total: Floats) -> Floats:
        share = ratio(positives, total)
        return share * (1 - share)

    return Weighted((positive, ones), of)


def mass_calibration_error(outcomes: Floats, confidences: Floats) -> Weighted:
    """Calibration error in 15 bins of equal weight (Nixon et al. 2019).

    Equal confidences stay together.

    Args:
        outcomes: 0 or 1. [n]
        confidences: 0 to 1. [n]
    """
    order = np.argsort(confidences, kind="stable")
    excess, last = (outcomes - confidences)[order], run_ends(confidences[order])

    def run(patient: Numbers, counts: Counts) -> Floats:
        return mass_sums(patient[order], excess, last, BINS, counts)

    def of(rows: Floats, total: Floats) -> Floats:
        return ratio(np.abs(rows).sum(axis=0), total)

    return Weighted((Scan(run), Column(np.ones(len(outcomes)))), of)


def bin_numbers(confidences: Floats) -> NDArray[np.int64]:
    """The bin of each confidence, 0 to 14. [n]"""
    return np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)


def reliability(outcomes: Floats, confidences: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The reliability curve: mean confidence, share of positives and count of each bin. [15] each.

    Both means are NaN in an empty bin.
    """
    number = bin_numbers(confidences)
    counts = np.bincount(number, minlength=BINS)
    filled = np.where(counts > 0, counts, np.nan)
    mean_confidence = np.bincount(number, confidences, BINS) / filled
    share = np.bincount(number, outcomes, BINS) / filled
    return mean_confidence, share, counts


def binary_temperature(targets: Labels, logits: Floats) -> float | None:
    """The T that minimises the negative log-likelihood of ``sigmoid(logit / T)`` (Guo et al. 2017).

    Args:
        targets: 0 or 1, of the tuning split. [n]
        logits: [n]

    Returns:
        0.05 to 20; None without a positive or without a negative.
    """
    if len(np.unique(targets)) < 2:
        return None
    signed = np.where(targets == 1, logits, -logits)

    def loss(temperature: float) -> float:
        return -float(log_expit(signed / temperature).mean())

    return _minimise(loss)


def class_temperature(classes: Labels, logits: Floats) -> float | None:
    """The T that minimises the negative log-likelihood of ``softmax(logits / T)``.

    Args:
        classes: True class of each case of the tuning split. [n]
        logits: [n, C]

    Returns:
        0.05 to 20; None if fewer than two classes occur.
    """
    if len(np.unique(classes)) < 2:
        return None
    own = logits[np.arange(len(classes)), classes]

    def loss(temperature: float) -> float:
        return float((logsumexp(logits / temperature, axis=1) - own / temperature).mean())

    return _minimise(loss)


def probabilities_of(logits: Floats, *, single_label: bool) -> Floats:
    """Probabilities of a network's logits.

    Args:
        logits: [n, T]
        single_label: Softmax over the targets instead of a sigmoid each.
    """
    return softmax(logits, axis=1) if single_label else expit(logits)


def _minimise(loss: Callable[[float], float]) -> float:
    def of_log(log_temperature: float) -> float:
        return loss(float(np.exp(log_temperature)))

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(of_log, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def _surprise(probabilities: Floats) -> Floats:
    """-log p, p held from 0 and 1 by the spacing of numbers at 1, as scikit-learn's log loss."""
    edge = np.finfo(np.float64).eps
    return -np.log(np.clip(probabilities, edge, 1 - edge))
