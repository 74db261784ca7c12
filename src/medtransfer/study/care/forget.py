"""Forgetting: runs are deleted, or all that a study's folder holds of one patient."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from medtransfer.data.images.shards import drop_shard
from medtransfer.errors import ConfigError
from medtransfer.files import read_json, remove, write_json
from medtransfer.integrity.run_seal import ADDED, PREDICTIONS, TRAJECTORY, seal_run
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.tested.files import read_identity, write_tested
from medtransfer.study.care.patient_data import PatientData, patient_data
from medtransfer.study.care.patient_traces import StudyTraces, derived_files, find_traces
from medtransfer.study.care.rest import at_rest, remove_run, require_no_links, require_runs
from medtransfer.study.execution.requests import recorded_request
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.predictions import write_predictions
from medtransfer.tables.schema import write_frame


@dataclass(frozen=True)
class ForgottenRuns:
    """Runs that were deleted.

    Attributes:
        run_ids: Their ids.
        planned: Those of them that the study still plans: the next `run` trains them again.
        tables: Files that held their results; the next `run` and `report` make them again.
    """

    run_ids: tuple[str, ...]
    planned: tuple[str, ...]
    tables: tuple[str, ...]

    def plain(self) -> dict[str, object]:
        """The outcome as a JSON object."""
        return asdict(self)


def forget_runs(
    folder: StudyFolder, run_ids: Sequence[str], *, delete: bool = False
) -> ForgottenRuns:
    """Delete runs of a study with everything that was made from them in its folder.

    Args:
        folder: Of the study.
        run_ids: Runs.
        delete: Delete them; otherwise they are named.

    Returns:
        The runs, and the tables that go with them.

    Raises:
        StudyError: Another process works on the study, it has no such run, or a run's folder is a
            link.
        ConfigError: No run is named.
    """
    if not run_ids:
        raise ConfigError("No run is named. `medtransfer status` lists the runs of a study.")
    require_runs(folder, list(run_ids))
    require_no_links(folder, run_ids)
    with at_rest(folder):
        plan = {str(row["run_id"]) for row in folder.read("plan.json")}
        tables = derived_files(folder)
        names = [path.relative_to(folder.path).as_posix() for path in tables]
        if delete:
            _delete_runs(folder, run_ids)
    planned = tuple(name for name in run_ids if name in plan)
    return ForgottenRuns(tuple(run_ids), planned, tuple(names))


def forget_in_study(
    folder: StudyFolder, patient: str, *, delete: bool = False
) -> tuple[StudyTraces, frozenset[str]]:
    """Look for a patient in a study's folder, and delete what holds or was made from their data.

    Runs that were trained on the patient are deleted. Runs that only predicted them lose these
    rows, and are scored again by the next `run`. An interruption leaves a study that opens; the
    same command goes on.

    Args:
        folder: Of the study.
        patient: The id, which is never shown.
        delete: Delete it; otherwise it is named.

    Returns:
        The traces as they were, and the SHA-256 of the patient's images.

    Raises:
        StudyError: Another process works on the study, it was never run, or the folder of a run
            that holds them is a link.
        ConfigError: The study file in its folder cannot be read.
    """
    folder.read("plan.json")
    study = read_study(folder.path / "study.yaml")
    with at_rest(folder):
        data = patient_data(folder, study.data, patient)
        found_traces = find_traces(folder, study, patient, data)
        runs = {_run_of(trace.path) for trace in found_traces.traces} - {""}
        require_no_links(folder, sorted({*runs, *found_traces.trained}))
        if delete:
            _delete_traces(folder, found_traces, patient, data)
    contents = data.contents if isinstance(data, PatientData) else set[str]()
    return found_traces, frozenset(contents)


def _delete_runs(folder: StudyFolder, run_ids: Iterable[str]) -> None:
    """Delete runs; the tables that show them first, the plan last."""
    for path in derived_files(folder):
        remove(path)
    gone = set(run_ids)
    for run_id in sorted(gone):
        remove_run(folder.run(run_id))
    plan = folder.read("plan.json")
    folder.write("plan.json", [row for row in plan if str(row["run_id"]) not in gone])


def _delete_traces(
    folder: StudyFolder, found_traces: StudyTraces, patient: str, data: object
) -> None:
    for trace in found_traces.traces:
        path = folder.path / trace.path
        match trace.kind:
            case "images":
                drop_shard(path)
            case "sketches" | "features" | "table":
                remove(path)
            case "facts" if isinstance(data, PatientData):
                facts = pl.read_parquet(path)
                write_frame(facts.join(data.rows, on="image_id", how="anti"), path)
            case "predicted" if path.parent == folder.path:
                remove(path)
            case _:
                pass
    for run_id in sorted({_run_of(t.path) for t in found_traces.traces if t.kind == "predicted"}):
        if run_id:
            _drop_rows(folder.run(run_id), patient, data)
    if found_traces.trained:
        _delete_runs(folder, found_traces.trained)


def _run_of(path: str) -> str:
    """Id of the run that a file lies in; empty for one of the study."""
    parts = path.split("/")
    return parts[1] if parts[0] == "runs" else ""


def _drop_rows(run: RunFolder, patient: str, data: object) -> None:
    """Take a patient's rows from a run's predictions; the run is scored again by the next command.

    The cohorts that it has predicted are noted as they are without the patient, so that it need
    not predict them again once the manifest has them no more.
    """
    request = recorded_request(run)
    cohorts = {}
    if request is not None and isinstance(data, PatientData) and not data.rows.is_empty():
        cohorts = {cohort.cohort: cohort for cohort in data.cohorts_without(request)}
    for path in (run.path / PREDICTIONS, *sorted((run.path / ADDED).glob("*.parquet"))):
        rows = pl.read_parquet(path)
        kept = rows.filter(pl.col("patient_id") != patient)
        if len(kept) < len(rows):
            write_predictions(kept, path)
            record = path.with_suffix(".json")
            if path.parent.name == ADDED and record.is_file():
                noted = read_json(record)
                if (cohort := cohorts.get(noted["cohort"])) is not None:
                    changed = {"images": cohort.images, "cases": cohort.cases}
                    write_json(record, {**noted, **changed})
    looks = run.path / TRAJECTORY
    if looks.is_file():
        rows = pl.read_parquet(looks)
        write_frame(rows.filter(pl.col("patient_id") != patient), looks)
    identity = read_identity(run)
    in_table = {str(row["cohort"]) for row in _own_cohorts(run)}
    if identity is not None and in_table <= set(cohorts):
        write_tested(run, identity, [cohorts[name] for name in sorted(in_table)])
    for name in ("results.parquet", "scoring.json"):
        remove(run.path / name)
    seal_run(run.path)


def _own_cohorts(run: RunFolder) -> list[dict[str, object]]:
    """Cohorts in a run's own table of predictions, as it noted them."""
    path = run.path / "tested.json"
    return read_json(path).get("cohorts", []) if path.is_file() else []
