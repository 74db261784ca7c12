"""Table of thresholds by group: a group, an operating point and a metric a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.tables.schema import Column, Contract, read_records, records_frame

GROUP_THRESHOLDS_FILE = "group_thresholds.parquet"
GROUP_THRESHOLDS_CONTRACT = Contract(
    "Thresholds by group",
    (
        Column("rung", "text", "The rung."),
        Column("label_fraction", "number", "Share of the training patients used."),
        Column("held_out", "text", "Cohort left out of training.", filled=False),
        Column("cohort", "text", "Where the test cases are from."),
        Column("attribute", "text", "The attribute whose groups have thresholds of their own."),
        Column("group", "text", "The group, or `all`: every case at the threshold of its group."),
        Column("target", "text", "The target."),
        Column("point", "text", "Operating point, fixed on the tuning split."),
        Column("metric", "text", "`sensitivity` or `specificity`."),
        Column("shared", "number", "At the threshold that all groups share.", filled=False),
        Column("own", "number", "At the threshold of each group.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("difference", "number", "`own` minus `shared`.", filled=False),
        Column(
            "difference_low",
            "number",
            "Lower end of its 95 % interval, on the same patients.",
            filled=False,
        ),
        Column("difference_high", "number", "Upper end of that interval.", filled=False),
        Column("num_seeds", "integer", "Number of runs in the mean."),
        Column("num_cases", "integer", "Number of test cases."),
        Column("num_patients", "integer", "Number of test patients."),
        Column("num_positive", "integer", "Number of positive test cases.", filled=False),
        Column("reason", "text", "Reason if a value or an interval is empty.", filled=False),
        Column("contains", "text", "Random variation in the intervals.", filled=False),
    ),
)


@dataclass(frozen=True)
class GroupThresholdRow:
    """One number of the table; fields as in the contract."""

    rung: str
    label_fraction: float
    held_out: str | None
    cohort: str
    attribute: str
    group: str
    target: str
    point: str
    metric: str
    shared: float | None = None
    own: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    num_seeds: int = 0
    num_cases: int = 0
    num_patients: int = 0
    num_positive: int | None = None
    reason: str | None = None
    contains: str | None = None


def group_thresholds_frame(rows: Sequence[GroupThresholdRow]) -> pl.DataFrame:
    """Rows as a table in the contract's column order."""
    return records_frame(rows, GROUP_THRESHOLDS_CONTRACT)


def read_group_thresholds(path: Path | str) -> pl.DataFrame:
    """Read and check a table of thresholds by group.

    Raises:
        TableError: The table breaks its contract.
    """
    return read_records(path, GROUP_THRESHOLDS_CONTRACT)


def find_group_thresholds(folder: Path) -> pl.DataFrame | None:
    """The table in a folder of curves; None if there is none."""
    path = folder / GROUP_THRESHOLDS_FILE
    return read_group_thresholds(path) if path.is_file() else None
