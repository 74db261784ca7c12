"""Worst group, gap, ratio, equalised odds and their p-values: by hand and against fairlearn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
    false_negative_rate,
    selection_rate,
    true_negative_rate,
    true_positive_rate,
)
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import accuracy_score, precision_score, roc_auc_score
from tests.prediction_tables import (
    QUICK,
    Site,
    arrays_of,
    attributes_of,
    binary_table,
    class_table,
    one_row,
    scored_rows,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.score import score
from medtransfer.seeds import generator
from medtransfer.tables.predictions import target_names

SITE = Site({"tune": 60, "test": 150}, separation=1.2, lost=0.5)
TABLE = binary_table({"a": SITE})
WIDE = QUICK.model_copy(update={"operating_points": ("sens90", "spec80")})


def sites_of(table: pl.DataFrame, groups: int = 3) -> pl.DataFrame:
    """`case_id` and the scanner, one of several."""
    number = table["patient_id"].str.extract(r"(\d+)$").cast(pl.Int64)
    return table.select("case_id", scanner=pl.format("s{}", number % groups))


ABOUT = sites_of(TABLE)
RESULTS = score(TABLE, ABOUT, "binary", WIDE)


def group_values(metric: str, results: pl.DataFrame = RESULTS) -> list[float]:
    return [one_row(results, metric, attribute="scanner", group=f"s{k}")["value"] for k in range(3)]


def summary(metric: str, **where: str) -> dict[str, Any]:
    return one_row(RESULTS, metric, attribute="scanner", **where)


def called(point: str) -> NDArray[np.bool_]:
    limit = one_row(RESULTS, f"threshold@{point}")["value"]
    return expit(arrays_of(scored_rows(TABLE))[1]) >= limit


SCANNER = scored_rows(TABLE).join(ABOUT, on="case_id", maintain_order="left")["scanner"].to_list()
TRUTH, LOGITS = arrays_of(scored_rows(TABLE))


def frame_of(metric: Callable[..., float], predicted: NDArray[Any]) -> MetricFrame:
    return MetricFrame(metrics=metric, y_true=TRUTH, y_pred=predicted, sensitive_features=SCANNER)


@pytest.mark.parametrize("metric", ["auroc", "accuracy", "sensitivity@sens90", "ppv@spec80"])
def test_gap_ratio_and_worst_group_by_hand(metric: str) -> None:
    values = group_values(metric)
    assert len(set(values)) == 3
    assert summary(f"{metric}_gap")["value"] == pytest.approx(max(values) - min(values))
    assert summary(f"{metric}_ratio")["value"] == pytest.approx(min(values) / max(values))
    assert summary(f"{metric}_worst_group")["value"] == min(values)
    for suffix in ("gap", "ratio", "worst_group"):
        row = summary(f"{metric}_{suffix}")
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert (row["group"], row["num_cases"], row["num_positive"]) == ("all", 150, None)


METRICS = {
    "auroc": (roc_auc_score, None),
    "accuracy": (accuracy_score, None),
    "sensitivity@sens90": (true_positive_rate, "sens90"),
    "specificity@spec80": (true_negative_rate, "spec80"),
    "ppv@sens90": (precision_score, "sens90"),
    "underdiagnosis@sens90": (false_negative_rate, "sens90"),
    "predicted_prevalence@spec80": (selection_rate, "spec80"),
}


@pytest.mark.parametrize("metric", METRICS)
def test_gap_and_ratio_equal_fairlearn(metric: str) -> None:
    function, point = METRICS[metric]
    own = LOGITS if metric == "auroc" else expit(LOGITS) >= 0.5 if point is None else called(point)
    frame = frame_of(function, own)
    assert group_values(metric) == pytest.approx(frame.by_group.to_list(), abs=1e-9)
    gap, ratio = summary(f"{metric}_gap"), summary(f"{metric}_ratio")
    assert gap["value"] == pytest.approx(frame.difference(method="between_groups"), abs=1e-9)
    assert ratio["value"] == pytest.approx(frame.ratio(method="between_groups"), abs=1e-9)


@pytest.mark.parametrize("point", ["sens90", "spec80"])
def test_demographic_parity_and_equalised_odds_equal_fairlearn(point: str) -> None:
    about = {"y_true": TRUTH, "y_pred": called(point), "sensitive_features": SCANNER}
    parity = summary(f"predicted_prevalence@{point}_gap")["value"]
    assert parity == pytest.approx(demographic_parity_difference(**about), abs=1e-9)
    ratio = summary(f"predicted_prevalence@{point}_ratio")["value"]
    assert ratio == pytest.approx(demographic_parity_ratio(**about), abs=1e-9)
    odds = summary(f"equalized_odds@{point}")
    assert odds["value"] == pytest.approx(equalized_odds_difference(**about), abs=1e-9)
    assert 0 <= odds["low"] <= odds["value"] <= odds["high"] <= 1
    # equal opportunity is the gap in sensitivity
    opportunity = frame_of(true_positive_rate, called(point)).difference(method="between_groups")
    assert summary(f"sensitivity@{point}_gap")["value"] == pytest.approx(opportunity, abs=1e-9)


def test_equalised_odds_are_the_larger_of_both_gaps() -> None:
    gaps = [summary(f"{m}@sens90_gap")["value"] for m in ("sensitivity", "specificity")]
    assert summary("equalized_odds@sens90")["value"] == max(gaps) > min(gaps)


def test_what_is_neither_good_nor_bad_has_no_worst_group() -> None:
    names = set(RESULTS["metric"])
    assert "predicted_prevalence@sens90_gap" in names
    assert "predicted_prevalence@sens90_worst_group" not in names


@pytest.mark.parametrize("metric", ["ece", "underdiagnosis@sens90"])
def test_the_worst_group_of_an_error_is_the_largest(metric: str) -> None:
    assert summary(f"{metric}_worst_group")["value"] == max(group_values(metric))


def test_the_ratio_of_calibration_errors_has_no_interval_and_says_why() -> None:
    row = summary("ece_ratio")
    assert row["value"] == pytest.approx(min(group_values("ece")) / max(group_values("ece")))
    assert (row["low"], row["reason"]) == (
        None,
        "no interval: chance alone pushes the metric up, in groups of different size differently",
    )
    assert summary("ece_gap")["low"] is not None


def test_metrics_that_are_not_compared_have_no_gap() -> None:
    gaps = RESULTS.filter(pl.col("metric").str.ends_with("_gap"))["metric"].to_list()
    assert "auprc_gap" not in gaps
    assert "brier_gap" not in gaps
    assert len(gaps) == len(set(gaps)) == 4 + 2 * 6


DISEASES = binary_table({"a": SITE}, targets=("nodule", "healthy"))


def test_under_diagnosis_of_a_disease_is_missing_it() -> None:
    results = score(DISEASES, sites_of(DISEASES), "multi-label", QUICK)
    for target in ("nodule", "healthy"):
        hit = one_row(results, "sensitivity@sens90", target=target)
        missed = one_row(results, "underdiagnosis@sens90", target=target)
        assert missed["value"] == pytest.approx(1 - hit["value"])
        assert (missed["low"], missed["high"]) == pytest.approx((1 - hit["high"], 1 - hit["low"]))


def test_under_diagnosis_of_no_finding_is_calling_the_ill_healthy() -> None:
    config = QUICK.model_copy(update={"healthy_targets": ("healthy",)})
    results = score(DISEASES, sites_of(DISEASES), "multi-label", config)
    truth, logits = arrays_of(scored_rows(DISEASES), "healthy")
    limit = one_row(results, "threshold@sens90", target="healthy")["value"]
    ill = expit(logits)[truth == 0]
    row = one_row(results, "underdiagnosis@sens90", target="healthy")
    assert row["value"] == pytest.approx((ill >= limit).mean())
    plain = score(DISEASES, sites_of(DISEASES), "multi-label", QUICK)
    changed = results.join(plain, on=["attribute", "group", "target", "metric"], suffix="_plain")
    changed = changed.filter(pl.col("value") != pl.col("value_plain"))
    assert set(changed["target"]) == {"healthy", "macro"}
    assert set(changed["metric"].str.split("@").list.first()) == {"underdiagnosis"}
    other = one_row(results, "underdiagnosis@sens90", target="nodule")["value"]
    macro = one_row(results, "underdiagnosis@sens90", target="macro")["value"]
    assert macro == pytest.approx((row["value"] + other) / 2)


def hanley(area: float, positives: int, negatives: int) -> float:
    """Variance of an AUROC by Hanley and McNeil 1982."""
    end = 0.5 / (positives * negatives + 1)
    a = min(max(area, end), 1 - end)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    whole = a * (1 - a) + (positives - 1) * (q1 - a * a) + (negatives - 1) * (q2 - a * a)
    return whole / (positives * negatives)


def by_hand(
    table: pl.DataFrame, about: pl.DataFrame, targets: list[str], config: EvaluationConfig
) -> float:
    """P-value of the gap in AUROC, the groups dealt out by numpy to patients of the same labels.

    One case a patient. Of one target the differences are in units of their standard error.
    """
    rows = scored_rows(table).sort("patient_id").join(about, on="case_id", maintain_order="left")
    assert rows["patient_id"].is_unique().all()
    names, group = np.unique(rows[about.columns[1]].to_numpy(), return_inverse=True)
    truths = [rows[f"target_{t}"].to_numpy() for t in targets]
    logits = [rows[f"logit_{t}"].to_numpy() for t in targets]

    def gap(dealt: NDArray[np.int64]) -> float:
        means: list[float] = []
        variances: list[float] = []
        for k in range(len(names)):
            mine = dealt == k
            areas = [
                float(roc_auc_score(y[mine], x[mine])) for y, x in zip(truths, logits, strict=True)
            ]
            means.append(float(np.mean(areas)))
            positives = int(truths[0][mine].sum())
            variances.append(hanley(areas[0], positives, int(mine.sum()) - positives))
        if len(targets) > 1:
            return max(means) - min(means)
        pairs = [(i, j) for i in range(len(names)) for j in range(i)]
        return max(
            abs(means[i] - means[j]) / (variances[i] + variances[j]) ** 0.5 for i, j in pairs
        )

    rng = generator(config.seed, "permutation", "a", about.columns[1])
    dealt = np.tile(group, (config.permutations, 1))
    # patterns of labels in the order in which they sort: number of cases at 0 before that at 1
    patterns = [
        tuple(v for y in of_case for v in (1 - y, y)) for of_case in zip(*truths, strict=True)
    ]
    for pattern in sorted(set(patterns)):
        members = np.flatnonzero([p == pattern for p in patterns])
        dealt[:, members] = rng.permuted(dealt[:, members], axis=1)
    hits = sum(gap(one) >= gap(group) - 1e-12 for one in dealt)
    return (1 + hits) / (1 + config.permutations)


@pytest.mark.slow
def test_the_p_value_deals_the_groups_out_to_patients_anew() -> None:
    table = binary_table({"a": Site({"tune": 40, "test": 90}, lost=0.3)})
    config = QUICK.model_copy(update={"permutations": 100, "replicates": 0})
    results = score(table, sites_of(table), "binary", config)
    row = one_row(results, "auroc_gap_p", attribute="scanner")
    expected = by_hand(table, sites_of(table), ["x"], config)
    assert 0.01 < expected < 1
    assert row["value"] == expected
    assert (row["low"], row["num_cases"], row["num_patients"]) == (None, 90, 90)


@pytest.mark.slow
def test_the_p_value_of_a_mean_is_over_the_targets_that_the_gap_is_over() -> None:
    # z has no positive, so no AUROC: neither the gap nor its p-value holds it
    table = binary_table({"a": Site({"tune": 60, "test": 80}, lost=0.3)}, targets=("x", "y", "z"))
    test = pl.col("split") == "test"
    table = table.with_columns(target_z=pl.when(test).then(0.0).otherwise("target_z"))
    config = QUICK.model_copy(update={"permutations": 100, "replicates": 0})
    results = score(table, attributes_of(table), "multi-label", config)
    row = one_row(results, "auroc_gap_p", target="macro", attribute="sex")
    assert row["value"] == by_hand(table, attributes_of(table), ["x", "y"], config)


def test_a_planted_gap_is_found_and_one_that_is_not_there_is_not() -> None:
    config = QUICK.model_copy(update={"permutations": 199, "replicates": 0})
    planted = binary_table({"a": Site({"tune": 40, "test": 150}, separation=2.5, lost=0.9)})
    equal = binary_table({"a": Site({"tune": 40, "test": 150}, separation=2.5)})
    for table, low, high in ((planted, 0, 0.005), (equal, 0.05, 1)):
        results = score(table, attributes_of(table), "binary", config)
        p = one_row(results, "auroc_gap_p", attribute="sex")["value"]
        assert low < p <= high


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["auroc", "accuracy"])
def test_p_values_of_no_difference_are_uniform(metric: str) -> None:
    config = QUICK.model_copy(update={"permutations": 39, "replicates": 60})
    found: list[float] = []
    for seed in range(25):
        table = binary_table({"a": Site({"tune": 10, "test": 40}, each=2, likeness=0.9)}, seed=seed)
        results = score(table, attributes_of(table), "binary", config)
        found.append(one_row(results, f"{metric}_gap_p", attribute="sex")["value"])
    # under the null, 7 or more of 25 at 10 % happen once in 100
    assert sum(p <= 0.1 for p in found) <= 6
    assert 0.35 < np.mean(found) < 0.7


def test_only_overall_numbers_are_tested() -> None:
    studies: list[tuple[pl.DataFrame, Task, set[str]]] = [
        (DISEASES, "multi-label", {"macro"}),
        (class_table({"a": Site()}), "single-label", {"macro", "case"}),
        (TABLE, "binary", {"x"}),
    ]
    for table, task, targets in studies:
        results = score(table, attributes_of(table), task, QUICK)
        tested = results.filter(pl.col("metric").str.ends_with("_gap_p"))
        assert set(tested["target"]) == targets
        assert "micro" not in set(results.filter(pl.col("metric").str.ends_with("_gap"))["target"])


def test_a_patient_in_two_groups_has_gaps_but_no_permutation() -> None:
    table = binary_table({"a": Site({"tune": 40, "test": 60}, each=2)})
    about = table.select("case_id", view=pl.col("case_id").str.tail(2))
    results = score(table, about, "binary", QUICK)
    assert one_row(results, "accuracy_gap", attribute="view")["low"] is not None
    tested = results.filter(pl.col("metric").str.contains("^(auroc|sens|spec).*_gap_p$"))
    assert len(tested) == 3
    assert tested["value"].null_count() == len(tested)
    assert set(tested["reason"]) == {"a patient is in two groups"}
    # whole patients are resampled, so the bootstrap does not mind
    assert one_row(results, "accuracy_gap_p", attribute="view")["value"] is not None


def test_groups_are_compared_by_the_mean_over_the_targets_that_all_of_them_have() -> None:
    # nobody of sex F is positive for y
    women = attributes_of(DISEASES)["sex"] == "F"
    table = DISEASES.with_columns(
        target_nodule=pl.when((pl.col("split") == "test") & women)
        .then(0.0)
        .otherwise("target_nodule")
    )
    results = score(table, attributes_of(table), "multi-label", QUICK)
    names = target_names(table)
    row = one_row(results, "auroc_gap_p", target="macro", attribute="sex")
    assert row["value"] is not None
    assert row["reason"] == f"1 of {len(names)} targets left out: undefined in a group"
    parts = [
        one_row(results, "auroc", target=name, attribute="sex", group=sex)["value"]
        for sex in "FM"
        for name in names
        if name != "nodule"
    ]
    means = np.reshape(parts, (2, -1)).mean(axis=1)
    gap = one_row(results, "auroc_gap", target="macro", attribute="sex")
    assert gap["value"] == pytest.approx(np.ptp(means), abs=1e-12)
    assert gap["reason"] == row["reason"]
    assert one_row(results, "accuracy_gap_p", target="macro", attribute="sex")["value"] is not None


def test_one_group_alone_is_compared_with_nobody() -> None:
    about = TABLE.select("case_id", scanner=pl.lit("only"))
    results = score(TABLE, about, "binary", QUICK)
    for metric in (
        "auroc_gap",
        "auroc_ratio",
        "auroc_worst_group",
        "auroc_gap_p",
        "equalized_odds@sens90",
        "predicted_prevalence@sens90_gap",
    ):
        row = one_row(results, metric, attribute="scanner")
        assert (row["value"], row["reason"]) == (None, "fewer than two groups large enough")


def test_groups_that_are_all_at_zero_have_a_gap_of_zero_and_no_ratio() -> None:
    # nobody is called positive: sensitivity is 0 in every group
    test = pl.col("split") == "test"
    table = TABLE.with_columns(
        logit_x=pl.when(test).then(pl.col("logit_x") - 50).otherwise("logit_x")
    )
    results = score(table, ABOUT, "binary", QUICK)
    assert one_row(results, "sensitivity@sens90_gap", attribute="scanner")["value"] == 0
    row = one_row(results, "sensitivity@sens90_ratio", attribute="scanner")
    assert (row["value"], row["reason"]) == (None, "undefined: no group is above 0")


def test_an_attribute_that_a_cohort_does_not_have_makes_no_rows_there() -> None:
    table = binary_table({"a": Site(), "b": Site({"test": 40})})
    about = attributes_of(table).with_columns(
        sex=pl.when(pl.col("case_id").str.starts_with("a")).then("sex")
    )
    results = score(table, about, "binary", QUICK)
    assert set(results.filter(pl.col("attribute") == "sex")["cohort"]) == {"a"}


def test_a_group_of_one_patient_has_a_value_but_gives_no_interval() -> None:
    table = binary_table({"a": Site({"tune": 20, "test": 12}, each=12)})
    about = table.select(
        "case_id",
        set=pl.when(pl.col("patient_id") == "a-p0020")
        .then(pl.lit("one"))
        .otherwise(pl.lit("rest")),
    )
    results = score(table, about, "binary", QUICK)
    row = one_row(results, "accuracy", attribute="set", group="one")
    assert row["value"] is not None
    assert (row["low"], row["num_cases"], row["num_patients"]) == (None, 12, 1)
    assert row["reason"] == "no interval: one patient"
    for suffix in ("gap", "ratio", "worst_group"):
        row = one_row(results, f"accuracy_{suffix}", attribute="set")
        assert (row["value"] is not None, row["low"]) == (True, None)
        assert row["reason"].startswith("no interval")
