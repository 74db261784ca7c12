"""Every question asked of a predictions table, ours or another framework's, into a folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import TableError, fault_list, listed, suggestion
from medtransfer.evaluation.comparison.answered import pool_folds
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.evaluation.scoring.config import EvaluationConfig, unknown_names
from medtransfer.files import sha256, write_json
from medtransfer.sizes.scoring import require_scoring_memory
from medtransfer.tables.other_predictions import targets_are_exclusive
from medtransfer.tables.predictions import target_names
from medtransfer.tables.results import write_curve_tables, write_results
from medtransfer.tables.schema import (
    write_frame,
)
from medtransfer.tables.values.personal_columns import personal_faults


def require_memory(
    predictions: pl.DataFrame, config: EvaluationConfig, free: int | None = None
) -> None:
    """Stop before a table is scored that does not fit.

    Args:
        predictions: The table.
        config: Which metrics.
        free: Bytes of memory that are free; by default what the system says.

    Raises:
        TableError: It needs more.
    """
    rows = int(str(predictions.group_by("run_id").len()["len"].max() or 0))
    require_scoring_memory(rows, len(target_names(predictions)), fits=config.needs_fits, free=free)


def infer_task(predictions: pl.DataFrame) -> tuple[Task, str]:
    """Relation of the targets to each other, with the reason for the guess."""
    names = target_names(predictions)
    if len(names) == 1:
        return "binary", "One target: the task is binary."
    if targets_are_exclusive(predictions):
        labels = predictions.select(f"target_{name}" for name in names)
        is_plain = labels.select((pl.all().fill_null(0) % 1 == 0).all()).row(0)
        reason = (
            f"Exactly one of {len(names)} targets is 1 in every case"
            if all(is_plain)
            else f"The {len(names)} targets add up to 1 in every case, as shares of readers do"
        )
        return "single-label", (
            f"{reason}: the task is single-label (say --task multi-label if it is not)."
        )
    return "multi-label", f"{len(names)} targets: the task is multi-label."


def ladder_runs(predictions: pl.DataFrame) -> list[LadderRun]:
    """The runs of a table, each with its place in the ladder.

    A run is a rung of its own where the table has no column `rung`; runs of one rung and training
    set without a `seed` are numbered.

    Raises:
        TableError: A run has several rungs, label fractions or seeds, or two runs are the same
            seed.
    """
    runs: list[LadderRun] = []
    for run_id, table in _tables_of_runs(predictions):
        key = _grid_key(table, run_id)
        same_key = [run for run in runs if run.key == key]
        seed = int(_only_value(table, "seed", len(same_key)))
        for run in same_key:
            if run.seed == seed:
                raise TableError(
                    f"Runs '{run.run_id}' and '{run_id}' are both seed {seed} of rung "
                    f"'{key.rung}' on the same training set. Give them different seeds or rungs."
                )
        runs.append(LadderRun(run_id, key, seed, lambda table=table: table))
    return runs


def _tables_of_runs(predictions: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Run ids with their rows; of a single run the table itself, not a copy."""
    if predictions["run_id"].n_unique() == 1:
        yield str(predictions["run_id"][0]), predictions
        return
    for (run_id,), table in predictions.group_by("run_id", maintain_order=True):
        yield str(run_id), table


def run_keys(predictions: pl.DataFrame) -> list[tuple[str, GridKey]]:
    """Run ids of a table with rung and training set."""
    return [(run_id, _grid_key(table, run_id)) for run_id, table in _tables_of_runs(predictions)]


def _grid_key(table: pl.DataFrame, run_id: str) -> GridKey:
    return GridKey(
        rung=_only_value(table, "rung", run_id),
        label_fraction=float(_only_value(table, "label_fraction", 1.0)),
        held_out=_only_value(table, "held_out", None),
        retrain_fraction=_only_value(table, "retrain_fraction", None),
    )


def rung_names(predictions: pl.DataFrame) -> list[str]:
    """The rungs of a table, in the order in which they come."""
    name = "rung" if "rung" in predictions.columns else "run_id"
    return predictions[name].unique(maintain_order=True).to_list()


def evaluate_table(
    predictions: pl.DataFrame,
    attributes: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
    *,
    reference: str | None = None,
    facts: Sequence[RungFacts] = (),
    on_run: Callable[[int, int], None] = lambda _done, _total: None,
) -> LadderTables:
    """Every number of every run, their means, differences and curves.

    Args:
        predictions: Runs of one or several rungs.
        attributes: `case_id` and the attributes to report by.
        task: What the targets are to each other.
        config: Intervals, operating points, least group size.
        reference: The rung that others are compared with; the first one by default.
        facts: Of the rungs whose scale is known.
        on_run: Called with the number of runs done, and of all runs.

    Raises:
        TableError: There is no such rung, no test case, a binary task has several targets, or a
            setting names a target or an attribute that is not there; the memory is too small.
    """
    require_memory(predictions, config)
    rungs = rung_names(predictions)
    require_reference(reference, rungs)
    require_settings(predictions, attributes, task, config)
    predictions, notes = pool_folds(predictions, run_keys(predictions))
    runs = sorted(ladder_runs(predictions), key=lambda run: rungs.index(run.key.rung))
    tables = compare_runs(
        runs, attributes, task, config, reference=reference or rungs[0], facts=facts, on_run=on_run
    )
    return replace(tables, notes=(*notes, *tables.notes))


