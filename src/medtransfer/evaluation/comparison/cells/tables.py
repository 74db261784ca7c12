"""Tables of a ladder's cells, made as soon as a cell is measured, so that it can be released."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from operator import itemgetter

import polars as pl

from medtransfer.evaluation.comparison.cells.cell import SummedCell
from medtransfer.evaluation.comparison.curves import mean_points
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.hospitals.summary import hospital_summaries
from medtransfer.evaluation.comparison.seed_means import (
    HEADLINE,
    Mean,
    drops,
    mean_results,
    variances,
)
from medtransfer.tables.results import (
    ALL,
    RESULTS_CONTRACT,
    Curve,
    Point,
    Result,
    curve_frame,
    results_frame,
    typed_curve,
)

OF_RUN = [field.name for field in fields(Result)]
"""Columns of results that a run has before it has a place in a study."""
NO_SEED = pl.lit(None, dtype=pl.Int64)
"""The seed of a mean."""


@dataclass(frozen=True)
class CellTables:
    """Tables of the cells measured so far.

    Attributes:
        results: The results tables of the runs of each cell.
        summaries: The results table of each mean over seeds.
        headlines: Rows of each mean that curves over several cells are drawn of.
        curves: Points of the curves of each cell, by kind.
    """

    results: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])
    summaries: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])
    headlines: list[Sequence[Result]] = field(default_factory=list["Sequence[Result]"])
    curves: list[tuple[Curve, pl.DataFrame]] = field(
        default_factory=list["tuple[Curve, pl.DataFrame]"]
    )

    def add(self, cell: SummedCell) -> None:
        """Add the tables of a cell."""
        self.results.append(cell.results)
        self.summaries.append(cell.summary)
        self.headlines.append(cell.headlines)
        self.curves.extend(cell.curves)


def run_tables(results: Sequence[tuple[pl.DataFrame, int | None]], key: GridKey) -> pl.DataFrame:
    """The results tables of the runs of a cell in its study, one after the other.

    Args:
        results: From `scoring.score.results_of`, each with the seed of its training; None for an
            ensemble of seeds.
        key: Rung and training set.
    """
    frames = [frame[OF_RUN] for frame, _ in results] or [results_frame([])]
    seeds = [seed for frame, seed in results for _ in range(len(frame))]
    return _with_key(pl.concat(frames), key, pl.Series("seed", seeds, dtype=pl.Int64))


def cell_of(
    mean: Mean, results: pl.DataFrame, curves: Iterable[tuple[Curve, pl.DataFrame]]
) -> SummedCell:
    """A cell that has been measured.

    Args:
        mean: Over its seeds, with all replicates.
        results: Of its runs, from `run_tables`.
        curves: With their kinds.
    """
    rows = list(mean_results(mean))
    more = [*drops(mean), *variances(mean), *hospital_summaries(mean)]
    return SummedCell(
        results=results,
        summary=summary_table([*rows, *more], mean.key),
        headlines=tuple(r for r in rows if r.metric == HEADLINE and r.attribute == ALL),
        curves=tuple(curves),
        mean=mean,
    )


def curve_tables(tables: Sequence[CellTables], means: Sequence[Mean]) -> dict[Curve, pl.DataFrame]:
    """Curves by kind, in the order in which the kinds come.

    Args:
        tables: Of several ladders.
        means: Of all their cells, in the same order.
    """
    frames = [curve for of_ladder in tables for curve in of_ladder.curves]
    headlines = [rows for of_ladder in tables for rows in of_ladder.headlines]
    frames += _frames_of(mean_points(means, headlines))
    by_kind: dict[Curve, list[pl.DataFrame]] = {}
    for kind, frame in frames:
        by_kind.setdefault(kind, []).append(frame)
    return {
        kind: typed_curve(pl.concat(of_kind, rechunk=True)) for kind, of_kind in by_kind.items()
    }


def _frames_of(points: Iterable[tuple[Curve, Point]]) -> list[tuple[Curve, pl.DataFrame]]:
    """Points as tables by kind: as objects they take ten times the memory."""
    by_kind: dict[Curve, list[Point]] = {}
    for kind, point in points:
        by_kind.setdefault(kind, []).append(point)
    return [(kind, curve_frame(of_kind)) for kind, of_kind in by_kind.items()]


def summary_table(rows: Sequence[Result], key: GridKey) -> pl.DataFrame:
    """Rows of a mean; in a leave-cohort-out study only of the cohort that was left out."""
    frame = results_frame(rows)
    if key.held_out is not None:
        frame = frame.filter(pl.col("cohort") == key.held_out)
    return _with_key(frame, key)


def summary_tables(rows: Iterable[tuple[GridKey, Result]]) -> Iterator[pl.DataFrame]:
    """Tables of rows with their keys, one for each stretch of rows that share a key."""
    for key, of_key in groupby(rows, key=itemgetter(0)):
        yield summary_table([row for _, row in of_key], key)


def _with_key(
    results: pl.DataFrame, key: GridKey, seeds: pl.Series | pl.Expr = NO_SEED
) -> pl.DataFrame:
    """Results with the columns of their rung, training set and seed."""
    columns: dict[str, pl.Series | pl.Expr] = {
        "rung": pl.lit(key.rung, dtype=pl.String),
        "label_fraction": pl.lit(key.label_fraction, dtype=pl.Float64),
        "seed": seeds,
        "retrain_fraction": pl.lit(key.retrain_fraction, dtype=pl.Float64),
        "held_out": pl.lit(key.held_out, dtype=pl.String),
    }
    return results.with_columns(**columns).select(
        column.name for column in RESULTS_CONTRACT.columns
    )
