"""Calibration: losses, binned calibration errors, and the same after recalibration."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, softmax

from medtransfer.metrics.calibration_curves import smooth_calibration_error
from medtransfer.metrics.cases import AnyCases, ClassCases, Labels, TargetCases
from medtransfer.metrics.kernels.calibration import confidence_sums, mass_sums
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, binned_sums
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import (
    Scan,
    Weighted,
    WeightedTerm,
    mean_of,
    of_rows,
    ratio,
    run_ends,
)

BINS = 15


def binary_nll(targets: Labels, logits: Floats) -> Weighted:
    """Mean negative log-likelihood of a binary target, from logits. [n], [n]"""
    return mean_of(-np.where(targets == 1, log_expit(logits), log_expit(-logits)))


def binary_log_loss(targets: Labels, probabilities: Floats) -> Weighted:
    """Mean negative log-likelihood of a binary target, from probabilities. [n], [n]"""
    return mean_of(_clipped_loss(np.where(targets == 1, probabilities, 1 - probabilities)))


def binary_brier(targets: Labels, probabilities: Floats) -> Weighted:
    """Mean squared difference between probability and truth (Brier 1950). [n], [n]"""
    return mean_of((probabilities - targets) ** 2)


def class_nll(classes: Labels, logits: Floats) -> Weighted:
    """Mean negative log-likelihood of the true class, from logits. [n], [n, C]"""
    return mean_of(-log_softmax(logits, axis=1)[np.arange(len(classes)), classes])


def class_log_loss(classes: Labels, probabilities: Floats) -> Weighted:
    """Mean negative log-likelihood of the true class, from probabilities. [n], [n, C]"""
    return mean_of(_clipped_loss(probabilities[np.arange(len(classes)), classes]))


def class_brier(classes: Labels, probabilities: Floats) -> Weighted:
    """Mean over cases of the squared distance summed over classes; 0 to 2. [n], [n, C]"""
    truth = np.eye(probabilities.shape[1])[classes]
    return mean_of(((probabilities - truth) ** 2).sum(axis=1))


def in_bins(outcomes: Floats | Flags, confidences: Floats) -> Scan:
    """Sums in 15 equal-width bins: weight, outcomes, confidences, stacked in rows. [3B, W]

    Bins are closed above, the first on both sides.

    Args:
        outcomes: 0 or 1. [n]
        confidences: 0 to 1. [n]
    """
    flags: Flags = outcomes.astype(np.bool_, copy=False)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        sums = confidence_sums(patient, flags, confidences, BINS, counts)
        return sums.reshape(-1, counts.shape[1])

    return Scan(run)


def calibration_error(bins: Scan) -> Weighted:
    """Expected calibration error from sums in bins: Σ n_b/n |mean o_b - mean c_b| (Guo 2017)."""

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
    """Spread of the bins' outcomes around the mean: Σ n_b/n (mean y_b - mean y)² (Murphy 1973)."""

    def of(rows: Floats) -> Floats:
        weight, outcome, _ = np.split(rows, 3)
        total = weight.sum(axis=0)
        between = np.nansum(ratio(outcome**2, weight), axis=0)
        return np.maximum(0.0, ratio(between, total) - ratio(outcome.sum(axis=0), total) ** 2)

    return Weighted((bins,), of)


def uncertainty_of(positive: WeightedTerm, ones: WeightedTerm) -> Weighted:
    """Brier score of always predicting the prevalence: ȳ (1 - ȳ) (Murphy 1973)."""

    def of(positives: Floats, total: Floats) -> Floats:
        share = ratio(positives, total)
        return share * (1 - share)

    return Weighted((positive, ones), of)


def mass_calibration_error(outcomes: Floats | Flags, confidences: Floats) -> Weighted:
    """Calibration error in 15 bins of equal weight (Nixon et al. 2019).

    Equal confidences stay together.

    Args:
        outcomes: 0 or 1. [n]
        confidences: 0 to 1. [n]
    """
    order = np.argsort(confidences, kind="stable")
    excess, last = (outcomes - confidences)[order], run_ends(confidences[order])

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return mass_sums(patient[order], excess, last, BINS, counts)

    def of(rows: Floats, total: Floats) -> Floats:
        return ratio(np.abs(rows).sum(axis=0), total)

    return Weighted((Scan(run), WeightedTerm(np.ones(len(outcomes)))), of)


