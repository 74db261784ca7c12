"""Metrics at a fixed threshold: rates, predictive values and the drift of the threshold."""

from collections.abc import Callable

import numpy as np

from medtransfer.metrics.cases import BUDGET, HALF, Order, TargetCases
from medtransfer.metrics.kernels.ranking import local_thresholds
from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array
from medtransfer.metrics.metric import POINT, Better, Metric, RequiredClasses, Share
from medtransfer.metrics.weighted import Scan, Weighted, mean_of, of_rows, ratio, share_of

Four = Callable[[Floats, Floats, Floats, Floats], Floats]
"""True and false positives, false and true negatives, weighted, to a value. Each [W]"""


def of_decisions(cases: TargetCases, point: str, combine: Four) -> Weighted:
    """A metric of the confusion matrix at an operating point."""
    return Weighted(cases.decisions(point).four, combine)


def sensitivity_of(tp: Floats, _fp: Floats, fn: Floats, _tn: Floats) -> Floats:
    """Share of positives predicted positive."""
    return ratio(tp, tp + fn)


def specificity_of(_tp: Floats, fp: Floats, _fn: Floats, tn: Floats) -> Floats:
    """Share of negatives predicted negative."""
    return ratio(tn, tn + fp)


def underdiagnosis_of(*, healthy: bool) -> Four:
    """Share of ill cases predicted healthy; undefined without both classes.

    Args:
        healthy: True if the target means "no finding": then the ill cases are its negatives.
    """

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        rate = 1 - (specificity_of if healthy else sensitivity_of)(tp, fp, fn, tn)
        return np.where((tp + fn > 0) & (fp + tn > 0), rate, np.nan)

    return of


def ppv_of(tp: Floats, fp: Floats, _fn: Floats, _tn: Floats) -> Floats:
    """Positive predictive value: share of positives among cases predicted positive."""
    return ratio(tp, tp + fp)


def npv_of(_tp: Floats, _fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Negative predictive value: share of negatives among cases predicted negative."""
    return ratio(tn, tn + fn)


def f1_of(tp: Floats, fp: Floats, fn: Floats, _tn: Floats) -> Floats:
    """Harmonic mean of sensitivity and positive predictive value."""
    return np.where(tp + fn > 0, ratio(2 * tp, 2 * tp + fp + fn), np.nan)


def balanced_accuracy_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Mean of sensitivity and specificity."""
    return (sensitivity_of(tp, fp, fn, tn) + specificity_of(tp, fp, fn, tn)) / 2


def accuracy_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Share of correct decisions."""
    return ratio(tp + tn, tp + fp + fn + tn)


def positive_rate_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Share predicted positive."""
    return ratio(tp + fp, tp + fp + fn + tn)


def correlation_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Matthews correlation of decision and truth; undefined if either is the same for all cases."""
    margins = (tp + fp) * (fn + tn) * (tp + fn) * (fp + tn)
    return ratio(tp * tn - fp * fn, np.sqrt(margins))


def positive_likelihood_ratio_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Sensitivity over false positive rate; undefined without a false positive."""
    return ratio(sensitivity_of(tp, fp, fn, tn), ratio(fp, fp + tn))


def negative_likelihood_ratio_of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """False negative rate over specificity; undefined without a true negative."""
    return ratio(ratio(fn, tp + fn), specificity_of(tp, fp, fn, tn))


def adjusted_ppv_of(prevalence: float) -> Four:
    """Positive predictive value at another prevalence, by Bayes' rule."""

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        tp_share = prevalence * sensitivity_of(tp, fp, fn, tn)
        fp_share = (1 - prevalence) * (1 - specificity_of(tp, fp, fn, tn))
        return ratio(tp_share, tp_share + fp_share)

    return of


def adjusted_npv_of(prevalence: float) -> Four:
    """Negative predictive value at another prevalence, by Bayes' rule."""

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        tn_share = (1 - prevalence) * specificity_of(tp, fp, fn, tn)
        fn_share = prevalence * (1 - sensitivity_of(tp, fp, fn, tn))
        return ratio(tn_share, tn_share + fn_share)

    return of


def threshold_drift(cases: TargetCases, point: str) -> Weighted:
    """Threshold of an operating point on these cases, minus the one fixed on tune."""
    order = Order.of(cases.probabilities, cases.targets == 1)
    scores = cases.probabilities[order.cases]
    kind = point.rstrip("0123456789")
    share = 0.0 if kind == "youden" else int(point.removeprefix(kind)) / 100
    aims = {"sens": share, "spec": share, "youden": 1.0, BUDGET: share}
    aim = np.array([value if name == kind else 0.0 for name, value in aims.items()])

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return local_thresholds(
            patient=order.patients(patient),
            positive=order.positive,
            last=order.last,
            scores=scores,
            aim=aim,
            counts=counts,
        )

    return of_rows(Scan(run), lambda rows: rows[0] - cases.thresholds[point])


def _require_prevalence(prevalence: float | None) -> float:
    if prevalence is None:
        raise ValueError("an adjusted metric needs a prevalence")
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
    limits: tuple[float, float] = (0, 1),
    micro: bool = True,
    partial: bool = False,
    share: Share | None = None,
) -> Metric:
    return Metric(
        name=name + POINT,
        title=title,
        better=better,
        low=limits[0],
        high=limits[1],
        needs=needs,
        formula=formula,
        reference=reference,
        of_target=lambda c, point: of_decisions(c, point, combine),
        one_against_rest=True,
        micro=micro,
        partial=partial,
        share=share,
    )


