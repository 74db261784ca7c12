"""Fairness: differences between the groups of an attribute."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medtransfer.errors import plural
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.fairness import ODDS
from medtransfer.evaluation.scoring.group_comparison import GAP, GAP_P, RATIO, WORST
from medtransfer.language.translation import translate
from medtransfer.report import figures
from medtransfer.report.beside.group_thresholds import group_thresholds_passage
from medtransfer.report.components import (
    Answer,
    Component,
    Fold,
    Heading,
    Note,
    ReportTable,
    Section,
    without_empty_columns,
)
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import Axis, auroc_axis, figure
from medtransfer.report.questions.metric_tables import detailed_rungs
from medtransfer.report.small_counts import GroupKey, group_counts
from medtransfer.report.text import (
    ALPHA,
    NOT_STUDIED,
    Cells,
    detectable,
    detectable_text,
    digits_of,
    interval_text,
    metric_title,
    p_cell,
    p_text,
    point_words,
    points_text,
    short_reason,
)
from medtransfer.statistics.tests import holm

QUESTION = "Fairness: which groups does it serve worse?"
AT_POINT = ("sensitivity", "specificity", "predicted_prevalence", "underdiagnosis", ODDS)
"""Metrics of the groups at a fixed threshold."""


def section(data: ReportData) -> Section:
    """The answer; for each attribute a forest plot, its groups, and the gaps between them."""
    card = answer(data)
    parts: list[Component] = []
    if card.studied:
        points = points_text(data.evaluation.operating_points)
        parts.append(
            Note(
                "A gap is the largest minus the smallest group value. Chance alone makes gaps, so "
                "each is tested: in AUROC, sensitivity, specificity, balanced accuracy and "
                "under-diagnosis by permuting the groups among patients with the same labels, in "
                "other metrics, and for means over seeds, by the bootstrap. All values are of "
                f"{data.best}, {data.best_reason}."
                f"{f' {points}.' if points else ''}"
            )
        )
    for number, attribute in enumerate(data.attributes):
        parts += _attribute(data, attribute, number)
    parts += group_thresholds_passage(data)
    return Section("fairness", "Fairness", card.sentence, parts, card)


@dataclass(frozen=True)
class Gap:
    """A gap between the groups of an attribute, tested.

    Attributes:
        attribute: Whose groups.
        metric: Measured in each.
        row: Of the gap, in the results.
        p: Of no gap.
        corrected: The same after Holm correction for all gaps that are tested.
    """

    attribute: str
    metric: str
    row: Row
    p: float
    corrected: float = 1.0


def group_cohort(data: ReportData) -> str:
    """Cohort whose groups are compared: the hospital of a validation, else the main one."""
    return data.shifted[0] if data.verdict and data.shifted else data.main_cohort


def answer(data: ReportData) -> Answer:
    """The card: the result in words that match its interval."""
    if not data.attributes:
        why = translate("no attribute was named.")
        return Answer(QUESTION, translate(NOT_STUDIED, why=why), studied=False)
    gaps = corrected_gaps(data)
    cohort = group_cohort(data)
    if not gaps:
        none = translate(
            "No attribute has two groups on {cohort} that can be compared.", cohort=cohort
        )
        return Answer(QUESTION, none)
    gap = gaps[0]
    p_value = p_text(gap.corrected)
    if len(gaps) > 1:
        p_value += f" after Holm correction for {len(gaps)} tests"
    significant = gap.corrected < ALPHA
    verdict = "significant" if significant else "not significant, but not ruled out"
    verdict += "" if significant else detectable_text("gap", detectable(gap.row, len(gaps)))
    sentence = (
        f"Between groups of {gap.attribute}, the "
        f"{_metric_of(gap.metric, f'{data.best} on {cohort}')} differs by "
        f"{interval_text(gap.row)}{_lowest(data, gap)}, {p_value}: {verdict}."
    )
    more = sum(other.corrected < ALPHA for other in gaps) - 1
    if significant and more > 0:
        verb = "is" if more == 1 else "are"
        sentence += f" {plural(more, 'more gap')} {verb} significant, see below."
    return Answer(QUESTION, sentence)


def _metric_of(metric: str, owner: str) -> str:
    """A metric of a rung within a sentence, with its operating point in words."""
    name, at, point = metric.partition("@")
    if not at:
        return f"{metric_title(name)} of {owner}"
    title = metric_title(metric).removesuffix(f" at {point}")
    return f"{title[0].lower()}{title[1:]} of {owner}, at the threshold with {point_words(point)},"


def corrected_gaps(data: ReportData) -> list[Gap]:
    """The gaps that the answer rests on, the most significant and then the largest first."""
    gaps = _tested_gaps(data)
    corrected = [1.0 if p is None else p for p in holm([gap.p for gap in gaps])]
    gaps = [replace(gap, corrected=p) for gap, p in zip(gaps, corrected, strict=True)]
    return sorted(gaps, key=lambda gap: (gap.corrected, -gap.row["value"]))


def _tested_gaps(data: ReportData) -> list[Gap]:
    """Gaps of the best rung on the main cohort in AUROC and first-point sensitivity."""
    names = [HEADLINE, *(f"sensitivity@{p}" for p in data.evaluation.operating_points[:1])]
    tested: list[Gap] = []
    for attribute in data.attributes:
        gaps = _gaps(data, data.best, group_cohort(data), attribute)
        for name in names:
            row, p = gaps.get(name + GAP), gaps.get(name + GAP_P)
            if row and p and row["value"] is not None and p["value"] is not None:
                tested.append(Gap(attribute, name, row, p["value"]))
    return tested


def _gaps(data: ReportData, rung: str, cohort: str, attribute: str) -> dict[str, Row]:
    """Comparisons between the groups of an attribute, by metric."""
    return {
        row["metric"]: row
        for row in data.gap_rows(rung, cohort, attribute)
        if row["target"] == _target(data, row["metric"])
    }


def _target(data: ReportData, name: str) -> str:
    metric = name
    for ending in (GAP_P, GAP, WORST, RATIO):
        metric = metric.removesuffix(ending)
    return data.target_of(metric)


def _lowest(data: ReportData, gap: Gap) -> str:
    rows = [
        row
        for row in data.group_rows(data.best, gap.attribute)
        if row["metric"] == gap.metric
        and row["cohort"] == group_cohort(data)
        and row["value"] is not None
    ]
    if not rows:
        return ""
    row = min(rows, key=lambda r: r["value"])
    texts = _counts(data, gap.attribute, "num_cases")
    count = texts[gap.attribute, row["group"], row["cohort"]]
    return f" (lowest: {row['group']}, {interval_text(row)}, {count} cases)"


def _counts(data: ReportData, attribute: str, column: str) -> dict[GroupKey, str]:
    """Cases or patients of the groups of an attribute, as text by group and cohort."""
    rows = data.group_rows(data.best, attribute)
    return group_counts(rows, column, data.evaluation.minimum_group)


def _attribute(data: ReportData, attribute: str, number: int) -> list[Component]:
    rows = data.group_rows(data.best, attribute)
    if not rows:
        return []
    tables = [_gap_table(data, rung, attribute) for rung in detailed_rungs(data)]
    return [
        Heading(f"By {attribute}"),
        _forest(data, rows, number),
        _group_table(data, rows),
        _gap_table(data, data.best, attribute, _main_metrics(data)),
        Fold(f"All gaps by {attribute}, {_which(data)}", [table for table in tables if table.rows]),
    ]


def _which(data: ReportData) -> str:
    return "all rungs" if detailed_rungs(data) == data.rungs else "the rungs shown in detail"


def _main_metrics(data: ReportData) -> list[str]:
    """Metrics of the first comparison of groups."""
    names = [HEADLINE, "balanced_accuracy"] if data.task == "single-label" else [HEADLINE]
    for point in data.evaluation.operating_points[:1]:
        names += [f"{name}@{point}" for name in AT_POINT]
    return [*names, "ece"]


def _forest(data: ReportData, rows: list[Row], number: int) -> Component:
    """AUROC and sensitivity of every group on every cohort, with counts."""
    points = data.evaluation.operating_points[:1]
    names = [HEADLINE, *(f"sensitivity@{point}" for point in points)]
    by_key = {(row["group"], row["cohort"], row["metric"]): row for row in rows}
    names = [name for name in names if any(key[2] == name for key in by_key)]
    labels: list[str] = []
    values: list[Row] = []
    counts = _counts(data, rows[0]["attribute"], "num_cases")
    for group in dict.fromkeys(row["group"] for row in rows):
        for cohort in data.cohorts:
            metrics = [by_key.get((group, cohort, name)) for name in names]
            first = next((row for row in metrics if row is not None), None)
            if first is None:
                continue
            suffix = f", {cohort}" if len(data.cohorts) > 1 else ""
            label = f"{group}{suffix} ({counts[first['attribute'], group, cohort]})"
            labels.append(label)
            for name, row in zip(names, metrics, strict=True):
                if row is not None:
                    values.append(
                        {
                            "row": label,
                            "cohort": cohort,
                            "panel": metric_title(name),
                            "value": row["value"],
                            "low": row["low"],
                            "high": row["high"],
                            "note": short_reason(row["reason"]) if row["value"] is None else None,
                        }
                    )
    axis = auroc_axis("", values)
    spec = figures.intervals(
        values,
        Axis("", axis.domain),
        rows=labels,
        cohorts=data.cohorts,
        panels=[metric_title(name) for name in names],
        dodge=False,
    )
    minimum = data.evaluation.minimum_group
    caption = (
        f"{data.best}. Numbers of cases in brackets. Bars: 95% intervals over patients. "
        f"Groups with fewer than {minimum} cases are shown as counts only; a metric of positive or "
        "negative cases needs as many of these. Counts below that are printed as "
        f"<{minimum}, others as ≥{minimum} where a difference would give one away."
    )
    return figure(f"groups-{number}", spec, caption)


def _group_table(data: ReportData, rows: list[Row]) -> ReportTable:
    cells = Cells()
    by_key = {(row["cohort"], row["group"], row["metric"]): row for row in rows}
    names = [
        name
        for name in _main_metrics(data)
        if not name.startswith(ODDS) and any(key[2] == name for key in by_key)
    ]
    lines: list[list[str]] = []
    attribute = rows[0]["attribute"]
    counts = [_counts(data, attribute, column) for column in ("num_cases", "num_patients")]
    for group in dict.fromkeys(row["group"] for row in rows):
        for cohort in data.cohorts:
            metrics = [by_key.get((cohort, group, name)) for name in names]
            first = next((row for row in metrics if row is not None), None)
            if first is None:
                continue
            texts = [cells(row, digits_of(n)) for row, n in zip(metrics, names, strict=True)]
            key = first["attribute"], group, cohort
            lines.append([group, cohort, *(texts_of[key] for texts_of in counts), *texts])
    head = ["Group", "Cohort", "Cases", "Patients", *(metric_title(name) for name in names)]
    numeric = frozenset(range(2, len(head)))
    return without_empty_columns(ReportTable(head, lines, "Groups.", numeric, cells.notes))


def _gap_table(
    data: ReportData, rung: str, attribute: str, metrics: Sequence[str] | None = None
) -> ReportTable:
    """Gaps between the groups, in some metrics or in all."""
    cells = Cells()
    lines: list[list[str]] = []
    for cohort in data.cohorts:
        gaps = _gaps(data, rung, cohort, attribute)
        names = dict.fromkeys(
            name.removesuffix(GAP) for name in gaps if name.endswith(GAP) or name.startswith(ODDS)
        )
        for name in (n for n in names if metrics is None or n in metrics):
            row = gaps.get(name if name.startswith(ODDS) else name + GAP)
            digits = digits_of(name)
            p = gaps.get(name + GAP_P) or {}
            lines.append(
                [
                    metric_title(name),
                    cohort,
                    cells(gaps.get(name + WORST), digits),
                    cells(row, digits),
                    p_cell(p.get("value")),
                    cells(gaps.get(name + RATIO)),
                ]
            )
    head = ["Metric", "Cohort", "Worst group", "Gap", "p", "Smallest / largest"]
    means = ""
    if data.seeds > 1:
        means = " Gaps are of the groups' means over seeds; intervals and p contain the seeds."
    caption = f"Gaps between groups, {rung}.{means}"
    return ReportTable(head, lines, caption, frozenset(range(2, 6)), cells.notes)
