"""Adaptation curves against numbers made by hand, and on tables of known truth."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from tests.prediction_tables import CLASSES, Site, binary_table, class_table, ensemble_of

from medtransfer.data.config import Task
from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.adaptation.adapted_run import adapt_run, home_calibrator
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.from_predictions import adaptation_curves
from medtransfer.evaluation.comparison.adaptation.hospital_division import divide, nested_draws
from medtransfer.evaluation.comparison.adaptation.reading import (
    adaptation_savings,
    read_adaptation,
)
from medtransfer.evaluation.comparison.adaptation.summary import adapt_table
from medtransfer.evaluation.comparison.adaptation.table import adapt_frame, read_adapt_table
from medtransfer.evaluation.comparison.evaluate_table import ladder_runs
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.posthoc.adaptation.arms import Arm, binary_intercept
from medtransfer.tables.schema import write_frame

QUICK = EvaluationConfig(replicates=60, permutations=0, decision_thresholds=(0.2,))
FEW = AdaptConfig(patients=(20, 40), draws=2, min_isotonic=8)
SITES = {
    "home": Site(patients={"tune": 120, "test": 40}, prevalence=0.4),
    "north": Site(patients={"test": 120}, prevalence=0.4, each=2),
}


def shifted(frame: pl.DataFrame, by: float = -2.0) -> pl.DataFrame:
    """The same table with every logit of `north` moved."""
    logits = [name for name in frame.columns if name.startswith("logit_")]
    at_north = pl.col("cohort") == "north"
    return frame.with_columns(
        pl.when(at_north).then(pl.col(name) + by).otherwise(pl.col(name)).alias(name)
        for name in logits
    )


def table_of(frame: pl.DataFrame, task: Task = "binary", config: AdaptConfig = FEW) -> pl.DataFrame:
    return adapt_table(ladder_runs(frame), task, QUICK, config)


def one(table: pl.DataFrame, arm: str, patients: int, metric: str, **where: str) -> dict[str, Any]:
    conditions = [pl.col(name) == value for name, value in where.items()]
    rows = table.filter(
        pl.col("arm") == arm,
        pl.col("patients") == patients,
        pl.col("metric") == metric,
        *conditions,
    )
    assert len(rows) == 1
    return rows.row(0, named=True)


def run_of(frame: pl.DataFrame) -> RunArrays:
    return run_arrays(frame, "binary")


@pytest.fixture(scope="module")
def moved() -> pl.DataFrame:
    return shifted(binary_table(SITES))


@pytest.fixture(scope="module")
def curves(moved: pl.DataFrame) -> pl.DataFrame:
    return table_of(moved)


def test_draws_are_nested_whole_patients_apart_from_those_that_test(moved: pl.DataFrame) -> None:
    run = run_of(moved)
    cases = run.test_cases()["north"]
    division = divide(run, "north", cases, FEW, None)
    assert not (set(run.patient[division.pool]) & set(run.patient[division.test]))
    assert (division.pool | division.test).sum() == cases.sum() == 240
    assert len(division.pool_patients(run)) == 60
    draws = list(nested_draws(run, division, FEW.patients, FEW))
    assert [(draw.number, draw.size) for draw in draws] == [(0, 20), (0, 40), (1, 20), (1, 40)]
    small, large, other, _ = draws
    assert small.cases.sum() == 40  # two cases a patient
    assert (large.cases | ~small.cases).all()
    assert not (large.cases & ~division.pool).any()
    assert (small.cases != other.cases).any()


def test_a_given_division_is_kept(moved: pl.DataFrame) -> None:
    run = run_of(moved)
    tested = pl.Series([f"north-p{p:04d}-c0" for p in range(30)])
    division = divide(run, "north", run.test_cases()["north"], FEW, tested)
    # the second case of a patient goes where the first one is
    assert division.test.sum() == 60
    assert division.pool.sum() == 180


def test_intercept_and_threshold_are_what_a_hand_makes_of_them(
    moved: pl.DataFrame, curves: pl.DataFrame
) -> None:
    run = run_of(moved)
    fit = fit_on_tune(run, QUICK.operating_points)
    division = divide(run, "north", run.test_cases()["north"], FEW, None)
    truth, carried = run.truth(0), home_calibrator(run, fit, 0).logits(run.scores(0))
    losses: list[float] = []
    sensitivities: list[float] = []
    for draw in nested_draws(run, division, (20,), FEW):
        k, test = draw.cases, division.test
        z = carried[test] + binary_intercept(truth[k], carried[k])
        p = np.where(truth[test] == 1, expit(z), 1 - expit(z))
        losses.append(float(-np.log(p).mean()))
        positives = np.sort(run.probabilities[k & (truth == 1), 0])[::-1]
        needed = int(np.ceil(0.9 * len(positives) - 1e-9))
        ill = test & (truth == 1)
        sensitivities.append(float((run.probabilities[ill, 0] >= positives[needed - 1]).mean()))
    row = one(curves, "intercept", 20, "nll")
    assert row["value"] == pytest.approx(np.mean(losses))
    # draws of 20 out of 60 patients vary by two thirds of what sets of new patients vary by
    assert row["draw_sd"] == pytest.approx(np.std(losses, ddof=1) / np.sqrt(1 - 20 / 60))
    assert row["positives"] == pytest.approx(
        np.mean([truth[d.cases].sum() for d in nested_draws(run, division, (20,), FEW)])
    )
    row = one(curves, "threshold", 20, "sensitivity@sens90")
    assert row["value"] == pytest.approx(np.mean(sensitivities))


def test_carried_has_the_decisions_of_the_results(
    moved: pl.DataFrame, curves: pl.DataFrame
) -> None:
    run = run_of(moved)
    fit = fit_on_tune(run, QUICK.operating_points)
    test = divide(run, "north", run.test_cases()["north"], FEW, None).test
    called = run.probabilities[:, 0] >= (fit[0].thresholds["sens90"] or 0)
    row = one(curves, "carried", 0, "sensitivity@sens90")
    assert row["value"] == pytest.approx(called[test & (run.targets[:, 0] == 1)].mean())
    assert (row["num_cases"], row["num_patients"]) == (test.sum(), 60)
    assert row["draws"] == 0
    assert row["difference"] is None
    assert 0 <= row["low"] < row["value"] < row["high"] <= 1


def test_a_moved_scale_is_mended_by_the_arms_that_can(curves: pl.DataFrame) -> None:
    for arm in ("intercept", "selected"):
        row = one(curves, arm, 40, "nll")
        assert row["difference_high"] < 0
        assert row["contains"] == "patients and draws"
    start = one(curves, "carried", 0, "sensitivity@sens90")["value"]
    for arm in ("threshold", "intercept", "selected"):
        assert one(curves, arm, 40, "sensitivity@sens90")["difference_low"] > 0
    assert start < 0.6
    same = one(curves, "threshold", 40, "nll")
    assert same["difference"] == 0
    assert same["reason"] == "no interval of the difference: the arm changes nothing here"


def test_a_draw_of_the_whole_pool_does_not_tell_how_others_would_differ(
    moved: pl.DataFrame,
) -> None:
    table = table_of(moved, config=AdaptConfig(patients=(60,), draws=2))
    row = one(table, "intercept", 60, "nll")
    assert row["draw_sd"] is None
    assert row["contains"] == "patients"
    assert row["low"] < row["value"] < row["high"]


def test_rows_in_another_order_give_the_same_table(
    moved: pl.DataFrame, curves: pl.DataFrame
) -> None:
    again = table_of(moved.sample(fraction=1, shuffle=True, seed=3))
    assert again.equals(curves)


def test_patients_that_are_not_there_and_steps_of_few_positives_have_reasons(
    moved: pl.DataFrame,
) -> None:
    table = table_of(moved, config=AdaptConfig(patients=(20, 100), draws=2))
    row = one(table, "selected", 100, "nll")
    assert (row["value"], row["reason"]) == (None, "100 patients asked for, 60 to draw from")
    row = one(table, "isotonic", 20, "nll")
    assert row["value"] is None
    assert row["not_fitted"] == row["draws"] == 2
    assert row["reason"].startswith("isotonic regression takes 50 positive and 50 negative cases")


def test_a_draw_without_a_class_counts_as_carried_and_is_said() -> None:
    rare = {**SITES, "north": Site(patients={"test": 200}, prevalence=0.06)}
    table = table_of(shifted(binary_table(rare)), config=AdaptConfig(patients=(8,), draws=6))
    row = one(table, "platt", 8, "nll")
    assert 0 < row["not_fitted"] < 6
    expected = f"{row['not_fitted']} draw"
    assert row["reason"].startswith(expected)
    assert "of 6 as carried: the labelled cases lack a class" in row["reason"]


@pytest.mark.slow
def test_several_targets_have_their_mean_and_several_seeds_their_part() -> None:
    frames = [
        shifted(binary_table(SITES, targets=("x", "y"), seed=0, run_id=f"s{seed}"))
        for seed in range(2)
    ]
    noise = np.random.default_rng(0).normal(0, 0.3, len(frames[1]))
    frames[1] = frames[1].with_columns(pl.col("logit_x") + pl.Series(noise))
    frame = pl.concat(frames).with_columns(
        rung=pl.lit("r"), seed=pl.col("run_id").str.tail(1).cast(pl.Int64)
    )
    table = table_of(frame, "multi-label")
    row = one(table, "intercept", 20, "nll", target="macro")
    parts = [one(table, "intercept", 20, "nll", target=t)["value"] for t in ("x", "y")]
    assert row["value"] == pytest.approx(np.mean(parts))
    assert row["contains"] == "patients, draws and seeds"
    assert {r.target for r in read_adaptation(table)} == {"macro"}


def test_a_class_that_a_hospital_does_not_have_is_left_out_of_means_and_said() -> None:
    table = shifted(class_table(SITES), 0.0)
    without = table.filter((pl.col("cohort") != "north") | (pl.col("target_scar") == 0))
    curves = table_of(without, "single-label", AdaptConfig(patients=(40,), draws=2))
    carried = one(curves, "carried", 0, "auroc", target="macro")
    left = "1 of 4 targets left out: no positive case"
    assert left in carried["reason"]
    parts = [
        one(curves, "carried", 0, "auroc", target=name)["value"]
        for name in CLASSES
        if name != "scar"
    ]
    assert carried["value"] == pytest.approx(np.mean(parts))
    scaled = one(curves, "temperature", 40, "auroc", target="macro")
    assert scaled["not_fitted"] == 0
    assert scaled["difference"] is not None
    refused = one(curves, "platt", 40, "auroc", target="macro")
    assert (refused["value"], refused["reason"]) == (None, "the labelled cases lack a class")


@pytest.mark.slow
def test_classes_are_adapted_together(tmp_path: Path) -> None:
    frame = shifted(class_table(SITES), 0.0).with_columns(
        logit_scar=pl.when(pl.col("cohort") == "north")
        .then(pl.col("logit_scar") - 3)
        .otherwise(pl.col("logit_scar"))
    )
    path = tmp_path / "predictions.parquet"
    write_frame(ensemble_of(frame, 2, 0.1), path)
    made = adaptation_curves(path, adapt=FEW, config=QUICK)
    row = one(made.table, "intercept", 40, "nll", target="case")
    assert row["difference_high"] < 0
    before = one(made.table, "carried", 0, "sensitivity@sens90", target="scar")
    after = one(made.table, "intercept", 40, "sensitivity@sens90", target="scar")
    assert after["value"] > before["value"]
    isotonic = one(made.table, "isotonic", 40, "nll", target="case")
    assert isotonic["reason"] == "isotonic regression is for binary targets"
    assert any("single-label" in note for note in made.notes)
    assert [r.cohort for r in made.readings] == ["north"]


def test_the_sentence_is_of_the_arm_that_cross_validation_selects(curves: pl.DataFrame) -> None:
    (reading,) = read_adaptation(curves)
    assert reading.patients == 20
    assert reading.sentence.startswith("20 labelled patients of north change the log loss by -")
    assert "sensitivity at sens90 goes from 0." in reading.sentence


def test_no_gain_is_said_where_nothing_is_moved() -> None:
    (reading,) = read_adaptation(table_of(binary_table(SITES, seed=4)))
    assert reading.patients is None
    expected = "No gain was shown at north without training: with 40 labelled patients the log loss"
    assert reading.sentence.startswith(expected)


def test_labels_saved_are_read_on_the_curve(curves: pl.DataFrame) -> None:
    losses = [one(curves, "intercept", k, "nll")["value"] for k in (20, 40)]
    results = pl.DataFrame(
        {
            "run_id": pl.Series([None, None], dtype=pl.String),
            "rung": ["run", "run"],
            "cohort": ["north", "north"],
            "held_out": ["north", "north"],
            "target": ["x", "x"],
            "attribute": ["all", "all"],
            "metric": ["nll_platt", "nll_platt"],
            "retrain_fraction": [0.5, 1.0],
            "value": [max(losses) + 0.01, 0.0],
        }
    )
    saved = [s for s in adaptation_savings(curves, results) if s.arm == "intercept"]
    assert [(s.retrained, s.patients) for s in saved] == [(30, 20.0), (60, None)]
    assert saved[0].saved == pytest.approx(1 / 3)


def test_the_table_is_read_as_it_was_written(curves: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "adapt.parquet"
    write_frame(curves, path)
    assert read_adapt_table(path).equals(curves)
    assert adapt_frame([]).schema == curves.schema
    write_frame(curves.drop("arm"), path)
    with pytest.raises(TableError, match="column 'arm' is missing"):
        read_adapt_table(path)


def test_a_table_without_home_or_without_another_hospital_is_refused(tmp_path: Path) -> None:
    frame, path = binary_table(SITES), tmp_path / "predictions.parquet"
    write_frame(frame.filter(pl.col("cohort") == "home"), path)
    with pytest.raises(TableError, match="no hospital to adapt to"):
        adaptation_curves(path)
    write_frame(frame.filter(pl.col("split") == "test"), path)
    with pytest.raises(TableError, match="No case is in the split 'tune'"):
        adaptation_curves(path)


def test_unlabelled_cases_of_a_hospital_serve_the_prevalence_arm_alone(
    moved: pl.DataFrame,
) -> None:
    half = pl.col("case_id").str.ends_with("c1") & (pl.col("cohort") == "north")
    blank = moved.with_columns(target_x=pl.when(half).then(None).otherwise(pl.col("target_x")))
    run, fit = run_of(blank), fit_on_tune(run_of(blank), ("sens90",))
    rows = run.test_cases()["north"]
    labelled = rows & run.labelled(0)
    expected: dict[Arm, bool] = {"intercept": True, "prevalence": False}
    for arm, is_same in expected.items():
        one_fit, other = (adapt_run(run, fit, arm, r, FEW)[0] for r in (rows, labelled))
        assert (one_fit.calibrator == other.calibrator) == is_same
