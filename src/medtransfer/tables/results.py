"""Table 3, results: one row per number.

An undefined number is null with a reason, never 0 or 0.5.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    read_frame,
    refuse,
    write_frame,
)
from medtransfer.tables.schema import typed as _typed

ALL = "all"
MACRO = "macro"
"""Name of the target column for the mean over targets."""
MICRO = "micro"
"""Name of the target column for all targets pooled."""
CASE = "case"
"""Name of the target column for numbers of the case as a whole, in single-label tasks."""

CONTRACT = Contract(
    "Results",
    (
        Column("run_id", "text", "The run; empty for the mean over a rung's seeds.", filled=False),
        Column("split", "text", "What the cases were used for."),
        Column("cohort", "text", "Where the cases come from."),
        Column("attribute", "text", "Whose images: the attribute asked about, or `all`."),
        Column("group", "text", "The attribute's value, or `all`."),
        Column("target", "text", "The target, `macro` for the mean over targets, `micro` for all "
               "pooled, or `case`."),
        Column("metric", "text", "Its name in the catalogue."),
        Column("value", "number", "The number; empty where it is undefined.", filled=False),
        Column("low", "number", "Lower end of the 95 % interval.", filled=False),
        Column("high", "number", "Upper end of the 95 % interval.", filled=False),
        Column("num_cases", "integer", "Cases behind the number."),
        Column("num_patients", "integer", "Patients behind the number."),
        Column("num_positive", "integer", "Positive cases, where that means something.",
               filled=False),
        Column("reason", "text", "Why the number or its interval is empty.", filled=False),
        Column("rung", "text", "In a study: the rung.", required=False),
        Column("label_fraction", "number", "In a study: the share of training patients used.",
               required=False),
        Column("seed", "integer", "In a study: the seed; empty for the mean over seeds.",
               required=False, filled=False),
        Column("retrain_fraction", "number", "The share of a shifted cohort's cases that it was "
               "trained on again.", required=False, filled=False),
        Column("held_out", "text", "The cohort left out of training, or trained on again in part.",
               required=False, filled=False),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One number with what it is about; fields as in the contract."""

    run_id: str | None
    split: str
    cohort: str
    target: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    num_cases: int = 0
    num_patients: int = 0
    num_positive: int | None = None
    reason: str | None = None
    attribute: str = ALL
    group: str = ALL


def results_frame(rows: Sequence[Result]) -> pl.DataFrame:
    """Results as a table in the contract's column order."""
    columns = [column for column in CONTRACT.columns if column.required]
    frame = pl.DataFrame(
        [asdict(row) for row in rows],
        schema=[column.name for column in columns],
        infer_schema_length=None,
    )
    return _typed(frame, CONTRACT)


def read_results(path: Path | str) -> pl.DataFrame:
    """Read and check a results table.

    Raises:
        TableError: The table does not keep its contract.
    """
    path = Path(path)
    frame = read_frame(path, CONTRACT)
    refuse(CONTRACT, path, check_columns(frame, CONTRACT))
    return _typed(frame, CONTRACT).drop(ROW)


def write_results(frame: pl.DataFrame, path: Path) -> None:
    """Write a results table."""
    write_frame(frame, path)
