"""Calibration curves: a logistic one (slope and intercept), a local and a kernel-smoothed one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit

from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.kernels.calibration import logistic_fits
from medtransfer.metrics.kernels.lowess import lowess_errors, lowess_fits
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, binned_sums
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Scan, Weighted, WeightedTerm, of_rows, ratio, share_of

MAX_FIRST_STEP = 0.5
"""Largest first step of intercept or slope that is taken."""


def slope_and_intercept(targets: Floats, logits: Floats, *, slope: bool) -> Scan:
    """Logistic fit of every replicate; rows intercept and slope. -> [2, W], NaN if there is none.

    Args:
        targets: 0 or 1. [n]
        logits: [n]
        slope: Fit both; otherwise the intercept alone, the slope held at 1.
    """
    cases, once = np.arange(len(logits), dtype=np.int32), np.ones((len(logits), 1))
    share = (targets.sum() + 0.5) / (len(targets) + 1)
    rough = np.array([np.log(share / (1 - share)), 0.0])
    fit = logistic_fits(
        patient=cases, x=logits, y=targets, slope=slope, start=rough[:, None], counts=once
    )[:, 0]
    start = fit if np.isfinite(fit).all() else rough
    one_bin, first = np.zeros(len(logits), dtype=np.int32), _newton_terms(targets, logits, start)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        terms = binned_sums(patient, one_bin, first, 1, counts)[:, 0]
        first_step = _newton_step(terms, slope=slope)
        return logistic_fits(
            patient=patient,
            x=logits,
            y=targets,
            slope=slope,
            start=start[:, None] + first_step,
            counts=counts,
        )

    return Scan(run)


def _newton_terms(targets: Floats, logits: Floats, at: Floats) -> Floats:
    """Contribution of each case to gradient and information at one fit. -> [n, 5]

    The first step of all replicates starts from the same point, so it is a sum over cases.
    """
    p = np.asarray(expit(at[0] + at[1] * logits), dtype=np.float64)
    v: Floats = p * (1 - p)
    terms: list[Floats] = [targets - p, (targets - p) * logits, v, v * logits, v * logits**2]
    return np.stack(terms, axis=1)


def _newton_step(terms: Floats, *, slope: bool) -> Floats:
    """First step of every replicate; 0 if it is large or undefined. [5, W] -> [2, W]"""
    g, gx, v, vx, vxx = terms
    if not slope:
        step = np.stack([ratio(g, v), np.zeros_like(g)])
    else:
        determinant = v * vxx - vx**2
        step = np.stack(
            [ratio(vxx * g - vx * gx, determinant), ratio(v * gx - vx * g, determinant)]
        )
    small = (np.abs(step) < MAX_FIRST_STEP).all(axis=0)  # False if a step is undefined
    return np.where(small, step, 0.0)


def _row(cases: TargetCases, row: int, *, slope: bool) -> Weighted:
    name = f"recalibration {slope}"
    targets = cases.targets.astype(np.float64)
    scan = cases.shared(name, lambda: slope_and_intercept(targets, cases.logits, slope=slope))

    return of_rows(scan, lambda rows: rows[row])


def calibration_bias(cases: TargetCases) -> Weighted:
    """Mean probability minus share of positives."""
    return Weighted((WeightedTerm(cases.probabilities - cases.targets), cases.ones), ratio)


def observed_over_expected(cases: TargetCases) -> Weighted:
    """Positives over the sum of their probabilities. Undefined if all of these are 0."""
    return share_of(cases.positive, WeightedTerm(cases.probabilities))


SPAN: float = 2 / 3
"""Share of the weight in a window of the local calibration curve (Harrell 2015)."""
KNOTS = 100
"""Largest number of probabilities at which the local calibration curve is fitted. On 54 sets of 185
to 598 cases the mean distance was within 0.0003 of a fit at every case, its median and 90 %
quantile within 0.006."""


Answers = tuple[Flags, Floats, Int32Array]
"""Outcome, probability and patient of each case. [n] each"""


@dataclass(frozen=True)
class _AtKnots:
    """Cases at the probabilities at which a local calibration curve is fitted.

    These are all distinct probabilities, or `KNOTS` of them, evenly spaced in rank; other cases are
    shared between their two neighbours.

    Attributes:
        knots: Rising probabilities. [G]
        number: Knot below and knot above each case. [2n]
        values: Weight of the case there, and of its outcome. [2n, 2]
    """

    knots: Floats
    number: Int32Array
    values: Floats

    @classmethod
    def of(cls, outcomes: Floats, probabilities: Floats, knots: Floats) -> "_AtKnots":
        place = np.interp(probabilities, knots, np.arange(len(knots))) if len(knots) else outcomes
        lower = np.floor(place).astype(np.int32)
        share = place - lower
        upper = np.minimum(lower + 1, max(len(knots) - 1, 0))
        number = np.concatenate([lower, upper]).astype(np.int32)
        weight = np.concatenate([1 - share, share])
        values = np.stack([weight, weight * np.concatenate([outcomes, outcomes])], axis=1)
        return cls(knots, number, values)

    def sums(self, patient: Int32Array, counts: Counts) -> Floats:
        """Weight and weight of the positives at each knot. -> [2, G, W]"""
        both = np.concatenate([patient, patient])
        return binned_sums(both, self.number, self.values, len(self.knots), counts)


def local_calibration(outcomes: Floats, probabilities: Floats) -> Scan:
    """Distances of a local calibration curve from the diagonal; rows as `lowess_errors` gives them.

    Args:
        outcomes: 0 or 1. [n]
        probabilities: [n]
    """
    at_knots = _AtKnots.of(outcomes, probabilities, _knots(np.unique(probabilities)))

    def run(patient: Int32Array, counts: Counts) -> Floats:
        mass, positive = at_knots.sums(patient, counts)
        return lowess_errors(at_knots.knots, mass, positive, SPAN)

    return Scan(run)


def local_curve(parts: Sequence[Answers], counts: Counts, grid: Floats) -> Floats:
    """Local calibration curve, whose distances from the diagonal `local_calibration` has. -> [W, G]

    NaN outside the range of a replicate's probabilities.

    Args:
        parts: Of each target; they are pooled, and expanded one after the other to save memory.
        counts: Of patients. [P, W]
        grid: Rising probabilities that the curve is read at. [G]
    """
    knots = _knots(np.unique(np.concatenate([probabilities for _, probabilities, _ in parts])))
    sums = np.zeros((2, len(knots), counts.shape[1]))
    for outcomes, probabilities, patient in parts:
        at_knots = _AtKnots.of(outcomes.astype(np.float64), probabilities, knots)
        sums += at_knots.sums(patient, counts)
    curves = np.full((counts.shape[1], len(grid)), np.nan)
    fitted_lines = lowess_fits(knots, sums[0], sums[1], SPAN).T
    for curve, fits in zip(curves, fitted_lines, strict=True):
        fitted = np.isfinite(fits)
        if fitted.any():
            curve[:] = np.interp(grid, knots[fitted], fits[fitted], left=np.nan, right=np.nan)
    return curves


def _knots(distinct: Floats) -> Floats:
    """Rising distinct values, or `KNOTS` of them: half even in rank, half in value. [G]"""
    if len(distinct) <= KNOTS:
        return distinct
    even = np.linspace(0, len(distinct) - 1, KNOTS // 2).round().astype(np.int64)
    spaced: Floats = np.linspace(float(distinct[0]), float(distinct[-1]), KNOTS - len(even))
    return distinct[np.union1d(even, np.searchsorted(distinct, spaced))]


def _local_row(cases: TargetCases, row: int) -> Weighted:
    outcomes = cases.targets.astype(np.float64)
    scan = cases.shared(
        "local calibration", lambda: local_calibration(outcomes, cases.probabilities)
    )
    return of_rows(scan, lambda rows: rows[row])


def _of_local_curve(name: str, title: str, statistic: str, row: int) -> Metric:
    return Metric(
        name=name,
        title=title,
        better="lower",
        low=0,
        high=1,
        needs="case",
        formula=f"{statistic} of |p − c(p)|, c the lowess curve of y on p with span 2/3, cut at 0 "
        "and 1",
        reference="Austin and Steyerberg 2019; Harrell 2015",
        biased=True,
        by_group=False,
        of_target=lambda c, _p: _local_row(c, row),
    )


_COX, _CALSTER = "Cox 1958", "Van Calster et al. 2019"

ENTRIES = (
    Metric(
        name="calibration_slope",
        title="Calibration slope",
        better="neither",
        low=-np.inf,
        high=np.inf,
        needs="both",
        formula="b of logit P(y = 1) = a + b·logit; 1 is ideal, below 1 overconfident; undefined "
        "if a threshold separates the classes",
        reference=_COX,
        by_group=False,
        partial=True,
        of_target=lambda c, _p: _row(c, 1, slope=True),
    ),
    Metric(
        name="calibration_intercept",
        title="Calibration intercept",
        better="neither",
        low=-np.inf,
        high=np.inf,
        needs="both",
        formula="a of logit P(y = 1) = a + logit; above 0: risks are underestimated; undefined if "
        "all risks round to 0 or 1",
        reference=_CALSTER,
        by_group=False,
        partial=True,
        of_target=lambda c, _p: _row(c, 0, slope=False),
    ),
    Metric(
        name="calibration_bias",
        title="Mean probability − prevalence",
        better="neither",
        low=-1,
        high=1,
        needs="case",
        formula="mean of p − y",
        reference=_CALSTER,
        of_target=lambda c, _p: calibration_bias(c),
    ),
    Metric(
        name="observed_expected",
        title="Observed over expected",
        better="neither",
        low=0,
        high=np.inf,
        needs="case",
        formula="Σ y / Σ p; above 1: risks are underestimated; undefined if all p are 0",
        reference="Debray et al. 2017",
        partial=True,
        of_target=lambda c, _p: observed_over_expected(c),
    ),
    _of_local_curve("ici", "Integrated calibration index (ICI)", "mean", 0),
    _of_local_curve("calibration_e50", "Calibration error, median (E50)", "median", 1),
    _of_local_curve("calibration_e90", "Calibration error, 90 % (E90)", "90 % quantile", 2),
)


GRID = 1000
"""Cells of the grid on [0, 1]; each case is shared between its two nearest edges."""
WAVES = 256
POINTS = 512
"""Number of cells at whose middles the smoothed residual is evaluated."""
MIN_BANDWIDTH = 1 / 256
"""Minimum bandwidth; smaller errors than that are negligible."""
DAMPING = 8.6
"""Bandwidth times frequency from which ``exp(-½ x²)`` is below 1e-16."""
STEPS = 8
"""Steps of the search for the bandwidth; enough for 1e-7."""


def smooth_calibration_error(outcomes: Floats | Flags, confidences: Floats) -> Weighted:
    """The smooth calibration error. Undefined without a case.

    Args:
        outcomes: 0 or 1. [n]
        confidences: 0 to 1. [n]
    """
    place = np.clip(confidences, 0, 1) * GRID
    lower = np.minimum(place.astype(np.int32), GRID - 1)
    upper_share = place - lower
    residual = outcomes - confidences
    number = np.concatenate([lower, lower + 1]).astype(np.int32)
    values = np.concatenate([residual * (1 - upper_share), residual * upper_share])[:, None]

    def run(patient: Int32Array, counts: Counts) -> Floats:
        both = np.concatenate([patient, patient])
        return binned_sums(both, number, values, GRID + 1, counts)[0]

    return Weighted((Scan(run), WeightedTerm(np.ones(len(outcomes)))), _smoothed)


def _smoothed(residuals: Floats, total: Floats) -> Floats:
    """From residuals on the grid [GRID + 1, W] to the error that equals its bandwidth [W]."""
    forward, back, frequency = _waves()
    with np.errstate(invalid="ignore", divide="ignore"):
        waves = forward @ residuals / total

    def error(bandwidth: Floats) -> Floats:
        # waves that every bandwidth damps below rounding are left out
        narrowest = float(np.fmin.reduce(bandwidth, initial=1.0))
        top = int(np.searchsorted(frequency, DAMPING / narrowest, side="right"))
        damped = waves[:top] * np.exp(-0.5 * (frequency[:top, None] * bandwidth) ** 2)
        return np.abs(back[:, :top] @ damped).mean(axis=0)

    narrow = np.full(len(total), MIN_BANDWIDTH)
    largest = error(narrow)
    return np.where(largest > narrow, _crossing(error, narrow, largest), largest)


def _crossing(error: Callable[[Floats], Floats], low: Floats, at_low: Floats) -> Floats:
    """Bandwidth above `low` at which an error that falls with it equals it. [W], [W] -> [W]

    By false position (Illinois). The error at `low` is a bandwidth that is too wide.
    """
    high = np.maximum(at_low, low)
    over, under = at_low - low, error(high) - high
    middle = high
    last = np.zeros(len(low))
    for _ in range(STEPS):
        span = over - under
        step = np.divide(over, span, out=np.zeros_like(over), where=span > 0)
        middle = low + step * (high - low)
        excess = error(middle) - middle
        up = excess > 0
        # an end that stays twice gets half its weight
        under = np.where(up, np.where(last > 0, under / 2, under), excess)
        over = np.where(up, excess, np.where(last < 0, over / 2, over))
        low, high = np.where(up, middle, low), np.where(up, high, middle)
        last = np.where(up, 1.0, -1.0)
    return middle


@cache
def _waves() -> tuple[Floats, Floats, Floats]:
    """Cosines on the grid, weighted; cosines at the points; their frequencies."""
    k = np.arange(WAVES)
    edges, points = np.arange(GRID + 1) / GRID, (np.arange(POINTS) + 0.5) / POINTS
    forward: Floats = 2 * np.cos(np.pi * np.outer(k, edges))
    forward[0] /= 2
    back: Floats = np.cos(np.pi * np.outer(points, k))
    frequency: Floats = np.pi * k.astype(np.float64)
    return forward, back, frequency
