"""Calibration slope and intercept: the logistic regression of the truth on the logit."""

import numpy as np

from medtransfer.metrics.calibration_kernels import logistic_sums
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.kernels import Counts, Floats, Numbers
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Column, Scan, Weighted, ratio

STEPS = 30
SMALL = 1e-10
"""Newton steps below this are the end."""
STEEP = 50.0
"""Slopes beyond this mean that the classes are separated: there is no fit."""


def slope_and_intercept(targets: Floats, logits: Floats, *, slope: bool) -> Scan:
    """The fit of every replicate; rows intercept and slope. -> [2, W], NaN where there is none.

    Args:
        targets: 0 or 1. [n]
        logits: [n]
        slope: Fit both; otherwise the intercept alone, the slope held at 1.
    """
    cases = np.arange(len(logits), dtype=np.int32)
    own = _fit(cases, logits, targets, np.ones((len(logits), 1)), _start(targets), slope=slope)
    near = np.where(np.isfinite(own), own, _start(targets))

    def run(patient: Numbers, counts: Counts) -> Floats:
        width = counts.shape[1]
        found = _fit(patient, logits, targets, counts, np.repeat(near, width, 1), slope=slope)
        if not np.isfinite(found).all():  # too far from the sample's own fit
            far = np.repeat(_start(targets), width, 1)
            again = _fit(patient, logits, targets, counts, far, slope=slope)
            found = np.where(np.isfinite(found), found, again)
        return found

    return Scan(run)


def _start(targets: Floats) -> Floats:
    """The fit without a slope: from there Newton's method finds its way. [2, 1]"""
    share = np.clip(targets.mean(), 0.01, 0.99) if len(targets) else 0.5
    return np.array([[np.log(share / (1 - share))], [0.0]])


def _fit(
    patient: Numbers, x: Floats, y: Floats, counts: Counts, start: Floats, *, slope: bool
) -> Floats:
    """Newton's method in every replicate at once. -> [2, W]"""
    a, b = start.copy() if slope else (start[0], np.ones_like(start[1]))
    step = np.full_like(a, np.inf)
    for _ in range(STEPS):
        gradient_a, gradient_b, v, vx, vxx = logistic_sums(patient, x, y, a, b, counts)
        if slope:
            determinant = v * vxx - vx**2
            by_a = ratio(vxx * gradient_a - vx * gradient_b, determinant)
            by_b = ratio(v * gradient_b - vx * gradient_a, determinant)
        else:
            by_a, by_b = ratio(gradient_a, v), np.zeros_like(b)
        a, b = a + np.clip(by_a, -5, 5), b + np.clip(by_b, -2, 2)
        step = np.abs(by_a) + np.abs(by_b)
        if not (step > SMALL).any():
            break
    bad = ~(step <= 1e-6) | (np.abs(b) > STEEP) | (np.abs(a) > 10 * STEEP)
    return np.where(bad, np.nan, np.stack([a, b]))


def _row(cases: TargetCases, row: int, *, slope: bool) -> Weighted:
    name = f"recalibration {slope}"
    targets = cases.targets.astype(np.float64)
    scan = cases.shared(name, lambda: slope_and_intercept(targets, cases.logits, slope=slope))

    def of(rows: Floats, positives: Floats, negatives: Floats) -> Floats:
        return np.where((positives > 0) & (negatives > 0), rows[row], np.nan)

    return Weighted((scan, cases.positive, cases.negative), of)


def calibration_bias(cases: TargetCases) -> Weighted:
    """Mean probability minus share of positives."""
    return Weighted((Column(cases.probabilities - cases.targets), cases.ones), ratio)


_COX, _CALSTER = "Cox 1958", "Van Calster et al. 2019"

ENTRIES = (
    Metric(
        "calibration_slope", "Calibration slope", "neither", -np.inf, np.inf, "both",
        "b of logit P(y = 1) = a + b·logit; 1 is right, below 1 overconfident; undefined where "
        "the classes are separated", _COX, by_group=False, partial=True,
        of_target=lambda c, _p: _row(c, 1, slope=True),
    ),
    Metric(
        "calibration_intercept", "Calibration intercept", "neither", -np.inf, np.inf, "both",
        "a of logit P(y = 1) = a + logit; above 0: risks are too low", _CALSTER, by_group=False,
        partial=True,
        of_target=lambda c, _p: _row(c, 0, slope=False),
    ),
    Metric(
        "calibration_bias", "Mean probability − prevalence", "neither", -1, 1, "case",
        "mean of p − y", _CALSTER, of_target=lambda c, _p: calibration_bias(c),
    ),
)  # fmt: skip
