"""Compiled passes for calibration: equal-mass bins, and the logistic fit of every replicate."""

import numpy as np

from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, compiled

MAX_EVALUATIONS = 200
"""Evaluations of the likelihood before a fit is given up."""
SAFE_CHANGE = 1.75
"""Largest change of a logit at which a whole Newton step surely raises the likelihood."""
TOLERANCE = 1e-8
"""A step that changes no logit by more than this is the last; the next would be its square."""


@compiled
def mass_sums(
    patient: Int32Array, excess: Floats, last: Flags, bins: int, counts: Counts
) -> Floats:
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
def logistic_fits(
    patient: Int32Array, x: Floats, y: Floats, slope: bool, start: Floats, counts: Counts
) -> Floats:
    """The logistic regression of y on x in every replicate. -> [2, W].

    Args:
        patient: [n]
        x: Logits. [n]
        y: 0 or 1. [n]
        slope: Fit both; otherwise the intercept alone, the slope held at 1.
        start: Intercept and slope to start from; it saves steps and changes nothing. [2, W]
        counts: [P, W]

    Returns:
        Intercept and slope. NaN where there is no finite fit: a class is missing, or a threshold
        on x separates the classes, or does so but for cases that lie on it.
    """
    number, width = len(patient), counts.shape[1]
    out = np.full((2, width), np.nan)
    w, xs, ys, total = np.empty(number), np.empty(number), np.empty(number), np.empty(2)
    least, most = np.empty(2), np.empty(2)
    for r in range(width):
        total[:], least[:], most[:] = 0.0, np.inf, -np.inf
        m = 0  # a third of the cases is not in a replicate: they are left out
        for i in range(number):
            weight = np.float64(counts[patient[i], r])
            if weight > 0.0:
                w[m], xs[m], ys[m] = weight, x[i], y[i]
                m += 1
                k = 1 if y[i] > 0.0 else 0
                total[k] += weight
                least[k], most[k] = min(least[k], x[i]), max(most[k], x[i])
        if not (total[0] > 0.0 and total[1] > 0.0):
            continue
        if slope and not (least[0] < most[1] and least[1] < most[0]):
            continue
        ends = np.array([min(least[0], least[1]), max(most[0], most[1])])
        found = logistic_fit(
            w=w[:m], x=xs[:m], y=ys[:m], slope=slope, start=start[:, r].copy(), ends=ends
        )
        if slope and np.isnan(found[0]):
            level = np.array([np.log(total[1] / total[0]), 0.0])
            found = logistic_fit(w=w[:m], x=xs[:m], y=ys[:m], slope=slope, start=level, ends=ends)
        out[0, r], out[1, r] = found[0], found[1]
    return out


@compiled
def logistic_fit(
    w: Floats, x: Floats, y: Floats, slope: bool, start: Floats, ends: Floats
) -> Floats:
    """One of the fits of `logistic_fits`, NaN where Newton's method does not arrive. -> [2].

    The likelihood is concave. A step is taken whole where that surely raises it: where no logit
    changes by more than `SURE`, or where it still rises at the end of the step. Else it is halved,
    down to ``log(1 + d) / d`` of it, d being the largest change (Bach 2010; Sun and Tran-Dinh
    2019, section 4).

    Args:
        w: Weights, above 0. [n]
        x: Logits. [n]
        y: 0 or 1. [n]
        slope: Fit both; otherwise the intercept alone.
        start: Intercept and slope. [2]
        ends: Least and largest x with a weight. [2]
    """
    middle, half = 0.5 * (ends[0] + ends[1]), 0.5 * (ends[1] - ends[0])
    b = start[1] if slope else 1.0
    a = start[0] + b * middle
    da, db, part, change = 0.0, 0.0, 1.0, 0.0
    for _ in range(MAX_EVALUATIONS):
        at, bt = a + part * da, b + part * db
        ga, gb, v, vx, vxx = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(w)):
            z = x[i] - middle
            logit = at + bt * z
            small = np.exp(-abs(logit))
            rest = 1.0 / (1.0 + small)
            small *= rest
            g = small if (y[i] > 0.0) == (logit >= 0.0) else rest
            g *= w[i] if y[i] > 0.0 else -w[i]
            h = w[i] * small * rest
            ga += g
            gb += g * z
            v += h
            vx += h * z
            vxx += h * z * z
        safe = change if change <= SAFE_CHANGE else np.log1p(change)
        if ga * da + gb * db < 0.0 and part * change > safe * (1.0 + 1e-9):
            part = max(0.5 * part, safe / change)
            continue
        a, b, part = at, bt, 1.0
        if slope:
            determinant = v * vxx - vx * vx
            da, db = (vxx * ga - vx * gb) / determinant, (v * gb - vx * ga) / determinant
        else:
            da, db = ga / v, 0.0
        change = abs(da) + abs(db) * half
        if not change < np.inf:
            break
        if change < TOLERANCE:
            return np.array([a + da - (b + db) * middle, b + db])
    return np.full(2, np.nan)
