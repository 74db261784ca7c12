"""Guaranteed operating points in the results table."""

import polars as pl
from tests.prediction_tables import QUICK, Site, binary_table, no_attributes, one_row

from medtransfer.evaluation.scoring.score import score

POINTS = ("sens90", "sens90-sure", "sens90-mean")


def test_guaranteed_points_are_rows_like_others() -> None:
    config = QUICK.model_copy(update={"operating_points": POINTS})
    table = binary_table({"a": Site({"tune": 150, "test": 100}), "b": Site({"test": 60})})
    results = score(table, no_attributes(table), "binary", config)
    thresholds = [one_row(results, f"threshold@{point}")["value"] for point in POINTS]
    plain, sure, mean = thresholds
    assert sure < mean <= plain
    for cohort in ("a", "b"):
        rates = [one_row(results, f"sensitivity@{p}", cohort=cohort)["value"] for p in POINTS]
        assert rates[1] >= rates[2] >= rates[0]
    assert results.filter(pl.col("metric") == "threshold_drift@sens90-sure").is_empty()
    assert len(results.filter(pl.col("metric") == "threshold_drift@sens90")) == 2


def test_too_few_patients_are_the_reason_in_every_row() -> None:
    config = QUICK.model_copy(update={"operating_points": POINTS})
    table = binary_table({"a": Site({"tune": 40, "test": 60})})
    results = score(table, no_attributes(table), "binary", config)
    for metric in ("threshold@sens90-sure", "sensitivity@sens90-sure"):
        row = one_row(results, metric)
        assert row["value"] is None
        assert row["reason"].endswith("with a positive case, 29 needed")
