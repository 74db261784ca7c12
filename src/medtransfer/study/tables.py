"""The study's tables from its runs'."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import polars as pl

from medtransfer.data.cases import reported_attributes
from medtransfer.data.config import TOGETHER
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.choice.rung_pairs import pairs_frame, rung_pairs
from medtransfer.evaluation.comparison.ensembles.seeds import seed_ensembles
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import compare_runs
from medtransfer.evaluation.comparison.levels.units import level_units
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import read_json, write_json
from medtransfer.integrity.run_seal import ADDED, PREDICTIONS, read_run_seal
from medtransfer.integrity.sealed_file import SealedFile
from medtransfer.runs.config import SCORING_VERSION, scoring_digest
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.records import RunCost
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.tested.files import read_predictions_of, read_predictions_of_runs
from medtransfer.runs.tested.reads import note_reads
from medtransfer.settings import digest
from medtransfer.study.beside.collect import (
    write_adaptation,
    write_group_thresholds,
    write_study_readers,
)
from medtransfer.study.beside.home_features import features_of_runs
from medtransfer.study.beside.levels import write_levels
from medtransfer.study.beside.readings import readings_digest
from medtransfer.study.config import Study
from medtransfer.study.corruptions.collect import write_corruptions
from medtransfer.study.plan import PlannedRun, StudyData
from medtransfer.study.rungs.facts import study_facts
from medtransfer.study.sweep import axis_cells, chosen_trials, setting_of, sweep_frame, trials_of
from medtransfer.tables.results import write_curve_tables, write_results
from medtransfer.tables.schema import write_frame, write_spreadsheet

COLLECTED = (
    "predictions.parquet",
    "results.parquet",
    "results.csv",
    "comparisons.parquet",
    "rung_pairs.parquet",
)
RESULTS = "results.parquet"
TABLES_VERSION = 9
"""Raised when a change of code changes what runs are summed up to: tables are made again."""


def rescore(folder: StudyFolder, planned: Sequence[PlannedRun], data: StudyData) -> int:
    """Score again the finished runs whose scoring has changed; how many that were.

    It has if settings, attributes or test labels changed, and if cohorts came or went.
    """
    stale = [
        run
        for run in planned
        if folder.run(run.run_id).is_done()
        and not folder.run(run.run_id).is_scored(_scoring_of(run))
    ]
    scored = folder.kept_runs().scored
    for run in stale:
        config = run.cell.run
        attributes = _attributes(data, config.data.attributes, config.evaluation)
        predictions = _predictions(folder, run)
        results = scored(predictions, attributes, config.data.task, config.evaluation)
        folder.run(run.run_id).write_results(results, _scoring_of(run))
    return len(stale)


def _scoring_of(run: PlannedRun) -> str:
    return scoring_digest(run.cell.run, run.predicted.digest)


def _predictions(folder: StudyFolder, run: PlannedRun) -> pl.DataFrame:
    """Predictions of a run for the cases that the manifest has now."""
    return read_predictions_of(folder.run(run.run_id), run.predicted)


def write_study_tables(
    study: Study, folder: StudyFolder, planned: Sequence[PlannedRun], data: StudyData
) -> None:
    """Write the study's predictions, results, comparisons and list of runs.

    Runs that are not done are in the list of runs alone; so are those of a sweep that were not
    taken.
    """
    done = [run for run in planned if folder.run(run.run_id).is_done()]
    for run in done:
        folder.run(run.run_id).tidy()  # it may have been killed just after it was done
    taken = _taken(folder, planned) if study.is_swept else None
    write_spreadsheet(_runs_frame(folder, planned, taken), folder.path / "runs.csv")
    if not done:
        return
    done = [run for run in done if taken is None or run.run_id in taken]
    apart = [run for run in done if run.cell.key.arm != TOGETHER]
    attributes = _attributes(data, study.data.attributes, study.evaluation)
    units = level_units(data.manifest.frame, study.data.levels)
    sealed = {run.run_id: _sealed_tables(folder, run) for run in done}
    key = _collected_key(study, done, sealed, data=data, attributes=attributes, units=units)
    if _is_collected(folder, key):
        return
    # trained otherwise than the ladder, they are in adaptation curves alone
    done = [run for run in done if run.cell.key.arm == TOGETHER]
    if not done:
        return
    read = read_predictions_of_runs([(folder.run(run.run_id), run.predicted) for run in done])
    predictions = {run.run_id: table for run, table in zip(done, read, strict=True)}
    write_frame(pl.concat(predictions.values()), folder.path / "predictions.parquet")
    in_order = _in_order(study, done)
    runs = [_ladder_run(folder, run, predictions, sealed[run.run_id]) for run in in_order]
    compared = [*runs, *_never_retrained(predictions, in_order, data)]
    kept, cells = folder.kept_runs(), folder.kept_cells(TABLES_VERSION)
    tables = compare_runs(
        compared,
        attributes,
        study.data.task,
        study.evaluation,
        reference=study.reference_rung,
        facts=study_facts(study, folder, done),
        ensembles=seed_ensembles(compared, len(study.seeds)) if study.ensemble else (),
        kept=kept,
        cells=cells,
    )
    write_results(tables.results, folder.path / "results.parquet")
    write_results(tables.results, folder.path / "results.csv")
    write_frame(tables.comparisons, folder.path / "comparisons.parquet")
    write_frame(pairs_frame(rung_pairs(tables.means)), folder.path / "rung_pairs.parquet")
    write_curve_tables(tables.curves, folder.path / "curves")
    note_reads(folder, _evaluations(study, [*done, *apart], data))
    files = [folder.path / name for name in COLLECTED]
    files += [folder.path / "curves" / f"{name}.parquet" for name in tables.curves]
    tested, features = _tested_again(in_order, data), features_of_runs(folder, done, data)
    abroad = {run.run_id: _predictions(folder, run) for run in apart}
    trained = [_ladder_run(folder, run, abroad, sealed[run.run_id]) for run in apart]
    files += write_adaptation(study, folder, [*runs, *trained], tested, features)
    files += write_corruptions(study, folder, done)
    files += write_group_thresholds(study, folder, runs, attributes)
    files += write_study_readers(study, folder, runs, data.readings)
    files += write_levels(study, folder.path / "curves", runs, units, kept)
    kept.drop_others()
    cells.drop_others()
    records = {
        path.relative_to(folder.path).as_posix(): SealedFile.read(path).record() for path in files
    }
    write_json(folder.path / "collected.json", {"digest": key, "files": records})


def _evaluations(study: Study, done: Sequence[PlannedRun], data: StudyData) -> dict[str, str]:
    """Digest of the runs, settings and labels that each test cohort is evaluated with."""
    runs: dict[str, dict[str, PredictedCases]] = {}
    for run in done:
        for cohort in run.predicted.cohorts:
            runs.setdefault(cohort.cohort, {})[run.run_id] = run.predicted
    settings = {
        "evaluation": study.evaluation.scope("scoring"),
        "attributes": study.data.attributes,
        "reference": study.reference_rung,
        **_by_readers(data),
    }
    return {
        cohort: digest(
            settings
            | {"runs": sorted(of_cohort), "cases": _case_digests(of_cohort.values(), cohort)}
        )
        for cohort, of_cohort in runs.items()
    }


def _by_readers(data: StudyData) -> dict[str, str]:
    """Digest of the readings; empty where there are none, as before there could be any."""
    of_readings = readings_digest(data.readings)
    return {} if of_readings is None else {"readings": of_readings}


def _case_digests(predicted: Iterable[PredictedCases], cohort: str) -> list[str]:
    """Digests of the test cases of a cohort, which runs of other splits may have others of."""
    distinct = {id(cases): cases for cases in predicted}.values()
    return sorted({cases.digest_of(cohort) for cases in distinct})


def _is_collected(folder: StudyFolder, key: str) -> bool:
    """True if the tables are there as they were made, from the same runs and settings."""
    try:
        mark = cast("dict[str, Any]", read_json(folder.path / "collected.json"))
        files = cast("dict[str, dict[str, Any]]", mark["files"])
        entries = {folder.path / name: SealedFile.of(record) for name, record in files.items()}
        is_same = mark["digest"] == key
    except (StudyError, KeyError, TypeError, ValueError, AttributeError):
        return False
    return is_same and all(entry.is_content_of(path) for path, entry in entries.items())


def _attributes(data: StudyData, names: Sequence[str], config: EvaluationConfig) -> pl.DataFrame:
    """The attributes of all cases, as they are reported by."""
    return reported_attributes(data.manifest.frame, names, config.minimum_group)


def _taken(folder: StudyFolder, planned: Sequence[PlannedRun]) -> set[str]:
    """The runs of the settings that are best on tune; the whole sweep is written down."""
    trials = trials_of(folder, planned)
    chosen = chosen_trials(trials)
    write_spreadsheet(sweep_frame(trials, chosen), folder.path / "sweep.csv")
    return {run.run_id for trial in chosen for run in trial.runs}


def _collected_key(
    study: Study,
    done: Sequence[PlannedRun],
    sealed: Mapping[str, Mapping[str, str]],
    *,
    data: StudyData,
    attributes: pl.DataFrame,
    units: Mapping[str, pl.DataFrame],
) -> str:
    """Digest of what the study's tables are made from; if unchanged, they are kept."""
    contents = {
        "runs": {run.run_id: _prediction_digests(sealed[run.run_id]) for run in done},
        "cases": {run.run_id: run.predicted.digest for run in done},
        "scoring": study.scope("scoring"),
        "attributes": attributes.rows(),
        **_level_contents(units),
        "order": [entry.rung for entry in study.rungs],
        "version": SCORING_VERSION,
        "tables": TABLES_VERSION,
        **_by_readers(data),
    }
    return digest(contents)


