"""Whether inputs unlike the training data are noticed."""

import polars as pl

from medtransfer.evaluation.foreign import MEASURES
from medtransfer.metrics.detection import DETECTORS
from medtransfer.report import figures
from medtransfer.report.axes import Axis
from medtransfer.report.content import Content
from medtransfer.report.figures import figure
from medtransfer.report.parts import Fold, Heading, Note, Part, Table, narrow
from medtransfer.report.words import Cells

DRAWN = ("vim", "mahalanobis", "knn", "energy", "max_probability", "max_logit")
"""Detectors that are drawn where there are many, the first three that were scored."""


def foreign_parts(content: Content) -> list[Part]:
    """Whether inputs unlike the training data are noticed."""
    tables = {rung: _detectors(content, rung) for rung in content.rungs}
    first = tables.pop(content.best, None)
    if first is None or not first.rows:
        return [Heading("Foreign inputs"), Note("Not studied: no shifted cohort, no detector.")]
    others = [table for table in tables.values() if table.rows]
    folded = [Fold("Foreign inputs, other rungs", others)] if others else []
    return [Heading("Foreign inputs"), *_scores(content), first, *folded]


def _scores(content: Content) -> list[Part]:
    """How the scores of a few detectors lie in every cohort."""
    points = content.curve("foreign", [content.best])
    if points.is_empty():
        return []
    known = points["series"].unique().to_list()
    drawn = [name for name in DRAWN if name in known][:3]
    values = [
        {**row, "panel": _titled(row["series"])}
        for row in points.select("series", "cohort", "x", "y", "low", "high").to_dicts()
        if row["series"] in drawn
    ]
    highest = max(float(row["high"] or row["y"]) for row in values)
    spec = figures.curves(
        values, Axis("share of tune's scores below", percent=True),
        Axis("share of the cohort's cases", (0.0, min(1.0, highest * 1.05)), percent=True),
        places=content.places, panels=[_titled(name) for name in drawn], points=True,
    )  # fmt: skip
    caption = (
        f"{content.best}. Each dot is a tenth of tune's scores, the most foreign on the right. At "
        "home a tenth of the cases lies in each; a cohort that looks foreign piles up on the right."
    )
    return [figure("foreign", spec, caption)]


def _titled(name: str) -> str:
    """A detector in words; one that came with the predictions under its own name."""
    return DETECTORS[name].title if name in DETECTORS else name


def _detectors(content: Content, rung: str) -> Table:
    cells = Cells()
    rows = content.means.filter(
        (pl.col("rung") == rung)
        & (pl.col("label_fraction") == content.full)
        & pl.col("metric").is_in(list(MEASURES))
    ).to_dicts()
    found = {(row["target"], row["cohort"], row["metric"]): row for row in rows}
    lines: list[list[str]] = []
    for detector in dict.fromkeys(row["target"] for row in rows):
        for place in content.places:
            own = [found.get((detector, place, measure)) for measure in MEASURES]
            if any(row is not None for row in own):
                lines.append([_titled(detector), place, *(cells(row) for row in own)])
    head = ["Detector", "Cohort", "AUROC against home", "AUPRC", "Flagged at home for 95% found",
            "Flagged by tune's limit"]  # fmt: skip
    caption = (
        f"{rung}. A detector's score tells a cohort's cases from those at home; tune's limit flags "
        "5% of tune."
    )
    return narrow(Table(head, lines, caption, frozenset(range(2, len(head))), cells.notes))
