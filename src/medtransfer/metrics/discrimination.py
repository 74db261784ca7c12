"""Discrimination between positives and negatives. Ties count one half."""

import numpy as np

from medtransfer.metrics.cases import BUDGET, HALF, Labels, Order, TargetCases
from medtransfer.metrics.kernels.ranking import curve_sums
from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.thresholded import balanced_accuracy_of, of_decisions
from medtransfer.metrics.weighted import Scan, Weighted, WeightedTerm, mean_of, of_rows, ratio

MAX_FPR = 0.2
"""Largest false positive rate of the partial area."""


def auroc(targets: Labels, scores: Floats) -> Weighted:
    """Area under the ROC curve: P(positive scores above negative) + ½ P(tie).

    Hanley and McNeil 1982. Undefined without a positive or without a negative.

    Args:
        targets: 0 or 1. [n]
        scores: Larger is more positive. [n]
    """
    return auroc_of(Order.of(scores, targets == 1).ranking)


def auroc_of(scan: Scan) -> Weighted:
    """AUROC from the ranking scan of an order."""
    return of_rows(scan, lambda rows: 1 - ratio(rows[0], rows[2] * rows[3]))


def average_precision_of(scan: Scan) -> Weighted:
    """Average precision from the ranking scan of an order."""
    return of_rows(scan, lambda rows: ratio(rows[1], rows[2]))


def partial_auroc(order: Order, max_fpr: float = MAX_FPR) -> Weighted:
    """Area under the ROC curve up to a false positive rate, ½ for chance and 1 at best.

    Standardised as ``½ (1 + (A - f²/2) / (f - f²/2))`` with f = `max_fpr` (McClish 1989).
    """
    chance_area = max_fpr**2 / 2

    def of(rows: Floats) -> Floats:
        return 0.5 * (1 + (rows[0] - chance_area) / (max_fpr - chance_area))

    return Weighted((_curve(order, max_fpr, 0.5),), of)


def adjusted_precision(order: Order, prevalence: float) -> Weighted:
    """Average precision at another prevalence, the ROC curve unchanged."""
    return of_rows(_curve(order, 1.0, prevalence), lambda rows: rows[1])


def _curve(order: Order, max_fpr: float, prevalence: float) -> Scan:
    def run(patient: Int32Array, counts: Counts) -> Floats:
        return curve_sums(
            patient=order.patients(patient),
            positive=order.positive,
            last=order.last,
            max_fpr=max_fpr,
            prevalence=prevalence,
            counts=counts,
        )

    return Scan(run)


def balanced_accuracy(classes: Labels, decisions: Labels) -> Weighted:
    """Mean over the classes that occur of the share of correct decisions.

    Undefined in a replicate without one of them.

    Args:
        classes: True class of each case. [n]
        decisions: Decided class. [n]
    """
    members = [classes == label for label in (np.unique(classes) if len(classes) else [0])]
    correct = [WeightedTerm(mask & (classes == decisions)) for mask in members]
    counted = [WeightedTerm(mask) for mask in members]

    def of(*sums: Floats) -> Floats:
        half = len(sums) // 2
        return np.mean([ratio(r, c) for r, c in zip(sums[:half], sums[half:], strict=True)], axis=0)

    return Weighted((*correct, *counted), of)


