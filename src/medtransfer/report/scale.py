"""What the size of a network and of its pre-training data have to do with its numbers."""

import polars as pl

from medtransfer.evaluation.trends import SCALE, SCALED
from medtransfer.report.content import Content
from medtransfer.report.parts import Fold, Heading, Part, Table
from medtransfer.report.words import Cells, metric_title
from medtransfer.tables.results import ALL

TERMS = {
    "network": "Network × 10",
    "data": "Pre-training × 10",
    "interaction": "Interaction",
}
"""Term of the model to its column's title."""


def scale_parts(content: Content) -> list[Part]:
    """What ten times the weights, and ten times the images, do to a metric."""
    found = content.results.filter(
        (pl.col("rung") == ALL)
        & (pl.col("attribute") == ALL)
        & (pl.col("label_fraction") == content.full)
    )
    if found.is_empty():
        return []
    by_name = {(r["cohort"], r["metric"], r["target"]): r for r in found.to_dicts()}
    cells = Cells()
    rows = [
        [
            metric_title(metric),
            place,
            *(
                cells(by_name.get((place, metric + SCALE + term, content.target_of(metric))), 3)
                for term in TERMS
            ),
        ]
        for metric in SCALED
        for place in content.places
    ]
    head = ["Metric", "Cohort", *TERMS.values()]
    caption = (
        "Change of the metric for ten times the weights and for ten times the pre-training "
        "images, over the rungs of known scale. Rungs differ in more than size: a description, "
        "not a law."
    )
    table = Table(head, rows, caption, frozenset({2, 3, 4}), cells.notes)
    if all(cell.startswith("–") for row in rows for cell in row[2:]):
        return [Fold("What scale does: could not be told", [table])]
    return [Heading("What scale does"), table]
