"""Training again on some cases of a shifted cohort, from the study file to the curve."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import safetensors.torch
import torch
from tests.in_process import run_here

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.files import read_json
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.report.page import write_report
from medtransfer.runs.fine_tune import load_start
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.yaml_file import read_study

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


@pytest.mark.slow
def test_every_share_is_a_run_and_none_is_the_plain_run(retrained: StudyFolder) -> None:
    runs = pl.read_csv(retrained.path / "runs.csv")
    assert sorted(runs["retrain_fraction"].drop_nulls()) == [0.5, 0.5, 1.0, 1.0]
    plain = runs.filter(pl.col("retrain_fraction").is_null())
    assert len(plain) == 2
    assert (runs["state"] == "done").all()
    own = runs.filter(pl.col("retrain_fraction") == 1.0)["training_cases"][0]
    half = runs.filter(pl.col("retrain_fraction") == 0.5)["training_cases"][0]
    assert plain["training_cases"][0] < half < own


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_retrained_run_predicts_tune_and_that_cohorts_test_cases_alone(
    retrained: StudyFolder,
) -> None:
    runs = pl.read_csv(retrained.path / "runs.csv").drop_nulls("retrain_fraction")
    table = pl.read_parquet(retrained.path / "predictions.parquet")
    places = table.filter(pl.col("run_id").is_in(runs["run_id"].implode()))
    assert set(places.select("cohort", "split").unique().rows()) == {("a", "tune"), ("b", "test")}


@pytest.mark.slow
def test_the_report_has_the_curve_and_counts_no_retrained_run_as_a_left_out_cohort(
    retrained: StudyFolder, tmp_path: Path
) -> None:
    text = write_report(retrained).read_text("utf-8")
    assert "Retraining with cases of the shifted cohort" in text
    assert "its training cohorts" not in text


@pytest.mark.slow
def test_adaptation_is_scoring_alone_and_on_the_cases_that_retraining_is_tested_on(
    retrained: StudyFolder,
) -> None:
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
    study = read_study(retrained.path / "study.yaml").model_dump(mode="json")
    study["data"]["split"]["train_cohorts"] = None
    study |= {"retrain_fractions": [], "adapt": {}}
    with pytest.raises(ValueError, match="adapt needs a shifted cohort: name data.split"):
        Study.model_validate(study)


@pytest.fixture(scope="module")
def arms(retrained: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The same study, whose finished runs are there, with the arms that train."""
    folder = tmp_path_factory.mktemp("arms") / "out"
    shutil.copytree(retrained.path, folder)
    return run_here(_with_arms(read_study(retrained.path / "study.yaml")), folder)


def _with_arms(study: Study) -> Study:
    config = AdaptConfig(patients=(10,), draws=1, arms=("carried", "sequential", "shifted-only"))
    return study.model_copy(update={"adapt": config})


@pytest.mark.slow
def test_the_arms_that_train_are_runs_beside_those_that_were_there(
    arms: StudyFolder, retrained: StudyFolder
) -> None:
    runs = pl.read_csv(arms.path / "runs.csv")
    assert (runs["state"] == "done").all()
    assert len(runs) == 6 + 2 * 2 * len(SHARES)
    before = {path.name for path in (retrained.path / "runs").iterdir()}
    assert before < {path.name for path in (arms.path / "runs").iterdir()}
    both = runs.filter(retrain_fraction=1.0, seed=0)
    cases = dict(both.select("arm", "training_cases").rows())
    assert cases["sequential"] == cases["shifted-only"] == 20
    plain = runs.filter(pl.col("retrain_fraction").is_null(), seed=0)
    assert cases["internal+shifted"] == 20 + plain["training_cases"][0]
    # the tables of the ladder are as they would be without them
    for name in ("results.parquet", "predictions.parquet", "comparisons.parquet"):
        assert pl.read_parquet(arms.path / name).equals(pl.read_parquet(retrained.path / name))


