"""Data efficiency: how many labels pre-training saves."""

import polars as pl

from medtransfer.evaluation.comparison.label_savings import CURVE_AUC
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.report import figures
from medtransfer.report.components import Answer, Component, Fold, Note, Section, Table, narrow
from medtransfer.report.content import ReportData
from medtransfer.report.figures import Axis, area_axis, figure
from medtransfer.report.text import Cells, interval_text, saved_text

QUESTION = "Data efficiency: how many labels does pre-training save?"


def section(content: ReportData) -> Section:
    """The answer, the curves, labels saved, and every point."""
    found = answer(content)
    parts: list[Component] = []
    if len(content.fractions) > 1:
        parts += [*_curves(content), *_saved(content), _points(content)]
        parts.append(
            Note("Smaller label sets lie inside larger ones; the tuning split keeps its labels.")
        )
    return Section("labels", "Data efficiency", found.sentence, parts, found)


def answer(content: ReportData) -> Answer:
    """The card: what the numbers say in words that match their intervals."""
    reference, place = content.reference, content.place
    rows = content.overall("labels_saved").filter(pl.col("cohort") == place)
    if len(content.fractions) < 2:
        return Answer(QUESTION, "Not studied: only one label fraction was run.", studied=False)
    if rows.is_empty():
        why = (
            "only one rung was run"
            if len(content.rungs) < 2
            else f"{reference} was not run with all labels, or no other rung with fewer"
        )
        return Answer(QUESTION, f"Not studied: {why}.", studied=False)
    row = rows.sort("value", descending=True, nulls_last=True).row(0, named=True)
    if row["value"] is None:
        said = f"No rung reaches the full-data AUROC of {reference} on {place} with fewer labels."
        return Answer(QUESTION, said)
    least = str(row["reason"] or "").startswith("at least")
    needed = f"{1 - row['value']:.0%} of the labels{', the smallest share run, or fewer' * least}"
    ends = ["not bounded" if row[end] is None else f"{row[end]:.0%}" for end in ("low", "high")]
    saved = f"{'at least ' * least}{row['value']:.0%} saved [{ends[0]}, {ends[1]}]"
    said = (
        f"On {place}, {row['rung']} reaches the full-data AUROC of {reference} with {needed}: "
        f"{saved}."
    )
    if row["low"] is None or row["low"] <= 0:
        said += " That any are saved is not shown: the interval does not exclude it."
    return Answer(QUESTION, said)


def _curves(content: ReportData) -> list[Component]:
    points = content.curve("learning")
    if points.is_empty():
        return []
    levels = {
        place: (content.number(content.reference, place, HEADLINE) or {}).get("value")
        for place in content.places
    }
    values = [
        {**row, "panel": row["rung"], "level": levels.get(row["cohort"])}
        for row in points.select("rung", "cohort", "x", "y", "low", "high").to_dicts()
    ]
    ends = (content.fractions[0], content.full)
    x = Axis("share of training labels (log)", ends, "log", content.fractions, percent=True)
    spec = figures.curves(
        values,
        x,
        area_axis("AUROC", values),
        places=content.places,
        panels=content.rungs,
        points=True,
    )
    caption = (
        f"Bands are 95 % intervals over patients. The dashed line is {content.reference}'s AUROC "
        "with all labels: where a curve crosses it, the labels to the right are saved."
    )
    return [figure("labels", spec, caption)]


def _saved(content: ReportData) -> list[Component]:
    cells = Cells()
    rows: list[list[str]] = []
    for rung in content.rungs:
        for place in content.places:
            saved = content.number(rung, place, "labels_saved")
            area = content.number(rung, place, CURVE_AUC)
            if saved is not None or area is not None:
                text = "–" if saved is None else saved_text(saved)
                note = "" if saved is None else saved["reason"] or ""
                rows.append([rung, place, text, cells(area, 3), note])
    head = ["Rung", "Cohort", "Labels saved", "Mean height of the curve", "Note"]
    caption = f"Labels saved: against {content.reference} with all its labels."
    table = narrow(Table(head, rows, caption, frozenset({2, 3}), cells.notes))
    return [table] if rows else []


def _points(content: ReportData) -> Fold:
    """AUROC at every label fraction."""
    found = {
        (row["rung"], row["cohort"], row["label_fraction"]): row
        for row in content.overall(HEADLINE).to_dicts()
    }
    rows = [
        [
            rung,
            place,
            *(interval_text(found.get((rung, place, f)), 3) for f in content.fractions),
        ]
        for rung in content.rungs
        for place in content.places
    ]
    shares = [f"AUROC, {fraction * 100:.3g}%" for fraction in content.fractions]
    head = ["Rung", "Cohort", *shares]
    return Fold(
        "AUROC at every label fraction", [Table(head, rows, "", frozenset(range(2, len(head))))]
    )
