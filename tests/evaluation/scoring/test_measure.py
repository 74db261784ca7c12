"""Which numbers a run has, of which cases, and what pooling and averaging over targets make."""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    arrays_of,
    attributes_of,
    binary_table,
    class_table,
    ensemble_of,
    measured,
    one_row,
    scored_rows,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.estimate import Estimate, Estimates, MetricKey
from medtransfer.evaluation.scoring.score import MeasuredRun, score
from medtransfer.metrics.catalog import CATALOG, OOD_METRICS, result_names
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.metric import Metric

SITES = {"a": Site({"tune": 60, "test": 80})}
POINTS = ("sens90", "youden")
CONFIG = QUICK.model_copy(update={"operating_points": POINTS, "miss_cost": 5.0})
GRADED = CONFIG.model_copy(update={"grades": CLASSES, "miss_cost": dict.fromkeys(CLASSES, 5.0)})
MULTI = binary_table(SITES, targets=("x", "y", "z"))
TABLES: dict[Task, pl.DataFrame] = {
    "binary": binary_table(SITES),
    "multi-label": MULTI,
    "single-label": class_table(SITES),
}


def numbers_of(run: MeasuredRun, attribute: str = "all", group: str = "all") -> Estimates:
    (place,), (numbers,) = run.test_sets, run.estimates
    names = [(part.attribute, part.group) for part in place.subgroups]
    return numbers[names.index((attribute, group))]


def names_of(numbers: Estimates, target: str) -> set[str]:
    return {metric for name, metric in numbers if name == target}


def catalogued(choose: str, *, group: bool = False, ensemble: bool = False) -> set[str]:
    """Names in the catalogue of one kind of target."""

    def wanted(metric: Metric) -> bool:
        about = {
            "binary": metric.of_target is not None,
            "micro": metric.micro,
            "class": metric.one_against_rest,
            "micro of classes": metric.micro and metric.one_against_rest,
            "case": metric.of_classes is not None,
        }[choose]
        where = metric.by_group if group else metric.conformal != "group"
        return about and where and (metric.spread is None or ensemble)

    names = (result_names(m, POINTS, CONFIG.risks) for m in CATALOG.values() if wanted(m))
    return {name for of_metric in names for name, _ in of_metric}


DETECTED = {(name, "ood_flag_rate") for name in ("max_probability", "max_logit", "energy")}
"""At home nothing is told apart from home."""


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("task", TABLES)
def test_every_number_of_the_catalogue_is_there(task: Task, ensemble: bool) -> None:
    table = ensemble_of(TABLES[task], 3) if ensemble else TABLES[task]
    config = GRADED if task == "single-label" else CONFIG
    run = measured(table, task, config, attributes_of(table.filter(pl.col("member") == 0)))
    kinds = {
        "binary": {"x": "binary"},
        "multi-label": dict.fromkeys(("x", "y", "z", "macro"), "binary") | {"micro": "micro"},
        "single-label": dict.fromkeys((*CLASSES, "macro"), "class")
        | {"case": "case", "micro": "micro of classes"},
    }[task]
    for attribute, group in (("all", "all"), ("sex", "F"), ("sex", "M")):
        numbers = numbers_of(run, attribute, group)
        of_detectors = {key for key in numbers if key[1] in OOD_METRICS}
        assert of_detectors == (DETECTED if group == "all" else set())
        assert {target for target, _ in numbers.keys() - of_detectors} == set(kinds)
        for target, kind in kinds.items():
            alone = ensemble and target != "micro"
            expected = catalogued(kind, group=group != "all", ensemble=alone)
            assert names_of(numbers, target) == expected


def test_what_a_reader_of_the_protocol_looks_for_is_there() -> None:
    of_binary = names_of(numbers_of(measured(TABLES["binary"], config=CONFIG)), "x")
    assert of_binary >= {
        "auroc",
        "auprc",
        "auroc_fpr20",
        "accuracy",
        "balanced_accuracy",
        "sensitivity@sens90",
        "specificity@youden",
        "ppv@sens90",
        "npv@sens90",
        "f1@youden",
        "threshold_drift@sens90",
        "nll",
        "brier",
        "brier_reliability",
        "brier_resolution",
        "ece",
        "ece_mass",
        "ece_smooth",
        "calibration_slope",
        "calibration_intercept",
        "nll_scaled",
        "ece_platt",
        "brier_isotonic",
        "ece_beta",
        "aurc",
        "accuracy_at_coverage80",
        "auroc_at_coverage80",
        "auroc_oracle10",
        "calibration_auroc",
        "coverage_at_risk05",
        "coverage_split",
        "set_size_class",
        "auprc_adjusted",
        "ppv_adjusted@sens90",
        "predicted_prevalence@sens90",
        "prevalence",
        "underdiagnosis@sens90",
    }
    of_case = names_of(numbers_of(measured(TABLES["single-label"], "single-label", CONFIG)), "case")
    assert of_case >= {
        "accuracy",
        "balanced_accuracy",
        "top3_accuracy",
        "nll",
        "brier",
        "ece",
        "ece_mass",
        "nll_scaled",
        "ece_vector",
        "aurc",
        "aurc_entropy",
        "aurc_margin",
        "coverage_aps",
        "set_size_raps",
        "coverage_class",
    }
    assert not of_case & {"auroc", "ece_platt", "sensitivity@sens90"}