def _level_contents(units: Mapping[str, pl.DataFrame]) -> dict[str, object]:
    """Units of the cases, where levels are asked for."""
    return {"levels": {name: of_level.rows() for name, of_level in units.items()}} if units else {}


def _sealed_tables(folder: StudyFolder, run: PlannedRun) -> dict[str, str]:
    """SHA-256 of the tables of a run, by file."""
    seal = read_run_seal(folder.run(run.run_id).path)
    files = {} if seal is None else seal.files
    return {name: entry.sha256 for name, entry in files.items() if name.endswith(".parquet")}


def _prediction_digests(sealed: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of the tables of a run's predictions, by file."""
    return {
        name: sha256
        for name, sha256 in sealed.items()
        if name == PREDICTIONS or name.startswith(f"{ADDED}/")
    }


def _in_order(study: Study, done: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Runs by the study's order of rungs, most labels first."""
    order = [entry.rung for entry in study.rungs]
    return sorted(done, key=lambda r: (order.index(r.cell.rung), -r.cell.label_fraction))


def _ladder_run(
    folder: StudyFolder,
    run: PlannedRun,
    predictions: Mapping[str, pl.DataFrame],
    sealed: Mapping[str, str],
) -> LadderRun:
    return LadderRun(
        run_id=run.run_id,
        key=run.cell.key,
        seed=run.cell.seed,
        predictions=lambda: predictions[run.run_id],
        results=folder.run(run.run_id).results,
        # a run of version 0.1 has a seal that lists no results
        content=digest([sealed, run.predicted.digest]) if RESULTS in sealed else None,
    )


def _never_retrained(
    predictions: Mapping[str, pl.DataFrame], done: Sequence[PlannedRun], data: StudyData
) -> Iterator[LadderRun]:
    """Results of runs without retraining, on the test cases of the retrained ones."""
    tested = _tested_again(done, data)
    most = max((r.cell.label_fraction for r in done if r.cell.retrain_fraction), default=None)
    for cohort, cases in tested.items():
        for run in done:
            cell = run.cell
            if cell.retrain_fraction or cell.label_fraction != most:
                continue
            if cell.held_out in (None, cohort):
                kept = (pl.col("split") == "tune") | pl.col("case_id").is_in(cases.implode())
                yield LadderRun(
                    run.run_id,
                    GridKey(cell.rung, cell.label_fraction, cohort, 0.0),
                    cell.seed,
                    lambda run=run, kept=kept: predictions[run.run_id].filter(kept),
                )


def _tested_again(done: Sequence[PlannedRun], data: StudyData) -> dict[str, pl.Series]:
    """Cohorts that are trained on again, with the ids of their cases that test."""
    tested: dict[str, pl.Series] = {}
    for run in done:
        again = run.cell.run.data.split.retrain
        if again is not None and again.cohort not in tested:
            frame = assign_splits(data.manifest, run.cell.run.data)
            of_cohort = (pl.col("cohort") == again.cohort) & (pl.col("split") == "test")
            tested[again.cohort] = frame.filter(of_cohort)["case_id"].unique()
    return tested


def _runs_frame(
    folder: StudyFolder, planned: Sequence[PlannedRun], taken: set[str] | None
) -> pl.DataFrame:
    """One row per run: where it stands, what it took; of a sweep, what was tried and taken."""
    rows: list[dict[str, object]] = []
    axes = dict.fromkeys(name for run in planned for name, _ in run.cell.axes)
    for run in planned:
        run_folder = folder.run(run.run_id)
        cost = run_folder.cost() if run_folder.is_done() else None
        error = run_folder.error()
        row: dict[str, object] = {
            "run_id": run.run_id,
            "rung": run.cell.rung,
            "label_fraction": run.cell.label_fraction,
            "shots": run.cell.shots,
            "seed": run.cell.seed,
            "held_out": run.cell.held_out,
            "retrain_fraction": run.cell.retrain_fraction,
            "arm": None if run.cell.retrain_fraction is None else run.cell.key.arm,
            "state": run_folder.state(),
            "training_cases": run.num_cases,
            "steps": run.steps,
        }
        for name in (
            "seconds",
            "images_per_second",
            "parameters",
            "precision",
            "peak_memory_mib",
            "micro_batch",
            "selected_step",
        ):
            row[name] = None if cost is None else getattr(cost, name)
        if taken is not None:
            setting = setting_of(run)
            row |= {
                "learning_rate": setting.learning_rate,
                "weight_decay": setting.weight_decay,
                **axis_cells(setting.axes, axes),
                "taken": run.run_id in taken,
            }
        rows.append(
            {
                **row,
                "weights": _weights_text(cost, run.start),
                "message": None if error is None else error.message,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _weights_text(cost: RunCost | None, start: str | None) -> str | None:
    """Use of a run's weights file; None for random weights and runs without results."""
    if cost is not None and start is not None:
        return f"all tensors are those that run {start} ended in"
    if cost is None or cost.weights is None:
        return None
    if cost.weights_loaded == 0:
        return "features from a file, no network"
    loaded = "all" if cost.weights_loaded is None else cost.weights_loaded
    texts = [f"{loaded} tensors loaded from the weights file"]
    if cost.weights_left_out:
        texts.append(f"not loaded: {', '.join(cost.weights_left_out)}")
    if cost.weights_adapted:
        texts.append(f"adapted: {', '.join(cost.weights_adapted)}")
    return "; ".join([*texts, "new head, at zero"])
