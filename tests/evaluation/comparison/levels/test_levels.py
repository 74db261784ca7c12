"""Exams from breasts: labels and logits by hand, and the study's numbers from them."""

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from tests.strategies import FEW

from medtransfer.data.config import LevelRule
from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import compare_runs
from medtransfer.evaluation.comparison.levels.predictions import level_predictions, level_runs
from medtransfer.evaluation.comparison.levels.units import level_units, require_whole_units
from medtransfer.evaluation.scoring.config import EvaluationConfig


def breasts(count: int = 200, member: int = 0) -> pl.DataFrame:
    """Two breasts of each exam, one exam of each patient; every tenth label is unknown."""
    draw = np.random.default_rng(member)
    truth = (np.random.default_rng(7).random(2 * count) < 0.2).astype(float)
    known = [None if n % 10 == 9 else float(t) for n, t in enumerate(truth)]
    return pl.DataFrame(
        {
            "run_id": ["r"] * (2 * count),
            "member": pl.Series([member] * (2 * count), dtype=pl.Int64),
            "case_id": [f"c{n:04d}" for n in range(2 * count)],
            "patient_id": [f"p{n // 2:04d}" for n in range(2 * count)],
            "cohort": ["a"] * (2 * count),
            "split": ["tune" if n // 2 % 2 else "test" for n in range(2 * count)],
            "target_cancer": pl.Series(known, dtype=pl.Float64),
            "logit_cancer": 2 * truth - 1 + draw.normal(size=2 * count),
        }
    )


def exams(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("case_id", unit=pl.col("patient_id").str.replace("p", "e")).unique()


@pytest.mark.parametrize("rule", ["max", "mean"])
def test_labels_and_logits_of_exams_are_those_by_hand(rule: LevelRule) -> None:
    frame = pl.concat([breasts(60), breasts(60, member=1)])
    made = level_predictions(frame, exams(frame), rule)
    assert len(made) == 120
    for row in made.iter_rows(named=True):
        own = frame.filter(
            (pl.col("patient_id") == row["patient_id"]) & (pl.col("member") == row["member"])
        )
        labels, logits = own["target_cancer"].to_list(), own["logit_cancer"].to_numpy()
        chance = float(np.mean(1 / (1 + np.exp(-logits))))
        wanted = logits.max() if rule == "max" else np.log(chance / (1 - chance))
        assert row["logit_cancer"] == pytest.approx(wanted)
        label = 1.0 if 1.0 in labels else None if None in labels else 0.0
        assert row["target_cancer"] == label
        assert row["split"] == own["split"][0]


@FEW
@given(st.lists(st.floats(-600, 600), min_size=1, max_size=5))
def test_the_mean_stays_between_the_logits_also_at_the_ends(logits: list[float]) -> None:
    ids = [f"c{n}" for n in range(len(logits))]
    same = {name: ["a"] * len(ids) for name in ("run_id", "patient_id", "cohort", "split")}
    frame = pl.DataFrame(
        {**same, "member": [0] * len(ids), "case_id": ids, "logit_x": logits}
    ).with_columns(target_x=pl.lit(1.0))
    units = pl.DataFrame({"case_id": ids, "unit": ["e"] * len(ids)})
    (value,) = level_predictions(frame, units, "mean")["logit_x"]
    assert min(logits) - 1e-6 <= value <= max(logits) + 1e-6


def test_cases_without_an_exam_are_left_out() -> None:
    frame = breasts(10)
    units = exams(frame).with_columns(
        unit=pl.when(pl.col("unit") == "e0000").then(None).otherwise("unit")
    )
    assert "e0000" not in level_predictions(frame, units, "max")["case_id"]


def test_a_ladder_of_exams_has_all_numbers_of_a_ladder() -> None:
    """AUROC against ranks counted by hand; thresholds are fixed on the exams that tune."""
    frame = breasts()
    places = [(rung, seed) for rung in ("x/a", "x/b") for seed in (0, 1)]
    runs = [
        LadderRun(f"r{seed}", GridKey(rung), seed, partial(breasts, member=member))
        for member, (rung, seed) in enumerate(places)
    ]
    config = EvaluationConfig(
        replicates=50,
        operating_points=("recall5",),
        metrics=("auroc", "predicted_prevalence"),
        permutations=0,
    )
    empty = pl.DataFrame(schema={"case_id": pl.String})
    tables = compare_runs(
        level_runs(runs, exams(frame), "max"), empty, "binary", config, reference="x/a"
    )
    row = tables.results.filter(
        (pl.col("metric") == "auroc") & (pl.col("seed") == 0) & (pl.col("rung") == "x/a")
    ).row(0, named=True)
    made = level_predictions(frame, exams(frame), "max")
    made = made.filter((pl.col("split") == "test") & pl.col("target_cancer").is_not_null())
    sides = [
        made.filter(pl.col("target_cancer") == side)["logit_cancer"].to_numpy() for side in (1, 0)
    ]
    assert row["value"] == pytest.approx(float((sides[0][:, None] > sides[1]).mean()))
    assert (row["num_cases"], row["num_patients"]) == (len(made), len(made))
    assert row["low"] < row["value"] < row["high"]
    assert len(tables.comparisons.filter(pl.col("metric") == "auroc")) == 1
    recalled = tables.results.filter(pl.col("metric") == "predicted_prevalence@recall5")
    assert recalled["value"].is_between(0, 0.15).all()


def test_a_unit_of_several_patients_or_cohorts_is_refused_by_row() -> None:
    frame = pl.DataFrame(
        {
            "row": [1, 2, 3, 4],
            "case_id": ["a", "a", "b", "c"],
            "patient_id": ["p", "p", "q", "q"],
            "cohort": ["x", "x", "x", "y"],
            "exam_id": ["1", "2", "2", None],
        }
    )
    with pytest.raises(TableError) as caught:
        require_whole_units(frame, Path("m.csv"), ["exam_id"])
    text = str(caught.value)
    assert "column 'exam_id' (data.levels) has 1 group of cases with several values" in text
    assert "1 group of values that several patients have, rows 2, 3" in text
    require_whole_units(frame[2:], Path("m.csv"), ["exam_id"])
    units = level_units(frame[2:], ["exam_id"])["exam_id"]
    assert units.rows() == [("b", "2"), ("c", None)]


def test_the_mean_of_extreme_logits_is_finite_and_of_others_that_of_probabilities() -> None:
    logits = [-2000.0, 2000.0, 0.3, 3.0]
    frame = pl.DataFrame(
        {
            "run_id": "r",
            "member": 0,
            "case_id": ["a", "b", "c", "d"],
            "patient_id": ["p", "p", "q", "q"],
            "cohort": "home",
            "split": "test",
            "target_x": 1.0,
            "logit_x": logits,
        }
    )
    units = pl.DataFrame({"case_id": ["a", "b", "c", "d"], "unit": ["p", "p", "q", "q"]})
    means = level_predictions(frame, units, "mean")["logit_x"].to_list()
    assert means[0] == pytest.approx(0.0)
    assert expit(means[1]) == pytest.approx((expit(0.3) + expit(3.0)) / 2)
