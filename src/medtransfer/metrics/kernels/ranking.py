"""Compiled passes over cases by falling score.

Cases of equal score form a *run*: they are taken together, and ties count one half. In all
kernels `tp` and `fp` are the weights of the positives and negatives read so far, which a threshold
at the current score would predict positive; `run_p` and `run_n` are those of the open run, the one
that is being read.
"""

import numpy as np

from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array, compiled


@compiled
def class_totals(patient: Int32Array, positive: Flags, counts: Counts) -> tuple[Floats, Floats]:
    """Weight of all positives and of all negatives. -> [W], [W].

    Args:
        patient: [n]
        positive: [n]
        counts: [P, W]
    """
    width = counts.shape[1]
    positives, negatives = np.zeros(width), np.zeros(width)
    # invariant: the totals hold the cases before i
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        total = positives if positive[i] else negatives
        for r in range(width):
            total[r] += drawn[r]
    return positives, negatives


@compiled
def ranking_sums(patient: Int32Array, positive: Flags, last: Flags, counts: Counts) -> Floats:
    """Sums behind AUROC and average precision; cases by falling score. -> [4, W].

    Args:
        patient: [n]
        positive: [n]
        last: True if a case ends its run of equal scores. [n]
        counts: [P, W]

    Returns:
        Discordant pairs (positive below negative, ties one half), Σ gained weight · precision,
        weight of the positives, weight of the negatives.
    """
    width = counts.shape[1]
    discordant, gain = np.zeros(width), np.zeros(width)
    tp, fp = np.zeros(width), np.zeros(width)
    run_p, run_n = np.zeros(width), np.zeros(width)
    run_starts = True
    # invariant: tp, fp, discordant and gain cover the completed runs before case i. run_starts is
    # True exactly if no run is open; else run_p and run_n cover the cases of the open run before i.
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        # most runs have one case: it needs no run_p and run_n, which saves half the work
        if last[i] and run_starts:
            if positive[i]:
                for r in range(width):
                    w = np.float64(drawn[r])
                    # each negative above this positive is a discordant pair
                    discordant[r] += w * fp[r]
                    tp[r] += w
                    # 0 / 0 of a replicate that has drawn no case yet counts as 0
                    gain[r] += w * tp[r] / max(tp[r] + fp[r], 1e-300)
            else:
                for r in range(width):
                    fp[r] += drawn[r]
            continue
        if run_starts:
            run_p[:] = 0.0
            run_n[:] = 0.0
        run = run_p if positive[i] else run_n
        for r in range(width):
            run[r] += drawn[r]
        run_starts = last[i]
        if run_starts:
            for r in range(width):
                # pairs inside the run are ties, one half each
                discordant[r] += run_p[r] * (fp[r] + 0.5 * run_n[r])
                tp[r] += run_p[r]
                fp[r] += run_n[r]
                # precision at a threshold counts the whole run
                gain[r] += run_p[r] * tp[r] / max(tp[r] + fp[r], 1e-300)
    out = np.empty((4, width))
    out[0], out[1], out[2], out[3] = discordant, gain, tp, fp
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
        last: True if a case ends its run of equal scores. [n]
        max_fpr: Largest false positive rate of the partial area, over 0 up to 1.
        prevalence: Prevalence that precision is computed for, 0 to 1.
        counts: [P, W]

    Returns:
        Area under the ROC curve up to `max_fpr` (trapezoids, cut by a straight line), and average
        precision if the cases had that prevalence. NaN without a positive or without a negative.
    """
    width = counts.shape[1]
    all_p, all_n = class_totals(patient, positive, counts)
    out = np.zeros((2, width))
    tp, fp, run_p, run_n = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    # invariant: (fp / all_n, tp / all_p) is the point of the ROC curve after the completed runs;
    # the rows of out are the area and the average precision of the curve up to that point, and
    # run_p and run_n cover the cases of the open run before i.
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        run = run_p if positive[i] else run_n
        for r in range(width):
            run[r] += drawn[r]
        if not last[i]:
            continue
        # the run is complete: the curve goes on by one straight line from (x0, y0) to (x1, y1)
        for r in range(width):
            x0, y0 = fp[r] / all_n[r], tp[r] / all_p[r]
            tp[r] += run_p[r]
            fp[r] += run_n[r]
            x1, y1 = fp[r] / all_n[r], tp[r] / all_p[r]
            if x0 < max_fpr and x1 > x0:
                share = min(1.0, (max_fpr - x0) / (x1 - x0))
                out[0, r] += share * (x1 - x0) * (y0 + 0.5 * share * (y1 - y0))
            predicted_positive = prevalence * y1 + (1.0 - prevalence) * x1
            if y1 > y0:
                out[1, r] += (y1 - y0) * prevalence * y1 / predicted_positive
            run_p[r] = 0.0
            run_n[r] = 0.0
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
        last: True if a case ends its run of equal scores. [n]
        scores: Falling. [n]
        aim: Minimum sensitivity, minimum specificity, 1 if both are to be weighed (Youden), and
            largest share of cases called; the others are 0. [4]
        counts: [P, W]

    Returns:
        The largest threshold with the sensitivity, the smallest with the specificity, the largest
        with the greatest sum of both, or the smallest that calls no more than the share; NaN if
        there is none.
    """
    width = counts.shape[1]
    all_p, all_n = class_totals(patient, positive, counts)
    out = np.full((1, width), np.nan)
    # a sum of 1 is what predicting all cases alike gives: only a larger one is a threshold
    tp, fp, best = np.zeros(width), np.zeros(width), np.full(width, 1.0)
    run = np.zeros(width)
    # invariant: tp and fp cover the cases before i, run those of them that are in the open run. out
    # is the operating point's threshold among the scores of completed runs that the replicate has,
    # best the sum of sensitivity and specificity there (1 if there is none yet).
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        passed = tp if positive[i] else fp
        for r in range(width):
            passed[r] += drawn[r]
            run[r] += drawn[r]
        if not last[i]:
            continue
        for r in range(width):
            if not run[r] > 0.0:  # a score that the replicate does not have is no threshold
                continue
            run[r] = 0.0
            sensitivity, specificity = tp[r] / all_p[r], 1.0 - fp[r] / all_n[r]
            # rates are quotients: 1e-12 keeps their rounding from deciding
            if aim[2] > 0.0:
                if sensitivity + specificity > best[r] + 1e-12:
                    best[r] = sensitivity + specificity
                    out[0, r] = scores[i]
            elif aim[0] > 0.0:
                # scores fall and sensitivity rises: the first score that reaches it is the largest
                if np.isnan(out[0, r]) and sensitivity >= aim[0] - 1e-12:
                    out[0, r] = scores[i]
            # the share called rises: the last score that still keeps it is the smallest
            elif aim[3] > 0.0:
                if tp[r] + fp[r] <= (aim[3] + 1e-12) * (all_p[r] + all_n[r]):
                    out[0, r] = scores[i]
            # specificity falls: the last score that still has it is the smallest
            elif specificity >= aim[1] - 1e-12:
                out[0, r] = scores[i]
    for r in range(width):
        if not (all_p[r] > 0.0 and all_n[r] > 0.0):
            out[0, r] = np.nan
    return out


@compiled
def false_shares(
    patient: Int32Array, positive: Flags, last: Flags, share: float, counts: Counts
) -> Floats:
    """False positive rate at a sensitivity; cases by falling score. -> [1, W].

    Args:
        patient: [n]
        positive: [n]
        last: True if a case ends its run of equal scores. [n]
        share: Sensitivity, over 0 up to 1.
        counts: [P, W]
    """
    width = counts.shape[1]
    all_p, all_n = class_totals(patient, positive, counts)
    out = np.full((1, width), np.nan)
    tp, fp = np.zeros(width), np.zeros(width)
    # invariant: tp and fp cover the cases before i; out is NaN until a completed run has reached
    # the sensitivity, and from then on the rate after that run.
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        passed = tp if positive[i] else fp
        for r in range(width):
            passed[r] += drawn[r]
        if last[i]:
            for r in range(width):
                # a share of n cases carries rounding: 0.95 of 20 is reached by 19
                if np.isnan(out[0, r]) and tp[r] >= share * all_p[r] - 1e-9 and all_p[r] > 0.0:
                    out[0, r] = fp[r] / all_n[r] if all_n[r] > 0.0 else np.nan
    return out
