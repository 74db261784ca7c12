"""Thresholds by group: what that choice of policy would change, for the best rung."""

import polars as pl

from medtransfer.report.components import Component, Heading, Note, ReportTable
from medtransfer.report.content import ReportData
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import difference_text, fixed, interval_text

TITLE = "Thresholds for each group: a choice of policy"
AROUND = (
    "Every group at a threshold of its own, fixed on the tuning cases of that group, beside the "
    "one threshold that all groups share. It gives each group the operating point that was asked "
    "for, at another number of false alarms, and treats two patients with the same probability "
    "differently. Whether that is wanted, and lawful, is no question of statistics. Differences "
    "are paired."
)


def group_thresholds_passage(data: ReportData) -> list[Component]:
    """Table of both policies for the best rung; nothing if it was not asked for."""
    table = data.group_thresholds
    if table is None or table.is_empty():
        return []
    rows = table.filter(
        (pl.col("rung") == data.best)
        & (pl.col("label_fraction") == pl.col("label_fraction").max())
        & pl.col("num_cases").ge(data.evaluation.minimum_group)
    )
    cells = [
        [
            row["cohort"],
            f"{row['attribute']}: {row['group']}",
            row["target"],
            f"{row['metric']} at {row['point']}",
            "–" if row["shared"] is None else fixed(row["shared"], 3),
            interval_text({**row, "value": row["own"]}, 3),
            difference_text(row),
            count_text(row["num_cases"], data.evaluation.minimum_group),
        ]
        for row in rows.iter_rows(named=True)
    ]
    head = ["Cohort", "Group", "Target", "Metric", "Shared", "Own", "Difference", "Cases"]
    return [
        Heading(TITLE),
        Note(AROUND),
        ReportTable(head, cells, f"Of {data.best}", frozenset({4, 5, 6, 7})),
    ]
