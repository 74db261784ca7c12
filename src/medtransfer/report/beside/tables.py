"""Tables in a study's folder of curves that sections beside the questions are made from."""

from pathlib import Path
from typing import TypedDict

import polars as pl

from medtransfer.analysis.table import find_understanding
from medtransfer.analysis.trajectory import find_trajectory
from medtransfer.evaluation.comparison.adaptation.table import find_adapt_table
from medtransfer.evaluation.comparison.corruptions.table import find_corruptions
from medtransfer.evaluation.comparison.levels.table import find_levels
from medtransfer.evaluation.comparison.policies.table import find_group_thresholds


class TablesBeside(TypedDict):
    """Tables by the field of `ReportData` that holds them; None where one was not asked for."""

    understanding: pl.DataFrame | None
    trajectory: pl.DataFrame | None
    corruptions: pl.DataFrame | None
    adaptation: pl.DataFrame | None
    group_thresholds: pl.DataFrame | None
    levels: pl.DataFrame | None


def tables_beside(curves: Path) -> TablesBeside:
    """The tables of a folder of curves."""
    return TablesBeside(
        understanding=find_understanding(curves),
        trajectory=find_trajectory(curves),
        corruptions=find_corruptions(curves),
        adaptation=find_adapt_table(curves),
        group_thresholds=find_group_thresholds(curves),
        levels=find_levels(curves),
    )
