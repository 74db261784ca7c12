"""The catalogue says of every metric what the reference page prints."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.drawn_cases import LAW, drawn, plain, value

from medtransfer.metrics.catalog import CATALOG, Metric, TargetCases, find_metric, spelled

POINTS = ("sens90", "youden")
every_entry = pytest.mark.parametrize("metric", CATALOG.values(), ids=CATALOG)


@every_entry
def test_every_spelling_leads_back_to_its_entry(metric: Metric) -> None:
    spellings = dict(spelled(metric, POINTS))
    assert all(find_metric(name) is metric for name in spellings)
    assert list(spellings.values()) == (list(POINTS) if metric.at_point else [None])


@every_entry
def test_every_entry_says_what_it_is(metric: Metric) -> None:
    assert metric.title
    assert metric.formula
    assert metric.reference
    assert metric.low < metric.high
    assert metric.of_target or metric.of_classes
    assert not metric.at_point or metric.one_against_rest


def test_what_chance_pushes_up_is_marked_so() -> None:
    assert {m.name for m in CATALOG.values() if m.biased} == {"ece", "ece_scaled"}


def test_what_depends_on_scores_alone_is_marked_so() -> None:
    assert {m.name for m in CATALOG.values() if m.ranking} == {"auroc", "auprc"}


def test_no_threshold_metric_of_a_class_is_taken_at_one_half_of_its_softmax() -> None:
    # one-against-rest numbers are ranks, or at a point fixed on tune
    taken = {m.name for m in CATALOG.values() if m.one_against_rest}
    assert taken == {"auroc", "auprc"} | {m.name for m in CATALOG.values() if m.at_point}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sensitivity", 1), ("specificity", 0), ("balanced_accuracy", 0.5), ("accuracy", 0.5)],
)
def test_a_case_at_the_threshold_or_at_one_half_is_called_positive(
    name: str, expected: float
) -> None:
    limit = 0.5 if name == "accuracy" else 0.6
    cases = TargetCases(np.array([1, 0]), np.zeros(2), np.full(2, limit))
    bind = find_metric(name if name == "accuracy" else f"{name}@sens90").of_target
    assert bind is not None
    assert plain(bind(cases, limit), 2) == expected


@pytest.mark.parametrize("kind", ["target", "classes"])
@pytest.mark.parametrize("name", ["brier", "ece"])
@LAW
@given(data=st.data())
def test_a_scaled_metric_is_the_plain_one_of_the_scaled_probabilities(
    name: str, kind: str, data: st.DataObject
) -> None:
    cases = data.draw(drawn(kind))
    assert cases.scaled is not None
    after = replace(cases, probabilities=cases.scaled)
    assert value(f"{name}_scaled", cases) == value(name, after)


@pytest.mark.parametrize("name", ["brier_scaled", "ece_scaled"])
def test_a_scaled_metric_without_a_temperature_is_refused(name: str) -> None:
    cases = TargetCases(np.array([0, 1]), np.zeros(2), np.full(2, 0.5))
    bind = CATALOG[name].of_target
    assert bind is not None
    with pytest.raises(ValueError, match="without a temperature"):
        bind(cases, 0.5)


def test_an_unknown_metric_is_not_found() -> None:
    with pytest.raises(KeyError):
        find_metric("auroc@sens90")
