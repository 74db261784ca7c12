"""Curves, one row per point; beside the results table, a file for each kind of curve."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from medtransfer.tables.schema import Column, Contract, typed, write_frame

Curve = Literal["roc", "pr", "reliability", "risk_coverage", "foreign", "learning", "retrain"]
CURVES: tuple[Curve, ...] = get_args(Curve)

CONTRACT = Contract(
    "Curves",
    (
        Column("rung", "text", "The rung."),
        Column("label_fraction", "number", "Share of the training patients used.", filled=False),
        Column("held_out", "text", "Cohort left out of training, or trained on again in part.",
               filled=False),
        Column("retrain_fraction", "number", "Share of a shifted cohort's cases that it was "
               "trained on again.", filled=False),
        Column("cohort", "text", "Where the test cases come from."),
        Column("target", "text", "The target, `macro`, `micro` or `case`."),
        Column("series", "text", "Which of several curves: the calibrator, the detector, or the "
               "metric.", filled=False),
        Column("x", "number", "Where."),
        Column("y", "number", "The value there, mean over seeds.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("count", "number", "Cases behind the point, where that differs.", filled=False),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One point of a curve; fields as in the contract."""

    rung: str
    label_fraction: float | None
    held_out: str | None
    retrain_fraction: float | None
    cohort: str
    target: str
    series: str | None
    x: float
    y: float | None
    low: float | None = None
    high: float | None = None
    count: float | None = None


def curve_frame(points: Sequence[Point]) -> pl.DataFrame:
    """Points as a table in the contract's column order."""
    names = [column.name for column in CONTRACT.columns]
    frame = pl.DataFrame(
        [asdict(point) for point in points],
        schema=dict.fromkeys(names),
        infer_schema_length=None,
    )
    return typed(frame, CONTRACT)


def write_curves(curves: dict[Curve, pl.DataFrame], folder: Path) -> None:
    """Write each kind of curve that there is as ``<folder>/<kind>.parquet``."""
    for name, frame in curves.items():
        write_frame(frame, folder / f"{name}.parquet")


def read_curves(folder: Path) -> dict[Curve, pl.DataFrame]:
    """Read what `write_curves` wrote; a kind without points is an empty table."""
    return {
        name: pl.read_parquet(path) if (path := folder / f"{name}.parquet").is_file()
        else curve_frame([])
        for name in CURVES
    }  # fmt: skip
