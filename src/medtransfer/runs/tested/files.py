"""Files of a run's predictions: its own table, and one for each cohort that was added later.

``tested.json`` names the run's identity and the cohorts in ``predictions.parquet``. A cohort that
is added later is two files in ``predictions/``: the table, and a record of the digests it was made
from. Both are in the run's seal; files that are not count as absent.

Files hold logits. Patients, labels and attributes are the manifest's: a label that changes needs no
pass through a network.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medtransfer.errors import StudyError
from medtransfer.files import make_folder, read_json, write_json
from medtransfer.integrity.run_seal import ADDED, PREDICTIONS, TESTED, read_run_seal, seal_run
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.records import Record

if TYPE_CHECKING:  # `medtransfer status` answers without tables
    import polars as pl

    from medtransfer.runs.tested.cases import PredictedCases, PredictedCohort

AT_ONCE = 64
"""Runs whose predictions are joined with their cases at once."""
MAX_STEM = 40
"""Letters of a cohort's name that its file's name repeats."""


@dataclass(frozen=True)
class CohortRecord(Record):
    """Predictions of a cohort that were added to a finished run.

    Attributes:
        cohort: Its name when it was predicted.
        cases: Number of cases.
        images: Digest of their ids and images.
        weights: SHA-256 of the run's weights.
        environment: From `runs.transfer.environment`.
    """

    cohort: str
    cases: int
    images: str
    weights: str
    environment: Mapping[str, Any]  # open JSON: every version adds facts


@dataclass(frozen=True)
class CohortPredictions:
    """Place of the predictions of one cohort.

    Attributes:
        path: The table.
        cohort: Name of the cohort in that table.
        added: Record of a cohort that was added later; None for one of the run's own table.
    """

    path: Path
    cohort: str
    added: CohortRecord | None = None


def write_tested(run: RunFolder, identity: str, cohorts: "Iterable[PredictedCohort]") -> None:
    """Write the identity of a run and the cohorts of its own table."""
    record = {"identity": identity, "cohorts": [asdict(cohort) for cohort in cohorts]}
    write_json(run.path / TESTED, record)


def read_identity(run: RunFolder) -> str | None:
    """The run id that the folder's content has now; None for a folder of an earlier version."""
    return _tested(run).get("identity")


def _tested(run: RunFolder) -> Mapping[str, Any]:  # open JSON until its records take it
    path = run.path / TESTED
    try:
        return cast("Mapping[str, Any]", read_json(path)) if path.is_file() else {}
    except StudyError:  # damaged: the seal restores it, and without one the run is not done
        return {}


def cohort_predictions(run: RunFolder) -> dict[str, CohortPredictions]:
    """The cohorts that a run has predicted, by the digest of their images."""
    table = run.path / PREDICTIONS
    tables = {
        str(cohort["images"]): CohortPredictions(table, str(cohort["cohort"]))
        for cohort in _tested(run).get("cohorts", ())
    }
    for path in _sealed_additions(run):
        record = CohortRecord.of(read_json(path))
        tables[record.images] = CohortPredictions(
            path.with_suffix(".parquet"), record.cohort, record
        )
    return tables


def _sealed_additions(run: RunFolder) -> list[Path]:
    """Records of added cohorts that the run's seal lists, with their tables."""
    if not (run.path / ADDED).is_dir():
        return []
    try:
        seal = read_run_seal(run.path)
    except StudyError:
        return []
    names = sorted(seal.files) if seal else []
    return [
        run.path / name
        for name in names
        if name.startswith(f"{ADDED}/")
        and name.endswith(".json")
        and f"{name.removesuffix('.json')}.parquet" in names
    ]


def missing_cohorts(
    run: RunFolder, cohorts: "Sequence[PredictedCohort]"
) -> "tuple[PredictedCohort, ...]":
    """The cohorts that a finished run has not predicted, or not with these images."""
    predicted = cohort_predictions(run)
    return tuple(cohort for cohort in cohorts if cohort.images not in predicted)


