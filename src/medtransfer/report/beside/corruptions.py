"""Corruptions: how rungs bear worse images of the same patients."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.report.components import Component, Fold, Heading, Note, ReportTable
from medtransfer.report.content import ReportData
from medtransfer.report.text import difference_text, fixed, interval_text, metric_title
from medtransfer.tables.results import CASE

TITLE = "Worse images of the same patients"
WORDS = {
    "jpeg": "JPEG compression",
    "blur": "blur",
    "noise": "noise",
    "contrast": "low contrast",
    "resolution": "low resolution",
}
AROUND = (
    "The internal test images were made worse on purpose: they are no other hospital, and no "
    "number of hospitals or of a summary over hospitals contains them. Kinds and severities are "
    "those of ImageNet-C; thresholds and calibration come from the tuning images as they are. "
    "Differences are paired: both sides are of the same patients."
)


def corruptions_passage(data: ReportData) -> list[Component]:
    """Sentence, table of AUROC, and folded tables of other metrics; nothing if not asked for."""
    table = data.corruptions
    if table is None or table.is_empty():
        return []
    rows = table.filter(
        (pl.col("label_fraction") == pl.col("label_fraction").max())
        & pl.col("target").is_in([data.target, CASE])
    )
    areas = rows.filter((pl.col("metric") == HEADLINE) & (pl.col("target") == data.target))
    others = [
        name for name in rows["metric"].unique(maintain_order=True).to_list() if name != HEADLINE
    ]
    folds = [_table(data, rows.filter(pl.col("metric") == name), name) for name in others]
    parts: list[Component] = [Heading(TITLE), Note(_sentence(data, areas)), Note(AROUND)]
    parts.append(_table(data, areas, HEADLINE))
    if folds:
        parts.append(Fold("Other metrics on worse images", folds))
    return parts


def _sentence(data: ReportData, areas: pl.DataFrame) -> str:
    """The largest loss of the rung that all details are of, and how many are significant."""
    rows_of_best = [row for row in areas.to_dicts() if row["rung"] == data.best]
    defined = [row for row in rows_of_best if row["difference"] is not None]
    if not defined:
        return f"{data.best} has no AUROC on worse images."
    worst = min(defined, key=lambda row: row["difference"])
    lost = [row for row in defined if (row["difference_high"] or 0.0) < 0]
    sentence = (
        f"{data.best} loses most to {WORDS[worst['corruption']]} at severity {worst['severity']}: "
        f"AUROC {fixed(worst['value'])} after {fixed(worst['clean'])} ({difference_text(worst)})."
    )
    if worst["difference"] >= 0:
        sentence = f"{data.best} loses no AUROC to any of {len(defined)} corruptions."
    return f"{sentence} The interval of the loss excludes 0 in {len(lost)} of {len(defined)}."


def _table(data: ReportData, rows: pl.DataFrame, metric: str) -> ReportTable:
    """A metric on worse images, a row per rung, kind and severity."""
    order = {rung: place for place, rung in enumerate(data.rungs)}
    cells = [
        [
            row["rung"],
            WORDS[row["corruption"]],
            str(row["severity"]),
            "–" if row["clean"] is None else fixed(row["clean"], 3),
            interval_text(row, 3),
            difference_text(row),
        ]
        for row in sorted(
            rows.to_dicts(),
            key=lambda row: (order.get(row["rung"], 0), row["corruption"], row["severity"]),
        )
    ]
    head = ["Rung", "Images", "Severity", "As they are", "Made worse", "Difference"]
    title = metric_title(metric)
    return ReportTable(head, cells, f"{title} on {data.main_cohort}", frozenset({2, 3, 4, 5}))
