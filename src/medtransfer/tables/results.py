"""Table 3, results: one row per number.

An undefined number is null with a reason, never 0 or 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from medtransfer.files import remove
from medtransfer.tables.old_names import RENAMED_CURVES, curve_file, with_current_metrics
from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    raise_faults,
    read_frame,
    read_records,
    records_frame,
    typed,
    write_frame,
    write_spreadsheet,
)

ALL = "all"
MACRO = "macro"
"""Name of the target column for the mean over targets."""
MICRO = "micro"
"""Name of the target column for all targets pooled."""
CASE = "case"
"""Name of the target column for numbers of the case as a whole, in single-label tasks."""


def _later(name: str, kind: Literal["text", "integer", "number"], doc: str) -> Column:
    """A column that tables of earlier versions lack, and whose cells may be empty."""
    return Column(name, kind, doc, required=False, filled=False)


RESULTS_CONTRACT = Contract(
    "Results",
    (
        Column("run_id", "text", "The run; empty for the mean over a rung's seeds.", filled=False),
        Column("split", "text", "Use of the cases."),
        Column("cohort", "text", "Source of the cases."),
        Column("attribute", "text", "Attribute that the cases are grouped by, or `all`."),
        Column("group", "text", "Value of the attribute, or `all`."),
        Column(
            "target",
            "text",
            "The target, `macro` for the mean over targets, `micro` for all pooled, or `case`.",
        ),
        Column("metric", "text", "Name of the metric in the catalogue."),
        Column("value", "number", "Value; empty if undefined.", filled=False),
        Column("low", "number", "Lower end of the 95 % interval.", filled=False),
        Column("high", "number", "Upper end of the 95 % interval.", filled=False),
        Column("num_cases", "integer", "Number of cases."),
        Column("num_patients", "integer", "Number of patients."),
        Column("num_positive", "integer", "Number of positive cases, if applicable.", filled=False),
        Column("reason", "text", "Reason if the value or its interval is empty.", filled=False),
        _later(
            "contains",
            "text",
            "Random variation in the interval: `patients`, `patients and seeds` or `… some seeds`.",
        ),
        Column("rung", "text", "In a study: the rung.", required=False),
        Column(
            "label_fraction",
            "number",
            "In a study: the share of training patients used.",
            required=False,
        ),
        _later("seed", "integer", "In a study: the seed; empty for the mean over seeds."),
        _later(
            "retrain_fraction", "number", "Share of a shifted cohort's cases used for retraining."
        ),
        _later("held_out", "text", "Cohort left out of training, or partly used for retraining."),
    ),
    spreadsheet=True,
)


@dataclass(frozen=True)
class Result:
    """One row of results; fields as in the contract."""

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
    contains: str | None = None


def results_frame(rows: Sequence[Result]) -> pl.DataFrame:
    """Results as a table in the contract's column order."""
    names = {field.name for field in fields(Result)}
    columns = [column for column in RESULTS_CONTRACT.columns if column.name in names]
    frame = pl.DataFrame(
        [vars(row) for row in rows],
        schema=[column.name for column in columns],
        infer_schema_length=None,
    )
    return typed(frame, RESULTS_CONTRACT)


def read_results(path: Path | str) -> pl.DataFrame:
    """Read and check a results table; metric names of version 0.1 become those of today.

    Raises:
        TableError: The table violates its contract.
    """
    path = Path(path)
    frame = read_frame(path, RESULTS_CONTRACT)
    raise_faults(RESULTS_CONTRACT, path, check_columns(frame, RESULTS_CONTRACT))
    return with_current_metrics(typed(frame, RESULTS_CONTRACT).drop(ROW))


def write_results(frame: pl.DataFrame, path: Path) -> None:
    """Write a results table."""
    write_spreadsheet(frame, path)


