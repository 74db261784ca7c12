"""Thresholds by group: what the choice of policy changes, on the same patients."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.policies.group_thresholds import group_threshold_rows
from medtransfer.evaluation.comparison.policies.table import (
    GROUP_THRESHOLDS_FILE,
    find_group_thresholds,
    group_thresholds_frame,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.tables.schema import write_frame

CONFIG = EvaluationConfig(group_thresholds=("sex",), replicates=200, minimum_group=10)


def table(seed: int, shift: float = 1.5, few: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions whose logits are lower by a shift for F, and the attribute of each case."""
    draw = np.random.default_rng(seed)
    count = 1200
    fixed = np.random.default_rng(99)  # the same patients whatever the seed
    truth = fixed.integers(0, 2, count)
    is_f = fixed.random(count) < (0.01 if few else 0.4)
    logits = 2.0 * (truth - 0.5) + draw.normal(size=count) - shift * is_f
    names = [f"c{n:04}" for n in range(count)]
    frame = pl.DataFrame(
        {
            "run_id": [f"r{seed}"] * count,
            "member": [0] * count,
            "case_id": names,
            "patient_id": [f"p{n // 2:04}" for n in range(count)],
            "cohort": ["a"] * count,
            "split": ["tune" if n % 4 < 2 else "test" for n in range(count)],
            "target_sick": truth.astype(float),
            "logit_sick": logits,
        }
    )
    return frame, pl.DataFrame({"case_id": names, "sex": np.where(is_f, "F", "M").tolist()})


def rows_of(frames: list[pl.DataFrame], attributes: pl.DataFrame) -> pl.DataFrame:
    runs = [
        LadderRun(f"r{seed}", GridKey("x/y"), seed, lambda frame=frame: frame)
        for seed, frame in enumerate(frames)
    ]
    return group_thresholds_frame(group_threshold_rows(runs, attributes, "binary", CONFIG))


def test_own_thresholds_give_each_group_what_was_asked_for_and_cost_specificity() -> None:
    frame, attributes = table(0)
    rows = rows_of([frame], attributes)
    cells = {(row["group"], row["metric"]): row for row in rows.to_dicts()}
    assert set(cells) == {(g, m) for g in ("all", "F", "M") for m in ("sensitivity", "specificity")}
    # by hand
    joined = frame.join(attributes, on="case_id").with_columns(
        p=1 / (1 + (-pl.col("logit_sick")).exp())
    )
    for group in ("F", "M"):
        part = joined.filter(pl.col("sex") == group)
        tune, test = (part.filter(pl.col("split") == split) for split in ("tune", "test"))
        threshold = operating_threshold(
            tune["target_sick"].cast(pl.Int64).to_numpy(), tune["p"].to_numpy(), "sens90"
        )
        positive = test.filter(pl.col("target_sick") == 1)["p"].to_numpy()
        assert cells[group, "sensitivity"]["own"] == pytest.approx(np.mean(positive >= threshold))
    assert cells["F", "sensitivity"]["shared"] < 0.8 < cells["M", "sensitivity"]["shared"]
    assert cells["F", "sensitivity"]["own"] == pytest.approx(0.9, abs=0.08)
    assert cells["F", "sensitivity"]["difference_low"] > 0
    assert cells["F", "specificity"]["difference_high"] < 0
    assert cells["M", "sensitivity"]["difference"] < 0
    assert cells["all", "sensitivity"]["num_cases"] == 600


def test_a_group_without_a_shift_gains_nothing_and_seeds_are_in_the_interval() -> None:
    frames, attributes = [table(seed, shift=0.0)[0] for seed in (0, 1, 2)], table(0, 0.0)[1]
    rows = rows_of(frames, attributes)
    assert rows["num_seeds"].unique().to_list() == [3]
    for row in rows.filter(pl.col("group") != "all").to_dicts():
        assert row["difference_low"] <= 0.02
        assert row["difference_high"] >= -0.02
        assert row["contains"] == "patients and seeds"


def test_a_group_of_few_tuning_cases_keeps_the_shared_threshold_and_says_so(
    tmp_path: Path,
) -> None:
    frame, attributes = table(0, few=True)
    rows = rows_of([frame], attributes)
    few = rows.filter(pl.col("group") == "F")
    assert few["reason"].str.contains("fewer than 10").all()
    assert few["difference"].drop_nulls().is_empty()
    write_frame(rows, tmp_path / GROUP_THRESHOLDS_FILE)
    assert find_group_thresholds(tmp_path) is not None
    assert find_group_thresholds(tmp_path / "none") is None
