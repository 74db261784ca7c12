"""Decision curves: net benefit at a threshold probability, and the cost of decisions.

A clinician who acts from a risk of t on accepts (1 - t) / t false alarms for one case found. Net
benefit counts the cases found less the false alarms at that rate (Vickers and Elkin 2006).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from medtransfer.metrics.cases import ClassCases, Labels, TargetCases
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.metric import POINT, RISK, Better, Metric, RequiredClasses
from medtransfer.metrics.thresholded import of_decisions
from medtransfer.metrics.weighted import Weighted, WeightedTerm, mean_of, ratio

RISK_START = "risk"
"""Start of the name of a decision threshold: ``risk10`` is a probability of 10 %."""
PER = 100
"""Cases that avoided interventions are counted for."""
Combine = Callable[[Floats, Floats, Floats, Floats, Floats], Floats]
"""Odds of the threshold; true and false positives, positives and cases, weighted. Each [W]"""


def is_risk(point: str) -> bool:
    """True for the name of a decision threshold."""
    return point.startswith(RISK_START)


def risk_name(threshold: float) -> str:
    """Name of a decision threshold: 0.1 is ``risk10``, 0.025 is ``risk2.5``."""
    return f"{RISK_START}{round(100 * threshold, 6):g}"


def risk_of(name: str) -> float:
    """Threshold probability of a name."""
    return float(name.removeprefix(RISK_START)) / 100


def odds_of(threshold: Floats) -> Floats:
    """Weight of a false alarm against one case found: t / (1 - t)."""
    return threshold / (1 - threshold)


def net_benefit(odds: Floats, tp: Floats, fp: Floats, _positives: Floats, total: Floats) -> Floats:
    """Cases found less weighted false alarms, per case."""
    return ratio(tp - odds * fp, total)


def treat_all(odds: Floats, _tp: Floats, _fp: Floats, positives: Floats, total: Floats) -> Floats:
    """Net benefit of acting on every case."""
    return net_benefit(odds, positives, total - positives, positives, total)


def standardized_net_benefit(
    odds: Floats, tp: Floats, fp: Floats, positives: Floats, _total: Floats
) -> Floats:
    """Net benefit over its largest value, the prevalence (Kerr et al. 2016)."""
    return net_benefit(odds, tp, fp, positives, positives)


def interventions_avoided(
    odds: Floats, tp: Floats, fp: Floats, positives: Floats, total: Floats
) -> Floats:
    """Interventions avoided against acting on all, net of missed cases, per 100 cases."""
    tn, fn = total - positives - fp, positives - tp
    return PER * ratio(tn - fn / odds, total)


def adjusted_net_benefit(prevalence: float) -> Combine:
    """Net benefit at another prevalence, sensitivity and specificity unchanged."""

    def of(odds: Floats, tp: Floats, fp: Floats, positives: Floats, total: Floats) -> Floats:
        sensitivity, false_positive_rate = ratio(tp, positives), ratio(fp, total - positives)
        return prevalence * sensitivity - (1 - prevalence) * odds * false_positive_rate

    return of


def at_risk(
    cases: TargetCases, name: str, combine: Combine, calibrator: str | None = None
) -> Weighted:
    """A metric of the cases called at a decision threshold.

    Args:
        cases: Of a binary target.
        name: Decision threshold, as ``risk10``.
        combine: Metric of the sums.
        calibrator: Source of the probabilities; the network itself by default.
    """
    columns = cases.shared(f"called {name} {calibrator}", lambda: _called(cases, name, calibrator))
    odds = odds_of(np.array(risk_of(name)))
    return Weighted((*columns, cases.positive, cases.ones), partial(combine, odds))


def _called(
    cases: TargetCases, name: str, calibrator: str | None
) -> tuple[WeightedTerm, WeightedTerm]:
    p = cases.probabilities if calibrator is None else cases.calibrated[calibrator]
    called = p >= risk_of(name)
    return (
        WeightedTerm(called & (cases.targets == 1)),
        WeightedTerm(called & (cases.targets == 0)),
    )


def expected_cost(cases: TargetCases, point: str) -> Weighted:
    """Mean cost of the decisions at an operating point, a false alarm being 1.

    Raises:
        ValueError: The cost of a missed positive is not known.
    """
    if cases.miss_cost is None:
        raise ValueError("an expected cost needs the cost of a missed positive")
    cost = cases.miss_cost

    def of(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        return ratio(cost * fn + fp, tp + fp + fn + tn)

    return of_decisions(cases, point, of)


def costs_of(cases: ClassCases) -> Floats:
    """Cost of each answer to a case of each class, true class by class called. [C, C]

    Raises:
        ValueError: The costs are not known.
    """
    if cases.costs is None:
        raise ValueError("an expected cost needs the costs of the classes")
    return cases.costs


def _mean_cost(cases: ClassCases, called: Labels) -> Weighted:
    return mean_of(costs_of(cases)[cases.classes, called])


def cost_of_likeliest(cases: ClassCases) -> Weighted:
    """Mean cost of calling each case its most probable class."""
    return _mean_cost(cases, cases.probabilities.argmax(axis=1))


def cost_of_cheapest(cases: ClassCases) -> Weighted:
    """Mean cost of calling each case the class of the least expected cost (Elkan 2001)."""
    return _mean_cost(cases, (cases.probabilities @ costs_of(cases)).argmin(axis=1))


def _cost_of_classes(
    name: str, title: str, formula: str, reference: str, bind: Callable[[ClassCases], Weighted]
) -> Metric:
    return Metric(
        name=name,
        title=title,
        better="lower",
        low=0,
        high=np.inf,
        needs="case",
        formula=formula,
        reference=reference,
        costs=True,
        of_classes=bind,
    )


def _at_risk(
    name: str,
    title: str,
    formula: str,
    reference: str,
    combine: Combine,
    *,
    needs: RequiredClasses = "case",
    better: Better = "higher",
    high: float = 1.0,
    by_group: bool = True,
) -> Metric:
    return Metric(
        name=name + RISK,
        title=title,
        better=better,
        low=-np.inf,
        high=high,
        needs=needs,
        formula=formula,
        reference=reference,
        of_target=lambda c, risk: at_risk(c, risk, combine),
        one_against_rest=True,
        by_group=by_group,
    )


def _adjusted(cases: TargetCases, risk: str) -> Weighted:
    if cases.prevalence is None:
        raise ValueError("an adjusted metric needs a prevalence")
    return at_risk(cases, risk, adjusted_net_benefit(cases.prevalence))


_VICKERS = "Vickers and Elkin 2006"

ENTRIES = (
    _at_risk(
        name="net_benefit",
        title="Net benefit",
        formula="TP/n − FP/n · t/(1 − t) for p ≥ t; treating nobody has 0",
        reference=_VICKERS,
        combine=net_benefit,
    ),
    _at_risk(
        name="net_benefit_all",
        title="Net benefit of treating all",
        formula="π − (1 − π) · t/(1 − t), π the prevalence of these cases",
        reference=_VICKERS,
        combine=treat_all,
        better="neither",
    ),
    _at_risk(
        name="net_benefit_standardized",
        title="Standardised net benefit",
        formula="net benefit over the prevalence of these cases, its largest value",
        reference="Kerr et al. 2016",
        combine=standardized_net_benefit,
        needs="positive",
        by_group=False,
    ),
    _at_risk(
        name="interventions_avoided",
        title="Interventions avoided per 100",
        formula="100 · (TN/n − FN/n · (1 − t)/t): against treating all, net of missed cases",
        reference="Vickers et al. 2008",
        combine=interventions_avoided,
        high=PER,
    ),
    Metric(
        name="net_benefit_adjusted" + RISK,
        title="Net benefit at tune's prevalence",
        better="higher",
        low=-np.inf,
        high=1,
        needs="both",
        formula="π·sens − (1 − π)(1 − spec) · t/(1 − t), π of tune",
        reference=_VICKERS,
        adjusted=True,
        by_group=False,
        of_target=_adjusted,
    ),
    Metric(
        name="net_benefit_platt" + RISK,
        title="Net benefit after Platt scaling",
        better="higher",
        low=-np.inf,
        high=1,
        needs="case",
        formula="as net_benefit, after logistic (Platt) scaling on tune",
        reference="Vickers and Elkin 2006; Platt 1999",
        calibrator="platt",
        by_group=False,
        of_target=lambda c, risk: at_risk(c, risk, net_benefit, "platt"),
    ),
    Metric(
        name="expected_cost" + POINT,
        title="Expected cost",
        better="lower",
        low=0,
        high=np.inf,
        needs="case",
        formula="(c · FN + FP) / n at t fixed on tune; c is `evaluation.miss_cost`, a false alarm "
        "costs 1",
        reference="Metz 1978",
        costs=True,
        one_against_rest=True,
        of_target=expected_cost,
    ),
    _cost_of_classes(
        name="expected_cost",
        title="Expected cost, classes",
        formula="mean cost of calling a case its most probable class; `evaluation.miss_cost` "
        "states costs by true and called class, an error that it does not name costs 1",
        reference="Metz 1978",
        bind=cost_of_likeliest,
    ),
    _cost_of_classes(
        name="expected_cost_weighed",
        title="Expected cost, decided by cost",
        formula="as expected_cost, calling the class k with the least Σ p_i · cost(i, k)",
        reference="Elkan 2001",
        bind=cost_of_cheapest,
    ),
)
