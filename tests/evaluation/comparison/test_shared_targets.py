"""Contrasts of means over targets between cohorts that do not have the same targets."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from tests.evaluation.comparison.made_rungs import CONFIG
from tests.prediction_tables import Site, arrays_of, binary_table, no_attributes, scored_rows

from medtransfer.evaluation.comparison.differences import comparisons
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.scaling import robustness_results
from medtransfer.evaluation.comparison.seed_means import Mean, MeanOfSeeds, drops
from medtransfer.evaluation.scoring.score import measure_run
from medtransfer.tables.results import Result, RungComparison

SITES = {"a": Site({"tune": 40, "test": 120}), "b": Site({"test": 100}, separation=0.6)}
TARGETS = ("x", "y", "z")
TABLE = binary_table(SITES, targets=TARGETS)
AWAY = (pl.col("cohort") == "b") & (pl.col("split") == "test")
# z is hard to tell at a, and never present at b
HARD = TABLE.with_columns(
    logit_z=pl.when(AWAY).then("logit_z").otherwise(pl.col("logit_z") * -0.1),
    target_z=pl.when(AWAY).then(0.0).otherwise("target_z"),
)


def mean_of(table: pl.DataFrame, seeds: int = 1, rung: str = "r") -> Mean:
    mean = MeanOfSeeds(GridKey(rung), CONFIG)
    for seed in range(seeds):
        noise = pl.Series(np.random.default_rng([seed, len(rung)]).normal(size=len(table)))
        seen = table.with_columns(pl.col("logit_x") + 0.5 * noise)
        mean.add(measure_run(seen, no_attributes(table), "multi-label", CONFIG), seed)
    return mean.mean()


def drop_of(mean: Mean, target: str = "macro") -> Result:
    rows = [r for r in drops(mean) if (r.metric, r.target) == ("auroc_drop", target)]
    assert len(rows) == 1
    return rows[0]


def area(table: pl.DataFrame, cohort: str, target: str) -> float:
    return float(roc_auc_score(*arrays_of(scored_rows(table, cohort), target)))


def test_a_drop_of_means_is_over_the_targets_that_both_cohorts_have() -> None:
    mean = MeanOfSeeds(GridKey("r"), CONFIG)
    mean.add(measure_run(HARD, no_attributes(HARD), "multi-label", CONFIG), 0)
    row = drop_of(mean.mean())
    expected = np.mean([area(HARD, "a", t) - area(HARD, "b", t) for t in ("x", "y")])
    assert row.value == pytest.approx(expected, abs=1e-12)
    assert row.reason == "over the 2 of 3 targets that both have: x, y"
    assert row.low is not None


def test_the_means_themselves_are_over_all_targets_of_their_cohort() -> None:
    mean = mean_of(HARD)
    by_cohort = {k.cohort: e for k, e in mean.estimates.items() if k.metric == "auroc"}
    assert by_cohort["a"].targets in (TARGETS, ("x", "y", "z"))
    assert by_cohort["b"].targets == ("x", "y")


def test_cohorts_of_the_same_targets_have_a_drop_without_a_word() -> None:
    row = drop_of(mean_of(TABLE))
    assert row.reason is None
    assert row.value is not None


def test_pooled_targets_have_no_drop_between_cohorts_of_other_targets() -> None:
    row = drop_of(mean_of(HARD), "micro")
    assert (row.value, row.reason) == (None, "the two cohorts have different targets")
    assert drop_of(mean_of(TABLE), "micro").value is not None


@pytest.mark.slow
def test_seeds_are_in_the_interval_of_a_drop_over_shared_targets() -> None:
    row = drop_of(mean_of(HARD, seeds=3))
    assert row.contains == "patients and seeds"


@pytest.mark.slow
def test_effective_robustness_is_over_shared_targets_too() -> None:
    same = [mean_of(TABLE.drop("target_z", "logit_z"), rung=r) for r in ("r", "rr", "rrr")]
    other = [mean_of(HARD, rung=r) for r in ("r", "rr", "rrr")]
    found = [
        {m.rung: row.value for m, row in robustness_results(means) if row.target == "macro"}
        for means in (same, other)
    ]
    assert found[0]
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def rare(count: int) -> pl.DataFrame:
    """Target z is positive in a few test patients of cohort a alone."""
    inside = (pl.col("cohort") == "a") & (pl.col("split") == "test")
    number = pl.col("case_id").rank("dense").over("cohort", "split")
    label = pl.when(inside).then((number <= count).cast(pl.Float64)).otherwise("target_z")
    return TABLE.with_columns(target_z=label)


def compared(table: pl.DataFrame) -> RungComparison:
    noise = pl.Series(np.random.default_rng(9).normal(size=len(table)))
    other = table.with_columns(pl.col(f"logit_{t}") + noise for t in TARGETS)
    means: list[Mean] = []
    for rung, of_rung in (("base", table), ("other", other)):
        mean = MeanOfSeeds(GridKey(rung), CONFIG)
        mean.add(measure_run(of_rung, no_attributes(table), "multi-label", CONFIG), 0)
        means.append(mean.mean())
    rows = comparisons(means, "base", CONFIG)
    return next(r for r in rows if (r.cohort, r.target, r.metric) == ("a", "macro", "auroc"))


@pytest.mark.slow
def test_a_difference_of_means_leaves_out_a_target_of_too_few_positives() -> None:
    row, without = (
        compared(rare(2)),
        compared(
            TABLE.drop("target_z", "logit_z").with_columns(
                target_z=pl.lit(None, dtype=pl.Float64), logit_z=pl.lit(0.0)
            )
        ),
    )
    assert row.reason == "over the 2 of 3 targets with enough patients: x, y"
    assert row.difference == pytest.approx(without.difference)
    assert (row.low, row.high) == pytest.approx((without.low, without.high))
    assert compared(rare(20)).reason is None


def test_a_drop_from_one_positive_patient_has_no_interval() -> None:
    table = binary_table(SITES)
    inside = (pl.col("cohort") == "a") & (pl.col("split") == "test")
    first = pl.col("case_id").rank("dense").over("cohort", "split") == 1
    table = table.with_columns(
        target_x=pl.when(inside).then(first.cast(pl.Float64)).otherwise("target_x")
    )
    mean = MeanOfSeeds(GridKey("r"), CONFIG)
    mean.add(measure_run(table, no_attributes(table), "binary", CONFIG), 0)
    row = next(r for r in drops(mean.mean()) if r.metric == "auroc_drop")
    assert row.value is not None
    assert (row.low, row.reason) == (
        None,
        "no interval: fewer than 5 patients with a positive case",
    )
