"""Data at its limits: whatever is undefined is null with a reason, never 0 and never an error."""

import os
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    attributes_of,
    binary_table,
    class_table,
    ensemble_of,
    measured,
    no_attributes,
    one_row,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import ONE_PATIENT, MetricKey
from medtransfer.evaluation.scoring.score import score
from medtransfer.metrics import weighted
from medtransfer.metrics.catalog import find_metric
from medtransfer.statistics.bootstrap import bca_interval, percentile_interval

SITES = {"a": Site({"tune": 40, "test": 60}, each=2), "b": Site({"test": 30})}
TABLES: dict[Task, pl.DataFrame] = {
    "binary": binary_table(SITES),
    "multi-label": binary_table(SITES, targets=("x", "y"), masked=0.1),
    "single-label": class_table(SITES),
}
NO_REPLICATES = "auroc_delong|_expected"
"""Rows whose interval needs no replicates, by the name of the metric."""
TEST = pl.col("split") == "test"
KINDS = ("patients", "stratified", "bayesian", "poisson")


def with_settings(**changes: object) -> EvaluationConfig:
    return EvaluationConfig.model_validate(QUICK.model_dump() | changes)


def scored(
    table: pl.DataFrame, task: Task, *, groups: bool = False, **changes: object
) -> pl.DataFrame:
    about = attributes_of(table) if groups else no_attributes(table)
    results = score(table, about, task, with_settings(**changes))
    check_honest(results)
    return results


@cache
def plain(task: Task) -> pl.DataFrame:
    """The table of a task scored as it is, with groups."""
    return scored(TABLES[task], task, groups=True)


def check_honest(results: pl.DataFrame) -> None:
    """What is not there has a reason; what is there is finite and within its interval."""
    numbers = results.select("value", "low", "high")
    assert numbers.select(pl.all().is_nan().any() | pl.all().is_infinite().any()).row(0) == (
        False,
        False,
        False,
    )
    undefined = results.filter(pl.col("value").is_null())
    assert undefined["low"].null_count() == undefined["high"].null_count() == len(undefined)
    assert undefined["reason"].null_count() == 0
    ends = results.drop_nulls("low")
    assert ends["high"].null_count() == 0
    assert (ends["low"] < ends["high"]).all()
    outside = (pl.col("value") < pl.col("low") - 1e-9) | (pl.col("value") > pl.col("high") + 1e-9)
    assert ends.filter(outside, pl.col("metric") != "auroc_delong")["metric"].to_list() == []
    uncertain = results.filter(TEST, pl.col("low").is_null())
    assert uncertain.filter(~pl.col("metric").str.ends_with("_p"))["reason"].null_count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", TABLES)
@pytest.mark.parametrize(
    ("kind", "interval"),
    [("patients", "bca"), ("stratified", "percentile"), ("bayesian", "bca"), ("poisson", "bca")],
)
def test_every_kind_of_resampling_and_interval_works(task: Task, kind: str, interval: str) -> None:
    groups = task == "binary"
    results = scored(TABLES[task], task, groups=groups, resample=kind, interval=interval)
    keys = ["cohort", "attribute", "group", "target", "metric"]
    both = results.join(plain(task), on=keys, suffix="_plain", nulls_equal=True)
    assert len(both) == len(results)
    # how patients are drawn changes intervals and bootstrap tests, and never values
    both = both.filter(~pl.col("metric").str.ends_with("_gap_p"))
    assert both["value"].to_list() == pytest.approx(both["value_plain"].to_list(), nan_ok=True)
    target = "x" if task == "binary" else "macro"
    row = one_row(results, "auroc", cohort="a", target=target)
    assert row["low"] < row["value"] < row["high"]
    assert 0.05 < row["high"] - row["low"] < 0.4


BCA = with_settings(interval="bca", replicates=200)


