"""Forgetting runs, and a patient in a study's folder: what is named is what goes."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer import StudyFolder, forget_runs, fsck, read_predictions
from medtransfer.data.case_table import CaseTable
from medtransfer.data.splits import assign_splits
from medtransfer.errors import ConfigError, StudyError
from medtransfer.runs.folders import Lease
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.runs.tested.files import cohort_predictions
from medtransfer.study.care.forget import forget_in_study
from medtransfer.study.execution.requests import recorded_request
from medtransfer.study.yaml_file import read_study


def patient_of(folder: StudyFolder, cohort: str, split: str) -> str:
    """A patient of a cohort and split, in the manifest's order."""
    data = read_study(folder.path / "study.yaml").data
    frame = assign_splits(read_run_manifest(data), data)
    rows = frame.filter((pl.col("cohort") == cohort) & (pl.col("split") == split))
    return str(rows["patient_id"][0])


def trained_on(folder: StudyFolder, run_id: str) -> set[str]:
    """Patients of the training cases that a run drew, by its configuration."""
    request = recorded_request(folder.run(run_id))
    assert request is not None
    data = request.run.data
    frame = assign_splits(read_run_manifest(data), data)
    table = CaseTable(frame, data)
    drawn = table.first[table.training_rows(frame, data, request.run.seed)]
    return set(frame["patient_id"].gather(drawn).to_list())


def partly_drawn(folder: StudyFolder) -> str:
    """A training patient whom only some of the runs drew: half of them have half of the labels."""
    drawn = [trained_on(folder, name) for name in folder.run_ids()]
    return min(set.union(*drawn) - set.intersection(*drawn))


def rows_in(folder: StudyFolder, patient: str) -> int:
    """Rows of a patient in all predictions below a folder."""
    tables = (
        folder.path.rglob("predictions*/**/*.parquet"),
        folder.path.rglob("predictions.parquet"),
    )
    paths = {path for listing in tables for path in listing}
    return sum(len(pl.read_parquet(path).filter(patient_id=patient)) for path in paths)


def test_runs_go_with_the_tables_that_show_them(study: StudyFolder) -> None:
    first, second = study.run_ids()[:2]
    named = forget_runs(study, [first])
    assert study.run(first).is_done()
    assert (named.run_ids, named.planned) == ((first,), (first,))
    assert {"predictions.parquet", "results.parquet", "collected.json"} <= set(named.tables)
    assert forget_runs(study, [first], delete=True) == named
    assert first not in study.run_ids()
    assert study.run(second).is_done()
    assert not any((study.path / name).exists() for name in named.tables)
    assert first not in {row["run_id"] for row in study.read("plan.json")}
    assert fsck(study.path).passed


def test_runs_that_are_not_there_are_refused_before_any_goes(study: StudyFolder) -> None:
    first = study.run_ids()[0]
    with pytest.raises(StudyError, match="has no run nothing"):
        forget_runs(study, [first, "nothing"], delete=True)
    with pytest.raises(ConfigError, match="No run is named"):
        forget_runs(study, [], delete=True)
    assert study.run(first).is_done()


def test_a_run_behind_a_link_is_refused_before_anything_goes(
    study: StudyFolder, tmp_path: Path
) -> None:
    """What lies behind the link would stay, though it was said to be deleted."""
    first, second = study.run_ids()[:2]
    elsewhere = tmp_path / "elsewhere"
    study.run(first).path.rename(elsewhere)
    study.run(first).path.symlink_to(elsewhere)
    patient = patient_of(study, "a", "tune")
    for call in (
        lambda: forget_runs(study, [first, second], delete=True),
        lambda: forget_in_study(study, patient, delete=True),
    ):
        with pytest.raises(StudyError, match=f"runs/{first}: a link, .* Nothing was deleted"):
            call()
    assert (elsewhere / "done").is_file()
    assert study.run(second).is_done()
    assert rows_in(study, patient)


def test_runs_on_another_disk_are_deleted_there(study: StudyFolder, tmp_path: Path) -> None:
    runs, elsewhere = study.path / "runs", tmp_path / "elsewhere"
    runs.rename(elsewhere)
    runs.symlink_to(elsewhere)
    first = study.run_ids()[0]
    forget_runs(study, [first], delete=True)
    assert not (elsewhere / first).exists()


