"""A study's network becomes a bundle, the same to the byte, without a name in it."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from medtransfer.deploy.bundle import choice as choice_of_runs
from medtransfer.deploy.bundle.card import bundle_page
from medtransfer.deploy.bundle.export import export_bundle, export_options
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.errors import ConfigError, StudyError
from medtransfer.evaluation.scoring.run import run_arrays
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.files import read_json
from medtransfer.posthoc.ood_detectors import flag_threshold
from medtransfer.report.recommendation import recommend
from medtransfer.runs.folders import StudyFolder
from medtransfer.tables.results import read_results

RUNG = "imagenet/effnet-lite0"


def predictions_of(study: StudyFolder, bundle: Bundle) -> pl.DataFrame:
    (run_id,) = bundle.facts.training.run_ids
    return study.run(run_id).predictions()


def test_the_seed_that_is_best_on_tune_is_taken_with_all_labels(
    finished: StudyFolder, bundle: Bundle
) -> None:
    records = [read_json(finished.run(run).path / "run.json") for run in finished.run_ids()]
    of_rung = {r["run_id"]: r for r in records if r["rung"] == RUNG and r["label_fraction"] == 1.0}
    aurocs = {}
    for run_id in of_rung:
        selected = finished.run(run_id).cost().selected_step
        history = finished.run(run_id).history()
        aurocs[run_id] = next(c.tune_auroc for c in history if c.step == selected)
    (taken,) = bundle.facts.training.run_ids
    assert aurocs[taken] == max(aurocs.values())
    assert "best AUROC on the tuning split" in bundle.facts.training.why


def test_predictions_that_were_edited_make_no_bundle(finished: StudyFolder, tmp_path: Path) -> None:
    copy = StudyFolder(tmp_path / "study")
    leave = shutil.ignore_patterns("cache", "features", "estimates")
    shutil.copytree(finished.path, copy.path, ignore=leave)
    for run_id in copy.run_ids():
        table = copy.run(run_id).predictions().with_columns(-pl.col("logit_malignant"))
        table.write_parquet(copy.run(run_id).path / "predictions.parquet")
    with pytest.raises(StudyError, match="Not as sealed.*predictions.parquet of run"):
        export_bundle(copy, tmp_path / "x.medt", rung=RUNG)


def test_promises_are_the_numbers_of_the_study(finished: StudyFolder, bundle: Bundle) -> None:
    (run_id,) = bundle.facts.training.run_ids
    results = read_results(finished.run(run_id).path / "results.parquet")
    rows = results.filter(attribute="all", split="test")
    promised = {
        (n.metric, n.cohort): (n.value, n.low, n.high)
        for n in bundle.facts.promises
        if n.split == "test" and n.target == "malignant"
    }
    for metric in ("auroc", "sensitivity@sens90", "specificity@sens90", "brier"):
        for row in rows.filter(metric=metric, target="malignant").iter_rows(named=True):
            ends = (row["value"], row["low"], row["high"])
            assert promised[metric, row["cohort"]] == ends
    tune = [n for n in bundle.facts.promises if n.split == "tune" and n.metric == "auroc"]
    assert [n.cases for n in tune] == [len(predictions_of(finished, bundle).filter(split="tune"))]


def test_fits_are_those_of_the_tuning_split(finished: StudyFolder, bundle: Bundle) -> None:
    run = run_arrays(predictions_of(finished, bundle), "binary")
    fit = fit_on_tune(run, ("sens90",))[0]
    carried = carried_fit(bundle.facts)[0]
    logits = np.linspace(-4, 4, 9)
    assert carried.thresholds == fit.thresholds
    assert carried.prevalence == fit.prevalence
    for kind, calibrator in fit.calibrators.items():
        assert_allclose(
            carried.calibrators[kind].probabilities(logits), calibrator.probabilities(logits)
        )
    for method, sets in fit.conformal.items():
        p = np.linspace(0.01, 0.99, 9)
        assert (carried.conformal[method].sets(p) == sets.sets(p)).all()
    (detector,) = bundle.facts.detectors
    tuned = run.frame.filter(pl.Series(run.tuned()))
    assert detector.threshold == flag_threshold(tuned["ood_mahalanobis"].to_numpy())


def test_promised_cases_are_those_of_the_study(finished: StudyFolder, bundle: Bundle) -> None:
    ours = predictions_of(finished, bundle)
    theirs = bundle.predictions()
    for split in ("tune", "test"):
        one, other = ours.filter(split=split), theirs.filter(split=split)
        assert_allclose(one["logit_malignant"].sort(), other["logit_malignant"].sort())
        assert one["target_malignant"].sum() == other["target_malignant"].sum()
        assert one["patient_id"].n_unique() == other["patient_id"].n_unique()


@pytest.mark.slow
def test_no_patient_case_or_image_is_named_in_the_file(
    finished: StudyFolder, bundle: Bundle, phantom_folder: Path
) -> None:
    manifest = pl.read_parquet(
        phantom_folder / "lesion.parquet", columns=["image_id", "case_id", "patient_id"]
    )
    raw = bundle.path.read_bytes()
    names = {name for column in manifest for name in column.to_list()}
    assert names
    assert not [name for name in names if name.encode() in raw]


def test_training_patients_are_known_and_test_patients_are_not(
    finished: StudyFolder, bundle: Bundle, phantom_folder: Path
) -> None:
    predictions = predictions_of(finished, bundle)
    tuned = predictions.filter(split="tune")["patient_id"].unique().to_list()
    tested = predictions.filter(split="test")["patient_id"].unique().to_list()
    digests = bundle.training_digests
    known = digests.known_patients([*tuned, *tested])
    assert known is not None
    assert known.tolist() == [True] * len(tuned) + [False] * len(tested)
    training = bundle.facts.training
    assert len(digests.patients) == training.train_patients + training.tune_patients  # type: ignore[arg-type]


def test_the_same_study_gives_the_same_bytes(
    finished: StudyFolder, bundle: Bundle, tmp_path: Path
) -> None:
    again = export_bundle(finished, tmp_path / "again.medt", rung=RUNG)
    assert again.digest == bundle.digest
    assert again.path.read_bytes() == bundle.path.read_bytes()


def test_seeds_go_in_together(finished: StudyFolder, tmp_path: Path) -> None:
    options = export_options(
        detectors=["energy", "vim"],
        calibrator="platt",
        margin=0.1,
        licence="CC BY 4.0",
        patient_digests=False,
        expires=date(2027, 1, 1),
    )
    made = export_bundle(
        finished, tmp_path / "two.medt", rung="scratch/r14x0.5", ensemble=True, options=options
    )
    facts = made.facts
    assert (facts.members, facts.training.seeds) == (2, (0, 1))
    assert [d.name for d in facts.detectors] == ["energy", "vim"]
    assert facts.targets[0].calibrator == "platt"
    assert made.training_digests.patients is None
    assert made.promised.logits.shape[0] == 2
    page = bundle_page(made)
    assert "2 networks together" in page
    assert "CC BY 4.0" in page
    assert "after 2027-01-01" in page
    assert "ids are inside" not in made.card


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, r"No rung can be recommended over another: .*Name a rung with --rung: "),
        ({"rung": "scratch/r14x1"}, r"no finished run of rung 'scratch/r14x1'. Did you mean"),
        ({"run_id": "0" * 12}, r"Run '000000000000' of .* is not finished or not there"),
        ({"run_id": "0" * 12, "ensemble": True}, "give one"),
    ],
)
def test_runs_that_are_not_there_are_named(
    finished: StudyFolder, tmp_path: Path, choice: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        export_bundle(finished, tmp_path / "x.medt", **choice)  # type: ignore[arg-type]


def test_without_a_rung_the_recommended_one_is_taken(
    finished: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = recommend(finished)  # the study is too small to recommend any
    advice = replace(none, rung="scratch/r14x0.5", reason="It is the best.", condition="Here.")
    monkeypatch.setattr(choice_of_runs, "recommend", lambda _: advice)
    export_bundle(finished, tmp_path / "x.medt")
    page = bundle_page(read_bundle(tmp_path / "x.medt"))
    assert "scratch/r14x0.5, seed" in page
    assert "It is the best. Here." in page


def test_options_out_of_range_are_refused_together(finished: StudyFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"calibrator is 'magic'.*; margin is 2"):
        export_options(calibrator="magic", margin=2.0)
    with pytest.raises(ConfigError, match="features of every training patient"):
        export_bundle(
            finished,
            tmp_path / "x.medt",
            rung=RUNG,
            options=export_options(detectors=["knn"]),
        )
    with pytest.raises(ConfigError, match="does not end in .medt"):
        export_bundle(finished, tmp_path / "x.zip", rung=RUNG)
    with pytest.raises(StudyError, match="has no finished run"):
        export_bundle(StudyFolder(tmp_path), tmp_path / "x.medt")


def test_a_bundle_is_read_without_torch(bundle: Bundle) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from medtransfer import read_bundle; b = read_bundle(sys.argv[1]); "
        "b.predictions(); b.training_digests; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
    assert read_bundle(bundle.path).digest == bundle.digest
