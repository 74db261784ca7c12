"""Defects read in other people's code (facts/peers.md 5.9) that ours must not have."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import expit
from tests.metrics.drawn_cases import plain
from tests.prediction_tables import (
    QUICK,
    Site,
    arrays_of,
    binary_table,
    no_attributes,
    one_row,
    scored_rows,
)
from torchmetrics.functional.classification import multilabel_auroc

from medtransfer.errors import TableError
from medtransfer.evaluation.scoring.score import score
from medtransfer.metrics.calibration import calibration_error, in_bins
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.tables.predictions import read_predictions, write_predictions


def test_the_threshold_is_not_found_on_the_scored_set() -> None:
    # MEDFAIR, FairMedFM: the best threshold of the very set that is scored
    table = binary_table({"a": Site({"tune": 200, "test": 200}), "b": Site({"test": 200})})
    shifted = table.with_columns(
        pl.when(pl.col("cohort") == "b").then(pl.col("logit_x") - 1.5).otherwise("logit_x")
    )
    results = score(shifted, no_attributes(shifted), "binary", QUICK)
    targets, logits = arrays_of(scored_rows(shifted, "b"))
    own = operating_threshold(targets, expit(logits), "sens90")
    assert own is not None
    refitted = (expit(logits)[targets == 1] >= own).mean()
    assert refitted == pytest.approx(0.9, abs=0.01)
    assert one_row(results, "sensitivity@sens90", cohort="b")["high"] < refitted - 0.1
    assert own != one_row(results, "threshold@sens90")["value"]


@pytest.mark.slow
def test_the_best_threshold_of_pure_noise_has_no_gain_on_other_cases() -> None:
    # a refitted Youden point is optimistic: on noise it always finds a gain
    gains: list[float] = []
    refitted: list[float] = []
    config = QUICK.model_copy(update={"operating_points": ("youden",), "replicates": 0})
    for seed in range(40):
        table = binary_table({"a": Site({"tune": 40, "test": 40}, separation=1e-6)}, seed=seed)
        noise = np.random.default_rng(seed).normal(size=len(table))
        table = table.with_columns(logit_x=noise)
        results = score(table, no_attributes(table), "binary", config)
        gains.append(one_row(results, "balanced_accuracy@youden")["value"] - 0.5)
        targets, logits = arrays_of(scored_rows(table, "a"))
        own = operating_threshold(targets, logits, "youden")
        assert own is not None
        called = logits >= own
        refitted.append((called[targets == 1].mean() + (~called)[targets == 0].mean()) / 2 - 0.5)
    assert abs(np.mean(gains)) < 0.03
    assert np.mean(refitted) > 0.05


@pytest.mark.filterwarnings("ignore:No positive samples in targets")
def test_macro_auroc_is_not_pulled_down_by_a_target_without_positives() -> None:
    # torchmetrics 2494: 0.0 where a class is absent, and into the mean it goes
    table = binary_table(targets=("x", "y")).with_columns(
        pl.when(pl.col("split") == "test").then(0.0).otherwise("target_y").alias("target_y")
    )
    results = score(table, no_attributes(table), "multi-label", QUICK)
    rows = scored_rows(table, "a")
    logits = torch.tensor(rows.select("logit_x", "logit_y").to_numpy())
    truth = torch.tensor(rows.select("target_x", "target_y").to_numpy()).long()
    theirs = float(multilabel_auroc(logits, truth, 2))
    ours = one_row(results, "auroc", target="macro")
    assert ours["value"] == one_row(results, "auroc", target="x")["value"]
    assert ours["value"] == pytest.approx(2 * theirs, abs=1e-6)
    assert ours["reason"] == "1 of 2 targets left out: no positive case"
    assert one_row(results, "auroc", target="y")["value"] is None


def test_calibration_bins_do_not_move_with_the_observed_range() -> None:
    # MEDFAIR cuts the observed range into bins: a prediction is binned by what others got
    truth, sure = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.41, 0.42, 0.43, 0.44])
    # all four are in the one bin from 0.4 to 0.4667
    assert plain(calibration_error(in_bins(truth, sure)), 4) == pytest.approx(
        abs(0.5 - sure.mean())
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_case_counted_twice_is_refused_when_read(tmp_path, suffix: str) -> None:
    # SubpopBench resamples with replacement and scores the copies
    table = binary_table()
    path = tmp_path / f"predictions{suffix}"
    twice = pl.concat([table, table.tail(2)])
    twice.write_csv(path) if suffix == ".csv" else twice.write_parquet(path)
    with pytest.raises(TableError, match="2 values repeated in rows"):
        read_predictions(path)
    with pytest.raises(TableError, match="not unique"):
        write_predictions(twice, tmp_path / "again.parquet")


def test_the_same_case_of_two_runs_is_not_counted_twice(tmp_path) -> None:
    both = pl.concat([binary_table(run_id="one"), binary_table(run_id="two")])
    write_predictions(both, tmp_path / "predictions.parquet")
    assert len(read_predictions(tmp_path / "predictions.parquet")) == len(both)


def test_a_patient_in_tune_and_test_is_refused_when_read(tmp_path) -> None:
    table = binary_table().with_columns(pl.lit("a-p0000").alias("patient_id"))
    table.write_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(TableError, match="in more than one split"):
        read_predictions(tmp_path / "predictions.parquet")
