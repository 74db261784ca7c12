"""Traces of one patient in a study's folder: every file that holds or was made from their data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from medtransfer.data.images.shards import INDEX
from medtransfer.errors import MedTransferError, plural
from medtransfer.integrity.run_seal import ADDED, PREDICTIONS, TRAJECTORY
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.study.care.patient_data import PatientData, count_rows
from medtransfer.study.config import Study
from medtransfer.study.execution.requests import recorded_request

TraceKind = Literal["trained", "predicted", "table", "images", "sketches", "features", "facts"]
TRACE_REASONS: dict[TraceKind, str] = {
    "trained": "run trained on the patient, or its weights selected with them",
    "predicted": "predictions for the patient",
    "table": "table of the study made from them",
    "images": "prepared images",
    "sketches": "thumbnails of all images, which the audit compares",
    "features": "features of all cases",
    "facts": "path, size and digest of the images",
}
UNREADABLE = (
    "The manifest cannot be read, so only predictions were looked for. Runs that were trained on "
    "the patient, and prepared images, are not known. {error}"
)
ABSENT = (
    "The manifest has no row of this patient. Runs that were trained on the patient before the "
    "rows were removed, and prepared images, cannot be told any more."
)
STILL_THERE = (
    "The manifest still has {rows} of this patient. Remove them, and the image files, before the "
    "study is run again: it would read them anew."
)
NEW_SPLITS = (
    "Without the patient, others change their split, so all runs would be trained again. To keep "
    "the splits, write them into the manifest's column `split`."
)
NEW_RUNS = (
    "The ids of runs hold all patients of the training and tuning splits, so that the study plans "
    "its runs anew without this one."
)


@dataclass(frozen=True)
class PatientTrace:
    """A file or folder with data of the patient.

    Attributes:
        path: In the study's folder.
        kind: Relation to the patient.
        rows: Rows or images of the patient in it; None for a whole.
    """

    path: str
    kind: TraceKind
    rows: int | None = None


@dataclass(frozen=True)
class StudyTraces:
    """Traces of a patient in a study's folder.

    Attributes:
        traces: By kind.
        runs: Number of run folders that were searched.
        notes: What could not be told, and what a person has to do.
    """

    traces: tuple[PatientTrace, ...]
    runs: int
    notes: tuple[str, ...]

    @property
    def trained(self) -> tuple[str, ...]:
        """Ids of runs that were trained on the patient."""
        return tuple(Path(trace.path).name for trace in self.traces if trace.kind == "trained")


def find_traces(
    folder: StudyFolder, study: Study, patient: str, data: PatientData | MedTransferError
) -> StudyTraces:
    """Look for a patient in every file of a study's folder.

    Args:
        folder: Of the study; nobody else works on it.
        study: As it was run.
        patient: The id.
        data: The patient's rows, or the reason why the manifest cannot be read.
    """
    traces: list[PatientTrace] = []
    for run_id in folder.run_ids():
        traces += _in_run(folder, folder.run(run_id), patient, data)
    traces += _in_tables(folder, patient, has_runs=bool(traces))
    if not isinstance(data, PatientData):
        notes = [UNREADABLE.format(error=data)]
    elif data.rows.is_empty():
        notes = [ABSENT]
    else:
        traces += _in_caches(folder, data)
        notes = _notes(study, data, any(trace.kind == "trained" for trace in traces))
    return StudyTraces(tuple(traces), len(folder.run_ids()), tuple(notes))


def _notes(study: Study, data: PatientData, is_trained_on: bool) -> list[str]:
    notes = [STILL_THERE.format(rows=plural(len(data.rows), "row"))]
    if data.changes_splits(study.data):
        notes.append(NEW_SPLITS)
    elif is_trained_on:
        notes.append(NEW_RUNS)
    return notes


def _in_run(
    folder: StudyFolder, run: RunFolder, patient: str, data: PatientData | MedTransferError
) -> Iterator[PatientTrace]:
    """The whole folder of a run that was trained on the patient, or its predictions for them."""
    tables = [run.path / PREDICTIONS, *sorted((run.path / ADDED).glob("*.parquet"))]
    tables.append(run.path / TRAJECTORY)
    counts = {path: count_rows(path, patient) for path in tables if path.is_file()}
    request = recorded_request(run)
    is_trained = _has_tuned(run.path / PREDICTIONS, patient)
    if request is not None and isinstance(data, PatientData) and not data.rows.is_empty():
        is_trained |= data.is_trained_on(request)
    if is_trained:
        yield PatientTrace(_name(folder, run.path), "trained", sum(counts.values()))
        return
    for path, count in counts.items():
        if count:
            yield PatientTrace(_name(folder, path), "predicted", count)


def _has_tuned(path: Path, patient: str) -> bool:
    """True if a run's own table has the patient in the tuning split."""
    if not path.is_file():
        return False
    table = pl.scan_parquet(path, glob=False)
    of_patient = (pl.col("patient_id") == patient) & (pl.col("split") == "tune")
    return not table.filter(of_patient).select("case_id").head(1).collect().is_empty()


def _in_tables(folder: StudyFolder, patient: str, *, has_runs: bool) -> Iterator[PatientTrace]:
    """The study's own predictions, and tables that were made from them."""
    path = folder.path / PREDICTIONS
    count = count_rows(path, patient) if path.is_file() else 0
    if count:
        yield PatientTrace(PREDICTIONS, "predicted", count)
    if count or has_runs:
        for path in derived_files(folder):
            if path.name != PREDICTIONS or path.parent != folder.path:
                yield PatientTrace(_name(folder, path), "table")


def derived_files(folder: StudyFolder) -> list[Path]:
    """Files of a study's folder that hold results of its runs, and are made from them again."""
    patterns = ("predictions.parquet", "results.*", "comparisons.*", "rung_pairs.*", "curves/*")
    patterns += ("runs.csv", "sweep.csv", "collected.json", "report*.*", "understanding/*")
    paths = (path for pattern in patterns for path in sorted(folder.path.glob(pattern)))
    return [path for path in paths if path.is_file()]


def _in_caches(folder: StudyFolder, data: PatientData) -> Iterator[PatientTrace]:
    """Prepared images, thumbnails, features, and what is remembered of the images."""
    for index in sorted(folder.cache.glob(f"*/*{INDEX}")):
        table = pl.scan_parquet(index, glob=False)
        if "content" in table.collect_schema():
            is_theirs = pl.col("content").is_in(sorted(data.contents))
            count = table.filter(is_theirs).select(pl.len()).collect().item()
            if count:
                yield PatientTrace(_name(folder, index), "images", count)
    if data.contents:
        for path in sorted(folder.cache.glob("sketch-*")):
            yield PatientTrace(_name(folder, path), "sketches")
    if folder.features.is_dir():
        yield PatientTrace(_name(folder, folder.features), "features")
    remembered = len(data.facts.join(data.rows, on="image_id", how="semi"))
    if remembered:
        yield PatientTrace(_name(folder, folder.images), "facts", remembered)


def _name(folder: StudyFolder, path: Path) -> str:
    return path.relative_to(folder.path).as_posix()
