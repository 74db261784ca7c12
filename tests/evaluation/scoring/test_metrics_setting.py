"""A part of the catalogue: the same numbers, nothing else, and less to hold."""

import polars as pl
import pytest
from pydantic import ValidationError
from tests.prediction_tables import (
    QUICK,
    Site,
    attributes_of,
    binary_table,
    class_table,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import CORE, EvaluationConfig
from medtransfer.evaluation.scoring.score import score

SITES = {"a": Site({"tune": 60, "test": 80}), "b": Site({"test": 60})}
TABLES: dict[Task, pl.DataFrame] = {
    "binary": binary_table(SITES),
    "multi-label": binary_table(SITES, targets=("x", "y", "z")),
    "single-label": class_table(SITES),
}
ALWAYS = {"auroc_delong", "threshold", "temperature", "coverage"}
"""Made beside the catalogue."""


@pytest.mark.parametrize("task", TABLES)
def test_the_core_has_the_same_numbers_as_the_whole_catalogue(task: Task) -> None:
    table = TABLES[task]
    attributes = attributes_of(table)
    whole = score(table, attributes, task, QUICK)
    config = QUICK.model_copy(update={"metrics": ("core",)})
    core = score(table, attributes, task, config)
    keys = ["cohort", "attribute", "group", "target", "metric", "split"]
    both = core.join(whole, on=keys, how="left", nulls_equal=True, suffix="_whole")
    assert len(both) == len(core)
    for column in ("value", "low", "high", "num_cases"):
        assert both[column].equals(both[f"{column}_whole"].alias(column)), column
    of_all = core.filter(pl.col("attribute") == "all")["metric"]
    bases = {name.partition("@")[0] for name in of_all}
    assert {b for b in bases if b not in CORE and not b.startswith("ood_")} <= ALWAYS
    assert {"auroc", "brier"} <= bases
    assert len(core) < len(whole) / 2


def test_a_metric_alone_is_computed_without_any_other() -> None:
    table = TABLES["binary"]
    config = EvaluationConfig(metrics=("ece_scaled",), replicates=50, permutations=50)
    rows = score(table, attributes_of(table), "binary", config)
    found = set(rows.filter(pl.col("split") == "test")["metric"])
    assert "ece_scaled" in found
    assert not found & {"auroc", "brier", "nll"}
    assert rows.filter(pl.col("metric") == "ece_scaled")["value"].is_not_null().all()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("auc",), "no metric is called 'auc'. Did you mean"),
        (("sensitivity@sens90",), "Name metrics without `@…`"),
        ((), "Name metrics without"),
    ],
)
def test_a_name_that_is_no_metric_is_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + said.replace("(", r"\(")):
        EvaluationConfig(metrics=names)


def test_the_default_is_not_part_of_what_runs_are_scored_by() -> None:
    assert "metrics" not in EvaluationConfig().scope("scoring")
    assert EvaluationConfig(metrics=("core",)).scope("scoring")["metrics"] == ["core"]
