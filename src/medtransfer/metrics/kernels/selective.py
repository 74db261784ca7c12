"""Compiled passes for selective prediction: the most certain cases first."""

import numpy as np

from medtransfer.metrics.kernels.sums import (
    Counts,
    Flags,
    Floats,
    Int32Array,
    compiled,
    total_weight,
)


@compiled
def selective_sums(
    patient: Int32Array, wrong: Floats, last: Flags, share: float, risk: float, counts: Counts
) -> Floats:
    """Risk over coverage; cases by falling confidence. -> [3, W].

    Args:
        patient: [n]
        wrong: Loss of each case, 0 to 1. [n]
        last: True if a case ends its run of equal confidence. [n]
        share: Coverage at which the risk of the retained cases is taken, over 0 up to 1.
        risk: Largest risk of the retained cases, for the coverage at a risk.
        counts: [P, W]

    Returns:
        Mean risk over coverages, risk of the most certain `share` (the run at its edge taken in
        part), and the largest coverage with at most `risk`. NaN without a case.
    """
    width = counts.shape[1]
    total = total_weight(patient, counts)
    out = np.zeros((3, width))
    weight, errors = np.zeros(width), np.zeros(width)
    run_weight, run_errors = np.zeros(width), np.zeros(width)
    # invariant: weight and errors are the sums over the completed runs, which are the most certain
    # cases; run_weight and run_errors are those of the open run. The rows of out, not yet divided,
    # are: the sum of risks at the coverages reached so far, the errors within the share, and the
    # largest weight so far at which the risk was kept.
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(width):
            run_weight[r] += drawn[r]
            run_errors[r] += wrong[i] * drawn[r]
        if not last[i]:
            continue
        for r in range(width):
            if run_weight[r] > 0.0:
                # the part of the run that still fits into the share: 1 before its edge, 0 after it
                room = share * total[r] - weight[r]
                fraction = min(1.0, max(0.0, room / run_weight[r]))
                out[1, r] += fraction * run_errors[r]
                weight[r] += run_weight[r]
                errors[r] += run_errors[r]
                out[0, r] += run_weight[r] * errors[r] / weight[r]
                # a share of n cases carries rounding: 0.05 of 20 is kept by 1
                if errors[r] <= risk * weight[r] * (1.0 + 1e-12):
                    out[2, r] = weight[r]
            run_weight[r] = 0.0
            run_errors[r] = 0.0
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
        last: True if a case ends its run of equal scores. [n]
        certainty: Rank of each case's confidence, 0 the most certain, equal ones alike. [n]
        by_certainty: The cases by that rank. [n]
        share: Share that is retained, over 0 up to 1; the rank at its edge is taken in part.
        counts: [P, W]

    Returns:
        Discordant pairs among the retained, weight of retained positives and negatives, and of all
        positives and negatives.
    """
    width, number = counts.shape[1], len(patient)
    total, before = total_weight(patient, counts), np.zeros(width)
    edge = np.full(width, -1)  # the rank at the edge of the share
    fraction = np.zeros(width)  # the part of that rank that is retained
    rank_weight = np.zeros(width)
    # first pass, by certainty. Invariant: before is the weight of the completed ranks, rank_weight
    # that of the open rank; edge is the last completed rank that began inside the share, so all
    # ranks below it are retained whole.
    for k in range(number):
        i = by_certainty[k]
        drawn = counts[patient[i]]
        for r in range(width):
            rank_weight[r] += drawn[r]
        if k + 1 < number and certainty[by_certainty[k + 1]] == certainty[i]:
            continue
        for r in range(width):
            room = share * total[r] - before[r]
            if room > 0.0 and rank_weight[r] > 0.0:
                edge[r] = certainty[i]
                fraction[r] = min(1.0, room / rank_weight[r])
            before[r] += rank_weight[r]
            rank_weight[r] = 0.0
    out = np.zeros((5, width))
    run_p, run_n = np.zeros(width), np.zeros(width)
    # second pass, by falling score. Invariant: rows 3 and 4 of out cover the cases before i; rows 0
    # to 2 cover the retained part of the completed runs, run_p and run_n that of the open run.
    for i in range(number):
        drawn = counts[patient[i]]
        rank = certainty[i]
        run = run_p if positive[i] else run_n
        class_total = out[3] if positive[i] else out[4]
        for r in range(width):
            w = np.float64(drawn[r])
            class_total[r] += w
            run[r] += w if rank < edge[r] else (w * fraction[r] if rank == edge[r] else 0.0)
        if last[i]:
            for r in range(width):
                # pairs inside the run are ties, one half each
                out[0, r] += run_p[r] * (out[2, r] + 0.5 * run_n[r])
                out[1, r] += run_p[r]
                out[2, r] += run_n[r]
                run_p[r] = 0.0
                run_n[r] = 0.0
    return out