@pytest.mark.slow
def test_sequential_goes_on_from_the_run_at_home_of_its_seed(arms: StudyFolder) -> None:
    runs = pl.read_csv(arms.path / "runs.csv").filter(seed=1)
    (home,) = runs.filter(pl.col("retrain_fraction").is_null())["run_id"]
    (last,) = runs.filter(retrain_fraction=1.0, arm="sequential")["run_id"]
    (alone,) = runs.filter(retrain_fraction=1.0, arm="shifted-only")["run_id"]
    assert read_json(arms.run(last).path / "run.json")["start"] == home
    assert read_json(arms.run(alone).path / "run.json")["start"] is None
    device = torch.device("cpu")
    model = ModelConfig(rung="scratch/r14x0.5")
    classifier = build_classifier(model, 1, seed=5, device=device).classifier
    load_start(classifier, arms.run(home))
    (folder,) = arms.run(home).checkpoint.glob("selected-*")
    for name, kept in safetensors.torch.load_file(folder / "model.safetensors").items():
        assert torch.equal(classifier.state_dict()[name], kept)
    with pytest.raises(StudyError, match="goes on from the weights of run nobody, which cannot be"):
        load_start(classifier, arms.run("nobody"))


@pytest.mark.slow
def test_they_stand_in_the_curve_with_intervals_and_in_the_report(arms: StudyFolder) -> None:
    table = pl.read_parquet(arms.path / "curves" / "adapt.parquet")
    page = write_report(arms).read_text("utf-8")
    for arm, words in (("sequential", "goes on with the"), ("shifted-only", "on the patients al")):
        rows = table.filter(arm=arm, metric="nll").sort("patients")
        assert rows["patients"].to_list() == [10, 20]
        assert rows["low"].null_count() == rows["difference_low"].null_count() == 0
        assert rows["num_patients"].unique().to_list() == [20]
        assert words in page
    runs = pl.read_csv(arms.path / "runs.csv").filter(retrain_fraction=1.0, arm="sequential")
    of_seeds = [
        pl.read_parquet(arms.run(run).path / "results.parquet").filter(
            cohort="b", metric="auroc", attribute="all"
        )["value"][0]
        for run in runs["run_id"]
    ]
    mean = sum(of_seeds) / len(of_seeds)
    row = table.filter(arm="sequential", metric="auroc", patients=20)
    assert row["value"][0] == pytest.approx(mean)


def test_arms_that_train_are_planned_as_runs_and_never_start_before_what_they_go_on_from(
    retrained: StudyFolder,
) -> None:
    study = _with_arms(read_study(retrained.path / "study.yaml"))
    assert study.num_runs == 2 * (1 + 2 * 3)
    data = read_data(study, retrained.path / "unused.parquet")
    planned = plan_runs(study, data)
    assert len(planned) == study.num_runs
    by_id = {run.run_id: run for run in planned}
    sequential = [run for run in planned if run.cell.key.arm == "sequential"]
    assert len(sequential) == 4
    for run in planned:
        assert (run.start is not None) == (run in sequential)
        if run.start is not None:
            home = by_id[run.start].cell
            assert (home.seed, home.retrain_fraction) == (run.cell.seed, None)
    assert sequential[0].cell.label == "scratch/r14x0.5 100% seed 0, then 100% of b"
    without = study.model_copy(update={"adapt": None})
    known = {run.run_id for run in plan_runs(without, data)}
    assert known == {run.run_id for run in planned if run.cell.key.arm == "internal+shifted"}


def test_what_the_arms_that_train_cannot_be_with_is_said_at_once(retrained: StudyFolder) -> None:
    written = read_study(retrained.path / "study.yaml")
    study = written.model_dump(mode="json", exclude_unset=True)
    study["retrain_fractions"] = []
    study |= {
        "adapt": {"arms": ["sequential"]},
        "keep": "predictions",
        "training": {"tuning": {"mode": "linear"}},
    }
    with pytest.raises(ValueError, match=r"(?s)set retrain_fractions.*keep must.*has no rung"):
        Study.model_validate(study)
