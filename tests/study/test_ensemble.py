"""The seeds of a rung as one more rung of a study, and as a bundle with the same numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError

from medtransfer.deploy.bundle.choice import choose_runs
from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.evaluation.comparison.choice.rule import Evidence, Recommendation
from medtransfer.evaluation.comparison.grid_key import ensemble_name
from medtransfer.report.reading import load_study_data
from medtransfer.report.recommendation import with_ensemble
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

RUNG = "tiny-10k/r26x0.25"
NAME = ensemble_name(RUNG, 2)


def study_of(manifest: Path, **changes: object) -> Study:
    settings: dict[str, object] = {
        "name": "together",
        "data": {
            "manifest": manifest,
            "task": "binary",
            "targets": ["malignant"],
            "image": {"resize": 36, "crop": 32},
            "split": {"train_cohorts": ["a"]},
        },
        "rungs": [RUNG, "scratch/r14x0.5"],
        "seeds": [0, 1],
        "ensemble": "seeds",
        "training": {"batch_size": 8, "micro_batch": 8, "steps": 3, "checks": 1},
        "evaluation": {"replicates": 50, "permutations": 0},
    }
    return Study.model_validate(settings | changes)


@pytest.fixture(scope="module")
def together(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    from tests.in_process import run_here

    study = study_of(phantom_folder / "lesion.parquet")
    return run_here(study, tmp_path_factory.mktemp("together") / "study")


@pytest.mark.slow
def test_the_tables_have_the_ensemble_and_the_rungs_are_as_without(
    together: StudyFolder, phantom_folder: Path, tmp_path: Path
) -> None:
    from tests.in_process import run_here

    results = pl.read_parquet(together.path / "results.parquet")
    comparisons = pl.read_parquet(together.path / "comparisons.parquet")
    of_ensemble = results.filter(rung=NAME)
    runs = of_ensemble["run_id"].drop_nulls().unique().to_list()
    assert len(runs) == 1
    assert runs[0].startswith("ensemble-")
    assert of_ensemble["seed"].null_count() == len(of_ensemble)
    (reference,) = comparisons.filter(rung=NAME)["reference"].unique()
    assert reference == RUNG
    plain = run_here(study_of(phantom_folder / "lesion.parquet", ensemble=None), tmp_path / "plain")
    ensembles = pl.col("rung").str.contains("ensemble")
    for table, ours in (("results", results), ("comparisons", comparisons)):
        theirs = pl.read_parquet(plain.path / f"{table}.parquet")
        assert ours.filter(~ensembles).equals(theirs)
    pairs = pl.read_parquet(together.path / "rung_pairs.parquet")
    assert pairs.equals(pl.read_parquet(plain.path / "rung_pairs.parquet"))


@pytest.mark.slow
def test_an_exported_ensemble_predicts_and_promises_what_the_study_measured(
    together: StudyFolder, phantom_folder: Path, tmp_path: Path
) -> None:
    bundle = export_bundle(together, tmp_path / "a.medt", rung=RUNG, ensemble=True)
    assert (bundle.facts.members, bundle.facts.training.seeds) == (2, (0, 1))
    results = pl.read_parquet(together.path / "results.parquet").filter(
        pl.col("rung") == NAME, pl.col("attribute") == "all", pl.col("run_id").is_not_null()
    )
    compared = 0
    for row in results.iter_rows(named=True):
        key = (row["metric"], row["target"], row["cohort"], row["split"])
        promised = next(
            (n for n in bundle.facts.promises if key == (n.metric, n.target, n.cohort, n.split)),
            None,
        )
        if promised is not None:
            assert (promised.value, promised.low, promised.high) == (
                row["value"],
                row["low"],
                row["high"],
            )
            compared += 1
    assert compared > 10
    outcome = load_bundle(bundle.path, device="cpu").predict(phantom_folder / "lesion.parquet")
    runs = [together.run(run_id).predictions() for run_id in bundle.facts.training.run_ids]
    mean = np.mean(
        [1 / (1 + np.exp(-run.sort("case_id")["logit_malignant"].to_numpy())) for run in runs], 0
    )
    known = outcome.frame.filter(pl.col("case_id").is_in(runs[0]["case_id"].to_list()))
    ours = 1 / (1 + np.exp(-known.sort("case_id")["logit_malignant"].to_numpy()))
    assert_allclose(ours, mean, atol=1e-5)


@pytest.mark.slow
def test_a_bundle_is_made_of_the_ensemble_by_its_name(together: StudyFolder) -> None:
    assert len(choose_runs(together, rung=NAME).requests) == 2
    data = load_study_data(together)
    assert NAME not in data.rungs
    assert NAME not in set(data.results["rung"]) | set(data.comparisons["rung"])
    assert data.ensembles is not None
    assert set(data.ensembles["rung"]) == {NAME, ensemble_name("scratch/r14x0.5", 2)}


@pytest.mark.slow
def test_a_recommendation_takes_the_ensemble_where_it_is_shown_better(
    together: StudyFolder,
) -> None:
    data = load_study_data(together)
    assert data.ensembles is not None
    evidence = Evidence(label_fraction=1.0, seeds=2, candidates=(RUNG,))
    advice = Recommendation(RUNG, "It is recommended.", "", evidence)
    numbers = {
        "difference": pl.lit(0.02),
        "low": pl.lit(0.01),
        "high": pl.lit(0.03),
    }
    better = replace(data, ensembles=data.ensembles.with_columns(**numbers))
    taken = with_ensemble(advice, better)
    assert taken.ensemble == NAME
    assert (
        "Its 2 seeds together are better than one of them, by 0.020 [0.010, 0.030]" in taken.reason
    )
    same = replace(data, ensembles=data.ensembles.with_columns(**{**numbers, "low": pl.lit(-0.01)}))
    kept = with_ensemble(advice, same)
    assert kept.ensemble is None
    assert "are not shown better than one of them" in kept.reason
    assert with_ensemble(advice, replace(data, ensembles=None)) == advice


def test_an_ensemble_needs_two_seeds(phantom_folder: Path) -> None:
    with pytest.raises(ValidationError, match="an ensemble needs two"):
        study_of(phantom_folder / "lesion.parquet", seeds=[0])
    with pytest.raises(ValidationError, match="'seeds'"):
        study_of(phantom_folder / "lesion.parquet", ensemble="folds")
