"""Means over seeds, drops at shifted cohorts, and what they vary with: against hand computation."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from tests.evaluation.comparison.made_rungs import (
    CONFIG,
    SITES,
    TRUTH,
    by_seed_of,
    made,
    mean_of,
    replicates_of,
    score_interval,
    seeds_of,
    widened,
)
from tests.prediction_tables import (
    CLASSES,
    arrays_of,
    attributes_of,
    binary_table,
    class_table,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.comparison.pairs.intervals import BIASED_DIFFERENCE
from medtransfer.evaluation.comparison.seed_means import (
    Mean,
    drops,
    mean_results,
    variances,
)
from medtransfer.evaluation.scoring.score import score
from medtransfer.metrics.catalog import OOD_METRICS, find_metric
from medtransfer.statistics.variance import ONE_SEED
from medtransfer.tables.results import Result, results_frame

WEAK, STRONG = seeds_of("weak", 3.0), seeds_of("strong", 0.3)
MEAN_OF_WEAK = mean_of("weak", WEAK, groups=True)
MEAN_OF_STRONG = mean_of("strong", STRONG, groups=True)
MEANS = results_frame(list(mean_results(MEAN_OF_WEAK)))


def test_the_mean_over_seeds_is_the_mean_of_the_scored_seeds() -> None:
    scored = [score(table, attributes_of(TRUTH), "binary", CONFIG) for table in WEAK]
    for metric in ("auroc", "nll", "ece", "sensitivity@sens90", "aurc", "coverage_split"):
        for cohort in ("a", "b"):
            each = [one_row(results, metric, cohort=cohort)["value"] for results in scored]
            row = one_row(MEANS, metric, cohort=cohort)
            assert row["value"] == pytest.approx(np.mean(each), abs=1e-12)
            assert row["run_id"] is None
    each = [one_row(r, "auroc", cohort="a", attribute="sex", group="F")["value"] for r in scored]
    row = one_row(MEANS, "auroc", cohort="a", attribute="sex", group="F")
    assert row["value"] == pytest.approx(np.mean(each), abs=1e-12)


def test_the_interval_of_the_mean_is_of_patients_and_seeds() -> None:
    row = one_row(MEANS, "auroc", cohort="a")
    patients = score_interval(replicates_of(WEAK, "a"), "a")
    expected = widened(patients, by_seed_of(WEAK, "a")[:, 0])
    assert (row["low"], row["high"]) == pytest.approx(expected, abs=1e-9)
    assert row["contains"] == "patients and seeds"
    plain = one_row(MEANS, "nll", cohort="a")
    assert plain["contains"] == "patients and seeds"


def test_the_interval_of_one_seed_is_of_its_patients_and_says_so() -> None:
    alone = results_frame(list(mean_results(mean_of("alone", WEAK[:1]))))
    row = one_row(alone, "auroc", cohort="a")
    patients = score_interval(replicates_of(WEAK[:1], "a"), "a")
    assert (row["low"], row["high"]) == pytest.approx(patients, abs=1e-9)
    assert row["contains"] == "patients"


def test_of_groups_the_metrics_that_are_compared_have_means() -> None:
    of_groups = MEANS.filter(pl.col("attribute") == "sex")
    assert {"auroc", "ece", "sensitivity@sens90", "underdiagnosis@sens90"} <= set(
        of_groups["metric"]
    )
    assert not {"aurc", "nll", "brier"} & set(of_groups["metric"])


def test_a_bca_interval_of_the_mean_leaves_patients_out_of_all_seeds_at_once() -> None:
    config = CONFIG.model_copy(update={"interval": "bca"})
    same = mean_of("same", [WEAK[0]] * 3, config=config)
    alone = mean_of("alone", WEAK[:1], config=config)
    one, two = (
        one_row(results_frame(list(mean_results(m))), "nll", cohort="a") for m in (same, alone)
    )
    assert (one["low"], one["high"]) == pytest.approx((two["low"], two["high"]), abs=1e-12)
    plain = one_row(results_frame(list(mean_results(mean_of("p", WEAK[:1])))), "nll", cohort="a")
    assert (one["low"], one["high"]) != (plain["low"], plain["high"])


def test_a_seed_without_a_number_leaves_the_mean_undefined_with_its_reason() -> None:
    no_tune = STRONG[1].with_columns(
        pl.when(pl.col("split") == "tune").then(0.0).otherwise("target_x").alias("target_x")
    )
    means = results_frame(list(mean_results(mean_of("strong", [STRONG[0], no_tune]))))
    row = one_row(means, "sensitivity@sens90", cohort="a")
    assert (row["value"], row["reason"]) == (None, "no threshold: tune lacks a class")
    assert one_row(means, "auroc", cohort="a")["value"] is not None


def test_a_single_label_rung_has_means_of_the_case_and_over_the_classes() -> None:
    table = class_table(SITES)
    means = results_frame(list(mean_results(mean_of("rung", [table], task="single-label"))))
    of_targets = means.filter(~pl.col("metric").is_in(list(OOD_METRICS)))
    assert set(of_targets["target"]) == {"macro", "micro", "case", *CLASSES}
    scored = score(table, attributes_of(table), "single-label", CONFIG)
    for target, metric in (("macro", "auroc"), ("micro", "auroc"), ("case", "accuracy")):
        one, two = (one_row(f, metric, target=target, cohort="a") for f in (means, scored))
        assert one == two | {"run_id": None}


def drop_of(mean: Mean, metric: str, target: str = "x") -> Result:
    rows = [r for r in drops(mean) if (r.metric, r.target) == (f"{metric}_drop", target)]
    assert len(rows) == 1
    return rows[0]


def test_a_drop_is_internal_minus_shifted_with_independent_replicates() -> None:
    row = drop_of(MEAN_OF_STRONG, "auroc")
    inside, shifted = (replicates_of(STRONG, cohort) for cohort in ("a", "b"))
    assert row.value == pytest.approx(inside[0] - shifted[0], abs=1e-12)
    by_seed = by_seed_of(STRONG, "a")[:, 0] - by_seed_of(STRONG, "b")[:, 0]
    # few patients: from the two cohorts' own intervals
    (low, high), (below, above) = score_interval(inside, "a"), score_interval(shifted, "b")
    drop = inside[0] - shifted[0]
    ends = (
        drop - np.hypot(inside[0] - low, above - shifted[0]),
        drop + np.hypot(high - inside[0], shifted[0] - below),
    )
    expected = widened(ends, by_seed)
    assert (row.low, row.high) == pytest.approx(expected, abs=1e-9)
    assert row.contains == "patients and seeds"
    assert (row.cohort, row.attribute, row.num_cases) == ("b", "all", 60)
    assert row.value == pytest.approx(
        np.mean([roc_auc_score(*arrays_of(scored_rows(t, "a"))) for t in STRONG])
        - np.mean([roc_auc_score(*arrays_of(scored_rows(t, "b"))) for t in STRONG])
    )


def test_there_is_a_drop_of_every_overall_metric_and_of_no_group() -> None:
    found = {row.metric for row in drops(MEAN_OF_STRONG)}
    numbers = MEAN_OF_STRONG.estimates
    overall = {key.metric for key in numbers if (key.cohort, key.attribute) == ("b", "all")}
    overall -= {name for name in OOD_METRICS if name != "ood_flag_rate"}  # these are of two cohorts
    assert found == {f"{metric}_drop" for metric in overall}
    assert {"auroc_drop", "aurc_drop", "coverage_split_drop", "nll_scaled_drop"} <= found


def test_the_drop_of_a_calibration_error_has_no_interval_and_says_why() -> None:
    row = drop_of(MEAN_OF_STRONG, "ece")
    assert row.value is not None
    assert (row.low, row.reason) == (None, BIASED_DIFFERENCE)
    plain = [row for row in drops(MEAN_OF_STRONG) if row.reason is None]
    assert all(not find_metric(row.metric.removesuffix("_drop")).biased for row in plain)
    assert all(row.low is not None for row in plain)


@pytest.mark.parametrize("cohort", ["a", "b"])
def test_a_drop_from_or_to_an_undefined_number_is_undefined_with_the_reason(cohort: str) -> None:
    hidden = (pl.col("split") == "test") & (pl.col("cohort") == cohort) & (pl.col("target_x") == 1)
    tables = [t.with_columns(pl.when(~hidden).then("target_x").alias("target_x")) for t in STRONG]
    mean = mean_of("strong", tables)
    row = drop_of(mean, "auroc")
    assert (row.value, row.low, row.high) == (None, None, None)
    assert row.reason == "no positive case"
    assert drop_of(mean, "accuracy").value is not None


def test_a_drop_to_a_number_that_is_undefined_in_the_sample_is_called_that() -> None:
    # nobody of cohort b is called positive: no predictive value there
    away = pl.col("cohort") == "b"
    tables = [
        t.with_columns(logit_x=pl.when(away).then(-60.0).otherwise("logit_x")) for t in STRONG
    ]
    row = drop_of(mean_of("strong", tables), "ppv@sens90")
    assert (row.value, row.low, row.reason) == (None, None, "undefined in the sample")


def test_a_drop_of_means_over_targets_names_those_of_both() -> None:
    table = binary_table(SITES, targets=("x", "y"))
    hidden = (pl.col("cohort") == "b") & (pl.col("target_y") == 1)
    table = table.with_columns(pl.when(~hidden).then("target_y").alias("target_y"))
    mean = mean_of("rung", [table], task="multi-label")
    row = drop_of(mean, "auroc", "macro")
    assert row.value is not None
    assert row.reason == "over the 1 of 2 targets that both have: x"
    assert drop_of(mean, "ece", "macro").reason == BIASED_DIFFERENCE


def test_without_replicates_a_drop_stands_alone() -> None:
    config = CONFIG.model_copy(update={"replicates": 0})
    row = drop_of(mean_of("strong", STRONG, config=config), "auroc")
    assert row.value == pytest.approx(drop_of(MEAN_OF_STRONG, "auroc").value)
    assert (row.low, row.high, row.reason) == (None, None, None)


def test_a_rung_without_another_cohort_has_no_drops() -> None:
    assert list(drops(mean_of("one", [t.filter(pl.col("cohort") == "a") for t in STRONG]))) == []


def spread_of(mean: Mean) -> dict[str, dict[str, Result]]:
    found: dict[str, dict[str, Result]] = {}
    for row in variances(mean):
        found.setdefault(row.cohort, {})[row.metric] = row
    return found


def test_spread_of_seeds_and_patients_is_told_apart_by_hand() -> None:
    rng = np.random.default_rng(0)
    seeds = np.array([[0.70], [0.78], [0.74]])
    patients = 0.03 * rng.normal(size=500)
    values = seeds + np.concatenate([[0.0], patients])
    rows = spread_of(made("rung", {"a": values}))["a"]
    # nothing is particular to a seed and a replicate: the seeds' own spread is all of theirs
    assert rows["auroc_sd_seeds"].value == pytest.approx(np.std([0.70, 0.78, 0.74], ddof=1))
    assert rows["auroc_sd_patients"].value == pytest.approx(patients.std(ddof=1))
    for row in rows.values():
        assert (row.low, row.high, row.reason) == (None, None, None)
        assert (row.num_cases, row.num_patients) == (50, 40)


def test_seeds_that_differ_as_much_as_their_patients_make_them_add_nothing() -> None:
    rng = np.random.default_rng(1)
    values = 0.75 + 0.03 * rng.normal(size=(3, 501))
    values[:, 0] = 0.75 + np.array([0.005, 0.0, -0.005])
    assert spread_of(made("rung", {"a": values}))["a"]["auroc_sd_seeds"].value == 0


def test_spread_is_given_of_the_headline_metric_of_every_cohort_and_of_nothing_else() -> None:
    rows = list(variances(MEAN_OF_WEAK))
    assert [(r.cohort, r.target, r.attribute, r.metric) for r in rows] == [
        (cohort, "x", "all", f"auroc_sd_{part}")
        for cohort in ("a", "b")
        for part in ("seeds", "patients")
    ]
    found = spread_of(MEAN_OF_WEAK)["a"]
    assert found["auroc_sd_patients"].value == pytest.approx(
        replicates_of(WEAK, "a")[1:].std(ddof=1)
    )
    assert found["auroc_sd_seeds"].value is not None


def test_one_seed_has_no_spread_between_seeds() -> None:
    rows = spread_of(mean_of("alone", WEAK[:1]))["a"]
    assert (rows["auroc_sd_seeds"].value, rows["auroc_sd_seeds"].reason) == (None, ONE_SEED)
    assert rows["auroc_sd_patients"].value is not None


def test_equal_seeds_have_a_spread_of_zero_between_seeds() -> None:
    assert spread_of(mean_of("same", [WEAK[0]] * 3))["a"]["auroc_sd_seeds"].value == 0


def test_without_replicates_nothing_is_said_of_the_spread() -> None:
    config = CONFIG.model_copy(update={"replicates": 0})
    assert list(variances(mean_of("weak", WEAK, config=config))) == []


def test_spread_of_an_undefined_number_has_a_reason() -> None:
    values = np.full((2, 101), np.nan)
    rows = spread_of(made("rung", {"a": values}))["a"]
    assert {row.value for row in rows.values()} == {None}
    assert {row.reason for row in rows.values()} == {"undefined in the sample"}
