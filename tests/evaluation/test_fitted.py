"""Thresholds and temperatures come from tune rows, and from nothing else."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.special import expit
from tests.prediction_tables import (
    QUICK,
    Site,
    arrays_of,
    binary_table,
    class_table,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.errors import TableError
from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.fitted import Fitted, fit_on_tune, run_arrays
from medtransfer.evaluation.score import score
from medtransfer.metrics.calibration import binary_temperature
from medtransfer.metrics.discrimination import operating_threshold

POINTS = ("sens90", "spec80", "youden")
ALL_POINTS = EvaluationConfig(operating_points=POINTS, replicates=0)
TWO = {"a": Site(), "b": Site({"test": 30})}
tune = pl.col("split") == "tune"


def fitted_on(table: pl.DataFrame) -> Fitted:
    return fit_on_tune(run_arrays(table, "binary"), POINTS)


@pytest.mark.parametrize("damage", ["test", "b", "train"])
def test_rows_outside_tune_have_no_say(damage: str) -> None:
    sites = {"a": Site({"train": 30, "tune": 40, "test": 80}), "b": Site({"test": 30})}
    table = binary_table(sites)
    hit = (pl.col("split") == damage) | (pl.col("cohort") == damage)
    spoilt = table.with_columns(
        pl.when(hit).then(-5 * pl.col("logit_x") + 3).otherwise("logit_x").alias("logit_x"),
        pl.when(hit).then(1 - pl.col("target_x")).otherwise("target_x").alias("target_x"),
    )
    assert not spoilt.equals(table)
    before, after = fitted_on(table), fitted_on(spoilt)
    assert before.thresholds == after.thresholds
    assert before.temperatures.tolist() == after.temperatures.tolist()


def test_tune_rows_do_have_a_say() -> None:
    table = binary_table(TWO)
    moved = table.with_columns(pl.when(tune).then(pl.col("logit_x") + 1).otherwise("logit_x"))
    assert fitted_on(moved).thresholds != fitted_on(table).thresholds
    assert fitted_on(moved).temperatures.tolist() != fitted_on(table).temperatures.tolist()


def test_they_are_the_metrics_rooms_own_on_the_labelled_tune_rows() -> None:
    table = binary_table(masked=0.2, soft=0.1)
    targets, logits = arrays_of(table.filter(tune))
    assert 20 < len(targets) < 38
    found = fitted_on(table)
    assert found.temperatures[0] == binary_temperature(targets, logits)
    for point in POINTS:
        expected = operating_threshold(targets, expit(logits), point)
        assert found.thresholds[0, point] == expected


def test_the_results_carry_them_as_rows_of_tune_with_their_counts() -> None:
    table = binary_table(TWO, masked=0.3)
    results = score(table, no_attributes(table), "binary", ALL_POINTS)
    found = fitted_on(table)
    rows = table.filter(tune).drop_nulls("target_x")
    for metric, value in [("temperature", found.temperatures[0])] + [
        (f"threshold@{point}", found.thresholds[0, point]) for point in POINTS
    ]:
        row = one_row(results, metric, split="tune")
        assert row["value"] == value
        assert (row["cohort"], row["num_cases"], row["num_patients"]) == ("a", len(rows), len(rows))


def test_the_threshold_is_carried_to_test_and_to_shifted_cohorts() -> None:
    table = binary_table(TWO)
    results = score(table, no_attributes(table), "binary", ALL_POINTS)
    limit = one_row(results, "threshold@sens90")["value"]
    for cohort in ("a", "b"):
        rows = table.filter(pl.col("split") == "test", pl.col("cohort") == cohort)
        targets, logits = arrays_of(rows)
        called = expit(logits) >= limit
        sensitivity = one_row(results, "sensitivity@sens90", cohort=cohort)
        assert sensitivity["value"] == pytest.approx(called[targets == 1].mean())
        specificity = one_row(results, "specificity@sens90", cohort=cohort)
        assert specificity["value"] == pytest.approx(1 - called[targets == 0].mean())


def test_the_temperature_is_carried_to_test_and_to_shifted_cohorts() -> None:
    table = binary_table(TWO, temperature=4.0)
    results = score(table, no_attributes(table), "binary", ALL_POINTS)
    temperature = one_row(results, "temperature")["value"]
    assert temperature > 2
    for cohort in ("a", "b"):
        rows = table.filter(pl.col("split") == "test", pl.col("cohort") == cohort)
        targets, logits = arrays_of(rows)
        expected = ((expit(logits / temperature) - targets) ** 2).mean()
        assert one_row(results, "brier_scaled", cohort=cohort)["value"] == pytest.approx(expected)


def test_each_target_has_its_own_threshold_and_temperature() -> None:
    table = binary_table(TWO, targets=("x", "y"))
    table = table.with_columns(pl.col("logit_y") * 3 - 3)
    results = score(table, no_attributes(table), "multi-label", ALL_POINTS)
    limits = {t: one_row(results, "threshold@sens90", target=t)["value"] for t in ("x", "y")}
    factors = {t: one_row(results, "temperature", target=t)["value"] for t in ("x", "y")}
    assert limits["y"] < 0.1 * limits["x"]
    assert factors["y"] > 2 * factors["x"]
    for target in ("x", "y"):
        truth, logits = arrays_of(scored_rows(table, "b"), target)
        called = expit(logits) >= limits[target]
        row = one_row(results, "sensitivity@sens90", cohort="b", target=target)
        assert row["value"] == pytest.approx(called[truth == 1].mean())
        expected = ((expit(logits / factors[target]) - truth) ** 2).mean()
        row = one_row(results, "brier_scaled", cohort="b", target=target)
        assert row["value"] == pytest.approx(expected)


@pytest.mark.parametrize("task", ["binary", "single-label"])
def test_one_temperature_is_shared_by_the_classes_of_a_single_label_task(task: str) -> None:
    table = class_table()
    found = fit_on_tune(run_arrays(table, task), POINTS)
    assert len(set(found.temperatures.tolist())) == (1 if task == "single-label" else 4)


def test_a_run_whose_tune_lacks_a_class_says_so_instead_of_a_number() -> None:
    table = binary_table(TWO).with_columns(
        pl.when(tune).then(0.0).otherwise("target_x").alias("target_x")
    )
    results = score(table, no_attributes(table), "binary", QUICK)
    for metric in ("threshold@sens90", "temperature"):
        row = one_row(results, metric)
        assert (row["value"], row["reason"]) == (None, "tune lacks a class")
    for cohort in ("a", "b"):
        for metric in ("sensitivity@sens90", "specificity@sens90", "balanced_accuracy@sens90"):
            row = one_row(results, metric, cohort=cohort)
            assert (row["value"], row["reason"]) == (None, "no threshold: tune lacks a class")
        for metric in ("brier_scaled", "ece_scaled"):
            row = one_row(results, metric, cohort=cohort)
            assert (row["value"], row["reason"]) == (None, "no temperature: tune lacks a class")
        assert one_row(results, "auroc", cohort=cohort)["value"] > 0.5


def test_a_run_without_any_tune_rows_is_scored_without_what_needs_them() -> None:
    table = binary_table(TWO).filter(~tune)
    results = score(table, no_attributes(table), "binary", QUICK)
    row = one_row(results, "threshold@sens90")
    assert (row["value"], row["num_cases"], row["reason"]) == (None, 0, "tune lacks a class")
    assert one_row(results, "temperature")["value"] is None
    assert one_row(results, "sensitivity@sens90", cohort="b")["value"] is None
    assert one_row(results, "auroc", cohort="b")["value"] > 0.5


def test_a_single_label_run_whose_tune_has_one_class_says_so() -> None:
    table = class_table()
    table = table.filter(~tune | (pl.col("target_scar") == 1))
    results = score(table, no_attributes(table), "single-label", QUICK)
    row = one_row(results, "ece_scaled", target="case")
    assert (row["value"], row["reason"]) == (None, "no temperature: tune lacks a class")
    row = one_row(results, "sensitivity@sens90", target="scar")
    assert (row["value"], row["reason"]) == (None, "no threshold: tune lacks a class")


@pytest.mark.parametrize("column", ["run_id", "member"])
def test_two_runs_or_members_are_not_scored_as_one(column: str) -> None:
    table = binary_table()
    other = "other" if column == "run_id" else 1
    two = pl.concat(
        [table, table.with_columns(pl.lit(other).cast(table[column].dtype).alias(column))]
    )
    with pytest.raises(TableError, match=f"one {column} at a time; the table holds 2"):
        run_arrays(two, "binary")


def test_cases_are_taken_in_the_order_of_their_ids() -> None:
    table = binary_table(TWO)
    shuffled = run_arrays(table.sample(fraction=1, shuffle=True, seed=1), "binary")
    assert_frame_equal(shuffled.frame, run_arrays(table, "binary").frame)
    assert np.array_equal(shuffled.logits, run_arrays(table, "binary").logits)


def test_a_run_scored_on_shifted_cohorts_alone_keeps_its_thresholds_with_its_own() -> None:
    table = binary_table({"a": Site({"tune": 40}), "b": Site({"test": 40})})
    results = score(table, no_attributes(table), "binary", QUICK)
    assert one_row(results, "threshold@sens90")["cohort"] == "a"
    assert set(results.filter(pl.col("split") == "test")["cohort"]) == {"b"}
