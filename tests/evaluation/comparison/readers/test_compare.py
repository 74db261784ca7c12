"""Readers and rungs on the same cases against the same majorities."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import t
from sklearn.metrics import recall_score, roc_auc_score
from tests.prediction_tables import QUICK, Site, binary_table

from medtransfer.evaluation.comparison.readers.compare import compare_readers, readers_table
from medtransfer.evaluation.comparison.readers.judged import READERS_CONTRACT, readers_frame
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
    found = row(cohort="a", reader="r1", metric="sensitivity")
    assert found["value"] == pytest.approx(recall_score(truth, decided["r1"].to_numpy() == 1))
    assert found["num_cases"] == len(decided)
    assert found["num_positive"] == truth.sum()
    assert found["low"] < found["value"] < found["high"]
    rung = row(cohort="a", run_id="run", against="majority without r1", metric="specificity@sens90")
    assert rung["num_cases"] == len(decided)  # the very same cases


def test_a_rung_has_an_auroc_against_each_reader() -> None:
    test = TABLE.filter(pl.col("cohort") == "b", pl.col("split") == "test")
    own = READ.frame.filter(pl.col("reader") == "r3").drop("reader")
    both = test.drop("target_x").join(own, on="case_id")
    found = row(cohort="b", run_id="run", against="r3", metric="auroc")
    assert found["value"] == pytest.approx(roc_auc_score(both["target_x"], both["logit_x"]))


def test_readers_are_listed_once_and_better_readers_agree_more() -> None:
    assert FOUND.columns == [column.name for column in READERS_CONTRACT.columns]
    assert len(FOUND.filter(pl.col("metric") == "kappa")) == 3 * 2
    kappas = {
        r["reader"]: r["value"] for r in FOUND.filter(metric="kappa", cohort="a").rows(named=True)
    }
    assert kappas["r1 and r2"] > kappas["r2 and r3"]
    assert FOUND.filter(pl.col("rung").is_null())["run_id"].is_null().all()
    assert FOUND.filter(pl.col("rung").is_null())["num_seeds"].is_null().all()


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
    agreed = ["reader", "metric", "value", "num_cases"]
    for metric in ("kappa", "alpha", "sensitivity"):
        expected = whole.filter(metric=metric).select(agreed)
        assert found.filter(metric=metric).select(agreed).equals(expected)
    areas = found.filter(metric="auroc", against="r1")
    assert areas["rung"].to_list() == ["net", "net"]
    assert areas["num_seeds"].to_list() == [None, 1]
    assert areas["value"].to_list() == whole.filter(metric="auroc", against="r1")["value"].to_list()


def seeds_of(count: int, noise: float) -> pl.DataFrame:
    """The table as several seeds of one rung have predicted it."""
    tables: list[pl.DataFrame] = []
    for seed in range(count):
        rng = np.random.default_rng([seed, 3])
        seen = pl.col("logit_x") + pl.Series(noise * rng.normal(size=len(TABLE)))
        columns = {"rung": pl.lit("net"), "seed": pl.lit(seed), "run_id": pl.lit(f"net-{seed}")}
        tables.append(TABLE.with_columns(seen, **columns))
    return pl.concat(tables)


def test_a_rung_of_several_seeds_has_a_mean_with_patients_and_seeds_in_its_interval() -> None:
    found = compare_readers(seeds_of(3, 0.6), READ, "binary", QUICK)
    for against, metric, limit in (
        ("r1", "auroc", None),
        ("majority without r2", "specificity@sens90", 1.0),
    ):
        rows = found.filter(cohort="a", against=against, metric=metric)
        runs, mean = rows.filter(pl.col("run_id").is_not_null()), rows.filter(num_seeds=3)
        assert (len(runs), len(mean)) == (3, 1)
        row, values = mean.row(0, named=True), runs["value"].to_numpy()
        assert row["value"] == pytest.approx(values.mean())
        assert row["contains"] == "patients and seeds"
        assert runs["contains"].unique().to_list() == ["patients"]
        seeds = t.ppf(0.975, 2) * values.std(ddof=1) / 3**0.5
        assert row["value"] - row["low"] > seeds
        assert row["high"] - row["value"] > seeds or row["high"] == limit


def test_a_rung_less_a_reader_is_of_the_same_cases() -> None:
    found = compare_readers(seeds_of(2, 0.6), READ, "binary", QUICK)
    where = {"cohort": "a", "against": "majority without r3"}
    (reader,) = found.filter(**where, metric="sensitivity").rows(named=True)
    (rung,) = found.filter(**where, metric="sensitivity@sens90", num_seeds=2).rows(named=True)
    (less,) = found.filter(**where, metric="sensitivity_difference@sens90").rows(named=True)
    assert less["value"] == pytest.approx(rung["value"] - reader["value"])
    assert less["num_cases"] == rung["num_cases"] == reader["num_cases"]
    assert less["low"] < less["value"] < less["high"]
    assert (less["rung"], less["reader"], less["contains"]) == ("net", None, "patients and seeds")


def test_seeds_are_judged_on_the_cases_that_all_have_answered() -> None:
    table = seeds_of(2, 0.6)
    silent = (pl.col("seed") == 1) & (pl.col("split") == "test") & (pl.col("case_id") < "a-p0080")
    lacking = table.filter(~silent | (pl.col("cohort") != "a"))
    assert len(lacking) < len(table)
    found = compare_readers(lacking, READ, "binary", QUICK)
    areas = found.filter(cohort="a", against="r1", metric="auroc")
    assert areas["num_cases"].n_unique() == 1
    assert (
        areas["num_cases"][0]
        < compare_readers(table, READ, "binary", QUICK).filter(
            cohort="a", against="r1", metric="auroc"
        )["num_cases"][0]
    )


def test_only_runs_with_most_labels_stand_beside_readers() -> None:
    few = TABLE.with_columns(run_id=pl.lit("few"), rung=pl.lit("net"), label_fraction=0.1)
    all_labels = TABLE.with_columns(run_id=pl.lit("all"), rung=pl.lit("net"), label_fraction=1.0)
    found = compare_readers(pl.concat([few, all_labels]), READ, "binary", QUICK)
    assert found["run_id"].drop_nulls().unique().to_list() == ["all"]


def test_without_a_run_the_table_is_empty() -> None:
    found = readers_table([], READ, "binary", QUICK)
    assert found.equals(readers_frame([]))
