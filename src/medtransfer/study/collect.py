"""The study's tables from its runs'."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from medtransfer.data.cases import case_attributes
from medtransfer.evaluation.compare import (
    Mean,
    RungRuns,
    comparisons,
    drops,
    mean_over_seeds,
    mean_results,
)
from medtransfer.evaluation.savings import savings
from medtransfer.evaluation.score import score
from medtransfer.files import read_json, write_json
from medtransfer.settings import digest
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun, StudyData
from medtransfer.study.run import SCORING_VERSION, scoring_digest
from medtransfer.study.store import StudyFolder
from medtransfer.tables.comparisons import comparisons_frame
from medtransfer.tables.results import CONTRACT, results_frame, write_results
from medtransfer.tables.schema import write_frame


def rescore(folder: StudyFolder, planned: Sequence[PlannedRun], data: StudyData) -> int:
    """Score again the finished runs whose scoring has changed; how many that were."""
    stale = [
        run
        for run in planned
        if folder.run(run.run_id).is_done()
        and not folder.run(run.run_id).is_scored(scoring_digest(run.cell.run))
    ]
    for run in stale:
        config = run.cell.run
        attributes = case_attributes(data.manifest.frame, config.data.attributes)
        predictions = folder.run(run.run_id).predictions()
        results = score(predictions, attributes, config.data.task, config.evaluation)
        folder.run(run.run_id).write_results(results, scoring_digest(config))
    return len(stale)


def collect(
    study: Study, folder: StudyFolder, planned: Sequence[PlannedRun], data: StudyData
) -> None:
    """Write the study's predictions, results, comparisons and list of runs.

    Runs that are not done are in the list of runs alone.
    """
    done = [run for run in planned if folder.run(run.run_id).is_done()]
    for run in done:
        folder.run(run.run_id).tidy()  # it may have been killed just after it was done
    write_frame(_runs_frame(folder, planned), folder.path / "runs.csv")
    if not done:
        return
    predictions = pl.concat([folder.run(run.run_id).predictions() for run in done])
    write_frame(predictions, folder.path / "predictions.parquet")
    key = _collected_key(study, predictions, data)
    mark = folder.path / "collected.json"
    if mark.is_file() and read_json(mark) == key:
        return
    means = _means(study, folder, done, data)
    frames = [_placed(folder.run(run.run_id).results(), run) for run in done]
    for mean in means:
        rows = results_frame([*mean_results(mean), *drops(mean)])
        frames.append(_placed_mean(_asked_for(rows, mean.runs), mean.runs))
    for runs, row in savings(means, study.reference_rung, study.evaluation.seed):
        frames.append(_placed_mean(_asked_for(results_frame([row]), runs), runs))
    results = pl.concat(frames)
    write_results(results, folder.path / "results.parquet")
    write_results(results, folder.path / "results.csv")
    rows = comparisons_frame(comparisons(means, study.reference_rung))
    held_out = pl.col("held_out")
    rows = rows.filter(held_out.is_null() | (pl.col("cohort") == held_out))
    write_frame(rows, folder.path / "comparisons.parquet")
    write_json(mark, key)


def _collected_key(study: Study, predictions: pl.DataFrame, data: StudyData) -> dict[str, str]:
    """What the study's tables are made from: unchanged, they need not be made again."""
    attributes = case_attributes(data.manifest.frame, study.data.attributes)
    about = {
        "runs": sorted(set(predictions["run_id"].to_list())),
        "scoring": study.side("scoring"),
        "attributes": attributes.rows(),
        "order": [entry.rung for entry in study.rungs],
        "version": SCORING_VERSION,
    }
    return {"digest": digest(about)}


def _asked_for(rows: pl.DataFrame, runs: RungRuns) -> pl.DataFrame:
    """In a leave-cohort-out study only the cohort that was left out is summed up."""
    return rows if runs.held_out is None else rows.filter(pl.col("cohort") == runs.held_out)


def _means(
    study: Study, folder: StudyFolder, done: Sequence[PlannedRun], data: StudyData
) -> list[Mean]:
    """Means over the seeds of each rung and label fraction, in the study's order."""
    attributes = case_attributes(data.manifest.frame, study.data.attributes)
    groups: dict[tuple[str, float, str | None], list[PlannedRun]] = {}
    for run in done:
        cell = run.cell
        groups.setdefault((cell.rung, cell.label_fraction, cell.held_out), []).append(run)
    means: list[Mean] = []
    for (rung, fraction, held_out), runs in groups.items():
        tables = tuple(folder.run(run.run_id).predictions for run in runs)
        seeds = RungRuns(rung, fraction, held_out, tables)
        means.append(mean_over_seeds(seeds, attributes, study.data.task, study.evaluation))
    order = [entry.rung for entry in study.rungs]
    return sorted(means, key=lambda m: (order.index(m.runs.rung), -m.runs.label_fraction))


def _placed(results: pl.DataFrame, run: PlannedRun) -> pl.DataFrame:
    cell = run.cell
    return _with_place(results, cell.rung, cell.label_fraction, cell.seed, cell.held_out)


def _placed_mean(results: pl.DataFrame, runs: RungRuns) -> pl.DataFrame:
    return _with_place(results, runs.rung, runs.label_fraction, None, runs.held_out)


def _with_place(
    results: pl.DataFrame, rung: str, fraction: float, seed: int | None, held_out: str | None
) -> pl.DataFrame:
    """Results with the columns that say where in the study they belong."""
    place = {"rung": rung, "label_fraction": fraction, "seed": seed, "held_out": held_out}
    kinds = {"rung": pl.String, "label_fraction": pl.Float64, "seed": pl.Int64,
             "held_out": pl.String}  # fmt: skip
    columns = [pl.lit(place[name], dtype=kind).alias(name) for name, kind in kinds.items()]
    return results.with_columns(columns).select(column.name for column in CONTRACT.columns)


def _runs_frame(folder: StudyFolder, planned: Sequence[PlannedRun]) -> pl.DataFrame:
    """One row per run: where it stands, what it took."""
    rows: list[dict[str, Any]] = []
    for run in planned:
        own = folder.run(run.run_id)
        cost = own.cost() if own.is_done() else {}
        error = own.error() or {}
        row: dict[str, Any] = {
            "run_id": run.run_id,
            "rung": run.cell.rung,
            "label_fraction": run.cell.label_fraction,
            "seed": run.cell.seed,
            "held_out": run.cell.held_out,
            "state": own.state(),
            "training_cases": run.num_cases,
            "steps": run.steps,
        }
        for name in ("seconds", "images_per_second", "parameters", "precision",
                     "peak_memory_mib", "selected_step"):  # fmt: skip
            row[name] = cost.get(name)
        rows.append({**row, "message": error.get("message")})
    return pl.DataFrame(rows, infer_schema_length=None)
