"""Calibration slope and intercept: the logistic regression of the truth on the logit."""

import numpy as np
from scipy.special import expit

from medtransfer.metrics.calibration_kernels import logistic_fits
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.kernels import Counts, Floats, Numbers, binned_sums
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Column, Scan, Weighted, of_rows, ratio

FAR = 0.5
"""First steps of intercept or slope beyond this are not taken."""


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
    own = logistic_fits(cases, logits, targets, slope, rough[:, None], once)[:, 0]
    near = own if np.isfinite(own).all() else rough
    alone, first = np.zeros(len(logits), dtype=np.int32), _newton_terms(targets, logits, near)

    def run(patient: Numbers, counts: Counts) -> Floats:
        terms = binned_sums(patient, alone, first, 1, counts)[:, 0]
        start = near[:, None] + _newton_step(terms, slope=slope)
        return logistic_fits(patient, logits, targets, slope, start, counts)

    return Scan(run)


def _newton_terms(targets: Floats, logits: Floats, at: Floats) -> Floats:
    """What a case adds to gradient and information at one fit. -> [n, 5]

    The first step of all replicates is taken from the same place, so it is a sum over cases.
    """
    p = np.asarray(expit(at[0] + at[1] * logits), dtype=np.float64)
    v: Floats = p * (1 - p)
    terms: list[Floats] = [targets - p, (targets - p) * logits, v, v * logits, v * logits**2]
    return np.stack(terms, axis=1)


def _newton_step(terms: Floats, *, slope: bool) -> Floats:
    """The first step of every replicate; none where it would go far. [5, W] -> [2, W]"""
    g, gx, v, vx, vxx = terms
    if not slope:
        step = np.stack([ratio(g, v), np.zeros_like(g)])
    else:
        determinant = v * vxx - vx**2
        step = np.stack(
            [ratio(vxx * g - vx * gx, determinant), ratio(v * gx - vx * g, determinant)]
        )
    near = (np.abs(step) < FAR).all(axis=0)  # False where a step is undefined
    return np.where(near, step, 0.0)


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
