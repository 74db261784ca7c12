"""Coverage of the intervals of adaptation curves, by simulation.

    python -m tests.evaluation.comparison.adaptation.test_adaptation_coverage 400

prints the table of docs/explanation/adaptation.md.
"""

import sys
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from tests.prediction_tables import Site, binary_table

from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.curve import arm_curves
from medtransfer.evaluation.comparison.adaptation.summary import arm_rows
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.posthoc.adaptation.arms import Arm

ARMS: tuple[Arm, ...] = ("threshold", "intercept")
METRICS = ("sensitivity@sens90", "specificity@sens90", "nll")
SIZES = (25, 100)
SETTINGS = EvaluationConfig(replicates=400, permutations=0, decision_thresholds=())
HOME = binary_table({"home": Site(patients={"tune": 400, "test": 10}, prevalence=0.3)}, seed=1)
Key = tuple[str, int, str]
"""Arm, patients, metric."""


def hospital(patients: int, seed: int) -> pl.DataFrame:
    """The home hospital and another one, whose logits are flatter and lower."""
    there = binary_table(
        {"there": Site(patients={"test": patients}, prevalence=0.3)}, seed=seed
    ).with_columns(pl.col("logit_x") * 0.7 - 1.0)
    return pl.concat([HOME, there])


def rows(frame: pl.DataFrame, config: AdaptConfig, settings: EvaluationConfig) -> pl.DataFrame:
    measured = arm_curves(frame, "binary", settings, config, {})
    by_key = {curve.key: curve for curve in measured}
    made = [vars(row) for row in arm_rows(GridKey("r", 1.0, None, None), [by_key], config)]
    return pl.DataFrame(made, infer_schema_length=None)


def keyed(table: pl.DataFrame) -> Iterator[tuple[Key, dict[str, float]]]:
    wanted = table.filter(pl.col("metric").is_in(METRICS), pl.col("arm").is_in(ARMS))
    for row in wanted.iter_rows(named=True):
        yield (row["arm"], row["patients"], row["metric"]), row


def truths() -> dict[Key, dict[str, float]]:
    """Means over many draws, tested on very many patients."""
    config = AdaptConfig(patients=SIZES, arms=ARMS, draws=100, pool=0.5)
    settings = SETTINGS.model_copy(update={"replicates": 0})
    return dict(keyed(rows(hospital(10_000, 99), config, settings)))


def coverage(simulations: int) -> dict[Key, tuple[float, float]]:
    """Share of intervals that hold the truth: of the value, and of its difference."""
    expected = truths()
    hits: dict[Key, list[tuple[bool, bool]]] = {key: [] for key in expected}
    for seed in range(simulations):
        config = AdaptConfig(patients=SIZES, arms=ARMS, draws=10, seed=seed)
        settings = SETTINGS.model_copy(update={"seed": seed})
        for key, row in keyed(rows(hospital(400, 1000 + seed), config, settings)):
            if row["low"] is None:
                continue
            truth = expected[key]
            value = row["low"] <= truth["value"] <= row["high"]
            moved = row["difference_low"] is None or (
                row["difference_low"] <= truth["difference"] <= row["difference_high"]
            )
            hits[key].append((value, moved))
    return {
        key: (float(np.mean([h[0] for h in of])), float(np.mean([h[1] for h in of])))
        for key, of in hits.items()
    }


@pytest.mark.slow
def test_intervals_hold_their_level() -> None:
    for key, (value, moved) in coverage(60).items():
        assert value >= 0.85, key
        assert moved >= 0.85, key


if __name__ == "__main__":
    for key, shares in coverage(int(sys.argv[1])).items():
        print(*key, *(f"{share:.3f}" for share in shares))
