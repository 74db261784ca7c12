"""Stated thresholds, costs, grades and budgets become rows of the results."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from scipy.special import expit, softmax
from sklearn.metrics import cohen_kappa_score
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    arrays_of,
    binary_table,
    class_table,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.scoring.config import EvaluationConfig, unknown_names
from medtransfer.evaluation.scoring.score import score

TABLE = binary_table({"a": Site({"tune": 100, "test": 120}), "b": Site({"test": 80}, 0.8)})

COSTS_ALONE = QUICK.model_copy(update={"metrics": ("expected_cost", "expected_cost_weighed")})


@pytest.mark.parametrize("thresholds", [(0.2, 0.1), (0.1, 0.1), (0.0, 0.1), (0.5, 1.0)])
def test_decision_thresholds_rise_between_zero_and_one(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match=r"do not rise|greater than 0|less than 1"):
        EvaluationConfig(decision_thresholds=thresholds)


def test_net_benefit_is_reported_at_the_stated_thresholds_alone() -> None:
    config = EvaluationConfig(replicates=30, permutations=0, decision_thresholds=(0.025, 0.4))
    results = score(TABLE, no_attributes(TABLE), "binary", config)
    names = set(results.filter(pl.col("metric").str.starts_with("net_benefit@"))["metric"])
    assert names == {"net_benefit@risk2.5", "net_benefit@risk40"}
    truth, logits = arrays_of(scored_rows(TABLE, "b"))
    called = expit(logits) >= 0.4
    expected = (called & (truth == 1)).mean() - (called & (truth == 0)).mean() * 0.4 / 0.6
    row = one_row(results, "net_benefit@risk40", cohort="b")
    assert row["value"] == pytest.approx(expected)
    assert row["low"] < row["value"] < row["high"]


def test_the_expected_cost_is_there_once_the_cost_of_a_miss_is_stated() -> None:
    without = score(TABLE, no_attributes(TABLE), "binary", QUICK)
    assert "expected_cost@sens90" not in set(without["metric"])
    config = QUICK.model_copy(update={"miss_cost": 20.0})
    results = score(TABLE, no_attributes(TABLE), "binary", config)
    called = {
        name: one_row(results, f"{name}@sens90", cohort="b")["value"]
        for name in ("sensitivity", "specificity")
    }
    prevalence = one_row(results, "prevalence", cohort="b")["value"]
    missed, alarms = 1 - called["sensitivity"], 1 - called["specificity"]
    expected = 20 * prevalence * missed + (1 - prevalence) * alarms
    found = one_row(results, "expected_cost@sens90", cohort="b")["value"]
    assert found == pytest.approx(expected, abs=1e-12)


def test_each_target_has_the_cost_of_its_own_misses() -> None:
    table = binary_table({"a": Site({"tune": 60, "test": 80})}, targets=("x", "y", "z"))
    config = COSTS_ALONE.model_copy(update={"miss_cost": {"x": 20.0, "z": 0.5}})
    results = score(table, no_attributes(table), "multi-label", config)
    for target, cost in (("x", 20.0), ("z", 0.5)):
        alone = score(
            table,
            no_attributes(table),
            "multi-label",
            COSTS_ALONE.model_copy(update={"miss_cost": cost}),
        )
        of_all = one_row(alone, "expected_cost@sens90", target=target)
        assert one_row(results, "expected_cost@sens90", target=target) == of_all
    unnamed = one_row(results, "expected_cost@sens90", target="y")
    assert unnamed["value"] is None
    assert unnamed["reason"] == "the cost of a missed positive is not in evaluation.miss_cost"
    mean = one_row(results, "expected_cost@sens90", target="macro")
    assert mean["reason"].startswith("1 of 3 targets left out: the cost of a missed positive")


def test_costs_of_classes_are_summed_over_true_and_called_class() -> None:
    table = class_table({"a": Site({"tune": 60, "test": 150})})
    first, second, third, fourth = CLASSES
    costs = {first: 20.0, second: {first: 0.0, third: 5.0}}
    config = COSTS_ALONE.model_copy(update={"miss_cost": costs})
    results = score(table, no_attributes(table), "single-label", config)
    rows = scored_rows(table, "a")
    truth = rows.select(f"target_{name}" for name in CLASSES).to_numpy().argmax(axis=1)
    logits = rows.select(f"logit_{name}" for name in CLASSES).to_numpy()
    p = softmax(logits, axis=1)
    expected = {first: dict.fromkeys(CLASSES, 20.0), second: {first: 0.0, third: 5.0, fourth: 1.0}}

    def cost(true: str, called: str) -> float:
        return 0.0 if true == called else expected.get(true, {}).get(called, 1.0)

    cheapest = [
        min(CLASSES, key=lambda k: sum(q * cost(i, k) for q, i in zip(of, CLASSES, strict=True)))
        for of in p
    ]
    likeliest = [CLASSES[i] for i in p.argmax(axis=1)]
    for name, called in (("expected_cost", likeliest), ("expected_cost_weighed", cheapest)):
        paid = [cost(CLASSES[t], k) for t, k in zip(truth, called, strict=True)]
        row = one_row(results, name, target="case")
        assert row["value"] == pytest.approx(np.mean(paid), abs=1e-12)
        assert row["low"] < row["value"] < row["high"]
    one_against_rest = one_row(results, "expected_cost@sens90", target=second)
    assert one_against_rest["reason"].endswith("depends on the class called instead")
    single = COSTS_ALONE.model_copy(update={"miss_cost": 20.0})
    assert "expected_cost" not in set(
        score(table, no_attributes(table), "single-label", single)["metric"]
    )


@pytest.mark.parametrize(
    ("costs", "faults"),
    [
        (0, ["miss_cost is 0 (allowed: a number over 0, or one for each target)"]),
        (float("inf"), ["miss_cost is inf"]),
        ({}, ["miss_cost is {}"]),
        (
            {"a": True, "b": -1, "c": {"a": -2, "b": "much"}},
            [
                "miss_cost.a is True (allowed: a number over 0, or a number for each class",
                "miss_cost.b is -1",
                "miss_cost.c.a is -2 (allowed: 0 or a number over 0)",
                "miss_cost.c.b is 'much'",
            ],
        ),
    ],
)
def test_all_costs_that_are_no_numbers_are_named_at_once(costs: object, faults: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        EvaluationConfig.model_validate({"miss_cost": costs})
    assert all(fault in str(refused.value) for fault in faults)


def test_costs_name_targets_and_tables_are_of_classes_alone() -> None:
    config = EvaluationConfig(miss_cost={"melanom": 20, "nevus": {"nevus": 1, "kerato": 2}})
    targets = ["melanoma", "nevus", "keratosis"]
    give = "give one number"
    assert unknown_names(config, targets, []) == [
        "miss_cost names 'melanom', which is no target. Did you mean 'melanoma'?",
        f"miss_cost.nevus is a table, which only a class of a single-label task can have: {give}",
        "miss_cost.nevus names 'nevus' itself: a correct answer costs nothing",
        "miss_cost.nevus names 'kerato', which is no target. Did you mean 'keratosis'?",
    ]
    assert len(unknown_names(config, targets, [], single_label=True)) == 3


def test_a_budget_is_fixed_on_tune_and_carried() -> None:
    config = QUICK.model_copy(update={"operating_points": ("recall20",)})
    results = score(TABLE, no_attributes(TABLE), "binary", config)
    threshold = one_row(results, "threshold@recall20", split="tune")["value"]
    tune = expit(TABLE.filter(pl.col("split") == "tune")["logit_x"].to_numpy())
    assert (tune >= threshold).mean() == pytest.approx(0.2, abs=1 / len(tune))
    for cohort in ("a", "b"):
        _, logits = arrays_of(scored_rows(TABLE, cohort))
        found = one_row(results, "predicted_prevalence@recall20", cohort=cohort)["value"]
        assert found == pytest.approx((expit(logits) >= threshold).mean())


def test_grades_are_in_the_stated_order_whatever_that_of_the_columns() -> None:
    table = class_table({"a": Site({"tune": 60, "test": 150})})
    grades = (CLASSES[2], CLASSES[0], CLASSES[3], CLASSES[1])
    config = QUICK.model_copy(update={"grades": grades})
    results = score(table, no_attributes(table), "single-label", config)
    rows = scored_rows(table, "a")
    truth, predicted = (
        rows.select(f"{kind}_{name}" for name in grades).to_numpy().argmax(axis=1)
        for kind in ("target", "logit")
    )
    for name in ("linear", "quadratic"):
        found = one_row(results, f"kappa_{name}", target="case")["value"]
        assert found == pytest.approx(cohen_kappa_score(truth, predicted, weights=name))
    error = one_row(results, "grade_error", target="case")["value"]
    assert error == pytest.approx(np.abs(truth - predicted).mean())
    near = one_row(results, "within_one_grade", target="case")
    assert near["value"] == pytest.approx((np.abs(truth - predicted) <= 1).mean())
    assert near["low"] < near["value"] < near["high"] <= 1
    without = score(table, no_attributes(table), "single-label", QUICK)
    assert "kappa_linear" not in set(without["metric"])
    assert "kappa" in set(without["metric"])


def test_grades_that_are_not_the_targets_are_refused() -> None:
    config = EvaluationConfig(grades=("low", "high"))
    (fault,) = unknown_names(config, ["low", "middle", "high"], [])
    assert fault == (
        "grades are low, high, but the targets are low, middle, high: name every target once, "
        "from the lowest grade to the highest"
    )