def test_a_bca_interval_is_that_of_the_replicates_and_of_patients_left_out() -> None:
    table = TABLES["binary"].filter(pl.col("cohort") == "a")
    run = measured(table, config=BCA)
    results = score(table, no_attributes(table), "binary", BCA)
    # the jackknife by hand: without each patient in turn, in any order
    without = [
        measured(table.filter(pl.col("patient_id") != p), config=with_settings(replicates=0))
        for p in table.filter(TEST)["patient_id"].unique().sort().head(5).to_list()
    ]
    for metric in ("auprc", "f1@sens90", "nll", "aurc"):
        number = run.estimates[0][0][MetricKey("x", metric)]
        assert number.values is not None
        assert number.left_out is not None
        assert len(number.left_out) == 60
        for other in without:
            value = other.estimates[0][0][MetricKey("x", metric)].values
            assert value is not None
            assert np.isclose(number.left_out, value[0], rtol=0, atol=1e-12).any()
        row = one_row(results, metric)
        assert (row["low"], row["high"]) == bca_interval(number.values, number.left_out)
        assert (row["low"], row["high"]) != percentile_interval(number.values)


def test_a_calibration_error_keeps_its_own_interval_under_bca() -> None:
    bca = scored(TABLES["binary"], "binary", interval="bca")
    for metric in ("ece", "ece_smooth", "brier_reliability"):
        assert find_metric(metric).biased
        assert one_row(plain("binary"), metric, cohort="a") == one_row(bca, metric, cohort="a")


@pytest.mark.slow
@pytest.mark.parametrize("task", TABLES)
def test_one_core_and_two_give_the_same_bits(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ensemble_of(TABLES[task], 2)
    about = attributes_of(TABLES[task])
    config = with_settings(interval="bca", replicates=20, permutations=5)
    monkeypatch.setattr(weighted, "THREADS_FROM", 0)
    found: list[pl.DataFrame] = []
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, c=cores: c)
        found.append(score(table, about, task, config))
    monkeypatch.setattr(weighted, "THREADS_FROM", 10**12)
    found.append(score(table, about, task, config))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_does_not_matter_to_any_kind_of_resampling(kind: str) -> None:
    table = ensemble_of(TABLES["binary"], 2)
    about = attributes_of(TABLES["binary"])
    config = with_settings(resample=kind, interval="bca")
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)
    one = score(table, about, "binary", config)
    two = score(shuffled, about.sample(fraction=1, shuffle=True, seed=4), "binary", config)
    assert_frame_equal(one, two, abs_tol=1e-12)


@pytest.mark.parametrize("task", TABLES)
def test_scores_that_are_all_alike_rank_nothing(task: Task) -> None:
    table = TABLES[task].with_columns(pl.col("^logit_.*$") * 0 + 0.3)
    results = scored(table, task)
    targets = {"binary": ("x",), "multi-label": ("x", "macro", "micro")}.get(
        task, ("nevus", "macro", "micro")
    )
    for target in targets:
        assert one_row(results, "auroc", cohort="a", target=target)["value"] == 0.5
    if task != "single-label":
        # all are called positive where one is: nine in ten positives cannot be had for less
        assert one_row(results, "sensitivity@sens90", cohort="b", target="x")["value"] == 1
        assert one_row(results, "specificity@sens90", cohort="b", target="x")["value"] == 0
        row = one_row(results, "npv@sens90", cohort="b", target="x")
        assert (row["value"], row["reason"]) == (None, "undefined in the sample")
        share = one_row(results, "prevalence", cohort="b", target="x")["value"]
        assert one_row(results, "auprc", cohort="b", target="x")["value"] == pytest.approx(share)
        row = one_row(results, "ece_platt", cohort="b", target="x")
        assert row["reason"] == "no platt calibration: all tune cases have the same logits"


def labelled_as(label: float | None, where: pl.Expr, task: Task = "binary") -> pl.DataFrame:
    """The table with every target of some cases set."""
    names = [name for name in TABLES[task].columns if name.startswith("target_")]
    value = pl.lit(label, dtype=pl.Float64)
    return TABLES[task].with_columns(
        pl.when(where).then(value).otherwise(name).alias(name) for name in names
    )


@pytest.mark.parametrize(
    ("label", "reason"), [(0.0, "no positive case"), (1.0, "no negative case")]
)
def test_a_cohort_of_one_class_has_what_does_not_need_the_other(label: float, reason: str) -> None:
    results = scored(labelled_as(label, TEST & (pl.col("cohort") == "b")), "binary")
    for metric in (
        "auroc",
        "auroc_fpr20",
        "balanced_accuracy",
        "calibration_slope",
        "threshold_drift@sens90",
        "underdiagnosis@sens90",
        "auroc_delong",
    ):
        row = one_row(results, metric, cohort="b", target="x")
        assert (row["value"], row["reason"]) == (None, reason)
    assert one_row(results, "prevalence", cohort="b")["value"] == label
    for metric in ("accuracy", "brier", "ece", "nll_scaled", "coverage_split", "aurc"):
        assert one_row(results, metric, cohort="b")["value"] is not None
    one_sided = "sensitivity@sens90" if label else "specificity@sens90"
    other = "specificity@sens90" if label else "sensitivity@sens90"
    assert one_row(results, one_sided, cohort="b")["value"] is not None
    assert one_row(results, other, cohort="b")["reason"] == reason
    assert one_row(results, "auroc", cohort="a", target="x")["value"] > 0.5


