"""Trajectory: AUROC at home and away while a rung is tuned, in the section *Why*."""

from collections.abc import Sequence

import polars as pl

from medtransfer.analysis.questions import MAX_LOOKED
from medtransfer.report import figures
from medtransfer.report.components import Component, Fold, Heading, Note, ReportTable
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import Axis, auroc_axis, figure
from medtransfer.report.questions.metric_tables import detailed_rungs
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import interval_text

TITLE = "At home and away while tuning"
AROUND = (
    f"At each validation the network predicted up to {MAX_LOOKED:,} test cases of each cohort. No "
    "weights were selected and no training was stopped by them. Slope: gain of the AUROC away for "
    "a gain at home over the validations, both as log odds; 1 is the same gain, below 1 a smaller "
    "one. It is a description of one training: chance in the AUROC at home draws it towards 0."
)


def trajectory_sentences(data: ReportData, slopes: Sequence[Row]) -> list[str]:
    """The slope of the rung that all details are of, or of the first that has one.

    Args:
        data: Of the report.
        slopes: Means over seeds of the table of understanding, of any rung and question.
    """
    defined = [row for row in _slopes(slopes) if row["value"] is not None]
    rung = data.best if any(row["rung"] == data.best for row in defined) else None
    chosen = [row for row in defined if row["rung"] == (rung or defined[0]["rung"])]
    if not chosen:
        return []
    values = ", ".join(f"{interval_text(row)} at {row['group']}" for row in chosen)
    sentence = (
        f"While {chosen[0]['rung']} was tuned, a rise of its AUROC at home by one log odds came "
        f"with a rise away of {values}."
    )
    return [sentence]


def trajectory_passage(data: ReportData, slopes: Sequence[Row]) -> list[Component]:
    """Figure, slopes and folded numbers; nothing if no run looked.

    Args:
        data: Of the report.
        slopes: As for `trajectory_sentences`.
    """
    if data.trajectory is None:
        return []
    means = data.trajectory.filter(pl.col("run_id").is_null())
    if means.is_empty():
        return []
    rungs = [rung for rung in data.rungs if rung in set(means["rung"])]
    lines = [
        [row["rung"], row["group"], interval_text(row)]
        for rung in rungs
        for row in _slopes(slopes)
        if row["rung"] == rung
    ]
    head = ["Rung", "Cohort away", "Slope"]
    parts: list[Component] = [Heading(TITLE), _figure(data, means), Note(AROUND)]
    if lines:
        parts.append(ReportTable(head, lines, "", frozenset({2})))
    return [*parts, Fold("AUROC at every validation", [_table(data, means, rungs)])]


def _slopes(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["question"] == "trajectory"]


def _figure(data: ReportData, means: pl.DataFrame) -> Component:
    shown = [rung for rung in detailed_rungs(data) if rung in set(means["rung"])]
    values = [
        {**row, "panel": row["rung"], "x": row["step"], "y": row["auroc"]}
        for row in means.filter(pl.col("rung").is_in(shown)).to_dicts()
        if row["auroc"] is not None
    ]
    first, last = (int(str(end)) for end in (means["step"].min(), means["step"].max()))
    home = means.filter(pl.col("place") == "home")["cohort"].unique().to_list()
    away = means.filter(pl.col("place") == "away")["cohort"].unique(maintain_order=True).to_list()
    spec = figures.curves(
        values,
        Axis("training steps", (first, max(last, first + 1))),
        auroc_axis("AUROC", values),
        cohorts=[*home, *away],
        panels=shown,
        points=True,
    )
    caption = (
        f"AUROC of test cases at each validation, {' and '.join(home) or 'no cohort'} being at "
        "home. Bands: 95% intervals over patients and seeds."
    )
    return figure("trajectory", spec, caption)


def _table(data: ReportData, means: pl.DataFrame, rungs: Sequence[str]) -> ReportTable:
    lines = [
        [
            row["rung"],
            row["cohort"],
            f"{row['step']:,}",
            count_text(row["num_cases"], data.evaluation.minimum_group),
            interval_text({**row, "value": row["auroc"]}, 3),
        ]
        for rung in rungs
        for row in means.filter(pl.col("rung") == rung).to_dicts()
    ]
    head = ["Rung", "Cohort", "Step", "Cases", "AUROC"]
    return ReportTable(head, lines, "", frozenset({2, 3, 4}))
