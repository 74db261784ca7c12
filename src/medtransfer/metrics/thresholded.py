"""What a fixed threshold does: rates, predictive values, and how far the threshold is off."""

from collections.abc import Callable

import numpy as np

from medtransfer.metrics.cases import HALF, Order, TargetCases
from medtransfer.metrics.kernels.ranking import local_thresholds
from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array
from medtransfer.metrics.metric import POINT, Better, Metric, RequiredClasses
from medtransfer.metrics.weighted import Scan, Weighted, mean_of, of_rows, ratio, share_of

Four = Callable[[Floats, Floats, Floats, Floats], Floats]
"""True and false positives, false and true negatives, weighted, to a value. Each [W]"""


def of_decisions(cases: TargetCases, point: str, combine: Four) -> Weighted:
    """A metric of the four numbers that a threshold makes."""
    return Weighted(cases.decisions(point).four, combine)


def sensitivity_of(tp: Floats, _fp: Floats, fn: Floats, _tn: Floats) -> Floats:
    """Share of positives called positive."""
    return ratio(tp, tp + fn)


def specificity_of(_tp: Floats, fp: Floats, _fn: Floats, tn: Floats) -> Floats:
    """Share of negatives called negative."""
    return ratio(tn, tn + fp)


def underdiagnosis_of(*, healthy: bool) -> Four:
    """Share of the ill called healthy, where there are both.

    Args:
        healthy: Whether the target means "no finding": then the ill are its negatives.
    """

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        missed = 1 - (specificity_of if healthy else sensitivity_of)(tp, fp, fn, tn)
        return np.where((tp + fn > 0) & (fp + tn > 0), missed, np.nan)

    return of


def ppv_of(tp: Floats, fp: Floats, _fn: Floats, _tn: Floats) -> Floats:
    """Positive predictive value: share of the called that are positive."""
    return ratio(tp, tp + fp)