def add_predictions(run: RunFolder, record: CohortRecord, predictions: "pl.DataFrame") -> None:
    """Write the predictions of a cohort into a finished run, and seal it again."""
    from medtransfer.tables.predictions import write_predictions

    path = make_folder(run.path / ADDED) / f"{_stem(record)}.parquet"
    write_predictions(predictions, path)
    write_json(path.with_suffix(".json"), asdict(record))
    seal_run(run.path)


def _stem(record: CohortRecord) -> str:
    """File name for a cohort of any name, on any disk: its plain letters and a digest."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", record.cohort).strip("-")[:MAX_STEM]
    content = f"{record.cohort}\0{record.images}"
    return f"{plain or 'cohort'}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def read_predictions_of(run: RunFolder, cases: "PredictedCases") -> "pl.DataFrame":
    """Predictions of a run for the cases that the manifest has now, with their present labels.

    Args:
        run: A finished run.
        cases: That it is to predict. Those of a cohort that it has not predicted are left out, and
            so are predictions of cases that are no longer there.
    """
    import polars as pl

    from medtransfer.tables.predictions import PREDICTION_KEY

    first = pl.read_parquet(run.path / PREDICTIONS)
    places = cohort_predictions(run)
    parts = [first.filter(pl.col("split") == "tune")]
    for cohort in cases.cohorts:
        place = places.get(cohort.images)
        if place is not None:
            table = first if place.added is None else pl.read_parquet(place.path)
            of_cohort = (pl.col("cohort") == place.cohort) & (pl.col("split") == "test")
            parts.append(table.filter(of_cohort))
    shared = [name for name in first.columns if all(name in part.columns for part in parts)]
    outputs = pl.concat([part.select(shared) for part in parts])
    current = cases.table
    stale = [name for name in current.columns if name != "case_id"]
    joined = outputs.drop(stale).join(current, on="case_id", how="inner")
    return joined.select(shared).sort(PREDICTION_KEY)


def read_predictions_of_runs(
    runs: "Sequence[tuple[RunFolder, PredictedCases]]",
) -> "Iterator[pl.DataFrame]":
    """`read_predictions_of` of many runs: tables of the same cases are joined with them at once.

    Args:
        runs: Each with the cases that it is to predict.
    """
    for (_, cohorts), of_group in groupby(runs, key=_cases_in_one_table):
        group = list(of_group)
        for start in range(0, len(group), AT_ONCE):
            batch = group[start : start + AT_ONCE]
            tables = None if cohorts is None else _joined_at_once(batch, cohorts)
            yield from tables or (read_predictions_of(run, cases) for run, cases in batch)


def _cases_in_one_table(
    entry: "tuple[RunFolder, PredictedCases]",
) -> tuple[int, tuple[str, ...] | None]:
    """The cases that a run is to predict, and their cohorts; None if its own table lacks one."""
    run, cases = entry
    places = cohort_predictions(run)
    of_cohorts = [places.get(cohort.images) for cohort in cases.cohorts]
    names = tuple(place.cohort for place in of_cohorts if place is not None and not place.added)
    return id(cases), names if len(names) == len(of_cohorts) else None


def _joined_at_once(
    batch: "Sequence[tuple[RunFolder, PredictedCases]]", cohorts: tuple[str, ...]
) -> "list[pl.DataFrame] | None":
    """Predictions of runs of the same cases; None if their tables have different columns."""
    import polars as pl

    from medtransfer.tables.predictions import PREDICTION_KEY

    cases, names = batch[0][1], [run.run_id for run, _ in batch]
    try:
        table = pl.read_parquet([run.path / PREDICTIONS for run, _ in batch])
    except pl.exceptions.PolarsError:
        return None
    is_test = (pl.col("split") == "test") & pl.col("cohort").is_in(cohorts)
    current = cases.table
    stale = [name for name in current.columns if name != "case_id"]
    outputs = table.filter((pl.col("split") == "tune") | is_test).drop(stale)
    joined = outputs.join(current, on="case_id", how="inner").select(table.columns)
    by_run = joined.sort(PREDICTION_KEY).partition_by("run_id", as_dict=True)
    if set(table["run_id"].unique()) != set(names):
        return None
    return [by_run.get((name,), joined.clear()) for name in names]