def test_an_ensemble_has_what_its_members_disagree_about() -> None:
    table = ensemble_of(TABLES["binary"], 3)
    run = measured(table)
    found = numbers_of(run)[MetricKey("x", "mutual_information")]
    rows = run.test_sets[0].subgroups[0].cases
    assert found.values is not None
    spread = run.run.spread["mutual_information"][rows, 0]
    assert found.values[0] == pytest.approx(spread.mean())
    assert np.ptp(found.values[1:]) > 0


def stacked(table: pl.DataFrame, kind: str) -> Floats:
    """Targets or logits of all targets of the scored rows. [N, T]"""
    return scored_rows(table, "a").select(pl.col(f"^{kind}_.*$")).to_numpy()


RESULTS = score(MULTI, attributes_of(MULTI), "multi-label", CONFIG)


@pytest.mark.parametrize(
    ("metric", "peer"), [("auroc", roc_auc_score), ("auprc", average_precision_score)]
)
def test_micro_equals_the_micro_average_of_scikit_learn(metric: str, peer: object) -> None:
    truth, logits = stacked(MULTI, "target"), stacked(MULTI, "logit")
    row = one_row(RESULTS, metric, target="micro")
    expected = peer(truth, logits, average="micro")  # type: ignore[operator]
    assert row["value"] == pytest.approx(expected, abs=1e-12)
    assert row["low"] < row["value"] < row["high"]
    assert (row["num_cases"], row["num_positive"]) == (240, int(truth.sum()))
    assert row["num_patients"] == 80


@pytest.mark.parametrize("point", POINTS)
def test_micro_decisions_are_at_the_threshold_of_each_target(point: str) -> None:
    truth, chances = stacked(MULTI, "target"), expit(stacked(MULTI, "logit"))
    limits = [one_row(RESULTS, f"threshold@{point}", target=t)["value"] for t in ("x", "y", "z")]
    assert len(set(limits)) == 3
    called = chances >= np.array(limits)
    for metric, peer in (("sensitivity", recall_score), ("f1", f1_score)):
        row = one_row(RESULTS, f"{metric}@{point}", target="micro")
        assert row["value"] == pytest.approx(peer(truth, called, average="micro"), abs=1e-12)


def test_micro_of_masked_labels_is_over_those_that_are_there() -> None:
    table = binary_table(SITES, targets=("x", "y", "z"), masked=0.3)
    results = score(table, attributes_of(table), "multi-label", QUICK)
    pairs = [arrays_of(scored_rows(table, "a"), target) for target in ("x", "y", "z")]
    truth, logits = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    row = one_row(results, "auroc", target="micro")
    assert row["value"] == pytest.approx(roc_auc_score(truth, logits), abs=1e-12)
    assert row["num_cases"] == len(truth) < 200
    each = [one_row(results, "auroc", target=t)["value"] for t in ("x", "y", "z")]
    assert one_row(results, "auroc", target="macro")["value"] == pytest.approx(np.mean(each))
    brier = ((expit(logits) - truth) ** 2).mean()
    assert one_row(results, "brier", target="micro")["value"] == pytest.approx(brier)


def test_micro_of_classes_ranks_the_probabilities_of_all_classes_together() -> None:
    table = TABLES["single-label"]
    results = score(table, attributes_of(table), "single-label", QUICK)
    truth, chances = stacked(table, "target"), softmax(stacked(table, "logit"), axis=1)
    row = one_row(results, "auroc", target="micro")
    assert row["value"] == pytest.approx(roc_auc_score(truth.ravel(), chances.ravel()), abs=1e-12)
    assert "nll" not in set(results.filter(pl.col("target") == "micro")["metric"])


def test_micro_resamples_the_patients_that_are_behind_several_targets() -> None:
    # three targets that are copies: pooling them is counting each case three times
    table = TABLES["binary"].with_columns(
        **{f"{kind}_{t}": pl.col(f"{kind}_x") for kind in ("target", "logit") for t in ("y", "z")}
    )
    numbers = numbers_of(measured(table, "multi-label"))
    alone = numbers_of(measured(TABLES["binary"]))
    pooled, own = numbers[MetricKey("micro", "auroc")].values, alone[MetricKey("x", "auroc")].values
    assert pooled is not None
    assert own is not None
    np.testing.assert_allclose(pooled, own, atol=1e-12)


def test_a_group_is_small_by_its_cases_not_by_its_labels() -> None:
    # six cases with three labels each are still six cases
    few = pl.when(pl.col("case_id").is_in(scored_rows(MULTI, "a")["case_id"].head(6).to_list()))
    about = MULTI.select("case_id", set=few.then(pl.lit("few")).otherwise(pl.lit("many")))
    results = score(MULTI, about, "multi-label", QUICK)
    rows = results.filter(pl.col("group") == "few")
    assert {"x", "macro", "micro"} <= set(rows["target"])
    assert rows["value"].null_count() == len(rows)
    micro = one_row(results, "auroc", target="micro", attribute="set", group="few")
    assert (micro["reason"], micro["num_patients"]) == ("fewer than 10 cases", 6)


