"""Compiled passes for calibration: equal-mass bins, and the logistic fit of every replicate."""

import numpy as np

from medtransfer.metrics.kernels.sums import (
    Counts,
    Flags,
    Floats,
    Int32Array,
    compiled,
    total_weight,
)

MAX_EVALUATIONS = 200
"""Evaluations of the likelihood before a fit is abandoned."""
SAFE_CHANGE = 1.75
"""Largest change of a logit at which a whole Newton step is certain to raise the likelihood."""
TOLERANCE = 1e-8
"""A step that changes no logit by more than this is the last; the next would be its square."""


@compiled
def confidence_sums(
    patient: Int32Array, outcomes: Flags, confidences: Floats, bins: int, counts: Counts
) -> Floats:
    """Sums of weight, outcomes and confidences in bins of equal width, closed above.

    They are those of `binned_sums`, without a table of three columns and the bins.

    Args:
        patient: [n]
        outcomes: [n]
        confidences: 0 to 1. [n]
        bins: B.
        counts: [P, W]

    Returns:
        [3, B, W]
    """
    width = counts.shape[1]
    out = np.zeros((3, bins, width))
    # invariant: out holds the sums over the cases before i
    for i in range(len(patient)):
        drawn, confidence = counts[patient[i]], confidences[i]
        b = min(max(int(np.ceil(confidence * bins)) - 1, 0), bins - 1)
        for r in range(width):
            weight = np.float64(drawn[r])
            out[0, b, r] += weight
            out[2, b, r] += confidence * weight
        if outcomes[i]:
            for r in range(width):
                out[1, b, r] += drawn[r]
    return out


@compiled
def mass_sums(
    patient: Int32Array, excess: Floats, last: Flags, bins: int, counts: Counts
) -> Floats:
    """Weighted sums of an excess in bins of equal weight; cases by rising confidence. -> [B, W].

    A run of equal confidence goes as a whole into the bin that its middle lies in.

    Args:
        patient: [n]
        excess: Outcome minus confidence. [n]
        last: True if a case ends its run of equal confidence. [n]
        bins: B.
        counts: [P, W]
    """
    width = counts.shape[1]
    total = total_weight(patient, counts)
    out = np.zeros((bins, width))
    before, run_weight, run_excess = np.zeros(width), np.zeros(width), np.zeros(width)
    # invariant: before is the weight of the completed runs and out the sums over them; run_weight
    # and run_excess are the sums over the open run
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            run_weight[r] += drawn[r]
            run_excess[r] += excess[i] * drawn[r]
        if last[i]:
            for r in range(width):
                if run_weight[r] > 0.0:
                    middle = (before[r] + 0.5 * run_weight[r]) / total[r]
                    out[min(bins - 1, int(middle * bins)), r] += run_excess[r]
                    before[r] += run_weight[r]
                    run_weight[r] = 0.0
                run_excess[r] = 0.0
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
    lowest, highest = np.empty(2), np.empty(2)
    # invariant: the columns of out before r hold the fits of those replicates, or NaN; w, xs, ys,
    # total, lowest and highest are scratch space that every replicate fills anew
    for r in range(width):
        total[:], lowest[:], highest[:] = 0.0, np.inf, -np.inf
        m = 0  # a third of the cases is not in a replicate: they are left out
        # invariant: the first m entries of w, xs and ys are the drawn cases before i; total, lowest
        # and highest are their weight and range of x, by class
        for i in range(number):
            weight = np.float64(counts[patient[i], r])
            if weight > 0.0:
                w[m], xs[m], ys[m] = weight, x[i], y[i]
                m += 1
                k = 1 if y[i] > 0.0 else 0
                total[k] += weight
                lowest[k], highest[k] = min(lowest[k], x[i]), max(highest[k], x[i])
        if not (total[0] > 0.0 and total[1] > 0.0):
            continue
        # without overlap of the two ranges a threshold separates the classes: no maximum is finite
        if slope and not (lowest[0] < highest[1] and lowest[1] < highest[0]):
            continue
        ends = np.array([min(lowest[0], lowest[1]), max(highest[0], highest[1])])
        fit = logistic_fit(
            w=w[:m], x=xs[:m], y=ys[:m], slope=slope, start=start[:, r].copy(), ends=ends
        )
        if slope and np.isnan(fit[0]):
            # the start was too far off: once more from slope 0 and the intercept that fits it
            level = np.array([np.log(total[1] / total[0]), 0.0])
            fit = logistic_fit(w=w[:m], x=xs[:m], y=ys[:m], slope=slope, start=level, ends=ends)
        out[0, r], out[1, r] = fit[0], fit[1]
    return out


@compiled
def logistic_fit(
    w: Floats, x: Floats, y: Floats, slope: bool, start: Floats, ends: Floats
) -> Floats:
    """One of the fits of `logistic_fits`, NaN if Newton's method does not converge. -> [2].

    The likelihood is concave. A step is taken whole if that is certain to raise it: if no logit
    changes by more than `SAFE_CHANGE`, or if it still rises at the end of the step. Else it is
    halved, down to ``log(1 + d) / d`` of it, d being the largest change (Bach 2010; Sun and
    Tran-Dinh 2019, section 4).

    Args:
        w: Weights, above 0. [n]
        x: Logits. [n]
        y: 0 or 1. [n]
        slope: Fit both; otherwise the intercept alone.
        start: Intercept and slope. [2]
        ends: Smallest and largest x with a weight. [2]
    """
    # x is taken from the middle of its range: no logit changes by more than |da| + |db| · half
    middle, half = 0.5 * (ends[0] + ends[1]), 0.5 * (ends[1] - ends[0])
    b = start[1] if slope else 1.0
    a = start[0] + b * middle
    da, db, part, change = 0.0, 0.0, 1.0, 0.0
    # invariant: (a, b) is the last accepted point, (da, db) the Newton step from it and change the
    # largest change of a logit by the whole step; part is the share of the step that is tried now,
    # at most 1. An accepted point has a likelihood no lower than the one before.
    for _ in range(MAX_EVALUATIONS):
        at, bt = a + part * da, b + part * db
        ga, gb, v, vx, vxx = 0.0, 0.0, 0.0, 0.0, 0.0
        # invariant: ga, gb are the gradient at (at, bt) and v, vx, vxx the information, summed over
        # the cases before i
        for i in range(len(w)):
            z = x[i] - middle
            logit = at + bt * z
            # the smaller and the larger of the probability and its complement, both exact
            smaller = np.exp(-abs(logit))
            larger = 1.0 / (1.0 + smaller)
            smaller *= larger
            g = smaller if (y[i] > 0.0) == (logit >= 0.0) else larger
            g *= w[i] if y[i] > 0.0 else -w[i]
            h = w[i] * smaller * larger
            ga += g
            gb += g * z
            v += h
            vx += h * z
            vxx += h * z * z
        safe = change if change <= SAFE_CHANGE else np.log1p(change)
        # the likelihood falls at the end of the step, which is longer than the safe one
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
