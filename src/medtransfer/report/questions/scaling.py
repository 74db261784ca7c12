"""What the size of a network and of its pre-training data have to do with its numbers."""

import polars as pl

from medtransfer.evaluation.comparison.label_savings import CURVE_AUC
from medtransfer.evaluation.comparison.scaling import DROP, SCALE, SCALED
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.metrics.catalog import CATALOG
from medtransfer.report.components import Component, Fold, Heading, Table
from medtransfer.report.content import ReportData
from medtransfer.report.text import Cells, metric_title
from medtransfer.tables.results import ALL

TERMS = {
    "network": "Network × 10",
    "data": "Pre-training × 10",
    "interaction": "Interaction",
}
"""Term of the model to its column's title."""


def scale_parts(content: ReportData) -> list[Component]:
    """What ten times the weights, and ten times the images, do to a metric."""
    found = content.results.filter(
        (pl.col("rung") == ALL)
        & pl.col("metric").str.contains(SCALE, literal=True)
        & (pl.col("label_fraction") == content.full)
    )
    if found.is_empty():
        return []
    names = "attribute", "group", "cohort", "metric", "target"
    by_name = {tuple(r[name] for name in names): r for r in found.to_dicts()}
    cells = Cells()

    def effects(title: str, place: str, metric: str, *part: str) -> list[str]:
        where = *(part or (ALL, ALL)), place
        target = content.target_of(HEADLINE if metric in (DROP, CURVE_AUC) else metric)
        keys = [(*where, metric + SCALE + term, target) for term in TERMS]
        return [title, place, *(cells(by_name.get(key), 3) for key in keys)]

    rows = [
        effects(metric_title(metric), place, metric)
        for metric in (*(name for name in SCALED if name in CATALOG), CURVE_AUC, DROP)
        for place in content.places
        if metric in SCALED or any(k[2:4] == (place, f"{metric}{SCALE}network") for k in by_name)
    ]
    groups = [
        (attribute, group)
        for attribute, group in found.select("attribute", "group").unique().sort(pl.all()).rows()
        if attribute != ALL
    ]
    rows += [
        effects(
            f"{metric_title(HEADLINE)}, {attribute}: {group}",
            content.place,
            HEADLINE,
            attribute,
            group,
        )
        for attribute, group in groups
    ]
    head = ["Metric", "Cohort", *TERMS.values()]
    caption = (
        "Change of the metric for ten times the weights and for ten times the pre-training "
        "images, over the rungs of known scale; interaction: change of the one for ten times the "
        "other. Rungs differ in more than size: a description, "
        "not a law."
    )
    table = Table(head, rows, caption, frozenset({2, 3, 4}), cells.notes)
    if all(cell.startswith("–") for row in rows for cell in row[2:]):
        return [Fold("What scale does: could not be told", [table])]
    return [Heading("What scale does"), table]
