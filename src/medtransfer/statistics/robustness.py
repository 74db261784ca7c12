"""Effective robustness: a metric on a shifted cohort against its internal value."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from medtransfer.metrics.kernels.sums import Floats

EPSILON = 0.001
"""A metric is held at least this far from 0 and 1 before its logit is taken."""
MIN_POINTS = 3
"""Different internal values that a line needs: two always lie on one."""


@dataclass(frozen=True)
class EffectiveRobustness:
    """Distance of each rung's shifted value above the line of all runs.

    Attributes:
        residuals: Of each rung, in the metric's unit; above 0 is more robust than its internal
            value foretells. NaN where undefined. [G, 1 + R]
        slope: Of the line on the logit scale. [1 + R]
        intercept: Likewise. [1 + R]
        reason: Why there is no line.
    """

    residuals: Floats
    slope: Floats
    intercept: Floats
    reason: str | None = None


def effective_robustness(
    internal: Floats, shifted: Floats, rung: NDArray[np.int64], *, epsilon: float = EPSILON
) -> EffectiveRobustness:
    """Residuals of the shifted metric from its line on the internal one (Taori et al. 2020).

    Over all runs, least squares on the logit scale, anew in every replicate::

        logit(shifted) ≈ intercept + slope · logit(internal)
        residual = shifted - expit(intercept + slope · logit(internal))

    A rung's residual is the mean over its runs. Taori et al. draw the line through models that no
    one made robust; here every rung is on it, so a residual says "more than the other rungs" and
    is drawn towards 0 where there are few.

    Args:
        internal: Of each run, a metric from 0 to 1, higher better. [K, 1 + R]
        shifted: The same on the shifted cohort. [K, 1 + R]
        rung: Number of each run's rung, 0 to G-1. [K]
        epsilon: Values nearer to 0 or 1 are moved this far away, over 0; residuals are taken
            from the values as they are.

    Returns:
        A run that is undefined in the sample is left out. A replicate is NaN where another run is
        undefined, or where fewer than 3 internal values differ.
    """
    kept = np.isfinite(internal[:, 0]) & np.isfinite(shifted[:, 0])
    x, y = (
        np.asarray(logit(np.clip(part[kept], epsilon, 1 - epsilon)), dtype=np.float64)
        for part in (internal, shifted)
    )
    slope, intercept = _lines(x, y)
    above_line = shifted[kept] - np.asarray(expit(intercept + slope * x), dtype=np.float64)
    residuals = np.full((int(rung.max(initial=-1)) + 1, internal.shape[1]), np.nan)
    for number in np.unique(rung[kept]):
        residuals[number] = above_line[rung[kept] == number].mean(axis=0)
    lacking = f"fewer than {MIN_POINTS} runs with different internal values"
    return EffectiveRobustness(
        residuals, slope, intercept, None if np.isfinite(slope[0]) else lacking
    )


def _lines(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept by least squares in every column; NaN without a line. [K, 1 + R]"""
    none = np.full(x.shape[1], np.nan, dtype=np.float64)
    if len(x) < MIN_POINTS:
        return none, none
    different = 1 + (np.diff(np.sort(x, axis=0), axis=0) > 0).sum(axis=0)
    centred = x - x.mean(axis=0)
    spread = (centred**2).sum(axis=0)
    usable = (different >= MIN_POINTS) & np.isfinite(spread)
    slope = np.divide((centred * y).sum(axis=0), spread, out=none, where=usable)
    return slope, np.asarray(y.mean(axis=0) - slope * x.mean(axis=0), dtype=np.float64)
