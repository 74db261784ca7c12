"""Compiled curves over a grid, one replicate after the other.

A curve is drawn for the eye, in a hundred replicates and at a hundred positions, of every run of a
study: an array operation for each replicate would take ten times as long. All sums are taken in the
order of the cases, and interpolation is that of `numpy.interp` to the last bit.
"""

import numpy as np

from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, compiled


@compiled
def roc_points(
    patient: Int32Array, positive: Flags, last: Flags, counts: Counts, grid: Floats
) -> Floats:
    """True over false positive rate; cases by falling score. -> [W, G].

    Args:
        patient: [n]
        positive: [n]
        last: True if a case ends its run of equal scores. [n]
        counts: [P, W]
        grid: False positive rates, rising from 0 to 1. [G]

    Returns:
        NaN without a positive or without a negative.
    """
    out = np.full((counts.shape[1], len(grid)), np.nan)
    x, y = np.zeros(1 + last.sum()), np.zeros(1 + last.sum())
    for r in range(counts.shape[1]):
        drawn = counts[:, r].copy()  # a column is read in the cases' order: one cache line each
        tp, called, k = 0.0, 0.0, 0
        # invariant: (x, y)[1 : k + 1] are the weights of negatives and positives after each run
        for i in range(len(patient)):
            weight = np.float64(drawn[patient[i]])
            called += weight
            if positive[i]:
                tp += weight
            if last[i]:
                k += 1
                x[k], y[k] = called - tp, tp
        fp = x[k]
        if tp > 0 and fp > 0:
            for j in range(1, k + 1):
                x[j] /= fp
                y[j] /= tp
            _interpolate(x, y, grid, out[r])
    return out


@compiled
def precision_points(
    patient: Int32Array, positive: Flags, last: Flags, counts: Counts, grid: Floats
) -> Floats:
    """Precision at the largest threshold that reaches a recall; arguments as there. -> [W, G].

    Args:
        patient: [n]
        positive: [n]
        last: True if a case ends its run of equal scores. [n]
        counts: [P, W]
        grid: Recalls, rising. [G]

    Returns:
        NaN without a positive.
    """
    out = np.full((counts.shape[1], len(grid)), np.nan)
    num_runs = last.sum()
    tps, calls = np.zeros(num_runs), np.zeros(num_runs)
    for r in range(counts.shape[1]):
        drawn = counts[:, r].copy()
        tp, called, k = 0.0, 0.0, 0
        # invariant: tps and calls hold the weights of positives and of cases after each run
        for i in range(len(patient)):
            weight = np.float64(drawn[patient[i]])
            called += weight
            if positive[i]:
                tp += weight
            if last[i]:
                tps[k], calls[k] = tp, called
                k += 1
        if not tp > 0:
            continue
        k = 0
        # invariant: all runs before k have a recall below that of position g
        for g in range(len(grid)):
            while k < num_runs - 1 and tps[k] / tp < grid[g]:
                k += 1
            if calls[k] > 0:
                out[r, g] = tps[k] / calls[k]
    return out


@compiled
def risk_points(
    patient: Int32Array, wrong: Flags, last: Flags, counts: Counts, grid: Floats
) -> Floats:
    """Share of wrong answers among the most certain share of the cases. -> [W, G].

    Args:
        patient: Of the cases by falling confidence. [n]
        wrong: [n]
        last: True if a case ends its run of equal confidence. [n]
        counts: [P, W]
        grid: Shares of the cases, rising from 0 to 1. [G]

    Returns:
        NaN at the share 0, and without a case.
    """
    out = np.full((counts.shape[1], len(grid)), np.nan)
    x, y = np.zeros(1 + last.sum()), np.zeros(1 + last.sum())
    answered, errors = np.empty(len(grid) - 1), np.empty(len(grid) - 1)
    for r in range(counts.shape[1]):
        drawn = counts[:, r].copy()
        total, error, k = 0.0, 0.0, 0
        # invariant: (x, y)[1 : k + 1] are the weights of all and of wrong answers after each run
        for i in range(len(patient)):
            weight = np.float64(drawn[patient[i]])
            total += weight
            if wrong[i]:
                error += weight
            if last[i]:
                k += 1
                x[k], y[k] = total, error
        if not total > 0:
            continue
        for g in range(len(answered)):
            answered[g] = grid[1 + g] * total
        _interpolate(x, y, answered, errors)
        for g in range(len(answered)):
            out[r, 1 + g] = errors[g] / answered[g]
    return out


@compiled
def _interpolate(x: Floats, y: Floats, at: Floats, out: Floats) -> None:
    """Linear interpolation of (x, y) at rising positions from ``x[0]`` on, written into `out`."""
    j, end = 0, len(x) - 1
    # invariant: j is the last place with x[j] <= at[g], as the search of numpy.interp finds it
    for g in range(len(at)):
        while j < end and x[j + 1] <= at[g]:
            j += 1
        if j == end or x[j] == at[g]:
            out[g] = y[j]
        else:
            slope = (y[j + 1] - y[j]) / (x[j + 1] - x[j])
            out[g] = slope * (at[g] - x[j]) + y[j]
