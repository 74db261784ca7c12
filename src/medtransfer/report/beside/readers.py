"""Readers: how far they agree, and how rungs compare with them on the same cases."""

import polars as pl

from medtransfer.report.components import Component, Note, ReportTable, Section
from medtransfer.report.content import ReportData, Row
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import fixed, interval_text, joined

AGREEMENT = {"kappa": "Cohen's kappa", "alpha": "Krippendorff's alpha"}
WITHOUT = "majority without "
DECISIONS = ("sensitivity", "specificity")
AROUND = (
    "A reader is compared with the majority of the other readers, a rung on the same cases with "
    "the same majority. A rung decides at thresholds that were fixed on the tuning split. "
    "Intervals are over patients; of a rung with several runs the table gives the mean and the "
    "range of its runs."
)


def readers_section(data: ReportData) -> Section | None:
    """Agreement and comparison of readers; None where there were no readings."""
    if data.readers is None or data.readers.is_empty():
        return None
    parts: list[Component] = [_agreement(data, data.readers)]
    decided = _decisions(data, data.readers)
    if decided.rows:
        parts += [Note(AROUND), decided]
    parts.append(_areas(data, data.readers))
    return Section("readers", "Readers", _lead(data.readers), parts)


def _lead(readers: pl.DataFrame) -> str:
    """Agreement of all readers on each target of the first cohort, in a sentence."""
    alphas = readers.filter(pl.col("metric") == "alpha")
    first = alphas.filter(pl.col("cohort") == alphas["cohort"].first())
    texts = [f"{interval_text(row)} on {row['target']}" for row in first.iter_rows(named=True)]
    return (
        f"Readers agree with Krippendorff's alpha {joined(texts)} at {alphas['cohort'].first()} "
        "(1: always, 0: no more than by chance)."
    )


def _agreement(data: ReportData, readers: pl.DataFrame) -> ReportTable:
    rows = readers.filter(pl.col("metric").is_in(list(AGREEMENT)))
    return ReportTable(
        ("Cohort", "Target", "Readers", "Agreement", "Value", "Cases", "Patients"),
        [
            [
                row["cohort"],
                row["target"],
                row["subject"],
                AGREEMENT[row["metric"]],
                interval_text(row),
                *_counts(data, row),
            ]
            for row in rows.iter_rows(named=True)
        ],
        caption="Agreement of readers",
        numeric=frozenset({4, 5, 6}),
    )


def _decisions(data: ReportData, readers: pl.DataFrame) -> ReportTable:
    """Sensitivity and specificity of readers and rungs against the same majorities."""
    parts = pl.col("metric").str.split("@")
    rows = readers.filter(
        parts.list.first().is_in(DECISIONS) & pl.col("against").str.starts_with(WITHOUT)
    ).with_columns(point=parts.list.get(1, null_on_oob=True))
    keys = ["cohort", "target", "against", "subject", "point"]
    truths = rows.select(keys[:3]).unique(maintain_order=True).with_row_index("truth")
    ordered = rows.join(truths, on=keys[:3]).sort("truth", maintain_order=True)
    cells: list[list[str]] = []
    for _, of_subject in ordered.group_by(keys, maintain_order=True):
        row = of_subject.row(0, named=True)
        share = pl.col("metric").str.starts_with
        cells.append(
            [
                row["cohort"],
                row["target"],
                row["against"],
                row["subject"] if row["point"] is None else f"{row['subject']} at {row['point']}",
                *(_of_runs(of_subject.filter(share(name))) for name in DECISIONS),
                *_counts(data, row),
            ]
        )
    head = ("Cohort", "Target", "Truth", "Who", "Sensitivity", "Specificity", "Cases", "Patients")
    return ReportTable(
        head, cells, caption="Readers and rungs on the same cases", numeric=frozenset({4, 5, 6, 7})
    )


def _areas(data: ReportData, readers: pl.DataFrame) -> ReportTable:
    """AUROC of each rung against each reader alone."""
    rows = readers.filter(pl.col("metric") == "auroc")
    keys = ["cohort", "target", "against", "subject"]
    cells: list[list[str]] = []
    for _, runs in rows.group_by(keys, maintain_order=True):
        row = runs.row(0, named=True)
        names = [row["cohort"], row["target"], row["subject"], row["against"]]
        cells.append([*names, _of_runs(runs), *_counts(data, row)])
    return ReportTable(
        ("Cohort", "Target", "Rung", "Reader as truth", "AUROC", "Cases", "Patients"),
        cells,
        caption="AUROC against each reader",
        numeric=frozenset({4, 5, 6}),
    )


def _of_runs(runs: pl.DataFrame) -> str:
    """The value of one run with its interval, or the mean of several with their range."""
    values = runs["value"].drop_nulls()
    if len(runs) == 1 or values.is_empty():
        return interval_text(runs.row(0, named=True))
    low, high = (fixed(float(str(end))) for end in (values.min(), values.max()))
    return f"{fixed(float(str(values.mean())))} ({low} to {high})"


def _counts(data: ReportData, row: Row) -> list[str]:
    least = data.evaluation.minimum_group
    return [count_text(row[name], least) for name in ("num_cases", "num_patients")]