def test_a_cohort_of_one_class_of_several_says_so() -> None:
    table = TABLES["single-label"].filter(
        ~TEST | (pl.col("cohort") != "b") | (pl.col("target_scar") == 1)
    )
    results = scored(table, "single-label")
    row = one_row(results, "balanced_accuracy", cohort="b", target="case")
    assert (row["value"], row["reason"]) == (None, "one class only")
    assert one_row(results, "accuracy", cohort="b", target="case")["value"] is not None
    row = one_row(results, "auroc", cohort="b", target="macro")
    none_positive, none_negative = "no positive case", "no negative case"
    reason = f"3 of 4 targets left out: {none_positive}; 1 of 4 targets left out: {none_negative}"
    assert (row["value"], row["reason"]) == (None, reason)


@pytest.mark.parametrize("task", TABLES)
@pytest.mark.parametrize("where", [TEST & (pl.col("cohort") == "b"), TEST, pl.lit(value=True)])
def test_cases_without_any_label_have_reasons_and_no_numbers(task: Task, where: pl.Expr) -> None:
    results = scored(labelled_as(None, where, task), task)
    own = results.filter(
        TEST,
        pl.col("cohort") == "b",
        pl.col("attribute") == "all",
        ~pl.col("metric").is_in(["ood_flag_rate"]) & ~pl.col("metric").str.starts_with("ood_"),
    )
    assert len(own) > 40
    assert own["value"].null_count() == len(own)
    own = own.filter(pl.col("target") != "macro")
    assert set(own["reason"]) == {"no labelled case"}
    assert set(own["num_cases"]) == {0}
    # foreign inputs are noticed without any label
    seen = results.filter(pl.col("metric").is_in(["ood_flag_rate", "ood_auroc"]))
    assert len(seen) > 3
    assert seen["value"].null_count() == 0


def test_a_target_that_is_masked_everywhere_is_left_out_of_the_others() -> None:
    table = TABLES["multi-label"].with_columns(target_y=pl.lit(None, dtype=pl.Float64))
    results = scored(table, "multi-label")
    row = one_row(results, "auroc", cohort="a", target="y")
    assert (row["value"], row["num_cases"], row["reason"]) == (None, 0, "no labelled case")
    alone = one_row(results, "auroc", cohort="a", target="x")
    for target in ("macro", "micro"):
        row = one_row(results, "auroc", cohort="a", target=target)
        assert row["value"] == pytest.approx(alone["value"])
    assert one_row(results, "threshold@sens90", target="y")["reason"] == "tune has no labelled case"
    # pooled decisions need the threshold of every target
    row = one_row(results, "sensitivity@sens90", cohort="a", target="micro")
    assert (row["value"], row["reason"]) == (None, "no threshold: tune has no labelled case")


@pytest.mark.slow
@pytest.mark.parametrize("task", TABLES)
@pytest.mark.parametrize("kind", ["patients", "bayesian", "poisson"])
def test_a_single_patient_has_numbers_and_no_intervals(task: Task, kind: str) -> None:
    one = {"a": Site({"tune": 40, "test": 1}, each=8), "b": Site({"test": 20})}
    table = (
        class_table(one)
        if task == "single-label"
        else binary_table(one, targets=("x",) if task == "binary" else ("x", "y"))
    )
    results = scored(table, task, resample=kind)
    own = results.filter(
        TEST,
        pl.col("cohort") == "a",
        pl.col("attribute") == "all",
        ~pl.col("metric").str.contains(NO_REPLICATES),
    )
    assert len(own) > 30
    assert own["low"].null_count() == len(own)
    known = own.drop_nulls("value")
    assert len(known) > 20
    assert all(reason.endswith(ONE_PATIENT) for reason in known["reason"])
    assert set(known.filter(pl.col("target") != "energy")["num_patients"]) == {1}


