"""Compiled passes for the flexible calibration curve: a local regression in every replicate."""

import numpy as np

from medtransfer.metrics.kernels.sums import Floats, compiled

TIE = 1e-12
"""Rounding of a sum of weights, relative to it."""
FLAT = 1e-12
"""Variance of the window, relative to its squared half-width, below which no slope is fitted."""


@compiled
def lowess_fits(knots: Floats, mass: Floats, outcomes: Floats, span: float) -> Floats:
    """Local regression of the outcome, cut at 0 and 1. -> [G, W], NaN at a knot without weight.

    At each knot a straight line is fitted to the nearest share of the weight, tricube weights
    falling with the distance (Cleveland 1979, without robustness iterations).

    Args:
        knots: Probabilities, rising. [G]
        mass: Weight at each knot. [G, W]
        outcomes: Weight of the positives there. [G, W]
        span: Share of the weight that a window holds, over 0 up to 1.
    """
    number, width = mass.shape
    out = np.full((number, width), np.nan)
    # invariant: the columns of out before r hold the curves of those replicates
    for r in range(width):
        total = 0.0
        for g in range(number):
            total += mass[g, r]
        if not total > 0.0:
            continue
        wanted = span * total * (1.0 - TIE)
        for g in range(number):
            if mass[g, r] > 0.0:
                fitted = local_line(knots, mass[:, r], outcomes[:, r], g, wanted)
                out[g, r] = min(1.0, max(0.0, fitted))
    return out


@compiled
def lowess_errors(knots: Floats, mass: Floats, outcomes: Floats, span: float) -> Floats:
    """Distances between a local regression of the outcome and the diagonal. -> [3, W].

    Args:
        knots: Probabilities, rising. [G]
        mass: Weight at each knot. [G, W]
        outcomes: Weight of the positives there. [G, W]
        span: Share of the weight that a window holds, over 0 up to 1.

    Returns:
        Mean, median and 90 % quantile of the distance over the weight. NaN without weight.
    """
    number, width = mass.shape
    out = np.full((3, width), np.nan)
    fits = lowess_fits(knots, mass, outcomes, span)
    errors, held, order = np.empty(number), np.empty(number), np.empty(number, dtype=np.int64)
    # invariant: the columns of out before r hold the distances of those replicates; errors and held
    # are scratch space, filled anew for the knots that a replicate has
    for r in range(width):
        total = 0.0
        for g in range(number):
            total += mass[g, r]
        if not total > 0.0:
            continue
        used, summed = 0, 0.0
        # invariant: errors and held hold the distance and the weight of the first `used` knots with
        # weight, and summed is Σ weight · distance over them
        for g in range(number):
            if not mass[g, r] > 0.0:
                continue
            errors[used] = abs(fits[g, r] - knots[g])
            held[used] = mass[g, r]
            summed += held[used] * errors[used]
            used += 1
        order[:used] = np.argsort(errors[:used])
        out[0, r] = summed / total
        passed = 0.0
        # invariant: passed is the weight of the knots with the k smallest distances
        for k in range(used):
            passed += held[order[k]]
            if np.isnan(out[1, r]) and passed >= 0.5 * total * (1.0 - TIE):
                out[1, r] = errors[order[k]]
            if np.isnan(out[2, r]) and passed >= 0.9 * total * (1.0 - TIE):
                out[2, r] = errors[order[k]]
    return out


@compiled
def local_line(knots: Floats, mass: Floats, outcomes: Floats, at: int, wanted: float) -> float:
    """Value at one knot of the line through the nearest knots with some weight.

    Args:
        knots: Rising. [G]
        mass: [G]
        outcomes: [G]
        at: Number of the knot; it has weight.
        wanted: Weight that the window holds.
    """
    number, x = len(knots), knots[at]
    left, right, inside, half = at, at, mass[at], 0.0
    # invariant: the window left to right holds every knot nearer than any other one; inside is its
    # weight and half the distance of its farthest knot with weight
    while inside < wanted:
        to_left = x - knots[left - 1] if left > 0 else np.inf
        to_right = knots[right + 1] - x if right < number - 1 else np.inf
        if to_left == np.inf and to_right == np.inf:
            break
        if to_left <= to_right:
            left -= 1
            inside += mass[left]
            half = to_left if mass[left] > 0.0 else half
        else:
            right += 1
            inside += mass[right]
            half = to_right if mass[right] > 0.0 else half
    if not half > 0.0:
        return outcomes[at] / mass[at]
    weight, mean_x, mean_y, square, product = 0.0, 0.0, 0.0, 0.0, 0.0
    # invariant: weighted sums over the knots of the window before g, z in half-widths
    for g in range(left, right + 1):
        if mass[g] > 0.0:
            z = (knots[g] - x) / half
            near = 1.0 - abs(z) ** 3
            w = max(0.0, near * near * near)
            weight += w * mass[g]
            mean_x += w * mass[g] * z
            mean_y += w * outcomes[g]
            square += w * mass[g] * z * z
            product += w * outcomes[g] * z
    mean_x /= weight
    mean_y /= weight
    variance = square / weight - mean_x * mean_x
    if not variance > FLAT:
        return mean_y
    return mean_y - mean_x * (product / weight - mean_x * mean_y) / variance
