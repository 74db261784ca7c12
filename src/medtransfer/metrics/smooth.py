"""Smooth calibration error: the residuals smoothed by a kernel instead of cut into bins.

Błasiok and Nakkiran 2023 (arXiv 2309.12236): ``smECE_s = ∫ |Σ_i (y_i − p_i) K_s(t, p_i)| dt / n``
with the reflected Gaussian kernel on [0, 1], at the bandwidth s where ``smECE_s = s``. It is
diagonal in the cosine basis, so the residuals of every replicate are transformed once.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from medtransfer.metrics.kernels import Counts, Floats, Numbers, binned_sums
from medtransfer.metrics.weighted import Column, Scan, Weighted

GRID = 1000
"""Cells that probabilities are rounded to, each case shared between its two nearest edges."""
WAVES = 256
POINTS = 512
"""Where the smoothed residual is evaluated: the middles of as many cells."""
NARROWEST = 1 / 256
"""Least bandwidth; smaller errors than that are as good as none."""
DAMPED = 8.6
"""Bandwidth times frequency from which ``exp(-½ x²)`` is below 1e-16."""
STEPS = 8
"""Of the search for the bandwidth; enough for 1e-7."""


def smooth_calibration_error(outcomes: Floats, confidences: Floats) -> Weighted:
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

    def run(patient: Numbers, counts: Counts) -> Floats:
        both = np.concatenate([patient, patient])
        return binned_sums(both, number, values, GRID + 1, counts)[0]

    return Weighted((Scan(run), Column(np.ones(len(outcomes)))), _smoothed)


def _smoothed(residuals: Floats, total: Floats) -> Floats:
    """From residuals on the grid [GRID + 1, W] to the error at its own bandwidth [W]."""
    forward, back, frequency = _waves()
    with np.errstate(invalid="ignore", divide="ignore"):
        waves = forward @ residuals / total

    def error(bandwidth: Floats) -> Floats:
        # waves that every bandwidth damps below the rounding of numbers are left out
        least = float(np.fmin.reduce(bandwidth, initial=1.0))
        top = int(np.searchsorted(frequency, DAMPED / least, side="right"))
        damped = waves[:top] * np.exp(-0.5 * (frequency[:top, None] * bandwidth) ** 2)
        return np.abs(back[:, :top] @ damped).mean(axis=0)

    narrow = np.full(len(total), NARROWEST)
    most = error(narrow)
    return np.where(most > narrow, _crossing(error, narrow, most), most)


def _crossing(error: Callable[[Floats], Floats], low: Floats, at_low: Floats) -> Floats:
    """Where an error that falls with the bandwidth equals it, above `low`. [W], [W] -> [W]

    By false position (Illinois). The error at `low` is a bandwidth that is too wide.
    """
    high = np.maximum(at_low, low)
    over, under = at_low - low, error(high) - high
    found = high
    last = np.zeros(len(low))
    for _ in range(STEPS):
        span = over - under
        step = np.divide(over, span, out=np.zeros_like(over), where=span > 0)
        found = low + step * (high - low)
        rest = error(found) - found
        up = rest > 0
        # an end that stays twice is given half its weight
        under = np.where(up, np.where(last > 0, under / 2, under), rest)
        over = np.where(up, rest, np.where(last < 0, over / 2, over))
        low, high = np.where(up, found, low), np.where(up, high, found)
        last = np.where(up, 1.0, -1.0)
    return found


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