def negative_value_of(_tp: Floats, _fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Negative predictive value: share of the not called that are negative."""
    return ratio(tn, tn + fn)


def f1_of(tp: Floats, fp: Floats, fn: Floats, _tn: Floats) -> Floats:
    """Harmonic mean of sensitivity and positive predictive value."""
    return np.where(tp + fn > 0, ratio(2 * tp, 2 * tp + fp + fn), np.nan)


def balanced_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Mean of sensitivity and specificity."""
    return (sensitivity_of(tp, fp, fn, tn) + specificity_of(tp, fp, fn, tn)) / 2


def accuracy_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Share decided rightly."""
    return ratio(tp + tn, tp + fp + fn + tn)


def called_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Share called positive."""
    return ratio(tp + fp, tp + fp + fn + tn)


def adjusted_precision_of(prevalence: float) -> Four:
    """Positive predictive value at another prevalence, by Bayes' rule."""

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        hit = prevalence * sensitivity_of(tp, fp, fn, tn)
        false = (1 - prevalence) * (1 - specificity_of(tp, fp, fn, tn))
        return ratio(hit, hit + false)

    return of


def adjusted_negative_value_of(prevalence: float) -> Four:
    """Negative predictive value at another prevalence, by Bayes' rule."""

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        spared = (1 - prevalence) * specificity_of(tp, fp, fn, tn)
        missed = prevalence * (1 - sensitivity_of(tp, fp, fn, tn))
        return ratio(spared, spared + missed)

    return of


def threshold_drift(cases: TargetCases, point: str) -> Weighted:
    """The threshold that an operating point would have here, minus the one that is carried."""
    order = Order.of(cases.probabilities, cases.targets == 1)
    scores = cases.probabilities[order.cases]
    share = 0.0 if point == "youden" else int(point[4:]) / 100
    sens, spec = point.startswith("sens"), point.startswith("spec")
    aim = np.array([share * sens, share * spec, float(point == "youden")])

    def run(patient: Int32Array, counts: Counts) -> Floats:
        flags = order.positive, order.last
        return local_thresholds(order.patients(patient), *flags, scores, aim, counts)

    return of_rows(Scan(run), lambda rows: rows[0] - cases.limits[point])


def _known(prevalence: float | None) -> float:
    if prevalence is None:
        raise ValueError("an adjusted metric was asked for without a prevalence")
    return prevalence


def _at_point(
    name: str,
    title: str,
    needs: RequiredClasses,
    formula: str,
    reference: str,
    combine: Four,
    better: Better = "higher",
    *,
    partial: bool = False,
) -> Metric:
    return Metric(
        name + POINT,
        title,
        better,
        0,
        1,
        needs,
        formula,
        reference,
        of_target=lambda c, point: of_decisions(c, point, combine),
        one_against_rest=True,
        micro=True,
        partial=partial,
    )


_ALTMAN, _ALTMAN_2 = "Altman and Bland 1994a", "Altman and Bland 1994b"

ENTRIES = (
    Metric(
        "prevalence",
        "Prevalence",
        "neither",
        0,
        1,
        "case",
        "share of positives",
        "–",
        of_target=lambda c, _p: share_of(c.positive, c.ones),
        one_against_rest=True,
    ),
    Metric(
        "accuracy",
        "Accuracy",
        "higher",
        0,
        1,
        "case",
        "share of cases decided rightly, at probability ½ or for the top class",
        "–",
        of_target=lambda c, _p: of_decisions(c, HALF, accuracy_of),
        micro=True,
        of_classes=lambda c: mean_of(c.right.astype(np.float64)),
    ),
    _at_point(
        "sensitivity",
        "Sensitivity",
        "positive",
        "share of positives with p ≥ t, t fixed on tune",
        _ALTMAN,
        sensitivity_of,
    ),
    _at_point(
        "specificity",
        "Specificity",
        "negative",
        "share of negatives with p < t, t fixed on tune",
        _ALTMAN,
        specificity_of,
    ),
    _at_point(
        "ppv",
        "Positive predictive value",
        "case",
        "share of positives among p ≥ t; undefined if no case is called",
        _ALTMAN_2,
        ppv_of,
        partial=True,
    ),
    _at_point(
        "npv",
        "Negative predictive value",
        "case",
        "share of negatives among p < t; undefined if every case is called",
        _ALTMAN_2,
        negative_value_of,
        partial=True,
    ),
    _at_point("f1", "F1", "positive", "2 TP / (2 TP + FP + FN)", "van Rijsbergen 1979", f1_of),
    _at_point(
        "balanced_accuracy",
        "Balanced accuracy",
        "both",
        "mean of sensitivity and specificity at t, t fixed on tune",
        "Brodersen et al. 2010",
        balanced_of,
    ),
    _at_point(
        "predicted_prevalence",
        "Share called positive",
        "case",
        "share of cases with p ≥ t, t fixed on tune",
        "–",
        called_of,
        "neither",
    ),
    Metric(
        "ppv_adjusted" + POINT,
        "PPV at tune's prevalence",
        "higher",
        0,
        1,
        "both",
        "π·sens / (π·sens + (1 − π)(1 − spec)), π of tune; undefined if no case is called",
        _ALTMAN_2,
        adjusted=True,
        partial=True,
        of_target=lambda c, point: of_decisions(
            c, point, adjusted_precision_of(_known(c.prevalence))
        ),
    ),
    Metric(
        "npv_adjusted" + POINT,
        "NPV at tune's prevalence",
        "higher",
        0,
        1,
        "both",
        "(1 − π)·spec / ((1 − π)·spec + π(1 − sens)), π of tune; undefined if every case is called",
        _ALTMAN_2,
        adjusted=True,
        partial=True,
        of_target=lambda c, point: of_decisions(
            c, point, adjusted_negative_value_of(_known(c.prevalence))
        ),
    ),
    Metric(
        "underdiagnosis" + POINT,
        "Under-diagnosis rate",
        "lower",
        0,
        1,
        "both",
        "1 − sensitivity; for a target that means no finding, 1 − specificity",
        "Seyyed-Kalantari et al. 2021",
        of_target=lambda c, point: of_decisions(c, point, underdiagnosis_of(healthy=c.healthy)),
    ),
    Metric(
        "threshold_drift" + POINT,
        "Threshold drift",
        "neither",
        -1,
        1,
        "both",
        "threshold that reaches the operating point on these cases − the one fixed on tune; "
        "undefined where none does",
        "–",
        of_target=threshold_drift,
        by_group=False,
        partial=True,
    ),
)
