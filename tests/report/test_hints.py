"""Hints at faults of a table that its numbers betray."""

from pathlib import Path

import polars as pl
from tests.prediction_tables import Site, binary_table

from medtransfer import EvaluationConfig, evaluate
from medtransfer.report.hints import reversed_scores

CONFIG = EvaluationConfig(replicates=100, permutations=0)


def test_reversed_scores_are_named(tmp_path: Path) -> None:
    frame = binary_table({"a": Site({"tune": 40, "test": 120})}, seed=1)
    frame.with_columns(logit_x=-pl.col("logit_x")).write_parquet(tmp_path / "p.parquet")
    evaluation = evaluate(tmp_path / "p.parquet", tmp_path / "out", config=CONFIG)
    hint = evaluation.notes[-1]
    assert "on a, worse than chance: its scores may be reversed" in hint
    frame.write_parquet(tmp_path / "p.parquet")
    upright = evaluate(tmp_path / "p.parquet", tmp_path / "out", config=CONFIG)
    assert reversed_scores(upright.results) == []


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