def classwise_calibration_error(classes: Labels, probabilities: Floats) -> Weighted:
    """Mean over the classes of the calibration error of each against the rest (Kull et al. 2019).

    Args:
        classes: True class of each case. [n]
        probabilities: [n, C]
    """
    count = probabilities.shape[1]
    outcomes: Floats = np.eye(count)[classes]
    number = bin_numbers(probabilities.ravel())
    number += np.tile(BINS * np.arange(count, dtype=np.int64), len(classes))
    cells: Int32Array = number.astype(np.int32)
    values = np.stack([np.ones(outcomes.size), outcomes.ravel(), probabilities.ravel()], axis=1)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        repeated = np.repeat(patient, count)
        sums = binned_sums(repeated, cells, values, BINS * count, counts)
        gaps = np.abs(sums[1] - sums[2]).sum(axis=0)
        return np.stack([gaps, sums[0].sum(axis=0)])

    return of_rows(Scan(run), lambda rows: ratio(rows[0], rows[1]))


def bin_numbers(confidences: Floats) -> NDArray[np.int64]:
    """The bin of each confidence, 0 to 14. [n]"""
    return np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)


def probabilities_of(logits: Floats, *, single_label: bool) -> Floats:
    """Probabilities of a network's logits.

    Args:
        logits: [n, T]
        single_label: Softmax over the targets instead of a sigmoid each.
    """
    return softmax(logits, axis=1) if single_label else expit(logits)


def _clipped_loss(probabilities: Floats) -> Floats:
    """-log p, with p clipped to [eps, 1 - eps] as in scikit-learn's log loss."""
    edge = np.finfo(np.float64).eps
    return -np.log(np.clip(probabilities, edge, 1 - edge))


ECE = "Σ_b n_b/n · |mean outcome_b − mean confidence_b|, 15 equal-width bins on [0, 1]"
GUO, NIXON, MURPHY = "Guo et al. 2017, arXiv 1706.04599", "Nixon et al. 2019", "Murphy 1973"
BLASIOK = "Błasiok and Nakkiran 2023, arXiv 2309.12236"
CALIBRATORS = {
    "temperature": ("scaled", "scaling", "temperature scaling", GUO),
    "platt": ("platt", "Platt scaling", "logistic (Platt) scaling", "Platt 1999"),
    "beta": ("beta", "beta calibration", "beta calibration", "Kull et al. 2017"),
    "isotonic": (
        "isotonic",
        "isotonic regression",
        "isotonic regression",
        "Zadrozny and Elkan 2002",
    ),
    "vector": ("vector", "vector scaling", "vector scaling", GUO),
}
"""Calibrator to the suffix of a metric's name, its title, its description and its reference."""


def outcome_of(cases: AnyCases, calibrator: str | None = None) -> tuple[Flags, Floats]:
    """Outcomes and their predicted probabilities. [n], [n]

    Args:
        cases: Of a binary target (the truth and the positive probability) or of a single-label
            task (correctness of the top class, and its probability).
        calibrator: Source of the probabilities; the network itself by default.
    """
    p = cases.probabilities if calibrator is None else cases.calibrated[calibrator]
    if isinstance(cases, TargetCases):
        return cases.targets == 1, p
    return p.argmax(axis=1) == cases.classes, p.max(axis=1)


def bins_of(cases: AnyCases, calibrator: str | None = None) -> Scan:
    """Sums in equal-width bins, computed once and shared."""
    name = f"bins {calibrator}"
    return cases.shared(name, lambda: in_bins(*outcome_of(cases, calibrator)))


def ece(cases: AnyCases) -> Weighted:
    """Expected calibration error of the uncalibrated probabilities."""
    return calibration_error(bins_of(cases))


def smooth(cases: AnyCases) -> Weighted:
    """Smooth calibration error of the uncalibrated probabilities."""
    return smooth_calibration_error(*outcome_of(cases))


def mass(cases: AnyCases) -> Weighted:
    """Equal-mass calibration error of the uncalibrated probabilities."""
    return mass_calibration_error(*outcome_of(cases))


def _target_loss(cases: TargetCases, calibrator: str) -> Weighted:
    if calibrator in cases.recalibrated:
        return binary_nll(cases.targets, cases.recalibrated[calibrator])
    return binary_log_loss(cases.targets, cases.calibrated[calibrator])


def _class_loss(cases: ClassCases, calibrator: str) -> Weighted:
    if calibrator in cases.recalibrated:
        return class_nll(cases.classes, cases.recalibrated[calibrator])
    return class_log_loss(cases.classes, cases.calibrated[calibrator])


