"""Fairness: whom it serves worse."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import plural
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.fairness import GAP, GAP_P, ODDS, RATIO, WORST
from medtransfer.report import figures
from medtransfer.report.components import (
    Answer,
    Component,
    Fold,
    Heading,
    Note,
    Section,
    Table,
    narrow,
)
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import Axis, area_axis, figure
from medtransfer.report.text import (
    SMALL,
    Cells,
    digits_of,
    interval_text,
    metric_title,
    p_cell,
    p_text,
    point_words,
    points_text,
    why,
)
from medtransfer.statistics.tests import holm
from medtransfer.tables.results import ALL

QUESTION = "Fairness: whom does it serve worse?"
AT_POINT = ("sensitivity", "specificity", "predicted_prevalence", "underdiagnosis", ODDS)
"""What groups are compared by at a carried threshold."""


def section(content: ReportData) -> Section:
    """The answer; for each attribute a forest plot, its groups, and the gaps between them."""
    found = answer(content)
    parts: list[Component] = []
    if found.studied:
        points = points_text(content.evaluation.operating_points)
        parts.append(
            Note(
                "A gap is the largest minus the smallest group value. Over noisy groups it is "
                "biased upward, so its p-value comes from permuting groups over patients. "
                f"Numbers are of {content.best}, the rung with the best AUROC on {content.place}."
                f"{f' In titles, {points}.' if points else ''}"
            )
        )
    for number, attribute in enumerate(content.attributes):
        parts += _attribute(content, attribute, number)
    return Section("fairness", "Fairness", found.sentence, parts, found)


@dataclass(frozen=True)
class Gap:
    """A gap between the groups of an attribute, tested."""

    attribute: str
    metric: str
    row: Row
    p: float


def answer(content: ReportData) -> Answer:
    """The card: what the numbers say in words that match their intervals."""
    if not content.attributes:
        return Answer(QUESTION, "Not studied: no attribute was named.", studied=False)
    gaps = _tested(content)
    place = content.place
    if not gaps:
        return Answer(QUESTION, f"No attribute has two groups on {place} that can be compared.")
    corrected = [p if p is not None else 1.0 for p in holm([gap.p for gap in gaps])]
    first = min(range(len(gaps)), key=lambda i: (corrected[i], -gaps[i].row["value"]))
    gap, p = gaps[first], corrected[first]
    note = p_text(p)
    if len(gaps) > 1:
        note += f" after correction for {len(gaps)} tests"
    shown = p < SMALL
    verdict = "shown" if shown else "not shown, not ruled out"
    said = (
        f"By {gap.attribute}, the {_named(gap.metric, f'{content.best} on {place}')} differs by "
        f"{interval_text(gap.row)} between groups{_lowest(content, gap)}, {note}: {verdict}."
    )
    more = sum(value < SMALL for value in corrected) - 1
    if shown and more > 0:
        said += f" {plural(more, 'more gap')} {'is' if more == 1 else 'are'} shown below."
    return Answer(QUESTION, said)


def _named(metric: str, of: str) -> str:
    """A metric of something, within a sentence, with its operating point in words."""
    name, at, point = metric.partition("@")
    if not at:
        return f"{metric_title(name)} of {of}"
    title = metric_title(metric).removesuffix(f" at {point}")
    return f"{title[0].lower()}{title[1:]} of {of}, at the threshold of {point_words(point)},"


def _tested(content: ReportData) -> list[Gap]:
    """Gaps in AUROC and in sensitivity at the first operating point, of the best rung at home."""
    names = [HEADLINE, *(f"sensitivity@{p}" for p in content.evaluation.operating_points[:1])]
    found: list[Gap] = []
    for attribute in content.attributes:
        gaps = _gaps(content, content.best, content.place, attribute)
        for name in names:
            row, p = gaps.get(name + GAP), gaps.get(name + GAP_P)
            if row and p and row["value"] is not None and p["value"] is not None:
                found.append(Gap(attribute, name, row, p["value"]))
    return found


def _gaps(content: ReportData, rung: str, place: str, attribute: str) -> dict[str, Row]:
    """What compares the groups of an attribute, by name."""
    rows = content.over_seeds.filter(
        (pl.col("rung") == rung)
        & (pl.col("cohort") == place)
        & (pl.col("attribute") == attribute)
        & (pl.col("group") == ALL)
    )
    return {
        row["metric"]: row
        for row in rows.to_dicts()
        if row["target"] == _target(content, row["metric"])
    }


def _target(content: ReportData, name: str) -> str:
    metric = name
    for ending in (GAP_P, GAP, WORST, RATIO):
        metric = metric.removesuffix(ending)
    return content.target_of(metric)


def _lowest(content: ReportData, gap: Gap) -> str:
    rows = [
        row
        for row in content.group_rows(content.best, gap.attribute)
        if row["metric"] == gap.metric
        and row["cohort"] == content.place
        and row["value"] is not None
    ]
    if not rows:
        return ""
    row = min(rows, key=lambda r: r["value"])
    return f" (lowest: {row['group']}, {interval_text(row)}, {row['num_cases']:,} cases)"


def _attribute(content: ReportData, attribute: str, number: int) -> list[Component]:
    rows = content.group_rows(content.best, attribute)
    if not rows:
        return []
    every = [_gap_table(content, rung, attribute) for rung in content.rungs]
    return [
        Heading(f"By {attribute}"),
        _forest(content, rows, number),
        _group_table(content, rows),
        _gap_table(content, content.best, attribute, _asked(content)),
        Fold(f"Every gap by {attribute}, every rung", [table for table in every if table.rows]),
    ]


def _asked(content: ReportData) -> list[str]:
    """What groups are compared by first."""
    names = [HEADLINE, "balanced_accuracy"] if content.task == "single-label" else [HEADLINE]
    for point in content.evaluation.operating_points[:1]:
        names += [f"{name}@{point}" for name in AT_POINT]
    return [*names, "ece"]


def _forest(content: ReportData, rows: list[Row], number: int) -> Component:
    """AUROC and sensitivity of every group on every cohort, with counts."""
    points = content.evaluation.operating_points[:1]
    names = [HEADLINE, *(f"sensitivity@{point}" for point in points)]
    found = {(row["group"], row["cohort"], row["metric"]): row for row in rows}
    names = [n for n in names if any(key[2] == n for key in found)]
    labels: list[str] = []
    values: list[Row] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        for place in content.places:
            own = [found.get((group, place, name)) for name in names]
            count = next((row["num_cases"] for row in own if row is not None), None)
            if count is None:
                continue
            where = f", {place}" if len(content.places) > 1 else ""
            label = f"{group}{where} ({count:,})"
            labels.append(label)
            for name, row in zip(names, own, strict=True):
                if row is not None:
                    values.append(
                        {
                            "row": label,
                            "cohort": place,
                            "panel": metric_title(name),
                            "value": row["value"],
                            "low": row["low"],
                            "high": row["high"],
                            "note": why(row["reason"]) if row["value"] is None else None,
                        }
                    )
    axis = area_axis("", values)
    spec = figures.intervals(
        values,
        Axis("", axis.domain),
        rows=labels,
        places=content.places,
        panels=[metric_title(name) for name in names],
        apart=False,
    )
    least = content.evaluation.minimum_group
    caption = (
        f"{content.best}. Number of cases in brackets; bars are 95 % intervals over patients. "
        f"Groups of fewer than {least} cases are given as counts only."
    )
    return figure(f"groups-{number}", spec, caption)


def _group_table(content: ReportData, rows: list[Row]) -> Table:
    cells = Cells()
    wanted = [name for name in _asked(content) if not name.startswith(ODDS)]
    found = {(row["cohort"], row["group"], row["metric"]): row for row in rows}
    named = [name for name in wanted if any(key[2] == name for key in found)]
    lines: list[list[str]] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        for place in content.places:
            own = [found.get((place, group, name)) for name in named]
            first = next((row for row in own if row is not None), None)
            if first is None:
                continue
            texts = [cells(row, digits_of(n)) for row, n in zip(own, named, strict=True)]
            counts = [f"{first['num_cases']:,}", f"{first['num_patients']:,}"]
            lines.append([group, place, *counts, *texts])
    head = ["Group", "Cohort", "Cases", "Patients", *(metric_title(name) for name in named)]
    return narrow(Table(head, lines, "The groups.", frozenset(range(2, len(head))), cells.notes))


def _gap_table(
    content: ReportData, rung: str, attribute: str, asked: Sequence[str] | None = None
) -> Table:
    """Gaps between the groups: of the metrics that are asked for, or all."""
    cells = Cells()
    lines: list[list[str]] = []
    for place in content.places:
        gaps = _gaps(content, rung, place, attribute)
        names = dict.fromkeys(
            name.removesuffix(GAP) for name in gaps if name.endswith(GAP) or name.startswith(ODDS)
        )
        for name in (n for n in names if asked is None or n in asked):
            row = gaps.get(name if name.startswith(ODDS) else name + GAP)
            digits = digits_of(name)
            p = gaps.get(name + GAP_P) or {}
            lines.append(
                [
                    metric_title(name),
                    place,
                    cells(gaps.get(name + WORST), digits),
                    cells(row, digits),
                    p_cell(p.get("value")),
                    cells(gaps.get(name + RATIO)),
                ]
            )
    head = ["Metric", "Cohort", "Worst group", "Gap", "p of no gap", "Smallest / largest"]
    over = " Means over seeds; p is their median." if content.seeds > 1 else ""
    caption = f"Gaps between the groups, {rung}.{over}"
    return Table(head, lines, caption, frozenset(range(2, 6)), cells.notes)
