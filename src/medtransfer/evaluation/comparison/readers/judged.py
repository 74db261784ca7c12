"""Table of readers: their agreement, and readers and rungs judged by the same truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.tables.results import Result
from medtransfer.tables.schema import Column, Contract, read_records, records_frame

READERS_FILE = "readers.parquet"
ALL_READERS = "all readers"
OTHERS = "majority without {}"
DECIDED = "decided"
"""Operating point of a reader, who decides without a score."""
DIFFERENCE = "_difference"
"""Suffix of a share's name: the rung's minus the reader's."""
READERS_CONTRACT = Contract(
    "Readers",
    (
        Column("cohort", "text", "Where the test cases are from."),
        Column("target", "text", "The target, or `case` for the agreement on classes."),
        Column(
            "reader",
            "text",
            "A reader, a pair of readers, or `all readers`; empty for a rung.",
            filled=False,
        ),
        Column("rung", "text", "The rung; empty for readers.", filled=False),
        Column(
            "run_id",
            "text",
            "The run; empty for readers, and for the mean over the seeds of a rung.",
            filled=False,
        ),
        Column("against", "text", "The truth: a reader, or the majority of the others."),
        Column(
            "metric",
            "text",
            "`kappa`, `alpha`, `auroc`, `sensitivity` or `specificity`, of a rung at an operating "
            "point (`sensitivity@sens90`); `sensitivity_difference@sens90` is the rung's minus "
            "that of the reader, whom the majority leaves out.",
        ),
        Column("value", "number", "The number.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("num_seeds", "integer", "Number of runs in a rung's mean.", filled=False),
        Column("num_cases", "integer", "Number of cases."),
        Column("num_patients", "integer", "Number of patients."),
        Column("num_positive", "integer", "Number of positive cases.", filled=False),
        Column("reason", "text", "Reason if a value or an interval is empty.", filled=False),
        Column("contains", "text", "Random variation in the interval.", filled=False),
    ),
)


@dataclass(frozen=True)
class Judged:
    """Somebody judged against a truth.

    Attributes:
        against: A reader, or the majority of the readers without one; themselves for agreement.
        reader: A reader, a pair of readers, or all readers; None for a rung.
        rung: A rung; None for readers.
        run_id: The run; None for readers and for means over seeds.
        num_seeds: Runs in the mean of a rung.
    """

    against: str
    reader: str | None = None
    rung: str | None = None
    run_id: str | None = None
    num_seeds: int | None = None


@dataclass(frozen=True)
class ReaderRow:
    """One number of the table; fields as in the contract."""

    cohort: str
    target: str
    reader: str | None
    rung: str | None
    run_id: str | None
    against: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    num_seeds: int | None
    num_cases: int
    num_patients: int
    num_positive: int | None
    reason: str | None
    contains: str | None


def reader_row(judged: Judged, result: Result) -> ReaderRow:
    """A number of somebody as a row of the table."""
    return ReaderRow(
        cohort=result.cohort,
        target=result.target,
        reader=judged.reader,
        rung=judged.rung,
        run_id=judged.run_id,
        against=judged.against,
        metric=result.metric.removesuffix(f"@{DECIDED}"),
        value=result.value,
        low=result.low,
        high=result.high,
        num_seeds=judged.num_seeds,
        num_cases=result.num_cases,
        num_patients=result.num_patients,
        num_positive=result.num_positive,
        reason=result.reason,
        contains=result.contains,
    )


def readers_frame(rows: Iterable[ReaderRow]) -> pl.DataFrame:
    """Rows as a table in the contract's column order."""
    return records_frame(list(rows), READERS_CONTRACT)


def read_readers(path: Path | str) -> pl.DataFrame:
    """Read and check a table of readers.

    Raises:
        TableError: The table breaks its contract.
    """
    return read_records(path, READERS_CONTRACT)


def find_readers(folder: Path) -> pl.DataFrame | None:
    """The table in the folder of a study or an evaluation; None if there is none."""
    path = folder / READERS_FILE
    return read_readers(path) if path.is_file() else None