def top_k_accuracy(classes: Labels, probabilities: Floats, k: int) -> Weighted:
    """Share of cases whose class is among the k most probable; ties favour the lower class.

    Args:
        classes: True class of each case. [n]
        probabilities: [n, C]
        k: 1 to C.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return mean_of((best == classes[:, None]).any(axis=1).astype(np.float64))


def operating_threshold(targets: Labels, scores: Floats, point: str) -> float | None:
    """The threshold of an operating point: cases with ``score >= threshold`` are positive.

    Args:
        targets: 0 or 1, of the tuning split. [n]
        scores: [n]
        point: ``sens90``: the largest threshold with at least 90 % sensitivity; ``spec80``: the
            smallest with at least 80 % specificity; ``youden``: the one with the largest
            sensitivity + specificity - 1 (Youden 1950), the largest among equals; ``recall5``: the
            smallest that calls at most 5 % of the cases, whatever their label.

    Returns:
        None without a positive or without a negative; for ``recall5`` without a case.
    """
    if point.startswith(BUDGET):
        return _budget_threshold(scores, int(point.removeprefix(BUDGET)) / 100)
    positives, negatives = np.sort(scores[targets == 1]), np.sort(scores[targets == 0])
    if not len(positives) or not len(negatives):
        return None
    candidates = np.append(np.unique(scores), np.nextafter(scores.max(), np.inf))
    sensitivities = 1 - np.searchsorted(positives, candidates) / len(positives)
    specificities = np.searchsorted(negatives, candidates) / len(negatives)
    # a share of n cases carries rounding: 0.9 of 10 is reached by 9
    if point == "youden":
        gain = sensitivities + specificities
        return float(candidates[np.flatnonzero(gain >= gain.max() - 1e-12)[-1]])
    share = int(point[4:]) / 100 - 1e-12
    if point.startswith("sens"):
        return float(candidates[np.flatnonzero(sensitivities >= share)[-1]])
    return float(candidates[np.flatnonzero(specificities >= share)[0]])


def _budget_threshold(scores: Floats, share: float) -> float | None:
    """Smallest threshold that at most a share of the cases reach; tied cases stay together. [n]"""
    if not len(scores):
        return None
    candidates = np.append(np.unique(scores), np.nextafter(scores.max(), np.inf))
    called = 1 - np.searchsorted(np.sort(scores), candidates) / len(scores)
    # a share of n cases carries rounding: 0.05 of 20 is 1
    return float(candidates[np.flatnonzero(called <= share + 1e-12)[0]])


def _adjusted(cases: TargetCases) -> Weighted:
    if cases.prevalence is None:
        raise ValueError("an adjusted metric needs a prevalence")
    return adjusted_precision(cases.order, cases.prevalence)


ENTRIES = (
    Metric(
        name="auroc",
        title="AUROC",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="P(s⁺ > s⁻) + ½ P(s⁺ = s⁻)",
        reference="Hanley and McNeil 1982",
        ranking=True,
        of_target=lambda c, _p: auroc_of(c.order.ranking),
        one_against_rest=True,
        micro=True,
    ),
    Metric(
        name="auprc",
        title="AUPRC",
        better="higher",
        low=0,
        high=1,
        needs="positive",
        formula="Σ_k (R_k − R_{k−1}) P_k over falling thresholds",
        reference="Davis and Goadrich 2006; average precision",
        ranking=True,
        of_target=lambda c, _p: average_precision_of(c.order.ranking),
        one_against_rest=True,
        micro=True,
    ),
    Metric(
        name="auroc_fpr20",
        title="Partial AUROC",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="area under the ROC curve up to a false positive rate of 0.2, ½ for chance",
        reference="McClish 1989",
        ranking=True,
        of_target=lambda c, _p: partial_auroc(c.order),
    ),
    Metric(
        name="auprc_adjusted",
        title="AUPRC at tune's prevalence",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="AUPRC with P_k = π·TPR_k / (π·TPR_k + (1 − π)·FPR_k), π of tune",
        reference="Saito and Rehmsmeier 2015",
        ranking=True,
        adjusted=True,
        of_target=lambda c, _p: _adjusted(c),
    ),
    Metric(
        name="balanced_accuracy",
        title="Balanced accuracy",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="mean over the classes that occur of the share of correct decisions",
        reference="Brodersen et al. 2010",
        of_target=lambda c, _p: of_decisions(c, HALF, balanced_accuracy_of),
        micro=True,
        of_classes=lambda c: balanced_accuracy(c.classes, c.probabilities.argmax(axis=1)),
    ),
    Metric(
        name="top3_accuracy",
        share="case",
        title="Top-3 accuracy",
        better="higher",
        low=0,
        high=1,
        needs="case",
        formula="share of cases whose class is among the three most probable",
        reference="Liu et al. 2020",
        of_classes=lambda c: top_k_accuracy(
            c.classes, c.probabilities, min(3, c.probabilities.shape[1])
        ),
    ),
)
