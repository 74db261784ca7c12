"""The catalogue says of every metric what the reference page prints."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.drawn_cases import LAW, drawn, plain, target_cases, value

from medtransfer.metrics.cases import ClassCases, TargetCases, pooled
from medtransfer.metrics.catalog import CATALOG, find_metric, result_names
from medtransfer.metrics.ensembles import METHODS
from medtransfer.metrics.metric import Metric

POINTS, RISKS = ("sens90", "youden", "recall5"), ("risk2.5", "risk10")
every_entry = pytest.mark.parametrize("metric", CATALOG.values(), ids=CATALOG)


@every_entry
def test_every_spelling_leads_back_to_its_entry(metric: Metric) -> None:
    spellings = dict(result_names(metric, POINTS, RISKS))
    assert all(find_metric(name) is metric for name in spellings)
    assert set(spellings.values()) == set(
        POINTS if metric.at_point else RISKS if metric.at_risk else [None]
    )


@every_entry
def test_every_entry_says_what_it_is(metric: Metric) -> None:
    assert metric.title
    assert metric.formula
    assert metric.reference
    assert metric.low < metric.high
    assert metric.of_target or metric.of_classes
    # another reason than missing cases is named in the formula
    assert not metric.partial or "undefined" in metric.formula


def test_what_chance_pushes_up_is_marked_so() -> None:
    endings = ("", "_mass", "_smooth", "_scaled", "_platt", "_beta", "_isotonic", "_vector")
    expected = {f"ece{ending}" for ending in endings} | {"brier_reliability", "ece_classwise"}
    expected |= {"ici", "calibration_e50", "calibration_e90"}
    assert {m.name for m in CATALOG.values() if m.biased} == expected
    assert {m.name for m in CATALOG.values() if m.of_squares} == {"brier_reliability"}


def test_what_depends_on_scores_alone_is_marked_so() -> None:
    expected = {"auroc", "auroc_fpr20", "auprc", "auprc_adjusted"}
    assert {m.name for m in CATALOG.values() if m.ranking} == expected


def test_no_threshold_metric_of_a_class_is_taken_at_one_half_of_its_softmax() -> None:
    # one-against-rest numbers are ranks or frequencies, or at a point fixed on tune
    one_against_rest = [m for m in CATALOG.values() if m.one_against_rest]
    taken = {m.name for m in one_against_rest if not (m.at_point or m.at_risk)}
    assert taken == {"auroc", "auprc", "prevalence"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sensitivity", 1), ("specificity", 0), ("balanced_accuracy", 0.5), ("accuracy", 0.5)],
)
def test_a_case_at_the_threshold_or_at_one_half_is_called_positive(
    name: str, expected: float
) -> None:
    limit = 0.5 if name == "accuracy" else 0.6
    p = np.full(2, limit)
    cases = TargetCases(np.array([1, 0]), np.zeros(2), p, predicted_positive={"sens90": p >= limit})
    bind = find_metric(name if name == "accuracy" else f"{name}@sens90").of_target
    assert bind is not None
    assert plain(bind(cases, "sens90"), 2) == expected


@pytest.mark.parametrize(("healthy", "expected"), [(False, 1 / 3), (True, 1 / 2)])
def test_underdiagnosis_is_the_share_of_the_ill_who_are_called_healthy(
    healthy: bool, expected: float
) -> None:
    truth, called = np.array([1, 1, 1, 0, 0]), np.array([True, True, False, True, False])
    cases = TargetCases(
        truth, np.zeros(5), np.zeros(5), predicted_positive={"a": called}, healthy=healthy
    )
    bind = find_metric("underdiagnosis@a").of_target
    assert bind is not None
    assert plain(bind(cases, "a"), 5) == pytest.approx(expected)
    assert bind(cases.take(np.arange(5)), "a")(np.ones((1, 5)))[0] == pytest.approx(expected)


def test_an_operating_point_that_was_not_fixed_is_refused() -> None:
    cases = TargetCases(np.array([0, 1]), np.zeros(2), np.full(2, 0.5))
    metric = find_metric("sensitivity@sens90")
    assert metric.lacking(cases, "sens90") == "no threshold: tune lacks a class"
    assert metric.of_target is not None
    with pytest.raises(KeyError, match="sens90"):
        metric.of_target(cases, "sens90")


@pytest.mark.parametrize("kind", ["target", "classes"])
@pytest.mark.parametrize("name", ["brier", "ece"])
@LAW
@given(data=st.data())
def test_a_metric_after_a_calibrator_is_the_plain_one_of_its_probabilities(
    name: str, kind: str, data: st.DataObject
) -> None:
    cases = data.draw(drawn(kind))
    endings = {"temperature": "scaled"}
    for calibrator, probabilities in cases.calibrated.items():
        after = replace(cases, probabilities=probabilities)
        found = value(f"{name}_{endings.get(calibrator, calibrator)}", cases)
        assert found == value(name, after)


@every_entry
def test_what_tune_did_not_give_is_lacking_with_a_reason(metric: Metric) -> None:
    bare = TargetCases(np.array([0, 1]), np.zeros(2), np.full(2, 0.5))
    reasons = {
        f"no {metric.calibrator} calibration: tune lacks a class": metric.calibrator,
        f"no {metric.conformal} sets: tune lacks a class": metric.conformal,
        "no ensemble: one member": metric.spread,
        "no threshold: tune lacks a class": metric.at_point,
        "no prevalence to adjust to: tune lacks a class": metric.adjusted,
        "no cost of a missed positive: evaluation.miss_cost is not set": metric.costs,
    }
    expected = next((reason for reason, needed in reasons.items() if needed), None)
    assert metric.lacking(bare, "sens90" if metric.at_point else None) == expected
    if metric.ordinal:
        classes = ClassCases(np.array([0, 1]), np.zeros((2, 2)), np.full((2, 2), 0.5))
        reason = "no order of the classes: evaluation.grades is not set"
        assert metric.lacking(classes) == reason
    if metric.costs and metric.of_classes:
        classes = ClassCases(np.array([0, 1]), np.zeros((2, 2)), np.full((2, 2), 0.5))
        reason = "no costs of classes: evaluation.miss_cost does not state them"
        assert metric.lacking(classes) == reason


@every_entry
def test_nothing_is_lacking_where_tune_gave_all(metric: Metric) -> None:
    maps = dict.fromkeys(("temperature", "platt", "beta", "isotonic", "vector"), np.full(2, 0.5))
    sets = dict.fromkeys(METHODS, np.ones((2, 2), dtype=bool))
    spread = dict.fromkeys(("disagreement", "mutual_information", "diversity"), np.zeros(2))
    shared = {"calibrated": maps, "sets": sets, "spread": spread}
    calls = {"sens90": np.ones(2, dtype=bool)}
    full = TargetCases(
        np.array([0, 1]),
        np.zeros(2),
        np.full(2, 0.5),
        predicted_positive=calls,
        prevalence=0.5,
        miss_cost=2.0,
        **shared,
    )
    assert metric.lacking(full, "sens90" if metric.at_point else None) is None
    classes = ClassCases(
        np.array([0, 1]),
        np.zeros((2, 2)),
        np.full((2, 2), 0.5),
        grades=np.array([0, 1]),
        costs=1 - np.eye(2),
        **shared,
    )
    assert metric.lacking(classes) is None


@pytest.mark.parametrize("name", ["auprc_adjusted", "ppv_adjusted@sens90", "npv_adjusted@sens90"])
def test_an_adjusted_metric_without_a_prevalence_is_refused(name: str) -> None:
    calls = {"sens90": np.ones(2, dtype=bool)}
    cases = TargetCases(np.array([0, 1]), np.zeros(2), np.full(2, 0.5), predicted_positive=calls)
    bind = find_metric(name).of_target
    assert bind is not None
    with pytest.raises(ValueError, match="needs a prevalence"):
        bind(cases, "sens90")


def test_an_unknown_metric_is_not_found() -> None:
    with pytest.raises(KeyError):
        find_metric("auroc@sens90")


@LAW
@given(data=st.data())
def test_targets_pooled_for_micro_averages_are_one_long_target(data: st.DataObject) -> None:
    one, two = data.draw(drawn("target")), data.draw(drawn("target"))
    assert isinstance(one, TargetCases)
    assert isinstance(two, TargetCases)
    only = replace(two, predicted_positive={"sens90": two.predicted_positive["sens90"]})
    both = pooled([one, only], len(one) + len(two))
    assert len(both) == len(one) + len(two)
    assert set(both.predicted_positive) == {"sens90"}  # not the point that one of them lacks
    truth, logits = (
        np.concatenate([getattr(each, part) for each in (one, two)])
        for part in ("targets", "logits")
    )
    expected = target_cases(truth, logits)
    for metric in CATALOG.values():
        if metric.micro and metric.of_target is not None:
            name = metric.name.replace("<point>", "sens90")
            np.testing.assert_equal(value(name, both), value(name, expected), err_msg=name)


def test_some_cases_carry_what_was_fixed_and_their_own_rows() -> None:
    p = np.array([0.1, 0.6, 0.7])
    cases = TargetCases(
        np.array([0, 1, 1]),
        np.array([-2.0, 0.4, 0.8]),
        p,
        predicted_positive={"sens90": p >= 0.5},
        thresholds={"sens90": 0.5},
        prevalence=0.2,
        from_logits=False,
    )
    part = cases.take(np.array([False, True, True]))
    assert (part.prevalence, part.thresholds, part.from_logits) == (0.2, {"sens90": 0.5}, False)
    assert part.predicted_positive["sens90"].tolist() == [True, True]
    assert part.probabilities.tolist() == [0.6, 0.7]
