"""Compiled passes for selective prediction: the most certain cases first."""

import numpy as np

from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, compiled


@compiled
def selective_sums(
    patient: Int32Array, wrong: Floats, last: Flags, share: float, risk: float, counts: Counts
) -> Floats:
    """Risk over coverage; cases by falling confidence. -> [3, W].

    Args:
        patient: [n]
        wrong: Loss of each case, 0 to 1. [n]
        last: Whether a case ends its run of equal confidence. [n]
        share: Coverage at which the risk of the retained part is taken, over 0 up to 1.
        risk: Risk that the retained part may have.
        counts: [P, W]

    Returns:
        Mean risk over coverages, risk of the most certain `share` (the run at its edge taken in
        part), and the largest coverage with at most `risk`. NaN without a case.
    """
    width = counts.shape[1]
    total = np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            total[r] += drawn[r]
    out = np.zeros((3, width))
    weight, errors = np.zeros(width), np.zeros(width)
    new_weight, new_errors = np.zeros(width), np.zeros(width)
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            new_weight[r] += drawn[r]
            new_errors[r] += wrong[i] * drawn[r]
        if not last[i]:
            continue
        for r in range(width):
            if new_weight[r] > 0.0:
                room = share * total[r] - weight[r]
                part = min(1.0, max(0.0, room / new_weight[r]))
                out[1, r] += part * new_errors[r]
                weight[r] += new_weight[r]
                errors[r] += new_errors[r]
                out[0, r] += new_weight[r] * errors[r] / weight[r]
                # a share of n cases carries rounding: 0.05 of 20 is kept by 1
                if errors[r] <= risk * weight[r] * (1.0 + 1e-12):
                    out[2, r] = weight[r]
            new_weight[r] = 0.0
            new_errors[r] = 0.0
    for r in range(width):
        out[0, r] /= total[r]
        out[1, r] /= share * total[r]
        out[2, r] /= total[r]
    return out


@compiled
def retained_ranking(
    patient: Int32Array,
    positive: Flags,
    last: Flags,
    certainty: Int32Array,
    by_certainty: Int32Array,
    share: float,
    counts: Counts,
) -> Floats:
    """Sums behind the AUROC of the most certain cases; cases by falling score. -> [5, W].

    Args:
        patient: [n]
        positive: [n]
        last: Whether a case ends its run of equal scores. [n]
        certainty: Rank of each case's confidence, 0 the most certain, equal ones alike. [n]
        by_certainty: The cases by that rank. [n]
        share: That is retained, over 0 up to 1; the rank at its edge is taken in part.
        counts: [P, W]

    Returns:
        Pairs lost among the retained, weight of retained positives and negatives, and of all
        positives and negatives.
    """
    width, number = counts.shape[1], len(patient)
    total, before = np.zeros(width), np.zeros(width)
    for i in range(number):
        drawn = counts[patient[i]]
        for r in range(width):
            total[r] += drawn[r]
    edge = np.full(width, -1)  # the rank that is retained in part, and which part
    part = np.zeros(width)
    new = np.zeros(width)
    for k in range(number):
        i = by_certainty[k]
        drawn = counts[patient[i]]
        for r in range(width):
            new[r] += drawn[r]
        if k + 1 < number and certainty[by_certainty[k + 1]] == certainty[i]:
            continue
        for r in range(width):
            room = share * total[r] - before[r]
            if room > 0.0 and new[r] > 0.0:
                edge[r] = certainty[i]
                part[r] = min(1.0, room / new[r])
            before[r] += new[r]
            new[r] = 0.0
    out = np.zeros((5, width))
    new_p, new_n = np.zeros(width), np.zeros(width)
    for i in range(number):
        drawn = counts[patient[i]]
        rank = certainty[i]
        kept = new_p if positive[i] else new_n
        all_of = out[3] if positive[i] else out[4]
        for r in range(width):
            w = np.float64(drawn[r])
            all_of[r] += w
            kept[r] += w if rank < edge[r] else (w * part[r] if rank == edge[r] else 0.0)
        if last[i]:
            for r in range(width):
                out[0, r] += new_p[r] * (out[2, r] + 0.5 * new_n[r])
                out[1, r] += new_p[r]
                out[2, r] += new_n[r]
                new_p[r] = 0.0
                new_n[r] = 0.0
    return out
