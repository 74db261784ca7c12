"""Variance of a number between trainings, and between samples of patients."""

from dataclasses import dataclass

import numpy as np

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.contrasts import contrast, seed_term

ONE_SEED = "one seed: what training adds is not known, the interval is of patients alone"
NO_REPLICATES = "fewer than two replicates in which all seeds are defined"
NO_INTERVAL = "no interval: undefined in over half of the replicates"


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