def require_reference(reference: str | None, rungs: Sequence[str]) -> None:
    """Check that the reference is one of the rungs.

    Raises:
        TableError: There is no such rung.
    """
    if reference is not None and reference not in rungs:
        hint = suggestion(reference, rungs)
        raise TableError(
            f"reference '{reference}' is not among the rungs ({listed(rungs)}). {hint}".rstrip()
        )


def require_settings(
    predictions: pl.DataFrame, attributes: pl.DataFrame, task: Task, config: EvaluationConfig
) -> None:
    """Check that task and settings fit the table.

    Raises:
        TableError: No test case, a binary task with several targets, or a setting names a target or
            an attribute that does not exist.
    """
    if faults := personal_faults(predictions, ["cohort"]):
        raise TableError(fault_list("The predictions cannot be reported", faults))
    names = target_names(predictions)
    if task == "binary" and len(names) > 1:
        raise TableError(
            f"The task is binary, but there are {len(names)} targets: {listed(names)}. "
            "Say multi-label or single-label."
        )
    faults = unknown_names(
        config, names, attributes.columns[1:], single_label=task == "single-label"
    )
    if faults:
        raise TableError(fault_list("The evaluation settings do not fit", faults, ""))
    if not (predictions["split"] == "test").any():
        raise TableError("No case is a test case: column 'split' never holds 'test'.")


def write_evaluation(
    folder: Path,
    tables: LadderTables,
    predictions: pl.DataFrame,
    *,
    source: Path,
    task: Task,
    config: EvaluationConfig,
    reference: str,
    attributes: Sequence[str],
    said: Sequence[str],
    beside: Mapping[str, object] | None = None,
) -> None:
    """Write results, comparisons, curves, and what they were made of.

    Args:
        folder: Of the evaluation.
        tables: From `evaluate_table`.
        predictions: The table that was evaluated.
        source: Its file.
        task: What the targets are to each other.
        config: Of the evaluation.
        reference: The rung that others are compared with.
        attributes: Columns that were reported by.
        said: Assumptions, in sentences.
        beside: Entries of ``evaluation.json`` in place of those made here, or beside them.
    """
    write_results(tables.results, folder / "results.parquet")
    write_results(tables.results, folder / "results.csv")
    write_frame(tables.comparisons, folder / "comparisons.parquet")
    write_curve_tables(tables.curves, folder / "curves")
    write_json(
        folder / "evaluation.json",
        {
            "name": source.stem,
            "digest": sha256(source),
            "task": task,
            "targets": target_names(predictions),
            "reference": reference,
            "rungs": list(dict.fromkeys(mean.key.rung for mean in tables.means)),
            "config": config.model_dump(mode="json"),
            "attributes": list(attributes),
            "said": list(said),
            "counts": _counts(predictions),
            "versions": {n: version(n) for n in ("medtransfer", "numpy", "scipy", "numba")},
            **(beside or {}),
        },
    )


def _only_value(table: pl.DataFrame, name: str, default: Any) -> Any:
    """The one value that a run has in a column."""
    if name not in table.columns:
        return default
    values = table[name].unique()
    if len(values) > 1:
        raise TableError(
            f"Run '{table['run_id'][0]}' has {len(values)} values of '{name}': "
            f"{listed(values.sort().to_list())}. A run has one."
        )
    return default if values[0] is None else values[0]


def _counts(predictions: pl.DataFrame) -> list[dict[str, object]]:
    """Cases, patients, positives and unlabelled of every cohort and split, over all runs."""
    names = target_names(predictions)
    cases = predictions.unique("case_id", maintain_order=True)
    rows: list[dict[str, object]] = []
    for (cohort, split), group_cases in cases.sort("cohort", "split").group_by(
        "cohort", "split", maintain_order=True
    ):
        positive = {name: int((group_cases[f"target_{name}"] == 1).sum()) for name in names}
        labelled = {
            name: int(group_cases[f"target_{name}"].is_in([0.0, 1.0]).sum()) for name in names
        }
        rows.append(
            {
                "cohort": cohort,
                "split": split,
                "cases": len(group_cases),
                "patients": group_cases["patient_id"].n_unique(),
                "positive": positive,
                "masked": {name: len(group_cases) - labelled[name] for name in names},
            }
        )
    return rows
