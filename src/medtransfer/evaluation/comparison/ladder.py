"""From the runs of a ladder to its tables: results, means over seeds, comparisons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.curves import Line, LineKey, mean_points, points, run_lines
from medtransfer.evaluation.comparison.differences import comparisons
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.label_savings import curve_areas, saving_results
from medtransfer.evaluation.comparison.scaling import RungFacts, robustness_results, scale_results
from medtransfer.evaluation.comparison.seed_means import (
    Mean,
    MeanOfSeeds,
    drops,
    mean_results,
    variances,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.score import measure_run, results_of
from medtransfer.tables.results import (
    RESULTS_CONTRACT,
    Curve,
    Point,
    Result,
    comparisons_frame,
    curve_frame,
    results_frame,
)


@dataclass(frozen=True)
class LadderRun:
    """A finished run with its place in the ladder.

    Attributes:
        run_id: Its name.
        key: Rung and training set.
        seed: Of its training.
        predictions: Reads its predictions table.
        results: Reads its results table, if it was scored already.
    """

    run_id: str
    key: GridKey
    seed: int
    predictions: Callable[[], pl.DataFrame]
    results: Callable[[], pl.DataFrame] | None = None


@dataclass(frozen=True)
class LadderTables:
    """Tables of a ladder.

    Attributes:
        results: Every number, of runs and of means over seeds.
        comparisons: Differences from the reference rung.
        curves: By kind.
        means: The rungs' means, from which differences and summaries were made.
    """

    results: pl.DataFrame
    comparisons: pl.DataFrame
    curves: dict[Curve, pl.DataFrame]
    means: tuple[Mean, ...]


def compare_runs(
    runs: Sequence[LadderRun],
    attributes: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
    *,
    reference: str,
    facts: Sequence[RungFacts] = (),
    on_run: Callable[[int, int], None] = lambda _done, _total: None,
) -> LadderTables:
    """Measure every run and sum the ladder up.

    Args:
        runs: In the order of their rungs.
        attributes: `case_id` and the attributes to report by.
        task: How the targets relate to each other.
        config: Intervals, operating points, smallest group size.
        reference: The rung that others are compared with.
        facts: Of the rungs whose scale is known.
        on_run: Called with the number of runs done, and of all runs.
    """
    groups: dict[GridKey, list[LadderRun]] = {}
    for run in runs:
        groups.setdefault(run.key, []).append(run)
    frames: list[pl.DataFrame] = []
    curve_points: list[tuple[Curve, Point]] = []
    means: list[Mean] = []
    for key, seeds in groups.items():
        mean = MeanOfSeeds(key)
        lines: list[dict[LineKey, Line]] = []
        for run in sorted(seeds, key=lambda run: run.seed):  # seeds are resampled by position
            on_run(len(frames), len(runs))
            measured = measure_run(run.predictions(), attributes, task, config)
            results = run.results() if run.results else results_of(measured, config)
            frames.append(_with_key(results, key, run.seed))
            lines.append(run_lines(measured))
            mean.add(measured)
        curve_points += points(key, lines)
        means.append(mean.mean())
    on_run(len(runs), len(runs))
    curve_points += mean_points(means)
    for mean in means:
        frames.append(
            _summary([*mean_results(mean), *drops(mean), *variances(mean, config)], mean.key)
        )
    for key, row in (
        *saving_results(means, reference, config.seed),
        *curve_areas(means, config.seed),
        *robustness_results(means),
        *scale_results(means, facts, config.seed),
    ):
        frames.append(_summary([row], key))
    held_out = pl.col("held_out")
    differences = comparisons_frame(comparisons(means, reference, config)).filter(
        held_out.is_null() | (pl.col("cohort") == held_out)
    )
    return LadderTables(pl.concat(frames), differences, _curve_frames(curve_points), tuple(means))


def _curve_frames(curve_points: Sequence[tuple[Curve, Point]]) -> dict[Curve, pl.DataFrame]:
    """Curves by kind, in the order in which the kinds come."""
    by_kind: dict[Curve, list[Point]] = {}
    for kind, point in curve_points:
        by_kind.setdefault(kind, []).append(point)
    return {kind: curve_frame(of_kind) for kind, of_kind in by_kind.items()}


def _summary(rows: Sequence[Result], key: GridKey) -> pl.DataFrame:
    """Rows of a mean; in a leave-cohort-out study only of the cohort that was left out."""
    frame = results_frame(rows)
    if key.held_out is not None:
        frame = frame.filter(pl.col("cohort") == key.held_out)
    return _with_key(frame, key)


def _with_key(results: pl.DataFrame, key: GridKey, seed: int | None = None) -> pl.DataFrame:
    """Results with the columns of their rung, training set and seed."""
    columns = {
        "rung": pl.lit(key.rung, dtype=pl.String),
        "label_fraction": pl.lit(key.label_fraction, dtype=pl.Float64),
        "seed": pl.lit(seed, dtype=pl.Int64),
        "retrain_fraction": pl.lit(key.retrain_fraction, dtype=pl.Float64),
        "held_out": pl.lit(key.held_out, dtype=pl.String),
    }
    return results.with_columns(**columns).select(
        column.name for column in RESULTS_CONTRACT.columns
    )
