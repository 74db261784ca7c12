"""DeLong's interval beside the bootstrap's: of the same cases, clustered by patient."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    arrays_of,
    attributes_of,
    binary_table,
    class_table,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.scoring.score import score
from medtransfer.statistics.small_samples import auroc_interval

SITES = {"a": Site({"tune": 40, "test": 150}), "b": Site({"test": 60}, separation=0.8)}
TABLE = binary_table(SITES, masked=0.1)
RESULTS = score(TABLE, attributes_of(TABLE), "binary", QUICK)


def test_of_few_patients_the_interval_is_the_score_interval() -> None:
    truth, logits = arrays_of(scored_rows(TABLE, "b"))
    row = one_row(RESULTS, "auroc_delong", cohort="b")
    wins = np.sign(logits[truth == 1][:, None] - logits[truth == 0][None, :]) / 2 + 0.5
    m, n = wins.shape
    variance = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    expected = auroc_interval(float(wins.mean()), m, n, variance)
    assert (row["low"], row["high"]) == pytest.approx(expected, abs=1e-9)
    plain = one_row(RESULTS, "auroc", cohort="b")
    assert (row["low"], row["high"]) == pytest.approx((plain["low"], plain["high"]), abs=0.02)


def test_the_interval_is_delongs_by_hand() -> None:
    cohort = "a"
    truth, logits = arrays_of(scored_rows(TABLE, cohort))
    wins = np.sign(logits[truth == 1][:, None] - logits[truth == 0][None, :]) / 2 + 0.5
    area = wins.mean()
    m, n = wins.shape
    variance = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    odds, half = np.log(area / (1 - area)), norm.ppf(0.975) * variance**0.5 / (area * (1 - area))
    row = one_row(RESULTS, "auroc_delong", cohort=cohort)
    assert row["value"] == pytest.approx(area)
    ends = 1 / (1 + np.exp(-np.array([odds - half, odds + half])))
    assert (row["low"], row["high"]) == pytest.approx(tuple(ends), abs=1e-9)
    assert (row["num_cases"], row["num_positive"]) == (len(truth), int(truth.sum()))


def test_it_is_the_same_number_as_the_auroc_with_about_the_same_interval() -> None:
    config = QUICK.model_copy(update={"replicates": 400})
    results = score(TABLE, no_attributes(TABLE), "binary", config)
    for cohort in ("a", "b"):
        one = one_row(results, "auroc", cohort=cohort)
        two = one_row(results, "auroc_delong", cohort=cohort)
        assert two["value"] == pytest.approx(one["value"])
        assert two["high"] - two["low"] == pytest.approx(one["high"] - one["low"], rel=0.2)


def test_cases_of_a_patient_are_no_further_evidence() -> None:
    copied = pl.concat([TABLE, TABLE.with_columns(case_id=pl.col("case_id") + "-again")])
    results = score(copied, no_attributes(copied), "binary", QUICK)
    one, two = (one_row(r, "auroc_delong", cohort="a") for r in (RESULTS, results))
    assert two["value"] == pytest.approx(one["value"])
    assert two["high"] - two["low"] == pytest.approx(one["high"] - one["low"], rel=0.02)


def test_every_target_has_one_and_every_class_is_ranked_by_its_probability() -> None:
    table = class_table({"a": Site()})
    results = score(table, no_attributes(table), "single-label", QUICK)
    rows = results.filter(pl.col("metric") == "auroc_delong")
    assert rows["target"].to_list() == list(CLASSES)
    for name in CLASSES:
        plain = one_row(results, "auroc", target=name)
        assert one_row(results, "auroc_delong", target=name)["value"] == pytest.approx(
            plain["value"]
        )


def test_it_is_not_reported_by_group() -> None:
    assert set(RESULTS.filter(pl.col("metric") == "auroc_delong")["group"]) == {"all"}


def remade(make: pl.Expr, name: str = "logit_x") -> dict[str, Any]:
    """DeLong's row after a column of the test cases was made anew."""
    table = TABLE.with_columns(
        pl.when(pl.col("split") == "test").then(make).otherwise(name).alias(name)
    )
    results = score(table, no_attributes(table), "binary", QUICK)
    return one_row(results, "auroc_delong", cohort="a")


def test_without_variance_there_is_no_interval_and_a_reason() -> None:
    row = remade(pl.lit(0.0))
    assert (row["value"], row["low"], row["high"]) == (0.5, None, None)
    assert row["reason"] == "no interval: DeLong's variance is 0"


def test_complete_separation_has_a_bound_on_one_side() -> None:
    row = remade(pl.coalesce(pl.col("target_x"), pl.lit(0.0)))
    assert (row["value"], row["high"], row["reason"]) == (1.0, 1.0, None)
    assert 0.9 < row["low"] < 1


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (pl.lit(0.0), "no positive case"),
        (pl.lit(1.0), "no negative case"),
        (pl.lit(None, dtype=pl.Float64), "no labelled case"),
    ],
)
def test_without_both_classes_it_is_undefined(truth: pl.Expr, reason: str) -> None:
    row = remade(truth, "target_x")
    assert (row["value"], row["low"], row["reason"]) == (None, None, reason)


def test_one_patient_with_a_positive_case_has_a_value_and_no_interval() -> None:
    first = scored_rows(TABLE, "a").drop_nulls()["patient_id"][0]
    row = remade((pl.col("patient_id") == first).cast(pl.Float64), "target_x")
    truth = scored_rows(TABLE, "a")["patient_id"] == first
    area = roc_auc_score(truth, scored_rows(TABLE, "a")["logit_x"])
    assert (row["value"], row["low"]) == (pytest.approx(area), None)
    assert row["reason"] == "no variance: only one patient with a positive case"