def _calibrated(calibrator: str) -> tuple[Metric, ...]:
    ending, title, words, reference = CALIBRATORS[calibrator]
    binary = calibrator != "vector"
    classes = calibrator in ("temperature", "vector")
    after = f"after {words} on tune"
    entry = partial(
        Metric,
        better="lower",
        low=0,
        needs="case",
        reference=reference,
        calibrator=calibrator,
    )
    return (
        entry(
            name=f"nll_{ending}",
            title=f"NLL after {title}",
            high=np.inf,
            formula=f"as nll, {after}",
            by_group=False,
            of_target=(lambda c, _p: _target_loss(c, calibrator)) if binary else None,
            of_classes=(lambda c: _class_loss(c, calibrator)) if classes else None,
        ),
        entry(
            name=f"brier_{ending}",
            title=f"Brier score after {title}",
            high=2,
            formula=f"as brier, {after}",
            by_group=False,
            of_target=(lambda c, _p: binary_brier(c.targets, c.calibrated[calibrator]))
            if binary
            else None,
            of_classes=(lambda c: class_brier(c.classes, c.calibrated[calibrator]))
            if classes
            else None,
        ),
        entry(
            name=f"ece_{ending}",
            title=f"ECE after {title}",
            high=1,
            formula=f"as ece, {after}",
            biased=True,
            by_group=calibrator == "temperature",
            of_target=(lambda c, _p: calibration_error(bins_of(c, calibrator))) if binary else None,
            of_classes=(lambda c: calibration_error(bins_of(c, calibrator))) if classes else None,
        ),
    )


_error = partial(Metric, better="lower", low=0, high=1, needs="case", biased=True)

ENTRIES = (
    Metric(
        name="nll",
        title="Negative log-likelihood",
        better="lower",
        low=0,
        high=np.inf,
        needs="case",
        formula="mean of −log p(truth)",
        reference="Good 1952",
        of_target=lambda c, _p: (
            binary_nll(c.targets, c.logits)
            if c.from_logits
            else binary_log_loss(c.targets, c.probabilities)
        ),
        of_classes=lambda c: class_nll(c.classes, c.logits),
    ),
    Metric(
        name="brier",
        title="Brier score",
        better="lower",
        low=0,
        high=2,
        needs="case",
        formula="mean of (p − y)²; for several classes summed over them",
        reference="Brier 1950",
        micro=True,
        of_target=lambda c, _p: binary_brier(c.targets, c.probabilities),
        of_classes=lambda c: class_brier(c.classes, c.probabilities),
    ),
    _error(
        name="brier_reliability",
        title="Brier score: miscalibration",
        formula="Σ_b n_b/n · (mean p_b − mean y_b)², the bins of ece",
        reference=MURPHY,
        of_squares=True,
        by_group=False,
        of_target=lambda c, _p: reliability_of(bins_of(c)),
    ),
    Metric(
        name="brier_resolution",
        title="Brier score: resolution",
        better="higher",
        low=0,
        high=0.25,
        needs="case",
        formula="Σ_b n_b/n · (mean y_b − mean y)², the bins of ece",
        reference=MURPHY,
        by_group=False,
        of_target=lambda c, _p: resolution_of(bins_of(c)),
    ),
    Metric(
        name="brier_uncertainty",
        title="Brier score: uncertainty",
        better="neither",
        low=0,
        high=0.25,
        needs="case",
        formula="ȳ (1 − ȳ)",
        reference=MURPHY,
        by_group=False,
        of_target=lambda c, _p: uncertainty_of(c.positive, c.ones),
    ),
    _error(
        name="ece",
        title="Calibration error (ECE)",
        formula=ECE,
        reference=GUO,
        micro=True,
        of_target=lambda c, _p: ece(c),
        of_classes=ece,
    ),
    _error(
        name="ece_classwise",
        title="ECE, class by class",
        formula="mean over the classes of the ece of P(class) against the rest",
        reference="Kull et al. 2019",
        by_group=False,
        of_classes=lambda c: classwise_calibration_error(c.classes, c.probabilities),
    ),
    _error(
        name="ece_mass",
        title="ECE, equal-mass bins",
        formula="as ece, 15 bins of equal weight; equal confidences stay together",
        reference=NIXON,
        by_group=False,
        of_target=lambda c, _p: mass(c),
        of_classes=mass,
    ),
    _error(
        name="ece_smooth",
        title="Smooth calibration error",
        formula="∫ |Σ_i (y_i − p_i) K_s(t, p_i)| dt / n, reflected Gaussian kernel; bandwidth s "
        "is the error itself",
        reference=BLASIOK,
        by_group=False,
        of_target=lambda c, _p: smooth(c),
        of_classes=smooth,
    ),
    *(metric for calibrator in CALIBRATORS for metric in _calibrated(calibrator)),
)
