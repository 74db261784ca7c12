"""A cell: one rung on one training set, summed up."""

from dataclasses import dataclass

import polars as pl

from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.tables.results import Curve, Result


@dataclass(frozen=True)
class SummedCell:
    """Tables of one rung on one training set, and what comparisons with others need of it.

    Attributes:
        results: The results tables of the runs, one after the other.
        summary: The results table of the mean over seeds.
        headlines: Rows of the mean that curves over several cells are drawn of.
        curves: Of the mean, with their kinds.
        mean: Without the replicates that are not asked for any more.
        parts: Keys of the kept parts of the runs that it was made of.
    """

    results: pl.DataFrame
    summary: pl.DataFrame
    headlines: tuple[Result, ...]
    curves: tuple[tuple[Curve, pl.DataFrame], ...]
    mean: Mean
    parts: tuple[str, ...] = ()
