"""Online conformal p-values: how a new value ranks among all that came before it."""

import numpy as np

from medtransfer.metrics.kernels.sums import Floats

BLOCK = 512
"""New values that are ranked together against all earlier ones, and against each other."""


def conformal_p_values(baseline: Floats, values: Floats, rng: np.random.Generator) -> Floats:
    """Smoothed conformal p-values of new values, in the order in which they came.

    The nth value is ranked among the baseline, the values before it, and itself, ties broken at
    random. While baseline and values are exchangeable, the p-values are independent and uniform,
    whatever the distribution and however small the baseline (Vovk, Gammerman and Shafer 2005,
    theorem 8.1). Small p-values belong to small values.

    Args:
        baseline: Values of the reference period; may be empty. [B]
        values: New values. [n]
        rng: Breaks ties.

    Returns:
        Over 0 up to 1. [n]
    """
    earlier = np.sort(baseline.astype(np.float64))
    ties = 1 - rng.random(len(values))  # over 0
    below = np.empty(len(values))
    equal = np.empty(len(values))
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK].astype(np.float64)
        left = np.searchsorted(earlier, block, "left")
        right = np.searchsorted(earlier, block, "right")
        came_before = np.tri(len(block), k=-1, dtype=bool)
        less = (block[None, :] < block[:, None]) & came_before
        same = (block[None, :] == block[:, None]) & came_before
        below[start : start + BLOCK] = left + less.sum(axis=1)
        equal[start : start + BLOCK] = right - left + same.sum(axis=1) + 1  # itself
        earlier = np.sort(np.concatenate([earlier, block]), kind="stable")
    counts = len(baseline) + np.arange(1, len(values) + 1)
    return (below + ties * equal) / counts
