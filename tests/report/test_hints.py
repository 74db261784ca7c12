"""Hints at faults of a table that its numbers betray."""

from pathlib import Path

import polars as pl
import pytest
from tests.prediction_tables import Site, binary_table

from medtransfer import EvaluationConfig, evaluate
from medtransfer.report.hints import reversed_scores, saturated_scores, soft_labels

CONFIG = EvaluationConfig(replicates=100, permutations=0)


@pytest.mark.slow
def test_reversed_scores_are_named(tmp_path: Path) -> None:
    frame = binary_table({"a": Site({"tune": 40, "test": 120})}, seed=1)
    frame.with_columns(logit_x=-pl.col("logit_x")).write_parquet(tmp_path / "p.parquet")
    evaluation = evaluate(tmp_path / "p.parquet", tmp_path / "out", config=CONFIG)
    hint = evaluation.notes[-1]
    assert "on a, worse than chance: its scores may be reversed" in hint
    frame.write_parquet(tmp_path / "p.parquet")
    upright = evaluate(tmp_path / "p.parquet", tmp_path / "out", config=CONFIG)
    assert reversed_scores(upright.results) == []


def test_scores_that_no_probability_tells_apart_are_counted() -> None:
    frame = binary_table({"a": Site({"tune": 4, "test": 12})})
    assert saturated_scores(frame, "binary") == []
    raw = frame.with_columns(logit_x=pl.int_range(pl.len()) * 5.0)
    (hint,) = saturated_scores(raw, "binary")
    assert hint.startswith("'logit_x' is above 36 or below -744 in 8 rows")
    assert saturated_scores(raw.with_columns(logit_x=pl.lit(900.0)), "binary") == []


def test_soft_test_labels_are_counted_by_target() -> None:
    frame = binary_table({"a": Site({"tune": 40, "test": 120})}, targets=("x", "y"))
    assert soft_labels(frame) == []
    tests = frame.filter(pl.col("split") == "test")["case_id"].unique().sort()
    mean = pl.when(pl.col("case_id").is_in(tests.head(3).implode())).then(0.6)
    (hint,) = soft_labels(frame.with_columns(target_y=mean.otherwise("target_y")))
    assert hint.startswith("'target_y' is between 0 and 1 for 3 test cases: such soft labels enter")
    tuned = pl.when(pl.col("split") == "tune").then(0.6).otherwise("target_y")
    assert soft_labels(frame.with_columns(target_y=tuned)) == []


def test_chance_is_not_called_reversed() -> None:
    rows = pl.DataFrame(
        {
            "run_id": ["r"],
            "metric": ["auroc"],
            "attribute": ["all"],
            "target": ["x"],
            "cohort": ["a"],
            "value": [0.45],
            "low": [0.35],
            "high": [0.55],
        }
    )
    assert reversed_scores(rows) == []
    low = rows.with_columns(high=pl.lit(0.49))
    assert len(reversed_scores(low)) == 1
    assert len(reversed_scores(pl.concat([low] * 9))) == 6
