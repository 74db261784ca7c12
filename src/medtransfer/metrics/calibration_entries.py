"""The catalogue's entries on calibration: a network's own probabilities, and after calibrators."""

import numpy as np

from medtransfer.metrics import calibration as c13n
from medtransfer.metrics.cases import AnyCases, ClassCases, TargetCases
from medtransfer.metrics.kernels import Floats
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.smooth import smooth_calibration_error
from medtransfer.metrics.weighted import Scan, Weighted

ECE = "Σ_b n_b/n · |mean outcome_b − mean confidence_b|, 15 equal-width bins on [0, 1]"
GUO, NIXON, MURPHY = "Guo et al. 2017, arXiv 1706.04599", "Nixon et al. 2019", "Murphy 1973"
BLASIOK = "Błasiok and Nakkiran 2023, arXiv 2309.12236"
CALIBRATORS = {
    "temperature": ("scaled", "scaling", "temperature scaling", GUO),
    "platt": ("platt", "Platt scaling", "logistic (Platt) scaling", "Platt 1999"),
    "beta": ("beta", "beta calibration", "beta calibration", "Kull et al. 2017"),
    "isotonic": ("isotonic", "isotonic regression", "isotonic regression",
                 "Zadrozny and Elkan 2002"),
    "vector": ("vector", "vector scaling", "vector scaling", GUO),
}  # fmt: skip
"""Calibrator to the ending of a metric's name, its title, its words and its reference."""


def outcome_of(cases: AnyCases, calibrator: str | None = None) -> tuple[Floats, Floats]:
    """What happened and how likely it was called. [n], [n]

    Args:
        cases: Of a binary target (the truth and the positive probability) or of a single-label
            task (whether the top class is right, and its probability).
        calibrator: Whose probabilities; the network's own by default.
    """
    p = cases.probabilities if calibrator is None else cases.calibrated[calibrator]
    if isinstance(cases, TargetCases):
        return cases.targets.astype(np.float64), p
    return (p.argmax(axis=1) == cases.classes).astype(np.float64), p.max(axis=1)


def bins_of(cases: AnyCases, calibrator: str | None = None) -> Scan:
    """The sums in equal-width bins, made once."""
    name = f"bins {calibrator}"
    return cases.shared(name, lambda: c13n.in_bins(*outcome_of(cases, calibrator)))


def ece(cases: AnyCases) -> Weighted:
    """Expected calibration error of the network's own probabilities."""
    return c13n.error_of(bins_of(cases))


def smooth(cases: AnyCases) -> Weighted:
    """Smooth calibration error of the network's own probabilities."""
    return smooth_calibration_error(*outcome_of(cases))


def mass(cases: AnyCases) -> Weighted:
    """Equal-mass calibration error of the network's own probabilities."""
    return c13n.mass_calibration_error(*outcome_of(cases))


def _target_loss(cases: TargetCases, calibrator: str) -> Weighted:
    if calibrator in cases.recalibrated:
        return c13n.binary_nll(cases.targets, cases.recalibrated[calibrator])
    return c13n.binary_log_loss(cases.targets, cases.calibrated[calibrator])


def _class_loss(cases: ClassCases, calibrator: str) -> Weighted:
    if calibrator in cases.recalibrated:
        return c13n.class_nll(cases.classes, cases.recalibrated[calibrator])
    return c13n.class_log_loss(cases.classes, cases.calibrated[calibrator])


def _calibrated(calibrator: str) -> tuple[Metric, ...]:
    ending, title, words, reference = CALIBRATORS[calibrator]
    binary = calibrator != "vector"
    classes = calibrator in ("temperature", "vector")
    after = f"after {words} on tune"
    return (
        Metric(
            f"nll_{ending}", f"NLL after {title}", "lower", 0, np.inf, "case", f"as nll, {after}",
            reference, calibrator=calibrator, by_group=False,
            of_target=(lambda c, _p: _target_loss(c, calibrator)) if binary else None,
            of_classes=(lambda c: _class_loss(c, calibrator)) if classes else None,
        ),
        Metric(
            f"brier_{ending}", f"Brier score after {title}", "lower", 0, 2, "case",
            f"as brier, {after}", reference, calibrator=calibrator, by_group=False,
            of_target=(lambda c, _p: c13n.binary_brier(c.targets, c.calibrated[calibrator]))
            if binary else None,
            of_classes=(lambda c: c13n.class_brier(c.classes, c.calibrated[calibrator]))
            if classes else None,
        ),
        Metric(
            f"ece_{ending}", f"ECE after {title}", "lower", 0, 1, "case", f"as ece, {after}",
            reference, biased=True, calibrator=calibrator, by_group=calibrator == "temperature",
            of_target=(lambda c, _p: c13n.error_of(bins_of(c, calibrator))) if binary else None,
            of_classes=(lambda c: c13n.error_of(bins_of(c, calibrator))) if classes else None,
        ),
    )  # fmt: skip


ENTRIES = (
    Metric(
        "nll", "Negative log-likelihood", "lower", 0, np.inf, "case",
        "mean of −log p(truth)", "Good 1952",
        of_target=lambda c, _p: c13n.binary_nll(c.targets, c.logits)
        if c.from_logits else c13n.binary_log_loss(c.targets, c.probabilities),
        of_classes=lambda c: c13n.class_nll(c.classes, c.logits),
    ),
    Metric(
        "brier", "Brier score", "lower", 0, 2, "case",
        "mean of (p − y)²; for several classes summed over them", "Brier 1950", micro=True,
        of_target=lambda c, _p: c13n.binary_brier(c.targets, c.probabilities),
        of_classes=lambda c: c13n.class_brier(c.classes, c.probabilities),
    ),
    Metric(
        "brier_reliability", "Brier score: miscalibration", "lower", 0, 1, "case",
        "Σ_b n_b/n · (mean p_b − mean y_b)², the bins of ece", MURPHY, biased=True, of_squares=True,
        by_group=False,
        of_target=lambda c, _p: c13n.reliability_of(bins_of(c)),
    ),
    Metric(
        "brier_resolution", "Brier score: resolution", "higher", 0, 0.25, "case",
        "Σ_b n_b/n · (mean y_b − mean y)², the bins of ece", MURPHY, by_group=False,
        of_target=lambda c, _p: c13n.resolution_of(bins_of(c)),
    ),
    Metric(
        "brier_uncertainty", "Brier score: uncertainty", "neither", 0, 0.25, "case",
        "ȳ (1 − ȳ)", MURPHY, by_group=False,
        of_target=lambda c, _p: c13n.uncertainty_of(c.positive, c.ones),
    ),
    Metric(
        "ece", "Calibration error (ECE)", "lower", 0, 1, "case", ECE, GUO, biased=True, micro=True,
        of_target=lambda c, _p: ece(c), of_classes=ece,
    ),
    Metric(
        "ece_mass", "ECE, equal-mass bins", "lower", 0, 1, "case",
        "as ece, 15 bins of equal weight; equal confidences stay together", NIXON, biased=True,
        by_group=False, of_target=lambda c, _p: mass(c), of_classes=mass,
    ),
    Metric(
        "ece_smooth", "Smooth calibration error", "lower", 0, 1, "case",
        "∫ |Σ_i (y_i − p_i) K_s(t, p_i)| dt / n, reflected Gaussian kernel, at the bandwidth s "
        "that equals it", BLASIOK, biased=True, by_group=False,
        of_target=lambda c, _p: smooth(c), of_classes=smooth,
    ),
    *(metric for calibrator in CALIBRATORS for metric in _calibrated(calibrator)),
)  # fmt: skip
