"""Every number of a run, with its interval, its counts, or the reason why it is not there."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score, top_k_accuracy_score
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    SITES,
    Site,
    arrays_of,
    attributes_of,
    binary_table,
    class_table,
    no_attributes,
    one_row,
    scored_rows,
    true_auroc,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.score import score
from medtransfer.metrics.catalog import CATALOG, result_names
from medtransfer.metrics.discrimination import auroc
from medtransfer.statistics.bootstrap import draw_replicates, percentile_interval
from medtransfer.tables.results import read_results, results_frame, write_results

BIG = {"a": Site({"tune": 40, "test": 4000}, separation=1.2), "b": Site({"test": 4000}, 0.6)}


def test_the_planted_auroc_of_every_cohort_is_found() -> None:
    table = binary_table(BIG)
    results = score(table, no_attributes(table), "binary", QUICK)
    for cohort, site in BIG.items():
        row = one_row(results, "auroc", cohort=cohort)
        assert row["value"] == pytest.approx(true_auroc(site.separation), abs=0.02)
        assert row["low"] < row["value"] < row["high"]
        assert row["high"] - row["low"] < 0.05


def test_calibrated_predictions_have_the_small_ece_that_chance_leaves() -> None:
    table = binary_table(BIG)
    results = score(table, no_attributes(table), "binary", QUICK)
    assert one_row(results, "ece", cohort="b")["value"] < 0.04
    overconfident = binary_table(BIG, temperature=3.0)
    results = score(overconfident, no_attributes(overconfident), "binary", QUICK)
    assert one_row(results, "ece", cohort="b")["low"] > 0.1


def test_a_binary_run_has_every_binary_metric_in_the_catalogue() -> None:
    table = binary_table()
    results = score(table, no_attributes(table), "binary", QUICK)
    expected = {
        name
        for metric in CATALOG.values()
        if metric.of_target and metric.spread is None and metric.conformal != "group"
        if not metric.costs
        for name, _ in result_names(metric, QUICK.operating_points, QUICK.risks)
    }
    of_target = results.filter(pl.col("split") == "test", pl.col("target") == "x")
    laws = {"coverage_split_expected", "coverage_class_expected"}
    assert set(of_target["metric"]) == expected | {"auroc_delong"} | laws
    others = results.filter(pl.col("target") != "x")
    assert set(others["target"]) == {"max_probability", "max_logit", "energy"}
    assert set(others["metric"]) == {"ood_flag_rate"}


def test_every_number_has_an_interval_that_holds_it_and_counts() -> None:
    table = binary_table({"a": Site(each=2), "b": Site({"test": 30})}, masked=0.1)
    results = score(table, no_attributes(table), "binary", QUICK)
    rows = results.filter(pl.col("split") == "test", pl.col("target") == "x")
    assert rows.filter(pl.col("low").is_null() != pl.col("reason").is_not_null()).is_empty()
    assert rows["low"].null_count() < 0.05 * len(rows)
    assert rows.filter(~pl.col("value").is_between("low", "high")).is_empty()
    assert rows.filter(pl.col("low") == pl.col("high")).is_empty()
    for cohort in ("a", "b"):
        labelled = scored_rows(table, cohort).drop_nulls("target_x")
        own = rows.filter(pl.col("cohort") == cohort)
        assert set(own["num_cases"]) == {len(labelled)}
        assert set(own["num_patients"]) == {labelled["patient_id"].n_unique()}
        assert set(own["num_positive"]) == {int(labelled["target_x"].sum())}


def test_the_interval_is_the_percentile_interval_of_resampled_patients() -> None:
    table = binary_table({"a": Site({"tune": 20, "test": 160}, each=2)})
    row = one_row(score(table, no_attributes(table), "binary", QUICK), "auroc")
    rows = scored_rows(table, "a").sample(fraction=1, shuffle=True, seed=0)
    drawn = draw_replicates(rows["patient_id"].to_list(), QUICK.replicates, QUICK.seed, "a")
    values = drawn.values(auroc(*arrays_of(rows)), np.ones(len(rows), dtype=bool))
    assert (row["low"], row["high"]) == pytest.approx(percentile_interval(values), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multi-label", "single-label"])
def test_the_order_of_rows_does_not_matter(task: Task) -> None:
    sites = {"a": Site(each=2), "b": Site({"test": 30})}
    targets = ("x", "y") if task == "multi-label" else ("x",)
    if task == "single-label":
        table = class_table(sites, masked=0.1)
    else:
        table = binary_table(sites, masked=0.1, targets=targets)
    about = attributes_of(table, unknown=7)
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)
    one = score(table, about, task, QUICK)
    two = score(shuffled, about.reverse(), task, QUICK)
    assert_frame_equal(one, two)


def test_masked_and_soft_targets_are_left_out() -> None:
    table = binary_table(masked=0.2, soft=0.2)
    plain = table.filter(pl.col("target_x").is_in([0.0, 1.0]))
    results = score(table, no_attributes(table), "binary", QUICK)
    row = one_row(results, "auroc")
    assert row["num_cases"] == len(scored_rows(plain, "a")) < 0.7 * len(scored_rows(table, "a"))
    assert row["value"] == pytest.approx(roc_auc_score(*arrays_of(scored_rows(plain, "a"))))


def test_predictions_of_training_rows_are_not_scored() -> None:
    sites = {"a": Site({"train": 50, "tune": 40, "test": 80})}
    table = binary_table(sites)
    without = table.filter(pl.col("split") != "train")
    results = score(table, no_attributes(table), "binary", QUICK)
    assert_frame_equal(results, score(without, no_attributes(without), "binary", QUICK))


def test_without_replicates_values_stand_alone() -> None:
    table = binary_table()
    config = QUICK.model_copy(update={"replicates": 0, "permutations": 0})
    results = score(table, attributes_of(table), "binary", config)
    assert one_row(results, "auroc")["value"] is not None
    # DeLong's interval and the law of the coverage need no replicates
    without = pl.col("metric").str.contains("auroc_delong|^coverage_.*_expected$")
    rows = results.filter(~without)
    assert rows["low"].null_count() == rows["high"].null_count() == len(rows) == len(results) - 3
    undefined = rows.filter(pl.col("value").is_null())
    assert undefined["reason"].null_count() == 0
    assert rows.drop_nulls("value")["reason"].null_count() == len(rows) - len(undefined)
    gap = one_row(results, "auroc_gap_p", attribute="sex")
    assert (gap["value"], gap["reason"]) == (None, "no permutations were asked for")


def test_single_label_numbers_of_the_case_equal_scikit_learn() -> None:
    table = class_table(masked=0.1)
    results = score(table, no_attributes(table), "single-label", QUICK)
    rows = scored_rows(table, "a").drop_nulls()
    truth = rows.select(f"target_{name}" for name in CLASSES).to_numpy().argmax(axis=1)
    logits = rows.select(f"logit_{name}" for name in CLASSES).to_numpy()
    chances = softmax(logits, axis=1)
    expected = {
        "accuracy": (chances.argmax(axis=1) == truth).mean(),
        "balanced_accuracy": balanced_accuracy_score(truth, chances.argmax(axis=1)),
        "top3_accuracy": top_k_accuracy_score(truth, chances, k=3),
        "nll": log_loss(truth, chances),
    }
    for metric, value in expected.items():
        row = one_row(results, metric, target="case")
        assert row["value"] == pytest.approx(value, abs=1e-9)
        assert row["num_cases"] == len(rows) < 80
        assert row["num_positive"] is None


def test_each_class_against_the_rest_is_ranked_by_its_probability() -> None:
    table = class_table()
    results = score(table, no_attributes(table), "single-label", QUICK)
    rows = scored_rows(table, "a")
    chances = softmax(rows.select(f"logit_{name}" for name in CLASSES).to_numpy(), axis=1)
    found: list[float] = []
    for k, name in enumerate(CLASSES):
        found.append(one_row(results, "auroc", target=name)["value"])
        assert found[-1] == pytest.approx(roc_auc_score(rows[f"target_{name}"], chances[:, k]))
    assert one_row(results, "auroc", target="macro")["value"] == pytest.approx(np.mean(found))


def test_three_classes_have_no_top_three() -> None:
    table = class_table(classes=("p", "q", "r"))
    results = score(table, no_attributes(table), "single-label", QUICK)
    assert "top3_accuracy" not in set(results["metric"])


def test_results_keep_their_contract_when_written_and_read(tmp_path) -> None:
    table = binary_table(SITES, targets=("x", "y"), masked=0.1)
    results = score(table, attributes_of(table), "multi-label", QUICK)
    write_results(results, tmp_path / "results.parquet")
    assert_frame_equal(read_results(tmp_path / "results.parquet"), results)
    assert results.columns == list(results_frame([]).columns)
    assert results.select(pl.col("value", "low", "high").is_nan().any()).row(0) == (False,) * 3
