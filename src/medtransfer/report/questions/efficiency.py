"""Data efficiency: learning curves, and labels saved by pre-training."""

import polars as pl

from medtransfer.evaluation.comparison.label_savings import CURVE_AUC
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.language.translation import translate
from medtransfer.report import figures
from medtransfer.report.components import (
    Answer,
    Component,
    Fold,
    Note,
    ReportTable,
    Section,
    without_empty_columns,
)
from medtransfer.report.content import POINT_COLUMNS, ReportData, Row
from medtransfer.report.figures import Axis, auroc_axis, figure
from medtransfer.report.questions.metric_tables import detailed_rungs
from medtransfer.report.text import (
    NOT_STUDIED,
    Cells,
    detectable,
    detectable_text,
    interval_text,
    percent,
    saved_text,
)

QUESTION = "Data efficiency: how many labels does pre-training save?"


def section(data: ReportData) -> Section:
    """The answer, the curves, labels saved, and every point."""
    card = answer(data)
    parts: list[Component] = []
    if len(data.fractions) > 1:
        parts += [*_curves(data), *_saved(data), _points(data)]
        parts.append(
            Note("Smaller label sets are subsets of larger ones; the tuning split stays complete.")
        )
    return Section("labels", "Data efficiency", card.sentence, parts, card)


def answer(data: ReportData) -> Answer:
    """The card: the result in words that match its interval."""
    reference, cohort = data.reference, data.main_cohort
    rows = data.overall("labels_saved").filter(pl.col("cohort") == cohort)
    if len(data.fractions) < 2:
        why = translate("only one label fraction was run.")
        return Answer(QUESTION, translate(NOT_STUDIED, why=why), studied=False)
    if rows.is_empty():
        why = (
            translate("only one rung was run.")
            if len(data.rungs) < 2
            else translate(
                "{reference} was not run with all labels, or no other rung with fewer.",
                reference=reference,
            )
        )
        return Answer(QUESTION, translate(NOT_STUDIED, why=why), studied=False)
    row = rows.sort("value", descending=True, nulls_last=True).row(0, named=True)
    if row["value"] is None:
        sentence = (
            f"No rung reaches the full-data AUROC of {reference} on {cohort} with fewer labels."
        )
        return Answer(QUESTION, sentence)
    at_least = str(row["reason"] or "").startswith("at least")
    needed = f"{1 - row['value']:.0%} of the labels"
    if at_least:
        needed += " (the smallest fraction that was run) or fewer"
    sentence = (
        f"On {cohort}, {row['rung']} reaches the full-data AUROC of {reference} with {needed}: "
        f"{_saved_words(row, at_least=at_least)}."
    )
    if (share := reference_share(data)) is not None:
        sentence += f" {reference} itself reaches it with {share:.0%}."
    if row["contains"] == "patients":
        sentence += " Each rung was trained once at each fraction, so the interval has no seeds."
    if row["low"] is None or row["low"] <= 0:
        sentence += " This saving is not significant: the interval does not exclude zero"
        sentence += f"{detectable_text('saving', detectable(row), as_percent=True)}."
    return Answer(QUESTION, sentence)


def reference_share(data: ReportData) -> float | None:
    """Smallest share of the labels with which the reference reaches its own full-data AUROC.

    A share below 1 says that fewer labels are enough also without the other rungs' head start.

    Returns:
        None where it takes all labels, or was not run with all.
    """
    points = data.curve("learning", [data.reference])
    if points.is_empty():
        return None
    at_home = points.filter(pl.col("cohort") == data.main_cohort)
    by_share = dict(at_home.select("x", "y").iter_rows())
    if 1.0 not in by_share:
        return None
    share = min(share for share, value in by_share.items() if value >= by_share[1.0])
    return None if share == 1 else float(share)


def _saved_words(row: Row, *, at_least: bool) -> str:
    """Labels saved with their interval; without an upper end where fewer labels were not tried."""
    low, high = ("no limit" if row[end] is None else percent(row[end]) for end in ("low", "high"))
    if at_least and row["low"] is None:
        return f"{row['value']:.0%} or more saved (zero is not ruled out)"
    if at_least:
        return f"{row['value']:.0%} or more saved (the 95% interval begins at {low})"
    return f"{row['value']:.0%} saved [{low}, {high}]"


def _curves(data: ReportData) -> list[Component]:
    points = data.curve("learning", detailed_rungs(data))
    if points.is_empty():
        return []
    levels = {
        cohort: (data.result_row(data.reference, cohort, HEADLINE) or {}).get("value")
        for cohort in data.cohorts
    }
    values = [
        {
            **row,
            "panel": row["rung"],
            "level": levels.get(row["cohort"]),
            "start": _needed(data, row) if row["x"] == data.full_fraction else None,
        }
        for row in points.select("rung", *POINT_COLUMNS).to_dicts()
    ]
    ends = (data.fractions[0], data.full_fraction)
    title = "training labels (log scale)"
    x = Axis(title, ends, "log", data.fractions, percent=True)
    spec = figures.curves(
        values,
        x,
        auroc_axis("AUROC", values),
        cohorts=data.cohorts,
        panels=detailed_rungs(data),
        points=True,
    )
    caption = (
        "Bands: 95% intervals over patients of the means over seeds. Dashed line: AUROC of "
        f"{data.reference} with all labels. Where a curve reaches it, a thick line begins: the "
        "labels under it are the estimate of those saved; its interval is below."
    )
    return [figure("labels", spec, caption)]


def _needed(data: ReportData, row: Row) -> float | None:
    """Share of the labels with which a curve reaches the reference; None if none are saved."""
    saved = data.result_row(row["rung"], row["cohort"], "labels_saved")
    if saved is None or not saved["value"]:
        return None
    return data.full_fraction * (1 - float(saved["value"]))


def _saved(data: ReportData) -> list[Component]:
    cells = Cells()
    rows: list[list[str]] = []
    for rung in data.rungs:
        for cohort in data.cohorts:
            saved = data.result_row(rung, cohort, "labels_saved")
            mean = data.result_row(rung, cohort, CURVE_AUC)
            if saved is not None or mean is not None:
                text = "–" if saved is None else saved_text(saved)
                note = "" if saved is None else saved["reason"] or ""
                rows.append([rung, cohort, text, cells(mean, 3), note])
    head = ["Rung", "Cohort", "Labels saved", "Mean AUROC of the curve", "Note"]
    caption = f"Labels saved: relative to {data.reference} with all labels."
    table = without_empty_columns(ReportTable(head, rows, caption, frozenset({2, 3}), cells.notes))
    return [table] if rows else []


def _points(data: ReportData) -> Fold:
    """AUROC at every label fraction."""
    by_key = {
        (row["rung"], row["cohort"], row["label_fraction"]): row
        for row in data.overall(HEADLINE).to_dicts()
    }
    rows = [
        [
            rung,
            cohort,
            *(interval_text(by_key.get((rung, cohort, f)), 3) for f in data.fractions),
        ]
        for rung in data.rungs
        for cohort in data.cohorts
    ]
    fractions = [f"AUROC, {fraction * 100:.3g}%" for fraction in data.fractions]
    head = ["Rung", "Cohort", *fractions]
    return Fold(
        "AUROC at every label fraction",
        [ReportTable(head, rows, "", frozenset(range(2, len(head))))],
    )
