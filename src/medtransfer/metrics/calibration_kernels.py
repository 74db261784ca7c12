"""Compiled passes for calibration: equal-mass bins, and the logistic fit of every replicate."""

import numpy as np

from medtransfer.metrics.kernels import Counts, Flags, Floats, Numbers, compiled


@compiled
def mass_sums(patient: Numbers, excess: Floats, last: Flags, bins: int, counts: Counts) -> Floats:
    """Weighted sums of an excess in bins of equal weight; cases by rising confidence. -> [B, W].

    A run of equal confidence goes as a whole into the bin that its middle lies in.

    Args:
        patient: [n]
        excess: Outcome minus confidence. [n]
        last: Whether a case ends its run of equal confidence. [n]
        bins: B.
        counts: [P, W]
    """
    width = counts.shape[1]
    total = np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            total[r] += drawn[r]
    out = np.zeros((bins, width))
    before, new, new_excess = np.zeros(width), np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            new[r] += drawn[r]
            new_excess[r] += excess[i] * drawn[r]
        if last[i]:
            for r in range(width):
                if new[r] > 0.0:
                    middle = (before[r] + 0.5 * new[r]) / total[r]
                    out[min(bins - 1, int(middle * bins)), r] += new_excess[r]
                    before[r] += new[r]
                    new[r] = 0.0
                new_excess[r] = 0.0
    return out


@compiled
def logistic_sums(
    patient: Numbers, x: Floats, y: Floats, a: Floats, b: Floats, counts: Counts
) -> Floats:
    """Gradient and information of the logistic likelihood at each replicate's own fit. -> [5, W].

    Args:
        patient: [n]
        x: Logits. [n]
        y: 0 or 1. [n]
        a: Intercepts. [W]
        b: Slopes. [W]
        counts: [P, W]

    Returns:
        Σ w (y − p), Σ w (y − p) x, Σ w v, Σ w v x, Σ w v x² with v = p (1 − p).
    """
    width = counts.shape[1]
    out = np.zeros((5, width))
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            w = np.float64(drawn[r])
            if w > 0.0:
                p = 1.0 / (1.0 + np.exp(-(a[r] + b[r] * x[i])))
                v = w * p * (1.0 - p)
                residual = w * (y[i] - p)
                out[0, r] += residual
                out[1, r] += residual * x[i]
                out[2, r] += v
                out[3, r] += v * x[i]
                out[4, r] += v * x[i] * x[i]
    return out
