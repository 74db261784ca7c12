"""Readers: how far they agree, and how rungs compare with them on the same cases."""

import polars as pl

from medtransfer.evaluation.comparison.readers.judged import DIFFERENCE
from medtransfer.report.components import Component, Note, ReportTable, Section
from medtransfer.report.content import ReportData, Row
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import difference_text, interval_text, joined, metric_title

AGREEMENT = {"kappa": "Cohen's kappa", "alpha": "Krippendorff's alpha"}
WITHOUT = "majority without "
DECISIONS = ("sensitivity", "specificity")
AROUND = (
    "A reader is compared with the majority of the other readers, a rung on the same cases with "
    "the same majority. A rung decides at thresholds that were fixed on the tuning split. "
    "Numbers of a rung are means over its seeds, and their intervals contain {contains}. Its "
    "difference from the reader is on the same patients."
)


def readers_section(data: ReportData) -> Section | None:
    """Agreement and comparison of readers; None where there were no readings."""
    if data.readers is None or data.readers.is_empty():
        return None
    parts: list[Component] = [_agreement(data, data.readers)]
    decided = _decisions(data, data.readers)
    if decided.rows:
        parts += [Note(AROUND.format(contains=_contains(data.readers))), decided]
    parts.append(_by_reader(data, data.readers))
    return Section("readers", "Readers", _lead(data.readers), parts)


def _contains(readers: pl.DataFrame) -> str:
    """Random variation in the intervals of rungs, in words."""
    sources = readers.filter(pl.col("num_seeds").is_not_null())["contains"].drop_nulls()
    return joined(sources.unique(maintain_order=True).to_list()) or "patients"


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
                row["reader"],
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
    keys = ["cohort", "target", "against", "reader", "rung", "point"]
    parts = pl.col("metric").str.split("@")
    rows = (
        _of_means(readers)
        .filter(pl.col("against").str.starts_with(WITHOUT))
        .with_columns(name=parts.list.first(), point=parts.list.get(1, null_on_oob=True))
    )
    truths = rows.select(keys[:3]).unique(maintain_order=True).with_row_index("truth")
    ordered = rows.join(truths, on=keys[:3]).sort("truth", maintain_order=True)
    cells: list[list[str]] = []
    for _, of_subject in ordered.group_by(keys, maintain_order=True):
        row = of_subject.row(0, named=True)
        by_name = {r["name"]: r for r in of_subject.iter_rows(named=True)}
        cells.append(
            [
                row["cohort"],
                row["target"],
                row["against"],
                row["reader"] if row["point"] is None else f"{row['rung']} at {row['point']}",
                *(interval_text(by_name.get(name)) for name in DECISIONS),
                *(_difference(by_name.get(f"{name}{DIFFERENCE}")) for name in DECISIONS),
                *_counts(data, row),
            ]
        )
    numbers = ("Sensitivity", "Specificity", "Less the reader's", "Less the reader's")
    return ReportTable(
        ("Cohort", "Target", "Truth", "Who", *numbers, "Cases", "Patients"),
        cells,
        caption="Readers and rungs on the same cases",
        numeric=frozenset(range(4, 10)),
    )


def _by_reader(data: ReportData, readers: pl.DataFrame) -> ReportTable:
    """Each rung with each reader alone as truth; decisions at the first operating point."""
    point = next(iter(data.evaluation.operating_points), None)
    shown = ["auroc", *(f"{name}@{point}" for name in DECISIONS if point is not None)]
    keys = ["cohort", "target", "rung", "against"]
    rows = _of_means(readers).filter(
        pl.col("rung").is_not_null(), ~pl.col("against").str.starts_with(WITHOUT)
    )
    cells: list[list[str]] = []
    for _, of_pair in rows.group_by(keys, maintain_order=True):
        by_name = {row["metric"]: row for row in of_pair.iter_rows(named=True)}
        numbers = [interval_text(by_name.get(name)) for name in shown]
        row = of_pair.row(0, named=True)
        cells.append([*(row[key] for key in keys), *numbers, *_counts(data, row)])
    titles = [metric_title(name) for name in shown]
    return ReportTable(
        ("Cohort", "Target", "Rung", "Reader as truth", *titles, "Cases", "Patients"),
        cells,
        caption="Rungs with one reader as truth",
        numeric=frozenset(range(4, 6 + len(shown))),
    )


def _of_means(readers: pl.DataFrame) -> pl.DataFrame:
    """Rows of readers, and of rungs over their seeds."""
    return readers.filter(pl.col("run_id").is_null())


def _difference(row: Row | None) -> str:
    """A rung's number minus the reader's, with its sign; empty for a reader."""
    if row is None:
        return ""
    ends = {f"difference_{end}": row[end] for end in ("low", "high")}
    return difference_text({"difference": row["value"], **ends}, 2)


def _counts(data: ReportData, row: Row) -> list[str]:
    least = data.evaluation.minimum_group
    return [count_text(row[name], least) for name in ("num_cases", "num_patients")]
