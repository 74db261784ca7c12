"""Mean curves over the seeds of a rung, with pointwise intervals; the headline metric's curves."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from medtransfer.evaluation.comparison.cells.run_lines import Line, LineKey
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean
from medtransfer.metrics.calibration import BINS
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import ratio
from medtransfer.statistics.bootstrap import pointwise_intervals
from medtransfer.tables.results import ALL, CURVES_CONTRACT, Curve, Point, Result
from medtransfer.tables.schema import TYPES


@dataclass(frozen=True)
class CurveColumns:
    """Points of one curve by column; a column that is in neither is empty.

    Attributes:
        numbers: Of each point, NaN for an empty cell. Each [G]
        shared: Cells that are the same for all points.
    """

    numbers: Mapping[str, Floats]
    shared: Mapping[str, str | float | None]

    def cells(self, name: str) -> list[str | float | None]:
        """Cells of a column. G"""
        if name in self.numbers:
            return [None if math.isnan(cell) else cell for cell in self.numbers[name].tolist()]
        return [self.shared.get(name)] * len(self.numbers["x"])


def joined_curves(curves: Sequence[CurveColumns]) -> pl.DataFrame:
    """Points of several curves as a table in the contract's column order."""
    return pl.DataFrame(
        [
            pl.Series(
                column.name,
                [cell for curve in curves for cell in curve.cells(column.name)],
                dtype=TYPES[column.kind],
            )
            for column in CURVES_CONTRACT.columns
        ]
    )


def line_frames(
    key: GridKey, lines: Sequence[dict[LineKey, Line]]
) -> list[tuple[Curve, pl.DataFrame]]:
    """The mean curves over a rung's seeds with pointwise intervals, as tables by kind.

    Args:
        key: Rung and training set.
        lines: Of each seed, from `run_lines`.
    """
    by_kind: dict[Curve, list[CurveColumns]] = {}
    for line_key in dict.fromkeys(line_key for of_run in lines for line_key in of_run):
        of_seeds = [of_run[line_key] for of_run in lines if line_key in of_run]
        by_kind.setdefault(line_key[0], []).append(_line_columns(key, line_key, of_seeds))
    return [(kind, joined_curves(curves)) for kind, curves in by_kind.items()]


def _line_columns(key: GridKey, line_key: LineKey, of_seeds: Sequence[Line]) -> CurveColumns:
    """The mean curve over some seeds, without the points that none of them has.

    Calibration curves lack the points that one of them has not: where a seed's probabilities end,
    the mean of the others would jump.
    """
    kind, cohort, target, series = line_key
    y = _mean_of_seeds([line.y for line in of_seeds])
    placed = np.stack([line.x for line in of_seeds])
    x = ratio(np.nansum(placed, axis=0), np.isfinite(placed).sum(axis=0).astype(np.float64))
    shown = np.isfinite(y[0]) & np.isfinite(x)
    if kind == "calibration":
        shown &= np.isfinite([line.y[0] for line in of_seeds]).all(axis=0)
    never = (np.nan, np.nan)  # becomes empty: an end of an interval is finite
    ends = np.array([interval or never for interval in pointwise_intervals(y[1:])]).reshape(-1, 2)
    numbers = {"x": x, "y": y[0], "low": ends[:, 0], "high": ends[:, 1]}
    if of_seeds[0].count is not None:
        numbers["count"] = np.mean([_counts_or_zeros(line) for line in of_seeds], axis=0)
    return CurveColumns(
        {name: values[shown] for name, values in numbers.items()},
        {
            "rung": key.rung,
            "label_fraction": key.label_fraction,
            "held_out": key.held_out,
            "retrain_fraction": key.retrain_fraction,
            "cohort": cohort,
            "target": target,
            "series": series,
        },
    )


def mean_points(
    means: Sequence[Mean], results: Sequence[Sequence[Result]]
) -> Iterator[tuple[Curve, Point]]:
    """The headline metric over label fractions, and over shares of cases retrained on.

    Args:
        means: Of every rung and training set.
        results: Rows of each, from `mean_results`.
    """
    with_start = {mean.key.held_out for mean in means if mean.key.retrain_fraction == 0}
    for mean, rows in zip(means, results, strict=True):
        again = mean.key.retrain_fraction
        for row in rows:
            if row.metric != HEADLINE or row.attribute != ALL or row.value is None:
                continue
            subject = (mean.key.rung, *mean.key.training, row.cohort, row.target, row.metric)
            ends = (row.value, row.low, row.high, float(row.num_cases))
            if again is None:
                yield "learning", Point(*subject, mean.key.label_fraction, *ends)
            # where the same test cases have a point of their own at 0, others do not belong there
            if row.cohort != mean.internal_name and (
                again is not None or not with_start & {None, row.cohort}
            ):
                yield "retrain", Point(*subject, again or 0.0, *ends)


def _counts_or_zeros(line: Line) -> Floats:
    return np.zeros(BINS) if line.count is None else line.count


def _mean_of_seeds(values: Sequence[Floats]) -> Floats:
    """Mean over the seeds that have a point there: a bin can be empty in one of them."""
    total = reduce(np.add, values)  # in the order in which numpy sums over seeds
    if np.isfinite(total).all():  # so is every seed's
        return ratio(total, np.full(total.shape, float(len(values))))
    stacked = np.stack(values)
    defined = np.isfinite(stacked)
    return ratio(
        np.where(defined, stacked, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64)
    )
