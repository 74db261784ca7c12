"""Numbers against shares of readers, from a predictions table to the results."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit
from tests.prediction_tables import Site, binary_table

from medtransfer import EvaluationConfig, evaluate
from medtransfer.evaluation.comparison.evaluate_table import infer_task
from medtransfer.evaluation.scoring.score import score
from medtransfer.tables.other_predictions import targets_are_exclusive

NAMED = ("all", "brier_soft", "nll_soft", "ece_soft")
ASKED = EvaluationConfig(replicates=200, permutations=0, metrics=NAMED)
TABLE = binary_table(
    {"a": Site({"tune": 60, "test": 150}), "b": Site({"test": 90})}, targets=("x", "y")
)


def with_shares(table: pl.DataFrame) -> pl.DataFrame:
    """The same with a share in a third of x's test cases of a."""
    of_test = (pl.col("split") == "test") & (pl.col("cohort") == "a")
    some = of_test & (pl.int_range(pl.len()) % 3 == 0)
    return table.with_columns(
        target_x=pl.when(some).then(0.2 + 0.6 * pl.col("target_x")).otherwise("target_x")
    )


def results_of(table: pl.DataFrame, config: EvaluationConfig = ASKED) -> pl.DataFrame:
    return score(table, table.select("case_id"), "multi-label", config)


def test_losses_are_of_all_labelled_cases_with_an_interval() -> None:
    table = with_shares(TABLE)
    rows = results_of(table).filter(pl.col("metric") == "brier_soft", pl.col("target") == "x")
    (row,) = rows.to_dicts()
    tests = table.filter(pl.col("split") == "test", pl.col("cohort") == "a")
    q, p = tests["target_x"].to_numpy(), expit(tests["logit_x"].to_numpy())
    assert_allclose(row["value"], np.mean(q * (1 - p) ** 2 + (1 - q) * p**2), atol=1e-9)
    assert row["cohort"] == "a"  # b has plain labels alone
    assert row["num_cases"] == len(tests)
    assert row["num_positive"] is None
    assert row["low"] < row["value"] < row["high"]
    assert row["contains"] == "patients"


def test_they_are_not_among_all_metrics() -> None:
    plain = results_of(with_shares(TABLE), ASKED.model_copy(update={"metrics": ("all",)}))
    assert plain.filter(pl.col("metric").str.ends_with("_soft")).is_empty()


def test_no_other_number_moves() -> None:
    table = with_shares(TABLE)
    plain = results_of(table, ASKED.model_copy(update={"metrics": ("all",)}))
    asked = results_of(table)
    assert asked.filter(~pl.col("metric").str.ends_with("_soft")).equals(plain)


def test_plain_labels_have_none_and_the_mean_says_which_targets_lack() -> None:
    assert results_of(TABLE).filter(pl.col("metric").str.ends_with("_soft")).is_empty()
    mean = results_of(with_shares(TABLE)).filter(
        pl.col("metric") == "brier_soft", pl.col("target") == "macro"
    )
    assert mean["reason"].to_list() == ["1 of 2 targets left out: no label between 0 and 1"]


def test_classes_of_readers_are_scored_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    votes = rng.multinomial(4, rng.dirichlet(np.ones(3), 120)) / 4
    columns = {f"target_{n}": votes[:, i] for i, n in enumerate("uvw")}
    columns |= {f"logit_{n}": rng.normal(votes[:, i], 1) for i, n in enumerate("uvw")}
    base = TABLE.head(120).drop("target_x", "target_y", "logit_x", "logit_y")
    table = base.with_columns(**{n: pl.Series(v) for n, v in columns.items()})
    table = table.with_columns(split=pl.Series(["tune"] * 40 + ["test"] * 80), cohort=pl.lit("a"))
    found = score(table, table.select("case_id"), "single-label", ASKED)
    soft = found.filter(pl.col("metric").str.ends_with("_soft"))
    assert set(soft["target"]) == {"case"}
    assert soft["num_cases"].to_list() == [80, 80, 80]


def test_the_interval_is_the_one_that_was_asked_for() -> None:
    asked = pl.col("metric") == "brier_soft", pl.col("target") == "x"
    table = with_shares(TABLE)
    percentile = results_of(table).filter(*asked)
    bca = results_of(table, ASKED.model_copy(update={"interval": "bca"})).filter(*asked)
    assert percentile["value"].equals(bca["value"])
    assert percentile["low"].to_list() != bca["low"].to_list()


def test_groups_are_reported_from_the_smallest_size_on() -> None:
    table = with_shares(TABLE)
    groups = table.select("case_id")
    tests = table.filter(pl.col("split") == "test", pl.col("cohort") == "a").head(4)
    groups = groups.with_columns(
        sex=pl.when(pl.col("case_id").is_in(tests["case_id"].implode()))
        .then(pl.lit("F"))
        .otherwise(pl.lit("M"))
    )
    found = score(table, groups, "multi-label", ASKED)
    of_women = found.filter(pl.col("group") == "F", pl.col("metric").str.ends_with("_soft"))
    assert of_women["metric"].unique().to_list() == ["brier_soft"]
    assert set(of_women.filter(pl.col("target") == "x")["reason"]) == {"fewer than 10 cases"}


def test_thirds_of_readers_are_shares_of_classes() -> None:
    shares = pl.DataFrame(
        {"target_u": [1 / 3, 0.1], "target_v": [1 / 3, 0.2], "target_w": [1 - 2 / 3, 0.7]}
    )
    assert targets_are_exclusive(shares)
    assert not targets_are_exclusive(shares.with_columns(target_w=pl.lit(0.8)))
    logits = shares.rename(lambda name: name.replace("target", "logit"))
    task, reason = infer_task(pl.concat([shares, logits], how="horizontal"))
    assert (task, "add up to 1" in reason) == ("single-label", True)


@pytest.mark.slow
def test_evaluate_says_where_shares_went(tmp_path: Path) -> None:
    with_shares(TABLE).write_parquet(tmp_path / "p.parquet")
    made = evaluate(tmp_path / "p.parquet", tmp_path / "out", config=ASKED)
    assert any("enter no metric but `brier_soft`" in note for note in made.notes)
    assert "brier_soft" in set(made.results["metric"])


@pytest.mark.parametrize("name", ["brier_soft", "nll_soft", "ece_soft"])
def test_a_name_alone_is_a_setting(name: str) -> None:
    assert EvaluationConfig(metrics=(name,)).metrics == (name,)