def test_a_single_patient_with_a_single_case_is_no_error() -> None:
    table = binary_table({"a": Site({"tune": 40, "test": 1})})
    for kind in KINDS:
        for interval in ("percentile", "bca"):
            results = scored(table, "binary", resample=kind, interval=interval)
            row = one_row(results, "accuracy")
            assert (row["num_cases"], row["low"], row["reason"]) == (1, None, ONE_PATIENT)
            assert row["value"] in (0, 1)


@pytest.mark.parametrize("task", TABLES)
def test_one_tuning_case_is_no_error(task: Task) -> None:
    first = TABLES[task].filter(pl.col("split") == "tune")["case_id"].min()
    table = TABLES[task].filter(TEST | (pl.col("case_id") == first))
    results = scored(table, task)
    target = "x" if task == "binary" else "macro"
    assert one_row(results, "auroc", cohort="a", target=target)["value"] > 0.5
    row = one_row(results, "sensitivity@sens90", cohort="a", target=target)
    assert row["value"] is None
    assert row["reason"].endswith("no threshold: tune lacks a class")


@pytest.mark.parametrize("task", TABLES)
def test_without_replicates_values_are_the_same_and_stand_alone(task: Task) -> None:
    table = TABLES[task]
    config = with_settings(replicates=0, interval="bca")
    results = score(table, attributes_of(table), task, config)
    tests = pl.col("metric").str.ends_with("_gap_p")
    values = [table.filter(~tests)["value"].to_list() for table in (results, plain(task))]
    assert values[0] == pytest.approx(values[1], nan_ok=True)
    rest = results.filter(~pl.col("metric").str.contains(NO_REPLICATES))
    assert rest["low"].null_count() == len(rest)
    assert not rest["reason"].drop_nulls().str.contains("no interval").any()


def test_one_replicate_is_no_error() -> None:
    results = scored(TABLES["binary"], "binary", replicates=1)
    assert one_row(results, "auroc", cohort="a")["value"] > 0.5


def test_extreme_logits_have_finite_losses() -> None:
    table = TABLES["binary"].with_columns(logit_x=pl.col("logit_x") * 400)
    results = scored(table, "binary")
    for metric in ("nll", "nll_scaled", "nll_platt", "nll_beta", "nll_isotonic"):
        row = one_row(results, metric, cohort="b")
        assert 0 < row["value"] < 1000
    # ranking is of logits, which do not saturate
    own = one_row(plain("binary"), "auroc", cohort="b")
    assert one_row(results, "auroc", cohort="b")["value"] == own["value"]


def test_a_perfect_network_is_perfect_and_has_no_slope() -> None:
    table = TABLES["binary"].with_columns(logit_x=8 * (pl.col("target_x") - 0.5))
    results = scored(table, "binary")
    # a sample without an error does not show that there is none: a bound, or no interval
    bounded = ("auroc", "accuracy", "sensitivity@sens90", "specificity@sens90")
    for metric in bounded:
        row = one_row(results, metric, cohort="a")
        assert (row["value"], row["high"]) == pytest.approx((1, 1))
        assert 0.8 < row["low"] < 0.99
    row = one_row(results, "underdiagnosis@sens90", cohort="a")
    assert (row["value"], row["low"]) == pytest.approx((0, 0))
    assert 0.01 < row["high"] < 0.2
    unmarked = {"auprc": 1, "aurc": 0, "coverage_at_risk05": 1, "auroc_oracle10": 1}
    for metric, value in unmarked.items():
        row = one_row(results, metric, cohort="a")
        assert (row["value"], row["low"], row["high"]) == (pytest.approx(value), None, None)
        assert row["reason"] == "no interval: all replicates are equal"
    for metric in ("calibration_slope", "calibration_auroc"):
        row = one_row(results, metric, cohort="a")
        assert (row["value"], row["reason"]) == (None, "undefined in the sample")


def test_two_classes_may_be_a_single_label_task() -> None:
    table = class_table(SITES, classes=CLASSES[:2])
    results = scored(table, "single-label")
    one, two = (one_row(results, "auroc", cohort="a", target=name) for name in CLASSES[:2])
    assert one["value"] == pytest.approx(two["value"])
    assert one_row(results, "accuracy", cohort="a", target="case")["value"] > 0.5
