"""Compiled passes over cases by falling score.

Cases of equal score form a *run*: they are taken together, and ties count one half.
"""

import numpy as np

from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, compiled


@compiled
def ranking_sums(patient: Int32Array, positive: Flags, last: Flags, counts: Counts) -> Floats:
    """Sums behind AUROC and average precision; cases by falling score. -> [4, W].

    Args:
        patient: [n]
        positive: [n]
        last: Whether a case ends its run of equal scores. [n]
        counts: [P, W]

    Returns:
        Pairs lost (positive below negative, ties one half), Σ gained · precision, weight of the
        positives, weight of the negatives.
    """
    width = counts.shape[1]
    lost, gain, p, n = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    new_p, new_n = np.zeros(width), np.zeros(width)
    fresh = True
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        if last[i] and fresh:  # a run of one case: most are
            if positive[i]:
                for r in range(width):
                    w = np.float64(drawn[r])
                    lost[r] += w * n[r]
                    p[r] += w
                    gain[r] += w * p[r] / max(p[r] + n[r], 1e-300)
            else:
                for r in range(width):
                    n[r] += drawn[r]
            continue
        if fresh:
            new_p[:] = 0.0
            new_n[:] = 0.0
        new = new_p if positive[i] else new_n
        for r in range(width):
            new[r] += drawn[r]
        fresh = last[i]
        if fresh:
            for r in range(width):
                lost[r] += new_p[r] * (n[r] + 0.5 * new_n[r])
                p[r] += new_p[r]
                n[r] += new_n[r]
                gain[r] += new_p[r] * p[r] / max(p[r] + n[r], 1e-300)
    out = np.empty((4, width))
    out[0], out[1], out[2], out[3] = lost, gain, p, n
    return out


@compiled
def curve_sums(
    patient: Int32Array,
    positive: Flags,
    last: Flags,
    max_fpr: float,
    prevalence: float,
    counts: Counts,
) -> Floats:
    """Partial area and precision at another prevalence; cases by falling score. -> [2, W].

    Args:
        patient: [n]
        positive: [n]
        last: Whether a case ends its run of equal scores. [n]
        max_fpr: Largest false positive rate of the partial area, over 0 up to 1.
        prevalence: That precision is taken at, 0 to 1.
        counts: [P, W]

    Returns:
        Area under the ROC curve up to `most` (trapezoids, cut by a straight line), and average
        precision had the cases that prevalence. NaN without a positive or without a negative.
    """
    width = counts.shape[1]
    all_p, all_n = np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        total = all_p if positive[i] else all_n
        for r in range(width):
            total[r] += drawn[r]
    out = np.zeros((2, width))
    p, n, new_p, new_n = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        new = new_p if positive[i] else new_n
        for r in range(width):
            new[r] += drawn[r]
        if not last[i]:
            continue
        for r in range(width):
            x0, y0 = n[r] / all_n[r], p[r] / all_p[r]
            p[r] += new_p[r]
            n[r] += new_n[r]
            x1, y1 = n[r] / all_n[r], p[r] / all_p[r]
            if x0 < max_fpr and x1 > x0:
                share = min(1.0, (max_fpr - x0) / (x1 - x0))
                out[0, r] += share * (x1 - x0) * (y0 + 0.5 * share * (y1 - y0))
            called = prevalence * y1 + (1.0 - prevalence) * x1
            if y1 > y0:
                out[1, r] += (y1 - y0) * prevalence * y1 / called
            new_p[r] = 0.0
            new_n[r] = 0.0
    for r in range(width):
        if not (all_p[r] > 0.0 and all_n[r] > 0.0):
            out[0, r] = np.nan
            out[1, r] = np.nan
    return out


@compiled
def local_thresholds(
    patient: Int32Array, positive: Flags, last: Flags, scores: Floats, aim: Floats, counts: Counts
) -> Floats:
    """The threshold of an operating point in every replicate; cases by falling score. -> [1, W].

    Args:
        patient: [n]
        positive: [n]
        last: Whether a case ends its run of equal scores. [n]
        scores: Falling. [n]
        aim: Least sensitivity, least specificity, and whether both are to be weighed (Youden);
            the others are 0. [3]
        counts: [P, W]

    Returns:
        The largest threshold with the sensitivity, the smallest with the specificity, or the
        largest with the greatest sum of both; NaN where there is none.
    """
    width = counts.shape[1]
    all_p, all_n = np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        total = all_p if positive[i] else all_n
        for r in range(width):
            total[r] += drawn[r]
    out = np.full((1, width), np.nan)
    p, n, best = np.zeros(width), np.zeros(width), np.full(width, 1.0)
    new = np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        passed = p if positive[i] else n
        for r in range(width):
            passed[r] += drawn[r]
            new[r] += drawn[r]
        if not last[i]:
            continue
        for r in range(width):
            if not new[r] > 0.0:  # a score that the replicate does not have is no threshold
                continue
            new[r] = 0.0
            hit, spared = p[r] / all_p[r], 1.0 - n[r] / all_n[r]
            if aim[2] > 0.0:
                if hit + spared > best[r] + 1e-12:
                    best[r] = hit + spared
                    out[0, r] = scores[i]
            elif aim[0] > 0.0:
                if np.isnan(out[0, r]) and hit >= aim[0] - 1e-12:
                    out[0, r] = scores[i]
            elif spared >= aim[1] - 1e-12:
                out[0, r] = scores[i]
    for r in range(width):
        if not (all_p[r] > 0.0 and all_n[r] > 0.0):
            out[0, r] = np.nan
    return out


@compiled
def false_shares(
    patient: Int32Array, positive: Flags, last: Flags, share: float, counts: Counts
) -> Floats:
    """Share of negatives called when a share of positives is; cases by falling score. -> [1, W].

    Args:
        patient: [n]
        positive: [n]
        last: Whether a case ends its run of equal scores. [n]
        share: Of the positives, over 0 up to 1.
        counts: [P, W]
    """
    width = counts.shape[1]
    all_p, all_n = np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        total = all_p if positive[i] else all_n
        for r in range(width):
            total[r] += drawn[r]
    out = np.full((1, width), np.nan)
    p, n = np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        passed = p if positive[i] else n
        for r in range(width):
            passed[r] += drawn[r]
        if last[i]:
            for r in range(width):
                # a share of n cases carries rounding: 0.95 of 20 is reached by 19
                if np.isnan(out[0, r]) and p[r] >= share * all_p[r] - 1e-9 and all_p[r] > 0.0:
                    out[0, r] = n[r] / all_n[r] if all_n[r] > 0.0 else np.nan
    return out
