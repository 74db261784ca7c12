"""Selective prediction: metrics when only the most certain cases are answered."""

import numpy as np
from scipy.special import entr

from medtransfer.metrics.cases import AnyCases, Order, TargetCases
from medtransfer.metrics.discrimination import auroc_of
from medtransfer.metrics.kernels.selective import retained_ranking, selective_sums
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Scan, Weighted, of_rows, ratio, run_ends

SHARE = 0.8
"""Share of cases that is answered, the most certain ones."""
RISK = 0.05
"""Largest allowed share of wrong answers among the answered cases."""
DEFERRED = 0.1
"""Share of cases that an oracle answers, the least certain ones."""


def margin(probabilities: Floats) -> Floats:
    """Largest minus second largest probability. [n, C] -> [n]"""
    two = np.sort(probabilities, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def negative_entropy(probabilities: Floats) -> Floats:
    """Σ p log p: 0 for a certain case, −log C for an even one. [n, C] -> [n]"""
    return -entr(probabilities).sum(axis=1)


def risk_coverage_scan(
    confidence: Floats, correct: Flags, share: float = SHARE, risk: float = RISK
) -> Scan:
    """One pass for all metrics of risk and coverage; rows as `selective_sums` gives them.

    Args:
        confidence: Larger is more certain. [n]
        correct: True for correct answers. [n]
        share: Coverage at which the risk is taken.
        risk: Risk at which the coverage is taken.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong, last = (~correct[order]).astype(np.float64), run_ends(confidence[order])

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return selective_sums(
            patient=patient[order], wrong=wrong, last=last, share=share, risk=risk, counts=counts
        )

    return Scan(run)


def aurc(scan: Scan) -> Weighted:
    """AURC: mean over coverages of the risk of the most certain cases (Geifman and El-Yaniv 2017).

    Cases of equal confidence are added together.
    """
    return of_rows(scan, lambda rows: rows[0])


def retained_accuracy(scan: Scan) -> Weighted:
    """Accuracy of the most certain share; cases tied at its edge count in part."""
    return of_rows(scan, lambda rows: 1 - rows[1])


def coverage_at_risk(scan: Scan) -> Weighted:
    """Largest share of most certain cases that keeps the risk."""
    return of_rows(scan, lambda rows: rows[2])


def retained_scan(cases: TargetCases, share: float) -> Scan:
    """One pass for AUROCs of a most certain share; rows as `retained_ranking` gives them."""
    from scipy.stats import rankdata  # slow to import, and predictions need none

    order = cases.order
    rank = rankdata(-cases.confidence, method="dense").astype(np.int32) - 1
    certainty = rank[order.cases].astype(np.int32)
    by_certainty = np.argsort(certainty, kind="stable").astype(np.int32)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return retained_ranking(
            patient=order.patients(patient),
            positive=order.positive,
            last=order.last,
            certainty=certainty,
            by_certainty=by_certainty,
            share=share,
            counts=counts,
        )

    return Scan(run)


def _of_retained(rows: Floats) -> Floats:
    return 1 - ratio(rows[0], rows[1] * rows[2])


def _with_oracle(rows: Floats) -> Floats:
    """AUROC with deferred positives above all others and deferred negatives below all others."""
    discordant, p, n, all_p, all_n = rows
    concordant = p * n - discordant + (all_p - p) * all_n + p * (all_n - n)
    return ratio(concordant, all_p * all_n)


def _selective(cases: AnyCases) -> Scan:
    return cases.shared("selective", lambda: risk_coverage_scan(cases.confidence, cases.correct))


def _by(confidence: Floats, cases: AnyCases) -> Weighted:
    return aurc(risk_coverage_scan(confidence, cases.correct))


def _confidence_ranking(cases: AnyCases) -> Scan:
    """Correct against wrong answers by falling confidence; rows as `ranking_sums` gives them."""
    return cases.shared(
        "confidence ranking", lambda: Order.of(cases.confidence, cases.correct).ranking
    )


def confidence_auroc(cases: AnyCases) -> Weighted:
    """AUROC of confidence for correct against wrong answers (Kivlichan et al. 2021)."""
    return auroc_of(_confidence_ranking(cases))


def augrc(cases: AnyCases) -> Weighted:
    """AUGRC: mean over coverages of the share of all cases that are answered wrongly.

    Traub et al. 2024. With W wrong answers of n it is (D + W²/2) / n², D the pairs of a correct
    answer that is less certain than a wrong one; ties count one half.
    """

    def of(rows: Floats) -> Floats:
        discordant, _, correct, wrong = rows
        return ratio(discordant + wrong**2 / 2, (correct + wrong) ** 2)

    return of_rows(_confidence_ranking(cases), of)


_GEIFMAN = "Geifman and El-Yaniv 2017"
_KIVLICHAN = "Kivlichan et al. 2021"

ENTRIES = (
    Metric(
        name="aurc",
        title="Risk-coverage area (AURC)",
        better="lower",
        low=0,
        high=1,
        needs="case",
        formula="mean over coverages of the share of wrong answers among the most certain",
        reference=_GEIFMAN,
        of_target=lambda c, _p: aurc(_selective(c)),
        of_classes=lambda c: aurc(_selective(c)),
    ),
    Metric(
        name="augrc",
        title="Generalised risk-coverage area (AUGRC)",
        better="lower",
        low=0,
        high=0.5,
        needs="case",
        formula="mean over coverages of the share of all cases that are answered, and wrongly",
        reference="Traub et al. 2024, arXiv 2407.01032",
        of_target=lambda c, _p: augrc(c),
        of_classes=augrc,
    ),
    Metric(
        name="aurc_entropy",
        title="AURC by entropy",
        better="lower",
        low=0,
        high=1,
        needs="case",
        formula="as aurc, cases of lowest entropy first",
        reference=_GEIFMAN,
        by_group=False,
        of_classes=lambda c: _by(negative_entropy(c.probabilities), c),
    ),
    Metric(
        name="aurc_margin",
        title="AURC by margin",
        better="lower",
        low=0,
        high=1,
        needs="case",
        formula="as aurc, cases of largest p₁ − p₂ first",
        reference=_GEIFMAN,
        by_group=False,
        of_classes=lambda c: _by(margin(c.probabilities), c),
    ),
    Metric(
        name="aurc_disagreement",
        title="AURC by disagreement",
        better="lower",
        low=0,
        high=1,
        needs="case",
        formula="as aurc, cases of least disagreement among the members of an ensemble first",
        reference=_GEIFMAN,
        spread="disagreement",
        by_group=False,
        of_target=lambda c, _p: _by(-c.spread["disagreement"], c),
        of_classes=lambda c: _by(-c.spread["disagreement"], c),
    ),
    Metric(
        name="accuracy_at_coverage80",
        title="Accuracy of the most certain 80 %",
        better="higher",
        low=0,
        high=1,
        needs="case",
        formula="share of correct answers among the most certain 80 % of cases",
        reference=_GEIFMAN,
        of_target=lambda c, _p: retained_accuracy(_selective(c)),
        of_classes=lambda c: retained_accuracy(_selective(c)),
    ),
    Metric(
        name="coverage_at_risk05",
        title="Coverage at 5 % risk",
        better="higher",
        low=0,
        high=1,
        needs="case",
        formula="largest share of most certain cases with at most 5 % wrong answers",
        reference=_GEIFMAN,
        of_target=lambda c, _p: coverage_at_risk(_selective(c)),
        of_classes=lambda c: coverage_at_risk(_selective(c)),
    ),
    Metric(
        name="auroc_at_coverage80",
        title="AUROC of the most certain 80 %",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="AUROC of the most certain 80 % of cases; undefined if they lack a class",
        reference=_KIVLICHAN,
        of_target=lambda c, _p: of_rows(retained_scan(c, SHARE), _of_retained),
        by_group=False,
        partial=True,
    ),
    Metric(
        name="auroc_oracle10",
        title="AUROC with an oracle for 10 %",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="AUROC if the least certain 10 % of cases were answered correctly",
        reference=_KIVLICHAN,
        of_target=lambda c, _p: of_rows(retained_scan(c, 1 - DEFERRED), _with_oracle),
        by_group=False,
    ),
    Metric(
        name="calibration_auroc",
        title="Calibration AUROC",
        better="higher",
        low=0,
        high=1,
        needs="case",
        formula="AUROC of confidence for correct against wrong answers; undefined without both",
        reference=_KIVLICHAN,
        of_target=lambda c, _p: confidence_auroc(c),
        of_classes=confidence_auroc,
        partial=True,
    ),
)
