"""Effect of scale: network size and pre-training size against the metrics."""

import polars as pl

from medtransfer.evaluation.comparison.label_savings import CURVE_AUC
from medtransfer.evaluation.comparison.scaling import DROP, SCALE, SCALED
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.metrics.catalog import CATALOG
from medtransfer.report.components import (
    Component,
    Fold,
    Heading,
    ReportTable,
    without_empty_columns,
)
from medtransfer.report.content import ReportData
from medtransfer.report.text import Cells, metric_title
from medtransfer.tables.results import ALL

TERMS = {
    "network": "Network × 10",
    "data": "Pre-training × 10",
    "interaction": "Interaction",
}
"""Term of the regression to its column's title."""


def scale_parts(data: ReportData) -> list[Component]:
    """Change of every metric for ten times the weights and ten times the images."""
    results = data.results.filter(
        (pl.col("rung") == ALL)
        & pl.col("metric").str.contains(SCALE, literal=True)
        & (pl.col("label_fraction") == data.full_fraction)
    )
    if results.is_empty():
        return []
    names = "attribute", "group", "cohort", "metric", "target"
    by_key = {tuple(row[name] for name in names): row for row in results.to_dicts()}
    cells = Cells()

    def effects(title: str, cohort: str, metric: str, *subgroup: str) -> list[str]:
        key = *(subgroup or (ALL, ALL)), cohort
        target = data.target_of(HEADLINE if metric in (DROP, CURVE_AUC) else metric)
        keys = [(*key, metric + SCALE + term, target) for term in TERMS]
        return [title, cohort, *(cells(by_key.get(key), 3) for key in keys)]

    rows = [
        effects(metric_title(metric), cohort, metric)
        for metric in (*(name for name in SCALED if name in CATALOG), CURVE_AUC, DROP)
        for cohort in data.cohorts
        if metric in SCALED or any(k[2:4] == (cohort, f"{metric}{SCALE}network") for k in by_key)
    ]
    headline = metric_title(HEADLINE)
    subgroups = results.select("attribute", "group").unique().sort(pl.all()).rows()
    rows += [
        effects(f"{headline}, {attribute}: {group}", data.main_cohort, HEADLINE, attribute, group)
        for attribute, group in subgroups
        if attribute != ALL
    ]
    if all(cell.startswith("–") for row in rows for cell in row[2:]):
        return [Fold("Effect of scale: not estimable", [_table(rows, cells)])]
    return [Heading("Effect of scale"), without_empty_columns(_table(rows, cells))]


def _table(rows: list[list[str]], cells: Cells) -> ReportTable:
    head = ["Metric", "Cohort", *TERMS.values()]
    caption = (
        "Change of each metric for a tenfold increase in network size and in pre-training images, "
        "over the rungs of known scale. Interaction: change of one effect for a tenfold increase "
        "in the other. Rungs differ in more than scale: these effects are descriptive."
    )
    return ReportTable(head, rows, caption, frozenset({2, 3, 4}), cells.notes)
