"""Net benefit equals dcurves' and its own definition; costs are counted."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.metrics.drawn_cases import LAW, drawn_targets, value

from medtransfer.metrics.cases import ClassCases, TargetCases
from medtransfer.metrics.decisions import risk_name, risk_of
from medtransfer.metrics.kernels.sums import Floats

THRESHOLDS = (0.05, 0.1, 0.25, 0.5)
DCURVES_1_1_7 = {
    "net_benefit": (0.2281578947, 0.2072222222, 0.1916666667, 0.135),
    "net_benefit_all": (0.2263157895, 0.1833333333, 0.02, -0.47),
    "interventions_avoided": (3.5, 21.5, 51.5, 60.5),
    "net_benefit_adjusted": (0.054887218, 0.0292517007, 0.0102040816, 0.0128224875),
}
"""What dcurves 1.1.7 gives for `rounded_cases`, written down for where it is not installed."""


def rounded_cases() -> TargetCases:
    """Two hundred cases with probabilities on the thresholds among them."""
    rng = np.random.default_rng(0)
    targets = (rng.random(200) < 0.3).astype(np.int64)
    p = np.round(1 / (1 + np.exp(-(rng.normal(size=200) + 2 * targets - 1.5))), 2)
    return TargetCases(targets, p, p, prevalence=0.1, miss_cost=5.0)


def called(cases: TargetCases, threshold: float) -> list[tuple[int, bool]]:
    return [
        (int(y), bool(p >= threshold))
        for y, p in zip(cases.targets, cases.probabilities, strict=True)
    ]


@pytest.mark.parametrize("name", DCURVES_1_1_7)
def test_net_benefit_is_that_of_dcurves_as_written_down(name: str) -> None:
    cases = rounded_cases()
    found = [value(f"{name}@{risk_name(threshold)}", cases) for threshold in THRESHOLDS]
    assert_allclose(found, DCURVES_1_1_7[name], atol=1e-9)


def test_net_benefit_is_that_of_dcurves() -> None:
    dcurves = pytest.importorskip("dcurves", reason="dcurves needs pandas 2 and is not installed")
    cases = rounded_cases()
    frame = importlib.import_module("pandas").DataFrame(
        {"y": cases.targets, "p": cases.probabilities}
    )

    def table(**options: Any) -> Callable[[str, str], Floats]:
        found = dcurves.dca(frame, "y", ["p"], thresholds=list(THRESHOLDS), **options)
        return lambda model, column: found[found["model"] == model][column].to_numpy()

    own, at_tune = table(nper=100), table(prevalence=cases.prevalence)
    expected = {
        "net_benefit": own("p", "net_benefit"),
        "net_benefit_all": own("all", "net_benefit"),
        "net_benefit_standardized": own("p", "net_benefit") / cases.targets.mean(),
        "interventions_avoided": own("p", "net_intervention_avoided"),
        "net_benefit_adjusted": at_tune("p", "net_benefit"),
    }
    for name, values in expected.items():
        found = [value(f"{name}@{risk_name(threshold)}", cases) for threshold in THRESHOLDS]
        assert_allclose(found, values, atol=1e-9, err_msg=name)


@LAW
@given(cases=drawn_targets(), threshold=st.sampled_from([0.02, 0.2, 0.5, 0.9]))
def test_net_benefit_counts_cases_found_less_false_alarms(
    cases: TargetCases, threshold: float
) -> None:
    pairs, odds = called(cases, threshold), threshold / (1 - threshold)
    found = sum(y == 1 and hit for y, hit in pairs) - odds * sum(y == 0 and hit for y, hit in pairs)
    name = risk_name(threshold)
    assert value(f"net_benefit@{name}", cases) == pytest.approx(found / len(pairs), abs=1e-12)
    everyone = value(f"net_benefit_all@{name}", cases)
    avoided = 100 * (found / len(pairs) - everyone) / odds
    assert value(f"interventions_avoided@{name}", cases) == pytest.approx(avoided, abs=1e-9)
    standardized = value(f"net_benefit_standardized@{name}", cases)
    assert standardized * cases.targets.mean() == pytest.approx(found / len(pairs), abs=1e-12)


def test_at_its_own_prevalence_the_adjusted_net_benefit_is_the_plain_one() -> None:
    cases = rounded_cases()
    own = TargetCases(
        cases.targets,
        cases.logits,
        cases.probabilities,
        prevalence=float(cases.targets.mean()),
    )
    for name in map(risk_name, THRESHOLDS):
        found = value(f"net_benefit_adjusted@{name}", own)
        assert found == pytest.approx(value(f"net_benefit@{name}", own), abs=1e-12)


@pytest.mark.parametrize(
    ("threshold", "name"),
    [(0.05, "risk5"), (0.025, "risk2.5"), (0.5, "risk50"), (0.001, "risk0.1")],
)
def test_the_name_of_a_threshold_says_its_percentage(threshold: float, name: str) -> None:
    assert risk_name(threshold) == name
    assert risk_of(name) == pytest.approx(threshold, abs=1e-15)


@LAW
@given(cases=drawn_targets(), cost=st.floats(0.1, 50))
def test_the_cost_of_two_classes_is_that_of_a_target_at_one_half(
    cases: TargetCases, cost: float
) -> None:
    p = np.stack([1 - cases.probabilities, cases.probabilities], axis=1)
    costs = np.array([[0.0, 1.0], [cost, 0.0]])
    two = ClassCases(cases.targets, p, p, costs=costs)
    called = {"sens90": p.argmax(axis=1) == 1}
    one = replace(cases, miss_cost=cost, predicted_positive=called)
    assert value("expected_cost", two) == pytest.approx(value("expected_cost@sens90", one))


def test_deciding_by_cost_calls_the_rare_and_dear_class() -> None:
    p = np.array([[0.8, 0.2], [0.9, 0.1], [0.3, 0.7]])
    cases = ClassCases(np.array([1, 0, 1]), p, p, costs=np.array([[0.0, 1.0], [5.0, 0.0]]))
    assert value("expected_cost", cases) == pytest.approx(5 / 3)
    # called from a risk of 1 / 6 on: the second case alone is not
    assert value("expected_cost_weighed", cases) == 0
    with pytest.raises(ValueError, match="needs the costs of the classes"):
        value("expected_cost", replace(cases, costs=None))


def test_the_expected_cost_charges_a_miss_and_a_false_alarm() -> None:
    cases = TargetCases(
        np.array([1, 1, 1, 0, 0]),
        np.zeros(5),
        np.zeros(5),
        predicted_positive={"sens90": np.array([True, False, False, True, False])},
        miss_cost=7.0,
    )
    assert value("expected_cost@sens90", cases) == pytest.approx((2 * 7 + 1) / 5)
