"""A probe as an arm: what it is fitted on, and that a hospital's other patients judge it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.evaluation.comparison.adaptation.test_adaptation_curves import (
    FEW,
    QUICK,
    SITES,
    one,
    run_of,
    shifted,
)
from tests.prediction_tables import binary_table, class_table

from medtransfer.errors import ConfigError
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.from_predictions import adaptation_curves
from medtransfer.evaluation.comparison.adaptation.hospital_division import divide, nested_draws
from medtransfer.evaluation.comparison.adaptation.probed_run import NO_FEATURES, probed_run
from medtransfer.evaluation.comparison.adaptation.summary import adapt_table
from medtransfer.evaluation.comparison.evaluate_table import ladder_runs
from medtransfer.evaluation.scoring.run import WHOLE_CASE, run_arrays
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.tables.schema import write_frame

PROBED = AdaptConfig(patients=(20, 40), draws=2, arms=("intercept", "probe"))


def features_of(frame: pl.DataFrame, column: str) -> HomeFeatures:
    """Features of `north` alone that hold the label, which the logits there do not."""
    cases = frame.filter(cohort="north").sort("case_id")
    label = cases[column].to_numpy().astype(np.float64)
    rng = np.random.default_rng(5)
    values = np.column_stack(
        [label + 0.5 * rng.normal(size=len(label)), rng.normal(size=len(label))]
    )
    return HomeFeatures(cases["case_id"].to_numpy().astype(np.str_), values.astype(np.float32))


@pytest.fixture(scope="module")
def blind() -> pl.DataFrame:
    """A table whose logits at `north` are drawn without a look at the label."""
    frame = shifted(binary_table(SITES))
    noise = np.random.default_rng(1).normal(size=len(frame))
    at_north = pl.col("cohort") == "north"
    return frame.with_columns(logit_x=pl.when(at_north).then(pl.Series(noise)).otherwise("logit_x"))


def test_a_probe_ranks_where_the_logits_cannot(blind: pl.DataFrame) -> None:
    features = features_of(blind, "target_x")
    table = adapt_table(ladder_runs(blind), "binary", QUICK, PROBED, features=lambda _: features)
    carried, probe = one(table, "carried", 0, "auroc"), one(table, "probe", 40, "auroc")
    assert carried["value"] < 0.65
    assert probe["value"] > 0.85
    assert probe["difference_low"] > 0
    assert probe["not_fitted"] == 0
    assert one(table, "probe", 40, "sensitivity@sens90")["value"] > 0.7
    # the arms that keep the network are what they are without features
    without = adapt_table(ladder_runs(blind), "binary", QUICK, replace_arms(PROBED))
    assert table.filter(pl.col("arm") != "probe").equals(without)


def replace_arms(config: AdaptConfig) -> AdaptConfig:
    return config.model_copy(update={"arms": ("intercept",)})


def test_neither_home_nor_test_patients_take_part_in_the_fit(blind: pl.DataFrame) -> None:
    run = run_of(blind)
    fit = fit_on_tune(run, QUICK.operating_points)
    division = divide(run, "north", run.test_cases()["north"], FEW, None)
    (draw,) = [d for d in nested_draws(run, division, (40,), FEW) if d.number == 0]
    ids = run.frame["case_id"].to_numpy().astype(np.str_)
    values = features_of(blind, "target_x").of(ids)
    assert np.isnan(values[run.tuned()]).all()
    adapted = probed_run(run, fit, [values], draw.cases, 0)[0]
    assert adapted.scores is not None

    turned = np.where(draw.cases[:, None], run.targets, 1 - run.targets)
    other = replace(run, targets=turned)
    moved = np.where(draw.cases[:, None], values, values + 1)
    again = probed_run(other, fit, [moved], draw.cases, 0)[0]
    assert again.scores is not None
    assert (again.scores[draw.cases] == adapted.scores[draw.cases]).all()
    assert again.thresholds == adapted.thresholds


def test_classes_share_one_head() -> None:
    frame = class_table(SITES)
    run = run_arrays(frame, "single-label")
    fit = fit_on_tune(run, QUICK.operating_points)
    north = run.test_cases()["north"]
    cases = run.frame.filter(pl.Series(north))
    truth = run.truth(WHOLE_CASE)[north]
    values = np.eye(len(run.names))[truth] + 0.1
    features = HomeFeatures(cases["case_id"].to_numpy().astype(np.str_), values.astype(np.float32))
    of_all = features.of(run.frame["case_id"].to_numpy().astype(np.str_))
    adapted = probed_run(run, fit, [of_all], north, 0)
    scores = adapted[WHOLE_CASE].scores
    assert scores is not None
    assert (scores[north].argmax(axis=1) == truth).all()
    assert all(adapted[number].scores is not None for number in range(len(run.names)))
    assert adapted[0].thresholds.keys() == fit[0].thresholds.keys()


def test_without_features_the_arm_says_so(blind: pl.DataFrame, tmp_path: Path) -> None:
    table = adapt_table(ladder_runs(blind), "binary", QUICK, PROBED)
    rows = table.filter(arm="probe")
    assert rows["value"].null_count() == len(rows) > 0
    assert set(rows["reason"]) == {NO_FEATURES}
    write_frame(blind, tmp_path / "p.parquet")
    with pytest.raises(ConfigError, match="'probe', which needs the features of the network"):
        adaptation_curves(tmp_path / "p.parquet", adapt=PROBED)