def hidden(target: str, label: float) -> pl.DataFrame:
    """The table of several targets with a test label of one of them masked."""
    hit = (pl.col("split") == "test") & (pl.col(f"target_{target}") == label)
    return MULTI.with_columns(pl.when(~hit).then(f"target_{target}").alias(f"target_{target}"))


def test_macro_leaves_out_undefined_targets_and_says_how_many() -> None:
    numbers = numbers_of(measured(hidden("y", 1), "multi-label"))
    macro = numbers[MetricKey("macro", "auroc")]
    each = [numbers[MetricKey(t, "auroc")].values for t in ("x", "z")]
    assert macro.values is not None
    np.testing.assert_array_equal(macro.values, np.mean(each, axis=0))  # type: ignore[arg-type]
    assert macro.reason == "1 of 3 targets left out: no positive case"
    assert numbers[MetricKey("macro", "accuracy")].reason is None
    # pooled, no target is left out: its negatives count
    micro = numbers[MetricKey("micro", "auroc")]
    assert (micro.reason, micro.cases) == (None, 160 + numbers[MetricKey("y", "auroc")].cases)


def test_macro_of_what_is_undefined_though_bound_says_so() -> None:
    # nobody is called positive for y: its predictive value has no denominator
    test = pl.col("split") == "test"
    table = MULTI.with_columns(logit_y=pl.when(test).then(-50.0).otherwise("logit_y"))
    results = score(table, attributes_of(table), "multi-label", QUICK)
    own = one_row(results, "ppv@sens90", target="y")
    assert (own["value"], own["reason"]) == (None, "undefined in the sample")
    row = one_row(results, "ppv@sens90", target="macro")
    each = [one_row(results, "ppv@sens90", target=t)["value"] for t in ("x", "z")]
    assert row["value"] == pytest.approx(np.mean(each))
    assert row["reason"] == "1 of 3 targets left out: undefined in the sample"


def test_a_mean_without_an_interval_says_both_what_is_left_out_and_why_there_is_none() -> None:
    # x has one positive patient among eighty: over a third of the replicates miss it; y has none
    first = scored_rows(MULTI, "a")["case_id"].to_list()
    test = pl.col("split") == "test"
    table = MULTI.with_columns(
        target_x=pl.when(test)
        .then((pl.col("case_id") == first[0]).cast(float))
        .otherwise("target_x"),
        target_z=pl.when(test)
        .then((pl.col("case_id") == first[1]).cast(float))
        .otherwise("target_z"),
        target_y=pl.when(test).then(0.0).otherwise("target_y"),
    )
    results = score(table, attributes_of(table), "multi-label", QUICK)
    row = one_row(results, "auroc", target="macro")
    assert row["value"] is not None
    assert row["low"] is None
    assert row["reason"] == (
        "1 of 3 targets left out: no positive case; "
        "no interval: fewer than 5 patients with a positive case"
    )


@pytest.mark.parametrize("label", [None, 0.3])
def test_a_masked_or_soft_label_is_behind_no_number_of_its_target(label: float | None) -> None:
    rows = scored_rows(MULTI, "a")["case_id"].to_list()[:20]
    hit = pl.col("case_id").is_in(rows)
    damaged = MULTI.with_columns(
        target_x=pl.when(hit).then(pl.lit(label)).otherwise("target_x"),
        logit_x=pl.when(hit).then(100.0).otherwise("logit_x"),
    )
    without = MULTI.with_columns(
        target_x=pl.when(hit).then(None).otherwise("target_x"),
    )
    one, two = (numbers_of(measured(t, "multi-label")) for t in (damaged, without))
    for key, number in one.items():
        if key[0] in ("x", "y", "z"):
            assert_same(number, two[key])
            assert number.cases == (60 if key[0] == "x" else 80)


def assert_same(one: Estimate, two: Estimate) -> None:
    assert (one.cases, one.patients, one.positives, one.reason) == (
        two.cases,
        two.patients,
        two.positives,
        two.reason,
    )
    assert np.array_equal(one.values, two.values, equal_nan=True)  # type: ignore[arg-type]


def test_a_case_whose_class_is_unknown_is_behind_no_number() -> None:
    table = class_table(SITES, masked=0.25)
    one, two = (numbers_of(measured(t, "single-label")) for t in (table, table.drop_nulls()))
    assert one.keys() == two.keys()
    for key, number in one.items():
        if key[1] in OOD_METRICS:  # a detector needs no label
            continue
        # replicates are of all patients of the place, so these may differ
        assert number.values is not None
        np.testing.assert_allclose(number.values[0], two[key].values[0], atol=1e-12)  # type: ignore[index]
        if key[0] not in ("macro", "micro"):
            assert number.cases == len(scored_rows(table.drop_nulls(), "a")) < 70
