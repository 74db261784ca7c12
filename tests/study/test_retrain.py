"""Training again on some cases of a shifted cohort, from the study file to the curve."""

from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.report.page import write_report
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

SHARES = (0.5, 1.0)


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A hospital whose labels are turned round: only its own cases can tell."""
    folder = tmp_path_factory.mktemp("retrained")
    hospitals = {"a": Hospital(48), "b": Hospital(40, contrast=0.7)}
    phantom = Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3)
    write_phantom(phantom, folder / "lesion.parquet")
    study = Study.model_validate(
        {
            "name": "retrained",
            "data": {
                "manifest": folder / "lesion.parquet",
                "task": "binary",
                "targets": ["malignant"],
                "image": {"resize": 36, "crop": 32},
                "split": {"train_cohorts": ["a"]},
            },
            "rungs": ["scratch/r14x0.5"],
            "seeds": [0, 1],
            "retrain_fractions": list(SHARES),
            "training": {"batch_size": 8, "micro_batch": 8, "steps": 4, "checks": 2},
            "evaluation": {"replicates": 60, "permutations": 10},
        }
    )
    return run_here(study, folder / "out")


def test_every_share_is_a_run_and_none_is_the_plain_run(retrained: StudyFolder) -> None:
    runs = pl.read_csv(retrained.path / "runs.csv")
    assert sorted(runs["retrain_fraction"].drop_nulls()) == [0.5, 0.5, 1.0, 1.0]
    plain = runs.filter(pl.col("retrain_fraction").is_null())
    assert len(plain) == 2
    assert (runs["state"] == "done").all()
    own = runs.filter(pl.col("retrain_fraction") == 1.0)["training_cases"][0]
    half = runs.filter(pl.col("retrain_fraction") == 0.5)["training_cases"][0]
    assert plain["training_cases"][0] < half < own


def test_all_points_of_the_curve_are_of_the_same_cases_that_none_was_trained_on(
    retrained: StudyFolder,
) -> None:
    results = pl.read_parquet(retrained.path / "results.parquet")
    areas = results.filter(
        (pl.col("metric") == "auroc") & (pl.col("cohort") == "b") & pl.col("run_id").is_null()
    )
    again = areas.filter(pl.col("retrain_fraction").is_not_null()).sort("retrain_fraction")
    assert again["retrain_fraction"].to_list() == [0.0, *SHARES]
    assert again["num_cases"].n_unique() == 1
    assert again["num_patients"][0] == 20
    (all_of_b,) = areas.filter(pl.col("retrain_fraction").is_null())["num_patients"].to_list()
    assert all_of_b == 40
    curve = pl.read_parquet(retrained.path / "curves" / "retrain.parquet").sort("x")
    assert curve["x"].to_list() == [0.0, *SHARES]
    assert curve["y"].to_list() == again["value"].to_list()


def test_a_retrained_run_predicts_tune_and_that_cohorts_test_cases_alone(
    retrained: StudyFolder,
) -> None:
    runs = pl.read_csv(retrained.path / "runs.csv").drop_nulls("retrain_fraction")
    table = pl.read_parquet(retrained.path / "predictions.parquet")
    places = table.filter(pl.col("run_id").is_in(runs["run_id"].implode()))
    assert set(places.select("cohort", "split").unique().rows()) == {("a", "tune"), ("b", "test")}


def test_the_report_has_the_curve_and_counts_no_retrained_run_as_a_left_out_cohort(
    retrained: StudyFolder, tmp_path: Path
) -> None:
    text = write_report(retrained).read_text("utf-8")
    assert "Retraining with cases of the shifted cohort" in text
    assert "its training cohorts" not in text


def test_adaptation_is_scoring_alone_and_on_the_cases_that_retraining_is_tested_on(
    retrained: StudyFolder,
) -> None:
    from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
    from medtransfer.study.yaml_file import read_study

    study = read_study(retrained.path / "study.yaml")
    path = retrained.path / "curves" / "adapt.parquet"
    before = sorted(folder.name for folder in (retrained.path / "runs").iterdir())
    adapted = study.model_copy(update={"adapt": AdaptConfig(patients=(5, 10), draws=2)})
    assert run_here(adapted, retrained.path) is not None
    table = pl.read_parquet(path)
    assert sorted(folder.name for folder in (retrained.path / "runs").iterdir()) == before
    assert table["cohort"].unique().to_list() == ["b"]
    assert table["num_patients"].unique().to_list() == [20]
    assert table["pool_patients"].unique().to_list() == [20]
    assert "curves/adapt.parquet" in (retrained.path / "collected.json").read_text()
    again = table.filter(arm="internal+shifted", metric="nll").sort("patients")
    assert again["patients"].to_list() == [10, 20]
    results = pl.read_parquet(retrained.path / "results.parquet").filter(
        pl.col("run_id").is_null() & pl.col("retrain_fraction").gt(0),
        metric="nll_platt",
        attribute="all",
    )
    expected = results.sort("retrain_fraction")["value"].to_list()
    assert again["value"].to_list() == pytest.approx(expected)
    assert again["difference_low"].null_count() == 0
    page = write_report(retrained).read_text("utf-8")
    assert "Adaptation with a few patients of the other hospital" in page
    assert "trained again with the home cases and those of the patients" in page
    run_here(study, retrained.path)
    assert not path.exists()


@pytest.mark.slow
def test_a_probe_of_the_tuned_network_is_fitted_on_its_own_features(
    retrained: StudyFolder,
) -> None:
    from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
    from medtransfer.study.yaml_file import read_study

    study = read_study(retrained.path / "study.yaml")
    config = AdaptConfig(patients=(10, 20), draws=2, arms=("probe",))
    adapted = study.model_copy(update={"adapt": config})
    run_here(adapted, retrained.path)
    table = pl.read_parquet(retrained.path / "curves" / "adapt.parquet").filter(arm="probe")
    assert table["value"].null_count() == 0
    assert table["not_fitted"].sum() == 0
    kept = sorted(path.name for path in retrained.features.iterdir())
    assert len(kept) == 2  # one part of each seed
    (retrained.path / "collected.json").unlink()
    run_here(adapted, retrained.path)
    again = pl.read_parquet(retrained.path / "curves" / "adapt.parquet").filter(arm="probe")
    assert again.equals(table)
    assert sorted(path.name for path in retrained.features.iterdir()) == kept


def test_adaptation_needs_a_shifted_hospital(retrained: StudyFolder) -> None:
    from medtransfer.study.yaml_file import read_study

    study = read_study(retrained.path / "study.yaml").model_dump(mode="json")
    study["data"]["split"]["train_cohorts"] = None
    study |= {"retrain_fractions": [], "adapt": {}}
    with pytest.raises(ValueError, match="adapt needs a shifted cohort: name data.split"):
        Study.model_validate(study)
