"""Variance of a number between trainings, samples of patients, and hospitals."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtr, stdtrit

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL, percentile_interval
from medtransfer.statistics.contrasts import contrast, seed_term

ONE_SEED = "one seed: what training adds is not known, the interval is of patients alone"
NO_REPLICATES = "fewer than two replicates in which all seeds are defined"
NO_INTERVAL = "no interval: undefined in over half of the replicates"

HALVINGS = 60
"""Steps of the search for a variance between hospitals."""
QUANTILES = 200
"""Quantiles that stand for the confidence distribution of that variance."""


@dataclass(frozen=True)
class VarianceParts:
    """A mean over seeds and what it varies with; NaN where undefined.

    Attributes:
        value: The mean.
        between_seeds: Standard deviation of a single seed's value, were there endlessly many
            patients; 0 where the seeds differ no more than so few patients alone make them.
        between_patients: Standard deviation of the seed mean with other patients.
        interaction: Standard deviation of what a single seed owes to just these patients.
        interval: 95 %, of seeds and patients; None where undefined.
        reason: Why something is undefined.
    """

    value: float
    between_seeds: float
    between_patients: float
    interaction: float
    interval: tuple[float, float] | None
    reason: str | None = None


def variance_parts(values: Floats) -> VarianceParts:
    """Separate the variance between seeds from that between patients.

    Seeds and patients are crossed: every seed is measured on the same patients. With s a seed, r
    a replicate, 0 the sample, and a dot for a mean over seeds::

        v_sr = mean + seed_s + patients_r + interaction_sr
        patients²    = variance over r of v_.r
        interaction² = sum over s, r of ((v_sr - v_.r) - (v_s0 - v_.0))² / ((S - 1) R)
        seeds²       = max(0, variance over s of v_s0 - interaction²)

    All replicates are drawn around one sample, so the interaction does not average out of a
    seed's value over them, as it would in an analysis of variance of independent columns; it is
    subtracted whole.

    The interval is of `contrasts.contrast`. Coverage: docs/explanation/intervals.md.

    Args:
        values: Of each seed, in the sample and in every replicate. [S, 1 + R]
    """
    means = values.mean(axis=0)
    value = float(means[0])
    defined = np.isfinite(means)
    replicates = values[:, 1:][:, defined[1:]]
    if not defined[0] or replicates.shape[1] < 2:
        reason = NO_REPLICATES if defined[0] else "undefined in the sample"
        return VarianceParts(value, np.nan, np.nan, np.nan, interval=None, reason=reason)
    seeds = len(values)
    patients = float(replicates.mean(axis=0).std(ddof=1))
    if seeds == 1:
        interval = percentile_interval(means)
        return VarianceParts(value, np.nan, patients, np.nan, interval=interval, reason=ONE_SEED)
    deviations = values[:, :1] - means[0]
    noise = replicates - replicates.mean(axis=0) - deviations
    interaction = float((noise**2).sum() / ((seeds - 1) * replicates.shape[1]))
    between = max(0.0, float((deviations**2).sum() / (seeds - 1)) - interaction)
    ends = percentile_interval(means)
    both = None if ends is None else contrast(value, ends, [seed_term(values[:, 0])])
    interval = None if both is None else (both.low, both.high)
    reason = None if interval else NO_INTERVAL
    parts = float(np.sqrt(between)), patients, float(np.sqrt(interaction))
    return VarianceParts(value, *parts, interval, reason)


@dataclass(frozen=True)
class RandomEffects:
    """Summary of one number measured at several hospitals that differ.

    Attributes:
        mean: Mean over such hospitals.
        interval: 95 %, of the mean.
        next_one: 95 % prediction interval, of the true value at the next such hospital; None of
            fewer than three.
        between: Standard deviation between hospitals.
    """

    mean: float
    interval: tuple[float, float]
    next_one: tuple[float, float] | None
    between: float


def random_effects(values: Floats, errors: Floats) -> RandomEffects:
    """Summarise hospitals by a random-effects model.

    The variance between hospitals is Paule and Mandel's (1982). The interval of the mean is
    Hartung and Knapp's (2001) with t of K - 1 degrees, never narrower than without their factor
    (Röver, Knapp and Friede 2015). The prediction interval is taken over the confidence
    distribution of the variance: with the usual one of t with K - 2 degrees the next hospital is
    held in 90 % only (Nagashima, Noma and Furukawa 2019). Coverage: docs/explanation/intervals.md.

    Args:
        values: Of each hospital, on a scale without ends. [K]
        errors: Their standard errors, over 0. [K]

    Raises:
        ValueError: Fewer than two hospitals.
    """
    number = len(values)
    if number < 2:
        raise ValueError(f"random effects are of two hospitals or more, not of {number}")
    between = _variance_at(values, errors, np.array([number - 1.0]))
    mean, variance, scatter = (float(part[0]) for part in _weighted(values, errors, between))
    variance *= max(1.0, scatter / (number - 1))
    width = float(stdtrit(number - 1, (1 + LEVEL) / 2)) * variance**0.5
    next_one = _next_one(values, errors) if number > 2 else None
    return RandomEffects(mean, (mean - width, mean + width), next_one, float(between[0]) ** 0.5)


def _weighted(values: Floats, errors: Floats, between: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, its variance, and the generalised Q, for each variance between hospitals. [D]"""
    weights: Floats = 1 / (errors[:, None] ** 2 + between)
    total: Floats = weights.sum(axis=0)
    mean: Floats = (weights * values[:, None]).sum(axis=0) / total
    scatter: Floats = (weights * (values[:, None] - mean) ** 2).sum(axis=0)
    return mean, 1 / total, scatter


def _variance_at(values: Floats, errors: Floats, scatters: Floats) -> Floats:
    """Variance between hospitals at which Q, which falls with it, has these values; 0 at least."""
    low = np.zeros(len(scatters))
    high = np.full(len(scatters), max(1e-9, float(values.var())))
    while (over := _weighted(values, errors, high)[2] > scatters).any():
        high = np.where(over, 4 * high, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = _weighted(values, errors, middle)[2] > scatters
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.where(_weighted(values, errors, np.zeros(1))[2] <= scatters, 0.0, (low + high) / 2)


def _next_one(values: Floats, errors: Floats) -> tuple[float, float]:
    """Prediction interval: normal distributions mixed over the variance between hospitals.

    At the true variance Q is chi-squared with K - 1 degrees, so its quantiles give those of the
    variance (Viechtbauer 2007).
    """
    from scipy.optimize import brentq  # slow to import, and predictions need none

    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    between = _variance_at(values, errors, chdtri(len(values) - 1, shares))
    mean, variance, _ = _weighted(values, errors, between)
    spread: Floats = np.sqrt(variance + between)

    def end(share: float) -> float:
        def excess(x: float) -> float:
            return float(ndtr((x - mean) / spread).mean()) - share

        reach = 10 * float(spread.max())
        return float(brentq(excess, float(mean.min()) - reach, float(mean.max()) + reach))

    return end((1 - LEVEL) / 2), end((1 + LEVEL) / 2)
