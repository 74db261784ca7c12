"""Looks at test cases while training: they change nothing, and become a table and a passage."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from tests.in_process import run_here, study_digests

from medtransfer import fsck, read_trajectory, read_understanding, write_report
from medtransfer.data.cases import Cases
from medtransfer.integrity.run_seal import TRAJECTORY
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.understanding.drawn import drawn_patients
from medtransfer.runs.understanding.looks import gather_looks, looked_cases, read_looks, write_look
from medtransfer.study.care.forget import forget_in_study
from medtransfer.study.config import Study
from medtransfer.study.understanding.asked import looking_runs


def asked(study: Study, **changes: object) -> Study:
    whole = study.model_dump(exclude_unset=True) | {"seeds": [0, 1]} | changes
    return Study.model_validate(whole)


def some_cases(count: int, each: int, cohort: str = "b") -> Cases:
    names = [f"{cohort}{k}" for k in range(count)]
    return Cases(
        case_ids=np.array(names),
        patient_ids=np.array([f"{cohort}p{k // each}" for k in range(count)]),
        cohorts=np.array([cohort] * count),
        splits=np.array(["test"] * count),
        targets=np.zeros((count, 1)),
        images=[(name,) for name in names],
    )


def test_at_most_so_many_cases_of_whole_patients_are_looked_at() -> None:
    cases = {"b": some_cases(90, 4), "c": some_cases(5, 1, "c"), "d": some_cases(0, 1, "d")}
    many, few = looked_cases(cases, limit=30)
    assert 27 <= len(many) <= 30
    of_drawn = np.isin(cases["b"].patient_ids, many.patient_ids)
    assert of_drawn.sum() == len(many)
    assert len(few) == 5
    assert looked_cases(cases, limit=30)[0].case_ids.tolist() == many.case_ids.tolist()
    assert drawn_patients(np.array(["p"] * 9), 4, "draw").all()  # a patient is not cut


def test_a_look_that_is_made_again_counts_once(tmp_path: Path) -> None:
    folder, cases = RunFolder(tmp_path / "r"), [some_cases(3, 1)]
    for step, value in ((20, 2.0), (10, 9.0), (10, 1.0)):
        logits = [np.full((3, 1), value, np.float32)]
        write_look(folder, step, cases, logits, ["x"])
    gather_looks(folder)
    looks = read_looks(folder)
    assert looks is not None
    assert looks["step"].to_list() == [10] * 3 + [20] * 3
    assert looks["logit_x"].to_list() == [1.0] * 3 + [2.0] * 3
    folder.tidy()
    assert not list(folder.checkpoint.iterdir())


def test_runs_with_most_labels_look_where_it_is_asked(tiny_study: Study) -> None:
    assert not looking_runs(tiny_study, [])
    assert not looking_runs(asked(tiny_study, understanding=["convergence"]), [])


@pytest.fixture(scope="module")
def looked(tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    study = asked(tiny_study, understanding=["trajectory"])
    return run_here(study, tmp_path_factory.mktemp("looks") / "s")


@pytest.mark.slow
def test_nothing_is_selected_by_the_looks(
    tiny_study: Study, looked: StudyFolder, tmp_path: Path
) -> None:
    """Ids, weights, validations, predictions, results and comparisons are those without."""
    plain = run_here(asked(tiny_study), tmp_path / "s")
    assert study_digests(plain) == study_digests(looked)
    steps = [plain.run(run).cost().selected_step for run in plain.run_ids()]
    assert steps == [looked.run(run).cost().selected_step for run in looked.run_ids()]
    assert not any((plain.run(run).path / TRAJECTORY).exists() for run in plain.run_ids())
    assert fsck(looked.path).passed


@pytest.mark.slow
def test_the_table_has_a_row_for_every_validation_and_cohort(looked: StudyFolder) -> None:
    table = read_trajectory(looked.path / "curves" / "trajectory.parquet")
    means = table.filter(pl.col("run_id").is_null())
    assert set(means.select("step", "cohort", "place").iter_rows()) == {
        (step, *where) for step in (2, 4, 6) for where in (("a", "home"), ("b", "away"))
    }
    assert len(table) == 3 * len(means)
    # the last look is of the predictions where the last weights were kept
    predictions = pl.read_parquet(looked.path / "predictions.parquet").filter(split="test")
    for run in looked.run_ids():
        kept = looked.run(run).cost().selected_step
        rows = table.filter(run_id=run, step=kept)
        for cohort, auroc in rows.select("cohort", "auroc").iter_rows():
            of_run = predictions.filter(run_id=run, cohort=cohort)
            truth, scores = of_run["target_malignant"], of_run["logit_malignant"]
            assert auroc == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    slopes = read_understanding(looked.path / "curves" / "understanding.parquet")
    assert set(slopes.select("question", "metric", "attribute", "group").iter_rows()) == {
        ("trajectory", "away_per_home", "cohort", "b")
    }


@pytest.mark.slow
def test_the_report_shows_the_trajectory(looked: StudyFolder) -> None:
    page = write_report(looked).read_text("utf-8")
    assert 'id="why"' in page
    assert "At home and away while tuning" in page
    assert "AUROC at every validation" in page


@pytest.mark.slow
def test_finished_runs_without_looks_are_named_and_not_trained_again(
    tiny_study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = run_here(asked(tiny_study), tmp_path / "s")
    before = study_digests(folder)
    with caplog.at_level(logging.WARNING):
        run_here(asked(tiny_study, understanding=["trajectory"]), folder.path)
    assert "2 runs finished before it was asked for" in caplog.text
    assert study_digests(folder) == before
    assert not (folder.path / "curves" / "trajectory.parquet").exists()


@pytest.mark.slow
def test_a_patient_who_is_forgotten_leaves_the_looks(looked: StudyFolder, tmp_path: Path) -> None:
    copy = StudyFolder(tmp_path / "s")
    shutil.copytree(looked.path, copy.path)
    predictions = pl.read_parquet(copy.path / "predictions.parquet")
    patient = predictions.filter(split="test")["patient_id"][0]
    files = [copy.run(run).path / TRAJECTORY for run in copy.run_ids()]
    assert all(patient in pl.read_parquet(file)["patient_id"] for file in files)
    traces, _ = forget_in_study(copy, patient, delete=True)
    assert {f"runs/{run}/{TRAJECTORY}" for run in copy.run_ids()} <= {t.path for t in traces.traces}
    assert not any(patient in pl.read_parquet(file)["patient_id"] for file in files)
    assert not forget_in_study(copy, patient)[0].traces


def test_no_case_is_looked_at_without_test_cases() -> None:
    assert looked_cases({}) == []
    empty = replace(some_cases(2, 1)).take(np.zeros(2, dtype=np.bool_))
    assert looked_cases({"b": empty}) == []
