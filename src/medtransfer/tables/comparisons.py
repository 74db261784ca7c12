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
        Column("held_out", "text", "Cohort left out of training, or trained on again in part.",
               filled=False),
        Column("retrain_fraction", "number", "Share of a shifted cohort's cases that both were "
               "trained on again.", filled=False),
        Column("cohort", "text", "Where the test cases come from."),
        Column("target", "text", "The target, `macro`, or `case`."),
        Column("metric", "text", "Its name in the catalogue."),
        Column("difference", "number", "Rung minus reference, means over seeds.", filled=False),
        Column("low", "number", "Lower end of the paired 95 % interval.", filled=False),
        Column("high", "number", "Upper end of the paired 95 % interval.", filled=False),
        Column("p", "number", "Bootstrap p-value of no difference.", filled=False),
        Column("p_holm", "number", "The same, corrected over the ladder (Holm).", filled=False),
        Column("p_bh", "number", "The same, corrected by Benjamini and Hochberg.", filled=False),
        Column("margin", "number", "Difference in AUROC that the study says would not matter.",
               filled=False),
        Column("no_worse", "text", "Whether the rung is no worse than the reference by the "
               "margin: shown or not shown.", filled=False),
        Column("p_no_worse", "number", "Its p-value.", filled=False),
        Column("equal", "text", "Whether both are equal within the margin.", filled=False),
        Column("p_equal", "number", "Its p-value.", filled=False),
        Column("num_cases", "integer", "Test cases behind it."),
        Column("num_patients", "integer", "Patients behind it."),
        Column("reason", "text", "Why the difference or its interval is undefined.", filled=False),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One difference; fields as in the contract."""

    rung: str
    reference: str
    label_fraction: float
    held_out: str | None
    retrain_fraction: float | None
    cohort: str
    target: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None = None
    p_bh: float | None = None
    margin: float | None = None
    no_worse: str | None = None
    p_no_worse: float | None = None
    equal: str | None = None
    p_equal: float | None = None
    num_cases: int = 0
    num_patients: int = 0
    reason: str | None = None


def comparisons_frame(rows: Sequence[Comparison]) -> pl.DataFrame:
    """Comparisons as a table in the contract's column order."""
    names = [column.name for column in CONTRACT.columns]
    frame = pl.DataFrame(
        [asdict(row) for row in rows], schema=dict.fromkeys(names), infer_schema_length=None
    )
    return typed(frame, CONTRACT)
