"""AUROC at home and away at each look, against scikit-learn; the slope against its definition."""

import numpy as np
import polars as pl
import pytest
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from medtransfer.analysis.table import AskedRun
from medtransfer.analysis.trajectory import (
    FEW_LOOKS,
    away_slopes,
    cohort_looks,
    trajectory_frame,
    trajectory_rows,
    with_mean_trajectories,
)

RUN = AskedRun("rung", "r0", 0)
STEPS = (10, 20, 30, 40)


def manifest(count: int = 300, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    cohorts = ["a", "b", "c"]
    rows = [
        {
            "case_id": f"{cohort}{k}",
            "patient_id": f"{cohort}p{k // 2}",
            "cohort": cohort,
            "split": "test",
            "target_x": float(draw.integers(0, 2)),
        }
        for cohort in cohorts
        for k in range(count)
    ]
    tuned = [{**rows[0], "case_id": "t0", "patient_id": "tp", "split": "tune"}]
    return pl.DataFrame(rows + tuned)


def looks_at(cases: pl.DataFrame, gains: dict[str, float], seed: int = 1) -> pl.DataFrame:
    """Logits whose signal grows from look to look, in each cohort by its own gain."""
    draw = np.random.default_rng((1, seed))
    tested = cases.filter(split="test")
    noise = draw.normal(size=len(tested))
    signal = tested["cohort"].replace_strict(gains, return_dtype=pl.Float64).to_numpy()
    parts = [
        tested.select(
            pl.lit(step).alias("step"),
            "case_id",
            "patient_id",
            pl.Series("logit_x", noise + number * signal * tested["target_x"].to_numpy()),
        )
        for number, step in enumerate(STEPS)
    ]
    return pl.concat(parts)


def test_each_look_has_scikit_learns_auroc_and_home_stands_first() -> None:
    cases = manifest()
    looks = looks_at(cases, {"a": 0.5, "b": 0.4, "c": 0.0})
    places = cohort_looks(looks, cases, "a")
    assert [(part.cohort, part.place, part.num_cases) for part in places] == [
        ("a", "home", 300),
        ("b", "away", 300),
        ("c", "away", 300),
    ]
    joined = looks.join(cases, on="case_id")
    for part in places:
        for row in trajectory_rows(RUN, part):
            look = joined.filter(step=row.step, cohort=part.cohort)
            assert row.auroc == pytest.approx(roc_auc_score(look["target_x"], look["logit_x"]))
            ends = row.low, row.auroc, row.high
            assert None not in ends
            assert np.all(np.diff(np.array(ends, dtype=np.float64)) > 0)


def test_the_slope_is_that_of_log_odds() -> None:
    cases = manifest()
    looks = cohort_looks(looks_at(cases, {"a": 0.5, "b": 0.5, "c": 0.1}), cases, "a")
    slopes = {away.cohort: slope for away, slope in away_slopes(looks)}
    home, same, _ = (logit(part.aurocs[:, 0]) for part in looks)
    assert slopes["b"].value == pytest.approx(np.polyfit(home, same, 1)[0])
    assert slopes["b"].low < slopes["b"].value < slopes["b"].high
    assert slopes["c"].high < 0.7


@pytest.mark.slow
def test_the_interval_of_the_slope_covers_the_truth() -> None:
    """Noise of a case that stays from look to look, and the same gain at home and away."""
    covered = 0
    for seed in range(60):
        cases = manifest(300, seed)
        looks = cohort_looks(looks_at(cases, {"a": 0.5, "b": 0.5, "c": 0.5}, seed + 1), cases, "a")
        slope = {away.cohort: slope for away, slope in away_slopes(looks)}["b"]
        covered += slope.low <= 1 <= slope.high
    assert covered >= 51  # 57 of 60 expected


def test_cases_that_are_not_in_every_look_are_left_out() -> None:
    """A run that was stopped, and resumed after the cohort had grown."""
    cases = manifest()
    looks = looks_at(cases, {"a": 0.5, "b": 0.5, "c": 0.5})
    late = looks.filter((pl.col("step") > 10) | ~pl.col("case_id").is_in(["b0", "b1"]))
    at = {part.cohort: part for part in cohort_looks(late, cases, "a")}
    assert at["b"].num_cases == 298
    assert at["b"].steps == STEPS
    gone = looks.filter((pl.col("step") > 20) | ~pl.col("case_id").str.starts_with("c"))
    places = cohort_looks(gone, cases, "a")
    assert places[2].steps == STEPS[2:]
    assert {a.cohort: s.reason for a, s in away_slopes(places)}["c"] == FEW_LOOKS


def test_means_over_seeds_stand_first_and_end_at_one() -> None:
    cases = manifest(12)
    looks = cohort_looks(looks_at(cases, {"a": 9.0, "b": 9.0, "c": 9.0}), cases, "a")
    rows = [
        row
        for seed in (0, 1)
        for part in looks
        for row in trajectory_rows(AskedRun("rung", f"r{seed}", seed), part)
    ]
    table = with_mean_trajectories(trajectory_frame(rows))
    means = table.filter(pl.col("run_id").is_null())
    assert len(table) == 3 * len(means)
    assert means["high"].max() == 1.0


def test_steps_that_a_seed_lacks_have_no_mean() -> None:
    cases = manifest(12)
    looks = cohort_looks(looks_at(cases, {"a": 2.0, "b": 1.0, "c": 1.0}), cases, "a")
    rows = [
        row
        for seed, stop in ((0, STEPS[-1]), (1, STEPS[1]))
        for part in looks
        for row in trajectory_rows(AskedRun("rung", f"r{seed}", seed), part)
        if row.step <= stop
    ]
    table = with_mean_trajectories(trajectory_frame(rows))
    means = table.filter(pl.col("run_id").is_null())
    assert sorted({*means["step"]}) == [*STEPS[:2]]
    assert len(table) - len(means) == len(rows)
