"""Levels: the same predictions for units of several cases, as exams of two breasts."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.report.components import Component, Fold, Heading, Note, ReportTable
from medtransfer.report.content import ReportData
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import difference_text, interval_text, metric_title
from medtransfer.tables.results import ALL

RULES = {
    "max": "the highest logit of its cases",
    "mean": "the mean of its cases' probabilities",
}
POINT_METRICS = ("sensitivity", "specificity", "predicted_prevalence")


def levels_passage(data: ReportData) -> list[Component]:
    """Heading and tables of each level; nothing if none was asked for."""
    table = data.levels
    if table is None or table.is_empty():
        return []
    rows = table.filter(
        (pl.col("label_fraction") == pl.col("label_fraction").max())
        & (pl.col("attribute") == ALL)
        & (pl.col("target") == data.target)
    )
    parts: list[Component] = []
    for level in rows["level"].unique(maintain_order=True):
        of_level = rows.filter(pl.col("level") == level)
        rule = RULES[of_level["rule"][0]]
        points = of_level.filter(
            (pl.col("rung") == data.best)
            & pl.col("metric").str.split("@").list.first().is_in(POINT_METRICS)
            & pl.col("metric").str.contains("@")
            & ~pl.col("metric").str.contains("@risk")
        )
        parts += [
            Heading(f"By '{level}'"),
            Note(
                f"Cases with the same '{level}' form one unit here. It is scored by {rule}, and is "
                "positive if one of its cases is. Thresholds are fixed on the units of the tuning "
                "split, and patients are resampled as for cases."
            ),
            _areas(data, of_level.filter(pl.col("metric") == HEADLINE)),
            Fold(f"Operating points of {data.best}, by '{level}'", [_points(data, points)]),
        ]
    return parts


def _areas(data: ReportData, rows: pl.DataFrame) -> ReportTable:
    """AUROC of cases and of units, a row per cohort and rung."""
    order = {rung: place for place, rung in enumerate(data.rungs)}
    cells = [
        [
            row["cohort"],
            row["rung"],
            interval_text(data.headline_row(row["rung"], row["cohort"]), 3),
            interval_text(row, 3),
            difference_text(row),
            count_text(row["num_cases"], data.evaluation.minimum_group),
        ]
        for row in sorted(rows.to_dicts(), key=lambda row: order.get(row["rung"], 0))
    ]
    head = ["Cohort", "Rung", "Cases", "Units", f"Against {data.reference}", "Number of units"]
    return ReportTable(head, cells, metric_title(HEADLINE), frozenset({2, 3, 4, 5}))


def _points(data: ReportData, rows: pl.DataFrame) -> ReportTable:
    cells = [
        [row["cohort"], metric_title(row["metric"]), interval_text(row, 3)]
        for row in rows.iter_rows(named=True)
    ]
    return ReportTable(["Cohort", "Metric", "Units"], cells, data.target, frozenset({2}))
