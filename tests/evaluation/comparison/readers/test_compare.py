"""Readers and rungs on the same cases against the same majorities."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import recall_score, roc_auc_score
from tests.prediction_tables import QUICK, Site, binary_table

from medtransfer.evaluation.comparison.readers.compare import SCHEMA, compare_readers
from medtransfer.evaluation.comparison.readers.table import Readings

TABLE = binary_table({"a": Site({"tune": 60, "test": 120}), "b": Site({"test": 60})})
FLIPS = {"r1": 0.05, "r2": 0.15, "r3": 0.3}


def made_readings() -> Readings:
    rng = np.random.default_rng(0)
    cases = TABLE.unique("case_id", maintain_order=True)
    parts: list[pl.DataFrame] = []
    for reader, flip in FLIPS.items():
        flipped = pl.Series(rng.random(len(cases)) < flip)
        said = cases.select(
            "case_id", reader=pl.lit(reader), target_x=(pl.col("target_x") - flipped).abs()
        )
        parts.append(said.filter(pl.Series(rng.random(len(said)) < 0.9)))
    return Readings(pl.concat(parts))


READ = made_readings()
FOUND = compare_readers(TABLE, READ, "binary", QUICK)


def row(**wanted: str) -> dict[str, float]:
    (found,) = FOUND.filter(**wanted).iter_rows(named=True)
    return found


def test_a_reader_is_judged_by_the_majority_of_the_others() -> None:
    wide = READ.frame.pivot("reader", index="case_id", values="target_x")
    test = TABLE.filter(pl.col("cohort") == "a", pl.col("split") == "test")
    both = test.select("case_id").join(wide, on="case_id", how="left")
    mean = both.select(m=pl.mean_horizontal("r2", "r3"))["m"]
    decided = both.with_columns(m=mean).filter(pl.col("r1").is_not_null(), pl.col("m") != 0.5)
    truth = (decided["m"] > 0.5).to_numpy()
    found = row(cohort="a", subject="r1", metric="sensitivity")
    assert found["value"] == pytest.approx(recall_score(truth, decided["r1"].to_numpy() == 1))
    assert found["num_cases"] == len(decided)
    assert found["num_positive"] == truth.sum()
    assert found["low"] < found["value"] < found["high"]
    rung = row(
        cohort="a", subject="run", against="majority without r1", metric="specificity@sens90"
    )
    assert rung["num_cases"] == len(decided)  # the very same cases


def test_a_rung_has_an_auroc_against_each_reader() -> None:
    test = TABLE.filter(pl.col("cohort") == "b", pl.col("split") == "test")
    own = READ.frame.filter(pl.col("reader") == "r3").drop("reader")
    both = test.drop("target_x").join(own, on="case_id")
    found = row(cohort="b", subject="run", against="r3", metric="auroc")
    assert found["value"] == pytest.approx(roc_auc_score(both["target_x"], both["logit_x"]))


def test_readers_are_listed_once_and_better_readers_agree_more() -> None:
    assert FOUND.schema == SCHEMA
    assert len(FOUND.filter(pl.col("metric") == "kappa")) == 3 * 2
    kappas = {
        r["subject"]: r["value"] for r in FOUND.filter(metric="kappa", cohort="a").rows(named=True)
    }
    assert kappas["r1 and r2"] > kappas["r2 and r3"]
    assert FOUND.filter(pl.col("run_id").is_null())["subject"].is_in(["run"]).any() is False


def test_two_readers_of_disjoint_cases_have_no_agreement_but_a_reason() -> None:
    ids = TABLE.filter(pl.col("split") == "test")["case_id"].unique().sort()
    half = len(ids) // 2
    parts = [
        pl.DataFrame({"case_id": own, "reader": [name] * len(own), "target_x": [1.0] * len(own)})
        for name, own in (("r1", ids[:half]), ("r2", ids[half:]))
    ]
    found = compare_readers(TABLE, Readings(pl.concat(parts)), "binary", QUICK)
    kappa = found.filter(metric="kappa", cohort="a")
    assert kappa["value"].is_null().all()
    assert kappa["reason"].to_list() == ["no case was read by both"]


def test_folds_are_one_run_and_readers_are_judged_on_the_cases_of_all_runs() -> None:
    test = TABLE.filter(pl.col("split") == "test", pl.col("cohort") == "a")
    ids = test["case_id"].unique().sort()
    half = pl.col("case_id").is_in(ids[: len(ids) // 2].implode())
    folds = test.with_columns(
        rung=pl.lit("net"),
        run_id=pl.when(half).then(pl.lit("fold1")).otherwise(pl.lit("fold2")),
    )
    found = compare_readers(folds, READ, "binary", QUICK)
    whole = compare_readers(test, READ, "binary", QUICK)
    agreed = ["subject", "metric", "value", "num_cases"]
    for metric in ("kappa", "alpha", "sensitivity"):
        expected = whole.filter(metric=metric).select(agreed)
        assert found.filter(metric=metric).select(agreed).equals(expected)
    areas = found.filter(metric="auroc", against="r1")
    assert areas["subject"].to_list() == ["net"]
    assert areas["value"].to_list() == whole.filter(metric="auroc", against="r1")["value"].to_list()
