"""Tables of every metric by topic, and of every target."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.score import DELONG
from medtransfer.metrics import (
    agreement,
    calibration,
    calibration_curves,
    decisions,
    discrimination,
    ensembles,
    selective,
    thresholded,
)
from medtransfer.metrics.catalog import CATALOG, result_names
from medtransfer.metrics.metric import Metric
from medtransfer.report.components import (
    Component,
    Fold,
    Heading,
    Note,
    ReportTable,
    without_empty_columns,
)
from medtransfer.report.content import ReportData
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import Cells, digits_of, metric_title, p_cell, points_text
from medtransfer.tables.results import ALL

TOPICS: dict[str, tuple[Metric, ...]] = {
    "Discrimination": discrimination.ENTRIES,
    "Decisions at fixed thresholds": thresholded.ENTRIES,
    "Net benefit and costs": decisions.ENTRIES,
    "Agreement of classes": agreement.ENTRIES,
    "Calibration": (*calibration.ENTRIES, *calibration_curves.ENTRIES),
    "Selective prediction": selective.ENTRIES,
    "Conformal sets and ensembles": ensembles.ENTRIES,
}
"""Topic to its metrics."""
MAX_DIFFERENCES = 2000
"""Differences by target and threshold that the page lists of all rungs."""
MAX_DETAILED = 8
"""Rungs with every number on the page; of more, the best are, and the tables on disk hold all."""
TARGET_METRICS = (HEADLINE, DELONG, "auprc")
"""Metrics of each target."""


def detailed_rungs(data: ReportData) -> list[str]:
    """Rungs that every table shows: all, or of many the best few and the reference."""
    if len(data.rungs) <= MAX_DETAILED + 2:
        return data.rungs
    values = {rung: data.headline_row(rung, data.main_cohort) or {} for rung in data.rungs}
    first = sorted(data.rungs, key=lambda rung: -(values[rung].get("value") or -1.0))
    kept = {*first[:MAX_DETAILED], data.best, data.reference}
    return [rung for rung in data.rungs if rung in kept]


def every_metric(data: ReportData) -> list[Component]:
    """A folded table for each topic: a row per metric and cohort, a column per rung."""
    folds: list[Component] = []
    listed = {metric.name for metrics in TOPICS.values() for metric in metrics}
    rest = tuple(metric for name, metric in CATALOG.items() if name not in listed)
    for topic, metrics in [*TOPICS.items(), ("Other", rest)]:
        table = _topic(data, topic, metrics)
        if table.rows:
            folds.append(Fold(topic, [table]))
    if not folds:
        return []
    sentences = [f"At {data.full_fraction:.0%} of the training labels"]
    sentences += [text] if (text := points_text(data.evaluation.operating_points)) else []
    if more := len(data.rungs) - len(detailed_rungs(data)):
        sentences.append(
            f"Of {len(data.rungs)} rungs the best {len(detailed_rungs(data))} (with the reference) "
            f"are shown; results.parquet holds all numbers of the other {more}"
        )
    sentences.append("The command medtransfer metrics prints definitions and references")
    return [Heading("All metrics"), Note(f"{'. '.join(sentences)}."), *folds]


def _topic(data: ReportData, topic: str, metrics: tuple[Metric, ...]) -> ReportTable:
    cells = Cells()
    rows: list[list[str]] = []
    for metric in metrics:
        names = result_names(metric, data.evaluation.operating_points, data.evaluation.risks)
        for name, _ in names:
            for cohort in data.cohorts:
                by_rung = [data.result_row(rung, cohort, name) for rung in detailed_rungs(data)]
                if any(row is not None for row in by_rung):
                    digits = digits_of(name)
                    texts = [cells(row, digits) for row in by_rung]
                    rows.append([metric_title(name), cohort, *texts])
    if topic == "Discrimination" and len(data.targets) == 1:
        rows += _delong(data, cells)
    head = ["Metric", "Cohort", *detailed_rungs(data)]
    return ReportTable(head, rows, "", frozenset(range(2, len(head))), cells.notes)


def _delong(data: ReportData, cells: Cells) -> list[list[str]]:
    """AUROC with the DeLong interval, as a cross-check of the bootstrap."""
    rows: list[list[str]] = []
    for cohort in data.cohorts:
        by_rung = [data.run_mean_rows(rung, DELONG, cohort=cohort) for rung in detailed_rungs(data)]
        if any(by_rung):
            texts = [cells(means[0] if means else None) for means in by_rung]
            rows.append([metric_title(DELONG), cohort, *texts])
    return rows


def metric_table(data: ReportData, names: tuple[str, ...], caption: str) -> ReportTable:
    """A row per rung and cohort, a column per metric."""
    cells = Cells()
    rows = [
        [
            rung,
            cohort,
            *(cells(data.result_row(rung, cohort, name), digits_of(name)) for name in names),
        ]
        for rung in detailed_rungs(data)
        for cohort in data.cohorts
    ]
    head = ["Rung", "Cohort", *(metric_title(name) for name in names)]
    return without_empty_columns(
        ReportTable(head, rows, caption, frozenset(range(2, len(head))), cells.notes)
    )


def per_target(data: ReportData) -> list[Component]:
    """Metrics of every target, of the best rung and the reference."""
    if len(data.targets) < 2:
        return []
    first, *rest = data.cohorts
    title = "Results by class" if data.task == "single-label" else "Results by target"
    folds = [Fold(f"{title}, {cohort}", [_targets(data, cohort)]) for cohort in rest]
    return [Heading(title), _targets(data, first), *folds]


def decisions_compared(data: ReportData) -> list[Component]:
    """Differences from the reference for each target, in AUROC and at carried thresholds."""
    whole = pl.col("retrain_fraction").is_null() & (pl.col("label_fraction") == data.full_fraction)
    rows = data.comparisons.filter(whole & pl.col("target").is_in(list(data.targets)))
    left_out = ""
    if len(rows) > MAX_DIFFERENCES:
        rows = rows.filter(pl.col("rung").is_in(data.shown_rungs))
        left_out = f" Of {' and '.join(data.shown_rungs)}; comparisons.parquet holds all rungs."
    several = len(data.targets) > 1
    at_threshold = pl.col("metric").str.contains("^(sensitivity|specificity)@")
    shown = at_threshold | (pl.col("metric") == HEADLINE) if several else at_threshold
    cells = Cells()
    lines = [
        [
            row["rung"],
            row["cohort"],
            row["target"],
            metric_title(row["metric"]),
            cells(row, 3),
            *(p_cell(row[name]) for name in ("p", "p_holm", "p_mcnemar")),
        ]
        for row in rows.filter(shown).to_dicts()
    ]
    if not lines:
        return []
    head = ["Rung", "Cohort", "Target", "Metric", "Difference", "p", "p (Holm)", "p (McNemar)"]
    caption = (
        f"Differences from {data.reference}. p (Holm) is corrected for the number of rungs, not of "
        "targets and thresholds. p (McNemar): of the patients about whom two networks of one seed "
        f"each decide differently.{left_out}"
    )
    table = ReportTable(head, lines, caption, frozenset(range(4, 8)), cells.notes)
    return [Fold("Differences by target and threshold", [without_empty_columns(table)])]


def _targets(data: ReportData, cohort: str) -> ReportTable:
    cells = Cells()
    selected = pl.col("metric").is_in(TARGET_METRICS) & (pl.col("attribute") == ALL)
    by_key = {
        (row["rung"], row["target"], row["metric"]): row
        for row in data.run_means.filter(selected & (pl.col("cohort") == cohort)).to_dicts()
    }
    rows: list[list[str]] = []
    least = data.evaluation.minimum_group
    for target in data.targets:
        for rung in data.shown_rungs:
            metrics = [by_key.get((rung, target, name)) for name in TARGET_METRICS]
            first = metrics[0] or {}
            counts = [first.get("num_cases"), first.get("num_positive")]
            texts = ["–" if count is None else count_text(count, least) for count in counts]
            rows.append([target, rung, *texts, *(cells(row) for row in metrics)])
    head = ["Target", "Rung", "Cases", "Positive", *(metric_title(name) for name in TARGET_METRICS)]
    means = " Values and interval limits are means over seeds." if data.seeds > 1 else ""
    caption = f"Test cases of {cohort}.{means}"
    return ReportTable(head, rows, caption, frozenset(range(2, len(head))), cells.notes)
