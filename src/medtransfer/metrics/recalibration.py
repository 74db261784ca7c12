"""Calibration slope and intercept: the logistic regression of the truth on the logit."""

import numpy as np

from medtransfer.metrics.calibration_kernels import logistic_fits
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.kernels import Counts, Floats, Numbers
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Column, Scan, Weighted, of_rows, ratio


def slope_and_intercept(targets: Floats, logits: Floats, *, slope: bool) -> Scan:
    """The fit of every replicate; rows intercept and slope. -> [2, W], NaN where there is none.

    Args:
        targets: 0 or 1. [n]
        logits: [n]
        slope: Fit both; otherwise the intercept alone, the slope held at 1.
    """
    cases, once = np.arange(len(logits), dtype=np.int32), np.ones((len(logits), 1))
    share = (targets.sum() + 0.5) / (len(targets) + 1)
    rough = np.array([np.log(share / (1 - share)), 0.0])
    own = logistic_fits(cases, logits, targets, slope, rough, once)[:, 0]
    near = own if np.isfinite(own).all() else rough

    def run(patient: Numbers, counts: Counts) -> Floats:
        return logistic_fits(patient, logits, targets, slope, near, counts)

    return Scan(run)


def _row(cases: TargetCases, row: int, *, slope: bool) -> Weighted:
    name = f"recalibration {slope}"
    targets = cases.targets.astype(np.float64)
    scan = cases.shared(name, lambda: slope_and_intercept(targets, cases.logits, slope=slope))

    return of_rows(scan, lambda rows: rows[row])


def calibration_bias(cases: TargetCases) -> Weighted:
    """Mean probability minus share of positives."""
    return Weighted((Column(cases.probabilities - cases.targets), cases.ones), ratio)


_COX, _CALSTER = "Cox 1958", "Van Calster et al. 2019"

ENTRIES = (
    Metric(
        "calibration_slope", "Calibration slope", "neither", -np.inf, np.inf, "both",
        "b of logit P(y = 1) = a + b·logit; 1 is right, below 1 overconfident; undefined where "
        "a threshold separates the classes", _COX, by_group=False, partial=True,
        of_target=lambda c, _p: _row(c, 1, slope=True),
    ),
    Metric(
        "calibration_intercept", "Calibration intercept", "neither", -np.inf, np.inf, "both",
        "a of logit P(y = 1) = a + logit; above 0: risks are too low; undefined where they are all "
        "0 or 1 within rounding", _CALSTER, by_group=False, partial=True,
        of_target=lambda c, _p: _row(c, 0, slope=False),
    ),
    Metric(
        "calibration_bias", "Mean probability − prevalence", "neither", -1, 1, "case",
        "mean of p − y", _CALSTER, of_target=lambda c, _p: calibration_bias(c),
    ),
)  # fmt: skip
