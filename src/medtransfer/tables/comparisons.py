"""Differences between rungs, one row each; beside the results table of a study."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl

from medtransfer.tables.schema import Column, Contract, typed

CONTRACT = Contract(
    "Comparisons",
    (
        Column("rung", "text", "The rung."),
        Column("reference", "text", "The rung it is compared with."),
        Column("label_fraction", "number", "Share of the training patients used by both."),
        Column("held_out", "text", "Cohort left out of training, in a leave-cohort-out study.",
               filled=False),
        Column("cohort", "text", "Where the test cases come from."),
        Column("target", "text", "The target, `macro`, or `case`."),
        Column("metric", "text", "Its name in the catalogue."),
        Column("difference", "number", "Rung minus reference, means over seeds.", filled=False),
        Column("low", "number", "Lower end of the paired 95 % interval.", filled=False),
        Column("high", "number", "Upper end of the paired 95 % interval.", filled=False),
        Column("p", "number", "Bootstrap p-value of no difference.", filled=False),
        Column("p_holm", "number", "The same, corrected over the ladder (Holm).", filled=False),
        Column("num_cases", "integer", "Test cases behind it."),
        Column("num_patients", "integer", "Patients behind it."),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One difference; fields as in the contract."""

    rung: str
    reference: str
    label_fraction: float
    held_out: str | None
    cohort: str
    target: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    num_cases: int
    num_patients: int


def comparisons_frame(rows: Sequence[Comparison]) -> pl.DataFrame:
    """Comparisons as a table in the contract's column order."""
    names = [column.name for column in CONTRACT.columns]
    frame = pl.DataFrame(
        [asdict(row) for row in rows], schema=dict.fromkeys(names), infer_schema_length=None
    )
    return typed(frame, CONTRACT)
