"""From the runs of a ladder to its tables: results, means over seeds, comparisons."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.curves import Line, Where, mean_points, points, run_lines
from medtransfer.evaluation.comparison.differences import comparisons
from medtransfer.evaluation.comparison.label_savings import curve_areas, savings
from medtransfer.evaluation.comparison.scaling import RungFacts, robustness_results, scale_results
from medtransfer.evaluation.comparison.seed_means import (
    Mean,
    RungRuns,
    drops,
    mean_over_seeds,
    mean_results,
    variances,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.measure import MeasuredRun, measure_run
from medtransfer.evaluation.scoring.score import score_measured
from medtransfer.tables.results import (
    RESULTS_CONTRACT,
    Curve,
    Point,
    comparisons_frame,
    curve_frame,
    results_frame,
)


@dataclass(frozen=True)
class LadderRun:
    """A finished run with its place in the ladder.

    Attributes:
        run_id: Its name.
        rung: Of the ladder.
        label_fraction: Share of the training patients used.
        seed: Of its training.
        held_out: Cohort left out of training, if the study does that.
        retrain_fraction: Share of a shifted cohort's cases that it was trained on again.
        predictions: Gives its predictions table.
        results: Gives its results table, if it was scored already.
    """

    run_id: str
    rung: str
    label_fraction: float
    seed: int
    held_out: str | None
    retrain_fraction: float | None
    predictions: Callable[[], pl.DataFrame]
    results: Callable[[], pl.DataFrame] | None = None


@dataclass(frozen=True)
class LadderTables:
    """What was found of a ladder.

    Attributes:
        results: Every number, of runs and of means over seeds.
        comparisons: Differences from the reference rung.
        curves: By kind.
        means: What the means and differences were made of.
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
    watch: Callable[[int, int], None] = lambda _done, _total: None,
) -> LadderTables:
    """Measure every run and sum the ladder up.

    Args:
        runs: In the order of their rungs.
        attributes: `case_id` and the attributes to report by.
        task: What the targets are to each other.
        config: Intervals, operating points, least group size.
        reference: The rung that others are compared with.
        facts: Of the rungs whose scale is known.
        watch: Hears how many runs are done, of how many.
    """
    groups: dict[RungRuns, list[LadderRun]] = {}
    for run in runs:
        place = (run.rung, run.label_fraction, run.held_out)
        groups.setdefault(RungRuns(*place, (), run.retrain_fraction), []).append(run)
    frames: list[pl.DataFrame] = []
    drawn: dict[Curve, list[Point]] = {}

    def each(about: RungRuns, own: Sequence[LadderRun]) -> Iterator[MeasuredRun]:
        lines: list[dict[Where, Line]] = []
        for run in sorted(own, key=lambda one: one.seed):  # seeds are resampled by their place
            watch(len(frames), len(runs))
            measured = measure_run(run.predictions(), attributes, task, config)
            results = run.results() if run.results else score_measured(measured, config)
            frames.append(_placed_run(results, run))
            lines.append(run_lines(measured))
            yield measured
        for kind, point in points(about, lines):
            drawn.setdefault(kind, []).append(point)

    means = [mean_over_seeds(about, each(about, own)) for about, own in groups.items()]
    for kind, point in mean_points(means):
        drawn.setdefault(kind, []).append(point)
    watch(len(runs), len(runs))
    for mean in means:
        rows = [*mean_results(mean), *drops(mean), *variances(mean, config)]
        frames.append(_placed(_asked_for(results_frame(rows), mean.runs), mean.runs))
    summaries = (
        savings(means, reference, config.seed),
        curve_areas(means, config.seed),
        robustness_results(means),
        scale_results(means, facts, config.seed),
    )
    for about, row in (pair for rows in summaries for pair in rows):
        frames.append(_placed(_asked_for(results_frame([row]), about), about))
    held_out = pl.col("held_out")
    compared = comparisons_frame(comparisons(means, reference, config)).filter(
        held_out.is_null() | (pl.col("cohort") == held_out)
    )
    curves: dict[Curve, pl.DataFrame] = {k: curve_frame(found) for k, found in drawn.items()}
    return LadderTables(pl.concat(frames), compared, curves, tuple(means))


def _asked_for(rows: pl.DataFrame, runs: RungRuns) -> pl.DataFrame:
    """In a leave-cohort-out study only the cohort that was left out is summed up."""
    return rows if runs.held_out is None else rows.filter(pl.col("cohort") == runs.held_out)


def _placed_run(results: pl.DataFrame, run: LadderRun) -> pl.DataFrame:
    about = RungRuns(run.rung, run.label_fraction, run.held_out, (), run.retrain_fraction)
    return _placed(results, about, run.seed)


def _placed(results: pl.DataFrame, about: RungRuns, seed: int | None = None) -> pl.DataFrame:
    """Results with the columns that say where in the ladder they belong."""
    place = {
        "rung": pl.lit(about.rung, dtype=pl.String),
        "label_fraction": pl.lit(about.label_fraction, dtype=pl.Float64),
        "seed": pl.lit(seed, dtype=pl.Int64),
        "retrain_fraction": pl.lit(about.retrain_fraction, dtype=pl.Float64),
        "held_out": pl.lit(about.held_out, dtype=pl.String),
    }
    columns = [column.alias(name) for name, column in place.items()]
    return results.with_columns(columns).select(column.name for column in RESULTS_CONTRACT.columns)