def test_a_training_patient_is_in_the_runs_that_drew_them(study: StudyFolder) -> None:
    patient = partly_drawn(study)
    drew = {name for name in study.run_ids() if patient in trained_on(study, name)}
    assert 0 < len(drew) < len(study.run_ids())
    traces, contents = forget_in_study(study, patient)
    assert set(traces.trained) == drew
    assert len(contents) == 1
    assert rows_in(study, patient) == 0  # training cases are not predicted


def test_a_tuning_patient_is_in_every_run(study: StudyFolder) -> None:
    patient = patient_of(study, "a", "tune")
    assert set(forget_in_study(study, patient)[0].trained) == set(study.run_ids())


def test_deleting_a_training_patient_leaves_the_other_runs(study: StudyFolder) -> None:
    patient = partly_drawn(study)
    trained = set(forget_in_study(study, patient, delete=True)[0].trained)
    assert set(study.run_ids()).isdisjoint(trained)
    assert all(study.run(name).is_done() for name in study.run_ids())
    traces, _ = forget_in_study(study, patient)
    assert traces.traces == ()
    assert fsck(study.path).passed


def test_deleting_a_test_patient_takes_rows_images_and_tables(study: StudyFolder) -> None:
    patient = patient_of(study, "b", "test")
    before = rows_in(study, patient)
    assert before == 2 * len(study.run_ids())  # once a run, and in the study's own table
    others = {name: len(study.run(name).predictions()) for name in study.run_ids()}
    traces, contents = forget_in_study(study, patient, delete=True)
    assert sum(t.rows or 0 for t in traces.traces if t.kind == "predicted") == before
    assert traces.trained == ()
    assert rows_in(study, patient) == 0
    for name, rows in others.items():
        table = read_predictions(study.run(name).path / "predictions.parquet")
        assert len(table) == rows - 1
    kept = [pl.read_parquet(path) for path in study.cache.glob("*/?x*.parquet")]
    assert all(contents.isdisjoint(index["content"].to_list()) for index in kept)
    assert contents.isdisjoint(pl.read_parquet(study.images)["sha256"].to_list())
    assert not list(study.cache.glob("sketch-*"))
    assert forget_in_study(study, patient)[0].traces == ()
    assert fsck(study.path).passed


def test_the_cohort_counts_as_predicted_without_the_patient(study: StudyFolder) -> None:
    patient = patient_of(study, "b", "test")
    run = study.run(study.run_ids()[0])
    before = {place.cohort: digest for digest, place in cohort_predictions(run).items()}
    forget_in_study(study, patient, delete=True)
    after = {place.cohort: digest for digest, place in cohort_predictions(run).items()}
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]


def test_a_patient_who_is_in_the_manifest_no_more_is_found_in_predictions(
    study: StudyFolder, tmp_path: Path
) -> None:
    config = read_study(study.path / "study.yaml")
    patient = patient_of(study, "b", "test")
    table = pl.read_parquet(config.data.manifest)
    smaller = tmp_path / "smaller.parquet"
    table.filter(pl.col("patient_id") != patient).write_parquet(smaller)
    text = (study.path / "study.yaml").read_text("utf-8")
    (study.path / "study.yaml").write_text(text.replace(str(config.data.manifest), str(smaller)))
    traces, _ = forget_in_study(study, patient)
    assert "The manifest has no row of this patient." in traces.notes[0]
    assert sum(t.rows or 0 for t in traces.traces if t.kind == "predicted") == rows_in(
        study, patient
    )
    smaller.unlink()
    traces, _ = forget_in_study(study, patient)
    assert "The manifest cannot be read" in traces.notes[0]
    assert any(t.kind == "predicted" for t in traces.traces)


def test_a_study_at_work_is_left_alone(study: StudyFolder) -> None:
    lease = Lease(study)
    lease.take()
    for forget in (
        lambda: forget_runs(study, study.run_ids(), delete=True),
        lambda: forget_in_study(study, patient_of(study, "b", "test"), delete=True),
    ):
        with pytest.raises(StudyError, match="is working on this study"):
            forget()
    lease.drop()
    assert all(study.run(name).is_done() for name in study.run_ids())
