"""Every metric, by topic; and the targets one by one."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.score import DELONG
from medtransfer.metrics import (
    calibration,
    calibration_curves,
    discrimination,
    ensembles,
    selective,
    thresholded,
)
from medtransfer.metrics.catalog import CATALOG, result_names
from medtransfer.metrics.metric import Metric
from medtransfer.report.components import Component, Fold, Heading, Note, Table
from medtransfer.report.content import ReportData
from medtransfer.report.text import Cells, digits_of, metric_title, points_text
from medtransfer.tables.results import ALL

TOPICS: dict[str, tuple[Metric, ...]] = {
    "Discrimination": discrimination.ENTRIES,
    "Decisions at carried thresholds": thresholded.ENTRIES,
    "Calibration": (*calibration.ENTRIES, *calibration_curves.ENTRIES),
    "Selective prediction": selective.ENTRIES,
    "Conformal sets and ensembles": ensembles.ENTRIES,
}
"""Topic to its metrics."""
NUMBERS = (HEADLINE, DELONG, "auprc")
"""What is said of each target."""


def every_metric(content: ReportData) -> list[Component]:
    """A folded table for each topic: a row per metric and cohort, a column per rung."""
    folds: list[Component] = []
    listed = {metric.name for metrics in TOPICS.values() for metric in metrics}
    rest = tuple(metric for name, metric in CATALOG.items() if name not in listed)
    for topic, metrics in [*TOPICS.items(), ("Other", rest)]:
        table = _topic(content, topic, metrics)
        if table.rows:
            folds.append(Fold(topic, [table]))
    if not folds:
        return []
    said = [f"At {content.full:.0%} of the training labels"]
    said += [text] if (text := points_text(content.evaluation.operating_points)) else []
    said.append("definitions and references are printed by the command medtransfer metrics")
    return [Heading("Every metric"), Note(f"{'; '.join(said)}."), *folds]


def _topic(content: ReportData, topic: str, metrics: tuple[Metric, ...]) -> Table:
    cells = Cells()
    rows: list[list[str]] = []
    for metric in metrics:
        for name, _ in result_names(metric, content.evaluation.operating_points):
            for place in content.places:
                found = [content.number(rung, place, name) for rung in content.rungs]
                if any(row is not None for row in found):
                    digits = digits_of(name)
                    texts = [cells(row, digits) for row in found]
                    rows.append([metric_title(name), place, *texts])
    if topic == "Discrimination" and len(content.targets) == 1:
        rows += _delong(content, cells)
    head = ["Metric", "Cohort", *content.rungs]
    return Table(head, rows, "", frozenset(range(2, len(head))), cells.notes)


def _delong(content: ReportData, cells: Cells) -> list[list[str]]:
    """AUROC with an interval that needs no replicates, as a cross-check."""
    rows: list[list[str]] = []
    for place in content.places:
        found = [content.of_runs(rung, DELONG, cohort=place) for rung in content.rungs]
        if any(found):
            texts = [cells(own[0] if own else None) for own in found]
            rows.append([metric_title(DELONG), place, *texts])
    return rows


def per_target(content: ReportData) -> list[Component]:
    """The targets one by one, of the best rung and the reference."""
    if len(content.targets) < 2:
        return []
    first, *rest = content.places
    what = "Class by class" if content.task == "single-label" else "Target by target"
    folds = [Fold(f"{what}, {place}", [_targets(content, place)]) for place in rest]
    return [Heading(what), _targets(content, first), *folds]


def _targets(content: ReportData, place: str) -> Table:
    cells = Cells()
    wanted = pl.col("metric").is_in(NUMBERS) & (pl.col("attribute") == ALL)
    found = {
        (row["rung"], row["target"], row["metric"]): row
        for row in content.over_seeds.filter(wanted & (pl.col("cohort") == place)).to_dicts()
    }
    rows: list[list[str]] = []
    for target in content.targets:
        for rung in content.shown:
            own = [found.get((rung, target, name)) for name in NUMBERS]
            first = own[0] or {}
            counts = [first.get("num_cases"), first.get("num_positive")]
            texts = ["–" if count is None else f"{count:,}" for count in counts]
            rows.append([target, rung, *texts, *(cells(row) for row in own)])
    head = ["Target", "Rung", "Cases", "Positive", *(metric_title(name) for name in NUMBERS)]
    over = " Means over seeds, of the ends of intervals too." if content.seeds > 1 else ""
    return Table(
        head, rows, f"Test cases of {place}.{over}", frozenset(range(2, len(head))), cells.notes
    )
