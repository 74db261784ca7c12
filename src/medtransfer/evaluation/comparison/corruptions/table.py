"""Table of corruptions: a rung, a corruption at a severity and a metric a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.tables.schema import Column, Contract, read_records, records_frame

CORRUPTIONS_FILE = "corruptions.parquet"
CORRUPTIONS_CONTRACT = Contract(
    "Corruptions",
    (
        Column("rung", "text", "The rung."),
        Column("label_fraction", "number", "Share of the training patients used."),
        Column("held_out", "text", "Cohort left out of training.", filled=False),
        Column("cohort", "text", "The corrupted internal test cases, as `a+blur@3`."),
        Column("corruption", "text", "Kind of corruption."),
        Column("severity", "integer", "1 (least) to 5."),
        Column("target", "text", "The target, `macro`, or `case`."),
        Column("metric", "text", "Name of the metric in the catalogue."),
        Column("value", "number", "Mean over seeds; empty if undefined.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("clean", "number", "The same of the uncorrupted images.", filled=False),
        Column("difference", "number", "Value minus that of the uncorrupted images.", filled=False),
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
class CorruptionRow:
    """One number of the table; fields as in the contract."""

    rung: str
    label_fraction: float
    held_out: str | None
    cohort: str
    corruption: str
    severity: int
    target: str
    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    clean: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    num_seeds: int = 0
    num_cases: int = 0
    num_patients: int = 0
    num_positive: int | None = None
    reason: str | None = None
    contains: str | None = None


def corruptions_frame(rows: Sequence[CorruptionRow]) -> pl.DataFrame:
    """Rows as a table in the contract's column order."""
    return records_frame(rows, CORRUPTIONS_CONTRACT)


def read_corruptions(path: Path | str) -> pl.DataFrame:
    """Read and check a table of corruptions.

    Raises:
        TableError: The table breaks its contract.
    """
    return read_records(path, CORRUPTIONS_CONTRACT)


def find_corruptions(folder: Path) -> pl.DataFrame | None:
    """The table in a folder of curves; None if there is none."""
    path = folder / CORRUPTIONS_FILE
    return read_corruptions(path) if path.is_file() else None