COMPARISONS_CONTRACT = Contract(
    "Comparisons",
    (
        Column("rung", "text", "The rung."),
        Column("reference", "text", "Rung it is compared with."),
        Column("label_fraction", "number", "Share of the training patients used by both."),
        Column(
            "held_out",
            "text",
            "Cohort left out of training, or partly used for retraining.",
            filled=False,
        ),
        Column(
            "retrain_fraction",
            "number",
            "Share of a shifted cohort's cases that both used for retraining.",
            filled=False,
        ),
        Column("cohort", "text", "Source of the test cases."),
        Column("target", "text", "The target, `macro`, or `case`."),
        Column("metric", "text", "Name of the metric in the catalogue."),
        Column("difference", "number", "Rung minus reference, means over seeds.", filled=False),
        Column("low", "number", "Lower end of the paired 95 % interval.", filled=False),
        Column("high", "number", "Upper end of the paired 95 % interval.", filled=False),
        Column("p", "number", "Two-sided p-value of no difference.", filled=False),
        Column("p_holm", "number", "The same, corrected over the ladder (Holm).", filled=False),
        Column("p_bh", "number", "The same, corrected by Benjamini and Hochberg.", filled=False),
        _later(
            "low_all",
            "number",
            "Lower end of the simultaneous interval: with 95 % chance those of all compared rungs "
            "hold their truth, the best one's too (max-t).",
        ),
        _later("high_all", "number", "Its upper end."),
        _later("p_all", "number", "P-value corrected over the ladder that agrees with it."),
        _later(
            "p_mcnemar",
            "number",
            "Of sensitivity and specificity at an operating point, one seed each: p-value of "
            "McNemar's test by patient.",
        ),
        _later(
            "detectable",
            "number",
            "Smallest true difference that such a study detects with 80 % power, corrected over "
            "the ladder (Bonferroni).",
        ),
        Column(
            "margin",
            "number",
            "Difference in AUROC that the study declares negligible.",
            filled=False,
        ),
        Column(
            "no_worse",
            "text",
            "Non-inferiority to the reference within the margin: shown or not shown.",
            filled=False,
        ),
        Column("p_no_worse", "number", "Its p-value.", filled=False),
        Column("equal", "text", "Equivalence within the margin: shown or not shown.", filled=False),
        Column("p_equal", "number", "Its p-value.", filled=False),
        _later(
            "detectable_margin",
            "number",
            "Smallest margin within which it shows equal rungs equivalent with 80 % power.",
        ),
        Column("num_cases", "integer", "Number of test cases."),
        Column("num_patients", "integer", "Number of patients."),
        Column(
            "reason", "text", "Reason if the difference or its interval is undefined.", filled=False
        ),
        _later(
            "contains",
            "text",
            "Variation in interval and p: `patients`, `patients and seeds` or `… some seeds`.",
        ),
        _later(
            "coverage",
            "number",
            "Share that the rung answered of the cases that it or the reference answered.",
        ),
        _later("coverage_reference", "number", "The share that the reference answered."),
        _later("rest", "number", "The rung's value on the cases that it alone answered."),
        _later(
            "rest_reference", "number", "The reference's value on the cases that it alone answered."
        ),
    ),
)


@dataclass(frozen=True)
class RungComparison:
    """One difference between rungs; fields as in the contract."""

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
    low_all: float | None = None
    high_all: float | None = None
    p_all: float | None = None
    p_mcnemar: float | None = None
    detectable: float | None = None
    margin: float | None = None
    no_worse: str | None = None
    p_no_worse: float | None = None
    equal: str | None = None
    p_equal: float | None = None
    detectable_margin: float | None = None
    num_cases: int = 0
    num_patients: int = 0
    reason: str | None = None
    contains: str | None = None
    coverage: float | None = None
    coverage_reference: float | None = None
    rest: float | None = None
    rest_reference: float | None = None


def comparisons_frame(rows: Sequence[RungComparison]) -> pl.DataFrame:
    """Comparisons as a table in the contract's column order."""
    return records_frame(rows, COMPARISONS_CONTRACT)


def read_comparisons(path: Path | str) -> pl.DataFrame:
    """Read and check a comparisons table.

    Raises:
        TableError: The table violates its contract.
    """
    return read_records(path, COMPARISONS_CONTRACT)


Curve = Literal[
    "roc",
    "pr",
    "reliability",
    "calibration",
    "decision",
    "risk_coverage",
    "ood",
    "learning",
    "retrain",
]
CURVES: tuple[Curve, ...] = get_args(Curve)

CURVES_CONTRACT = Contract(
    "Curves",
    (
        Column("rung", "text", "The rung."),
        Column("label_fraction", "number", "Share of the training patients used.", filled=False),
        Column(
            "held_out",
            "text",
            "Cohort left out of training, or partly used for retraining.",
            filled=False,
        ),
        Column(
            "retrain_fraction",
            "number",
            "Share of a shifted cohort's cases used for retraining.",
            filled=False,
        ),
        Column("cohort", "text", "Source of the test cases."),
        Column("target", "text", "The target, `macro`, `micro` or `case`."),
        Column(
            "series",
            "text",
            "Name of the series: the calibrator, the detector, or the metric.",
            filled=False,
        ),
        Column("x", "number", "Position on the x axis."),
        Column("y", "number", "Value, mean over seeds.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column(
            "count",
            "number",
            "Number of cases behind the point, if it varies along the curve.",
            filled=False,
        ),
    ),
)


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
    return records_frame(points, CURVES_CONTRACT)


def typed_curve(frame: pl.DataFrame) -> pl.DataFrame:
    """A table of points with its texts stripped of blanks, as all tables have them."""
    return typed(frame, CURVES_CONTRACT)


def write_curve_tables(curves: dict[Curve, pl.DataFrame], folder: Path) -> None:
    """Write each kind of curve as ``<folder>/<kind>.parquet``; one of version 0.1 is replaced."""
    for name, frame in curves.items():
        write_frame(frame, folder / f"{name}.parquet")
        if name in RENAMED_CURVES:
            remove(folder / f"{RENAMED_CURVES[name]}.parquet")


def read_curve_tables(folder: Path) -> dict[Curve, pl.DataFrame]:
    """Read what `write_curve_tables` wrote; a kind without points is an empty table."""
    return {
        name: pl.read_parquet(path)
        if (path := curve_file(folder, name)).is_file()
        else curve_frame([])
        for name in CURVES
    }
