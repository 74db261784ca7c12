"""Differences, drops and McNemar's test of each of several targets, beside those of their mean."""

import numpy as np
import polars as pl
import pytest
from tests.prediction_tables import QUICK, Site, binary_table, no_attributes

from medtransfer.evaluation.comparison.evaluate_table import evaluate_table
from medtransfer.evaluation.comparison.ladder import LadderTables

CONFIG = QUICK.model_copy(update={"replicates": 60, "permutations": 0})


@pytest.fixture(scope="module")
def tables() -> LadderTables:
    sites = {"a": Site({"tune": 60, "test": 150}), "b": Site({"test": 80})}
    strong = binary_table(sites, targets=("x", "y"), seed=3, run_id="strong")
    noise = np.random.default_rng(0).normal(0, 3, len(strong))
    weak = strong.with_columns(run_id=pl.lit("weak"), logit_y=pl.col("logit_y") + noise)
    both = strong.vstack(weak)
    return evaluate_table(both, no_attributes(both), "multi-label", CONFIG, reference="weak")


def difference(tables: LadderTables, target: str, metric: str = "auroc") -> dict[str, object]:
    rows = tables.comparisons.filter(
        (pl.col("target") == target) & (pl.col("metric") == metric) & (pl.col("cohort") == "a")
    )
    return rows.row(0, named=True)


def test_each_target_has_its_difference(tables: LadderTables) -> None:
    assert difference(tables, "x")["difference"] == 0
    of_y = difference(tables, "y")
    assert isinstance(of_y["low"], float)
    assert of_y["low"] > 0
    mean = difference(tables, "macro")["difference"]
    assert mean == pytest.approx(float(str(of_y["difference"])) / 2)


def test_decisions_of_each_target_are_tested(tables: LadderTables) -> None:
    p = difference(tables, "y", "sensitivity@sens90")["p_mcnemar"]
    assert isinstance(p, float)
    assert 0 <= p <= 1
    assert difference(tables, "macro", "sensitivity@sens90")["p_mcnemar"] is None


def test_each_target_has_its_drop(tables: LadderTables) -> None:
    drops = tables.results.filter(pl.col("metric") == "auroc_drop")
    assert set(drops["target"]) == {"x", "y", "macro", "micro"}
