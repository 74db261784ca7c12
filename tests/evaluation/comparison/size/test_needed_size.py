"""Sizes from assumptions and from a predictions table."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.prediction_tables import Site, binary_table, class_table

from medtransfer import (
    ConfigError,
    ExpectedPerformance,
    SampleSizes,
    SizeGoals,
    TableError,
    sample_size,
)
from medtransfer.statistics.delong import delong
from medtransfer.statistics.sample_size import auroc_cases, proportion_cases, scaled_size

PLAIN = ExpectedPerformance(prevalence=0.018, auroc=0.8)
CLUSTERED = {"a": Site({"tune": 80, "test": 150}, each=3, likeness=1.0)}


def written(folder: Path, *tables: pl.DataFrame) -> Path:
    path = folder / "p.parquet"
    pl.concat(tables).write_parquet(path)
    return path


def patients_of(sizes: SampleSizes, goal: str) -> int:
    (row,) = [row for row in sizes.rows if row.goal.startswith(goal)]
    assert row.patients is not None, row.reason
    return row.patients


def test_assumptions_give_the_published_size() -> None:
    sizes = sample_size(expected=PLAIN, goals=SizeGoals(auroc=0.05))
    assert patients_of(sizes, "AUROC within ±0.05") == 4252
    assert sizes.rows[0].positives == 77  # Riley et al. 2021: 77 events
    assert "need an expected value" in sizes.notes[-1]


def test_design_effect_and_cases_per_patient_are_applied() -> None:
    expected = ExpectedPerformance(
        0.018, 0.8, sensitivity=0.9, specificity=0.8, cases_per_patient=2, design_effect=1.5
    )
    sizes = sample_size(expected=expected)
    plain = sample_size(expected=PLAIN)
    auroc = "AUROC within"
    assert patients_of(sizes, auroc) == pytest.approx(patients_of(plain, auroc) * 0.75, abs=1)
    positives = proportion_cases(0.9, 0.05)
    needed = patients_of(sizes, "sensitivity")
    assert needed == pytest.approx(positives / 0.018 * 0.75, abs=1)
    assert sizes.rows[1].cases == 2 * needed


def test_a_table_gives_performance_and_design_effects(tmp_path: Path) -> None:
    table = binary_table(CLUSTERED)
    sizes = sample_size(written(tmp_path, table), expected=ExpectedPerformance(threshold=0.3))
    test = table.filter(pl.col("split") == "test")
    truth = test["target_x"].to_numpy().astype(np.int64)
    scores = test["logit_x"].to_numpy()[None]
    patient = np.unique(test["patient_id"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    independent, clustered = delong(truth, scores), delong(truth, scores, patient)
    effect = float(clustered.covariance[0, 0] / independent.covariance[0, 0])
    assert effect > 1.5
    (row,) = [row for row in sizes.rows if row.goal.startswith("AUROC")]
    assert row.design_effect == pytest.approx(effect)
    cases = auroc_cases(float(independent.values[0]), float(truth.mean()), 0.03)
    assert row.patients == int(np.ceil(cases * effect / 3))
    assert {row.goal.split(" within")[0] for row in sizes.rows} == {
        "AUROC",
        "sensitivity",
        "specificity",
        "observed / expected",
        "calibration slope",
        "standardised net benefit",
    }
    assert sizes.notes[0] == "Measured: 450 test cases of 150 patients, a, rung run."


def test_a_difference_is_measured_on_the_cases_of_both_rungs(tmp_path: Path) -> None:
    first = binary_table(CLUSTERED, run_id="A")
    noise = np.random.default_rng(2).normal(size=len(first))
    second = first.with_columns(
        pl.lit("B").alias("run_id"), (pl.col("logit_x") + noise).alias("logit_x")
    )
    rejected = second["case_id"].str.ends_with("-c2") & (second["split"] == "test")
    path = written(tmp_path, first, second.filter(~rejected))
    sizes = sample_size(path, goals=SizeGoals(difference=0.05))
    (row,) = [row for row in sizes.rows if row.goal.endswith(", B")]
    both = first.join(second.filter(~rejected), on="case_id", suffix="_b")
    both = both.filter(pl.col("split") == "test")
    assert len(both) == 300
    patient = np.unique(both["patient_id"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    scores = both.select("logit_x", "logit_x_b").to_numpy().T
    covariance = delong(both["target_x"].to_numpy().astype(np.int64), scores, patient).covariance
    error = float(np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    assert row.patients == scaled_size(150, error, 0.05)
    assert "with 150 patients" in row.assumed


def test_every_class_of_a_single_label_task_has_a_size(tmp_path: Path) -> None:
    sizes = sample_size(written(tmp_path, class_table()))
    targets = {row.target for row in sizes.rows}
    assert len(targets) > 2
    assert all(row.patients for row in sizes.rows if row.goal.startswith("AUROC"))


def test_perfect_scores_say_why_there_is_no_size(tmp_path: Path) -> None:
    table = binary_table(CLUSTERED).with_columns((20 * pl.col("target_x") - 10).alias("logit_x"))
    rows = {row.goal: row for row in sample_size(written(tmp_path, table)).rows}
    assert rows["AUROC within ±0.03"].patients is None
    assert "give a plausible one" in str(rows["AUROC within ±0.03"].reason)
    slope = next(row for goal, row in rows.items() if goal.startswith("calibration slope"))
    assert "no finite value" in str(slope.reason)
    expected = ExpectedPerformance(auroc=0.95)
    assert patients_of(sample_size(written(tmp_path, table), expected=expected), "AUROC") > 0


def test_what_is_given_overrides_what_the_table_shows(tmp_path: Path) -> None:
    path = written(tmp_path, binary_table(CLUSTERED))
    measured = sample_size(path)
    given = sample_size(path, expected=ExpectedPerformance(cases_per_patient=1, design_effect=1))
    for row, free in zip(measured.rows, given.rows, strict=True):
        assert free.design_effect == 1
        assert free.patients == free.cases
        assert row.patients is not None
        assert row.cases == 3 * row.patients


def test_options_without_an_effect_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        sample_size(expected=PLAIN, cohort="a", reference="r", point="sens90", task="binary")
    for name in ("cohort", "reference", "point", "task"):
        assert f"{name} needs a predictions table: give one, or leave it out" in str(error.value)
    path = written(tmp_path, binary_table())
    with pytest.raises(ConfigError, match="correlation is measured on the predictions table"):
        sample_size(path, expected=ExpectedPerformance(correlation=0.5))


def test_the_run_that_stands_for_a_rung_is_named(tmp_path: Path) -> None:
    seeds = [
        binary_table(CLUSTERED, run_id=f"r{seed}").with_columns(rung=pl.lit("r"), seed=pl.lit(seed))
        for seed in (0, 1)
    ]
    notes = sample_size(written(tmp_path, *seeds)).notes
    assert notes[-1].startswith("Of 2 runs of 1 rung, one of each rung was measured")


def test_all_faults_of_the_assumptions_are_said_at_once() -> None:
    expected = ExpectedPerformance(prevalence=1.2, design_effect=0.5)
    with pytest.raises(ConfigError) as error:
        sample_size(expected=expected, goals=SizeGoals(power=1.0), point="sens")
    for fault in (
        "auroc is missing",
        "the goal for power is 1 (allowed: over 0 and under 1)",
        "prevalence is 1.2 (allowed: over 0 and under 1)",
        "design_effect is 0.5 (allowed: at least 1)",
        "'sens' is no operating point",
    ):
        assert fault in str(error.value)


def test_rungs_and_cohorts_that_do_not_exist_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, binary_table())
    with pytest.raises(TableError, match="reference 'z' is not a rung"):
        sample_size(path, reference="z")
    with pytest.raises(TableError, match="cohort 'z' has no test cases"):
        sample_size(path, cohort="z")


def test_a_target_without_positives_is_said(tmp_path: Path) -> None:
    table = binary_table(CLUSTERED).with_columns(
        pl.when(pl.col("split") == "test").then(0.0).otherwise("target_x").alias("target_x")
    )
    (row,) = sample_size(written(tmp_path, table)).rows
    assert row.patients is None
    assert row.reason == "its test cases lack a positive or a negative"


def test_words_of_a_table_are_read_by_values_and_that_is_said(tmp_path: Path) -> None:
    table = binary_table({"a": Site({"tune": 30, "test": 60})}, seed=0)
    words = pl.col("target_x").cast(pl.Int64).cast(pl.String).replace({"1": "ja", "0": "nein"})
    path = written(tmp_path, table.with_columns(words))
    with pytest.raises(TableError, match="--values target_x=ja:1,nein:0"):
        sample_size(path)
    sizes = sample_size(path, values={"target_x": {"ja": "1", "nein": "0"}})
    assert any("written as '1'" in note for note in sizes.notes)
    with pytest.raises(ConfigError, match="values needs a predictions table"):
        sample_size(values={"target_x": {"ja": "1"}})


def test_few_positive_patients_and_no_tuning_case_are_said(tmp_path: Path) -> None:
    table = binary_table(CLUSTERED).filter(pl.col("split") == "test")
    kept = table.filter(target_x=1)["patient_id"].unique().sort().head(1).implode()
    few = table.filter((pl.col("target_x") == 0) | pl.col("patient_id").is_in(kept))
    sizes = sample_size(written(tmp_path, few))
    assert any("fewer than 10 patients with a positive case" in note for note in sizes.notes)
    reasons = {row.goal: row.reason for row in sizes.rows if row.patients is None}
    assert (
        reasons["sensitivity within ±0.05"] == "no threshold in tune: give a plausible sensitivity"
    )