_ALTMAN, _ALTMAN_2 = "Altman and Bland 1994a", "Altman and Bland 1994b"
_DEEKS = "Deeks and Altman 2004"

ENTRIES = (
    Metric(
        name="prevalence",
        share="case",
        title="Prevalence",
        better="neither",
        low=0,
        high=1,
        needs="case",
        formula="share of positives",
        reference="–",
        of_target=lambda c, _p: share_of(c.positive, c.ones),
        one_against_rest=True,
    ),
    Metric(
        name="accuracy",
        share="case",
        title="Accuracy",
        better="higher",
        low=0,
        high=1,
        needs="case",
        formula="share of correct decisions, at probability ½ or for the top class",
        reference="–",
        of_target=lambda c, _p: of_decisions(c, HALF, accuracy_of),
        micro=True,
        of_classes=lambda c: mean_of(c.correct.astype(np.float64)),
    ),
    _at_point(
        name="sensitivity",
        share="positive",
        title="Sensitivity",
        needs="positive",
        formula="share of positives with p ≥ t, t fixed on tune",
        reference=_ALTMAN,
        combine=sensitivity_of,
    ),
    _at_point(
        name="specificity",
        share="negative",
        title="Specificity",
        needs="negative",
        formula="share of negatives with p < t, t fixed on tune",
        reference=_ALTMAN,
        combine=specificity_of,
    ),
    _at_point(
        name="ppv",
        share="called",
        title="Positive predictive value",
        needs="case",
        formula="share of positives among p ≥ t; undefined if no case is predicted positive",
        reference=_ALTMAN_2,
        combine=ppv_of,
        partial=True,
    ),
    _at_point(
        name="npv",
        share="cleared",
        title="Negative predictive value",
        needs="case",
        formula="share of negatives among p < t; undefined if every case is predicted positive",
        reference=_ALTMAN_2,
        combine=npv_of,
        partial=True,
    ),
    _at_point(
        name="f1",
        title="F1",
        needs="positive",
        formula="2 TP / (2 TP + FP + FN)",
        reference="van Rijsbergen 1979",
        combine=f1_of,
    ),
    _at_point(
        name="balanced_accuracy",
        title="Balanced accuracy",
        needs="both",
        formula="mean of sensitivity and specificity at t, t fixed on tune",
        reference="Brodersen et al. 2010",
        combine=balanced_accuracy_of,
    ),
    _at_point(
        name="mcc",
        title="Matthews correlation",
        needs="both",
        formula="(TP·TN − FP·FN) / √((TP + FP)(TP + FN)(TN + FP)(TN + FN)); undefined if all cases "
        "are decided alike",
        reference="Matthews 1975; Chicco and Jurman 2020",
        combine=correlation_of,
        limits=(-1, 1),
        micro=False,
        partial=True,
    ),
    _at_point(
        name="lr_positive",
        title="Positive likelihood ratio",
        needs="both",
        formula="sensitivity / (1 − specificity); undefined if no negative is predicted positive",
        reference=_DEEKS,
        combine=positive_likelihood_ratio_of,
        limits=(0, np.inf),
        micro=False,
        partial=True,
    ),
    _at_point(
        name="lr_negative",
        title="Negative likelihood ratio",
        needs="both",
        formula="(1 − sensitivity) / specificity; undefined if all negatives are predicted "
        "positive",
        reference=_DEEKS,
        combine=negative_likelihood_ratio_of,
        better="lower",
        limits=(0, np.inf),
        micro=False,
        partial=True,
    ),
    _at_point(
        name="predicted_prevalence",
        share="case",
        title="Share predicted positive",
        needs="case",
        formula="share of cases with p ≥ t, t fixed on tune",
        reference="–",
        combine=positive_rate_of,
        better="neither",
    ),
    Metric(
        name="ppv_adjusted" + POINT,
        title="PPV at tune's prevalence",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="π·sens / (π·sens + (1 − π)(1 − spec)), π of tune; undefined if no case "
        "is predicted positive",
        reference=_ALTMAN_2,
        adjusted=True,
        partial=True,
        of_target=lambda c, point: of_decisions(
            c, point, adjusted_ppv_of(_require_prevalence(c.prevalence))
        ),
    ),
    Metric(
        name="npv_adjusted" + POINT,
        title="NPV at tune's prevalence",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="(1 − π)·spec / ((1 − π)·spec + π(1 − sens)), π of tune; undefined if every case "
        "is predicted positive",
        reference=_ALTMAN_2,
        adjusted=True,
        partial=True,
        of_target=lambda c, point: of_decisions(
            c, point, adjusted_npv_of(_require_prevalence(c.prevalence))
        ),
    ),
    Metric(
        name="underdiagnosis" + POINT,
        share="ill",
        title="Under-diagnosis rate",
        better="lower",
        low=0,
        high=1,
        needs="both",
        formula="1 − sensitivity; for a target that means no finding, 1 − specificity",
        reference="Seyyed-Kalantari et al. 2021",
        of_target=lambda c, point: of_decisions(c, point, underdiagnosis_of(healthy=c.healthy)),
    ),
    Metric(
        name="threshold_drift" + POINT,
        title="Threshold drift",
        better="neither",
        low=-1,
        high=1,
        needs="both",
        formula="threshold that reaches the operating point on these cases − that fixed on tune; "
        "undefined if no threshold reaches it",
        reference="–",
        of_target=threshold_drift,
        by_group=False,
        partial=True,
    ),
)
