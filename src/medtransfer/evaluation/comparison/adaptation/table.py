"""Table of adaptation curves: an arm, a number of patients and a metric a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.tables.schema import Column, Contract, read_records, records_frame

FILE_NAME = "adapt.parquet"
ADAPT_CONTRACT = Contract(
    "Adaptation curves",
    (
        Column("rung", "text", "The rung."),
        Column("label_fraction", "number", "Share of the training patients used."),
        Column("held_out", "text", "Cohort left out of training.", filled=False),
        Column("cohort", "text", "The hospital that the network is adapted to."),
        Column("target", "text", "The target, `macro`, or `case`."),
        Column(
            "arm",
            "text",
            "Way to adapt, `selected` by cross-validation, or a way to train again: "
            "`internal+shifted`, `sequential`, `shifted-only`.",
        ),
        Column("patients", "integer", "Patients it is fitted on; 0 for `carried`."),
        Column("positives", "number", "Positive cases of these, mean over draws.", filled=False),
        Column("metric", "text", "Name of the metric in the catalogue."),
        Column("value", "number", "Mean over draws and seeds; empty if undefined.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("difference", "number", "Value minus that of `carried`.", filled=False),
        Column(
            "difference_low",
            "number",
            "Lower end of its 95 % interval, on the same test patients.",
            filled=False,
        ),
        Column("difference_high", "number", "Upper end of that interval.", filled=False),
        Column("draws", "integer", "Random draws of the patients."),
        Column(
            "draw_sd",
            "number",
            "Standard deviation between draws: what another such set of patients may give.",
            filled=False,
        ),
        Column(
            "not_fitted",
            "integer",
            "Draws in which the arm could not be fitted; they count as carried.",
        ),
        Column("pool_patients", "integer", "Patients to draw from."),
        Column("num_cases", "integer", "Number of test cases."),
        Column("num_patients", "integer", "Number of test patients."),
        Column("num_positive", "integer", "Number of positive test cases.", filled=False),
        Column("reason", "text", "Reason if a value or an interval is empty.", filled=False),
        Column("contains", "text", "Random variation in the intervals.", filled=False),
    ),
)


@dataclass(frozen=True)
class AdaptRow:
    """One number of an adaptation curve; fields as in the contract."""

    rung: str
    label_fraction: float
    held_out: str | None
    cohort: str
    target: str
    arm: str
    patients: int
    metric: str
    value: float | None
    positives: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    draws: int = 0
    draw_sd: float | None = None
    not_fitted: int = 0
    pool_patients: int = 0
    num_cases: int = 0
    num_patients: int = 0
    num_positive: int | None = None
    reason: str | None = None
    contains: str | None = None


def adapt_frame(rows: Sequence[AdaptRow]) -> pl.DataFrame:
    """Rows as a table in the contract's column order."""
    return records_frame(rows, ADAPT_CONTRACT)


def read_adapt_table(path: Path | str) -> pl.DataFrame:
    """Read and check a table of adaptation curves.

    Raises:
        TableError: The table breaks its contract.
    """
    return read_records(path, ADAPT_CONTRACT)


def find_adapt_table(folder: Path) -> pl.DataFrame | None:
    """The table in a folder of curves; None if there is none."""
    path = folder / FILE_NAME
    return read_adapt_table(path) if path.is_file() else None
