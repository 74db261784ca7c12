"""Curves over label fractions, and how many labels pre-training saves."""

import numpy as np

from medtransfer.metrics.kernels.sums import Floats


def fraction_to_reach(fractions: Floats, values: Floats, level: Floats) -> Floats:
    """Smallest label fraction at which a curve reaches a level, linear on the log fraction.

    Args:
        fractions: Rising, the last usually 1. [F]
        values: The curve, in the sample and in every replicate. [F, 1 + R]
        level: What is to be reached, e.g. the reference rung's full-data mean. [1 + R]

    Returns:
        The first crossing; the smallest fraction where the curve starts at or above the level;
        infinity where it never reaches it; NaN where anything is undefined. [1 + R]
    """
    reached_at = np.full(values.shape[1], np.inf)
    logs = np.log(fractions)
    for k in range(len(fractions) - 1, -1, -1):
        reached = values[k] >= level
        crossing = np.full_like(reached_at, fractions[k])
        if k > 0:
            rise = values[k] - values[k - 1]
            share = np.divide(level - values[k - 1], rise, out=np.ones_like(rise), where=rise > 0)
            crossing = np.exp(logs[k - 1] + np.clip(share, 0, 1) * (logs[k] - logs[k - 1]))
        reached_at = np.where(reached, crossing, reached_at)
    undefined = ~np.isfinite(values).all(axis=0) | ~np.isfinite(level)
    return np.where(undefined, np.nan, reached_at)


def labels_saved(fractions: Floats, values: Floats, level: Floats) -> Floats:
    """Share of the labels that are saved: 1 - `fraction_to_reach`; negative infinity for never."""
    return 1 - fraction_to_reach(fractions, values, level)


def curve_area(fractions: Floats, values: Floats) -> Floats:
    """Mean height of a curve over the logarithm of the label fraction.

    The area by trapezoids over ``ln(fraction)``, divided by the range ``ln(last) - ln(first)``: a
    constant curve has its own value. Only curves over the same fractions compare.

    Args:
        fractions: Rising, over 0. [F]
        values: The curve, in the sample and in every replicate. [F, 1 + R]

    Returns:
        NaN where any point is undefined, and everywhere for a single fraction. [1 + R]
    """
    if len(fractions) < 2:
        return np.full_like(values[0], np.nan)
    logs = np.log(fractions)
    shares = np.diff(logs) / (logs[-1] - logs[0])
    return shares @ (values[1:] + values[:-1]) / 2
