"""The mean over targets leaves out what is undefined, and says so."""

import numpy as np
import polars as pl
import pytest
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    attributes_of,
    binary_table,
    class_table,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.scoring.score import score

SITES = {"a": Site({"tune": 60, "test": 100})}
TABLE = binary_table(SITES, targets=("x", "y", "z"), masked=0.2)
tested = pl.col("split") == "test"


def without(target: str, *, label: float) -> pl.DataFrame:
    """The table with a test label of a target masked wherever it stands."""
    hidden = tested & (pl.col(f"target_{target}") == label)
    return TABLE.with_columns(pl.when(~hidden).then(f"target_{target}").alias(f"target_{target}"))


def test_it_is_the_mean_of_the_targets() -> None:
    results = score(TABLE, no_attributes(TABLE), "multi-label", QUICK)
    for metric in ("auroc", "nll", "ece_scaled", "sensitivity@sens90"):
        each = [one_row(results, metric, target=t)["value"] for t in ("x", "y", "z")]
        row = one_row(results, metric, target="macro")
        assert row["value"] == pytest.approx(np.mean(each), abs=1e-12)
        assert row["reason"] is None
        assert (row["num_cases"], row["num_positive"]) == (100, None)


def test_an_undefined_target_is_left_out_and_counted() -> None:
    table = without("y", label=1)
    results = score(table, no_attributes(table), "multi-label", QUICK)
    missing = one_row(results, "auroc", target="y")
    assert (missing["value"], missing["reason"]) == (None, "no positive case")
    each = [one_row(results, "auroc", target=t)["value"] for t in ("x", "z")]
    row = one_row(results, "auroc", target="macro")
    assert row["value"] == pytest.approx(np.mean(each))
    assert row["reason"] == "1 of 3 targets left out: no positive case"
    assert row["low"] < row["value"] < row["high"]


def test_a_metric_that_is_defined_for_all_leaves_nothing_out() -> None:
    table = without("y", label=1)
    results = score(table, no_attributes(table), "multi-label", QUICK)
    row = one_row(results, "specificity@sens90", target="macro")
    assert (row["value"] is not None, row["reason"]) == (True, None)


def test_a_mean_of_nothing_is_undefined() -> None:
    hidden = TABLE.with_columns(pl.when(~tested).then(pl.col("^target_.*$")).name.keep())
    results = score(hidden, no_attributes(hidden), "multi-label", QUICK)
    row = one_row(results, "auroc", target="macro")
    assert (row["value"], row["low"]) == (None, None)
    assert row["reason"] == "3 of 3 targets left out: no labelled case"


def test_a_single_target_has_no_mean() -> None:
    table = binary_table()
    results = score(table, no_attributes(table), "binary", QUICK)
    assert "macro" not in set(results["target"])


def test_counts_of_a_target_are_of_its_own_labelled_cases() -> None:
    results = score(TABLE, no_attributes(TABLE), "multi-label", QUICK)
    for target in ("x", "y", "z"):
        labels = scored_rows(TABLE, "a")[f"target_{target}"].drop_nulls()
        row = one_row(results, "auroc", target=target)
        assert (row["num_cases"], row["num_positive"]) == (len(labels), int(labels.sum()))


def test_groups_of_several_targets_are_compared_by_their_mean() -> None:
    results = score(TABLE, attributes_of(TABLE), "multi-label", QUICK)
    gaps = results.filter(pl.col("metric") == "auroc_gap")
    assert gaps["target"].to_list() == ["x", "y", "z", "macro"]
    gaps = gaps.filter(pl.col("target") == "macro")
    values = [
        one_row(results, "auroc", target="macro", attribute="sex", group=g)["value"]
        for g in ("F", "M")
    ]
    assert gaps["value"].item() == pytest.approx(abs(values[0] - values[1]))
    p = one_row(results, "auroc_gap_p", target="macro", attribute="sex")
    assert 0 < p["value"] <= 1
    tested = results.filter(pl.col("metric").str.ends_with("_gap_p"))
    assert set(tested["target"]) == {"macro"}


def test_groups_of_a_single_label_task_are_compared_by_case_and_by_mean() -> None:
    table = class_table(SITES)
    results = score(table, attributes_of(table), "single-label", QUICK)
    gaps = results.filter(pl.col("metric").str.ends_with("_gap"))
    assert set(gaps["target"]) == {*CLASSES, "macro", "case"}
    tested = results.filter(pl.col("metric").str.ends_with("_gap_p"))
    assert set(tested["target"]) == {"macro", "case"}
    assert one_row(results, "accuracy_gap", target="case", attribute="sex")["value"] is not None


def test_balanced_accuracy_of_one_class_is_undefined() -> None:
    table = class_table(SITES).filter(~tested | (pl.col("target_nevus") == 1))
    results = score(table, no_attributes(table), "single-label", QUICK)
    row = one_row(results, "balanced_accuracy", target="case")
    assert (row["value"], row["reason"]) == (None, "one class only")
    assert one_row(results, "accuracy", target="case")["value"] is not None
