"""Rungs over several tasks: average ranks, from the results tables of finished evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.errors import StudyError, fault_list, listed, suggestion
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.ranks import Ranking, rank_rungs
from medtransfer.tables.old_names import current_metric
from medtransfer.tables.results import ALL, CASE, MACRO, read_results


@dataclass(frozen=True)
class RankedRungs:
    """Rungs ranked over tasks.

    Attributes:
        rungs: Those that every task has. K
        tasks: Their names. N
        values: Of the metric, means over seeds at the largest label fraction. [N, K]
        ranking: What was found.
        left_out: Rungs that some task lacks.
    """

    rungs: tuple[str, ...]
    tasks: tuple[str, ...]
    values: Floats
    ranking: Ranking
    left_out: tuple[str, ...]


def rank(folders: Sequence[Path], metric: str = "auroc", cohort: str | None = None) -> RankedRungs:
    """Rank rungs across tasks, from the folders of finished studies or evaluations.

    Args:
        folders: One per task; each is named by its last part, or in full if two share that.
        metric: Its name in the results table.
        cohort: Test cohort; by default each task's own, on which its rungs were trained.

    Returns:
        Average ranks, and the groups of rungs without a significant difference.

    Raises:
        TableError: A folder has no results table.
        StudyError: As for `rank_tasks`.
    """
    tables: dict[str, pl.DataFrame] = {}
    for folder in folders:
        name = folder.resolve().name
        tables[name if name not in tables else str(folder)] = read_results(
            folder / "results.parquet"
        )
    return rank_tasks(tables, metric, cohort)


def rank_tasks(
    results: Mapping[str, pl.DataFrame], metric: str = "auroc", cohort: str | None = None
) -> RankedRungs:
    """Rank the rungs that several tasks have in common (Demšar 2006).

    Args:
        results: Results table of each task, by the task's name.
        metric: Its name in the results table.
        cohort: Whose test cases; by default of each task the first, where it was trained.

    Raises:
        StudyError: A task lacks the metric or the cohort, the metric has no better side, or
            fewer than two rungs are in every task.
    """
    better = ranked_metric(metric)
    faults: list[str] = []
    values_by_task: dict[str, dict[str, float]] = {}
    for task, table in results.items():
        rows = _overall(table, metric, cohort)
        if rows.is_empty():
            where = f" at cohort '{cohort}'" if cohort else ""
            faults.append(f"task '{task}' has no '{metric}'{where}")
        values_by_task[task] = dict(zip(rows["rung"], rows["value"].fill_null(np.nan), strict=True))
    if faults:
        raise StudyError(fault_list("The tasks cannot be ranked", faults))
    every = list(dict.fromkeys(rung for by_rung in values_by_task.values() for rung in by_rung))
    rungs = [rung for rung in every if all(rung in by_rung for by_rung in values_by_task.values())]
    if len(rungs) < 2:
        raise StudyError(
            f"Fewer than two rungs are in every task (rungs found: {listed(every, 20)}). "
            "Evaluate the same rungs on each task."
        )
    values = np.array([[by_rung[rung] for rung in rungs] for by_rung in values_by_task.values()])
    ranking = rank_rungs(values, higher_is_better=better == "higher")
    left_out = tuple(rung for rung in every if rung not in rungs)
    return RankedRungs(tuple(rungs), tuple(results), values, ranking, left_out)


def ranked_metric(metric: str) -> str:
    """Better side of a metric that ranks.

    Returns:
        "higher" or "lower".

    Raises:
        StudyError: There is no such metric, or it has no better side.
    """
    try:
        better = find_metric(metric).better
    except KeyError:
        from medtransfer.metrics.catalog import CATALOG

        now = current_metric(metric)
        hint = f"Its name is '{now}' now." if now != metric else suggestion(metric, CATALOG)
        hint = hint or "`medtransfer metrics` lists all."
        raise StudyError(f"metric '{metric}' does not exist. {hint}") from None
    if better == "neither":
        raise StudyError(f"metric '{metric}' describes and does not judge: it ranks nothing.")
    return better


def _overall(table: pl.DataFrame, metric: str, cohort: str | None) -> pl.DataFrame:
    """Means over seeds of all cases together, at the largest label fraction."""
    rows = table.filter(
        pl.col("run_id").is_null()
        & pl.col("retrain_fraction").is_null()
        & (pl.col("split") == "test")
        & (pl.col("metric") == metric)
        & (pl.col("attribute") == ALL)
        & (pl.col("rung") != ALL)
    )
    rows = rows.filter(pl.col("label_fraction") == pl.col("label_fraction").max())
    where = cohort or (rows["cohort"][0] if len(rows) else None)
    rows = rows.filter(pl.col("cohort") == where)
    for target in (CASE, MACRO):
        if (rows["target"] == target).any():
            return rows.filter(pl.col("target") == target)
    return rows.filter(pl.col("target") == pl.col("target").first())
