"""Prediction sets: coverage against the promised one, size, and both by group."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from medtransfer.evaluation.scoring.coverage import EXPECTED
from medtransfer.evaluation.scoring.tune_fit import SHIFTED
from medtransfer.metrics.ensembles import METHODS, SET_COVERAGE
from medtransfer.posthoc.coverage_law import coverage_verdict
from medtransfer.report import figures
from medtransfer.report.components import Component, Fold, Heading, ReportTable
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import Axis, figure
from medtransfer.report.questions.metric_tables import metric_table
from medtransfer.report.small_counts import group_counts
from medtransfer.report.text import Cells, fixed, joined
from medtransfer.tables.results import ALL


def coverage_sentence(data: ReportData, cohorts: Sequence[str]) -> str:
    """Coverage and size of the best rung's sets on cohorts, judged by the law of the coverage."""
    coverages = [text for cohort in cohorts if (text := _coverage_text(data, cohort))]
    if not coverages:
        return ""
    return f"Its {SET_COVERAGE:.0%} prediction sets contain the truth in {joined(coverages)}."


def _coverage_text(data: ReportData, cohort: str) -> str:
    """``91% [88%, 94%] of cases on north (mean size 1.2 of 2; 88% to 95% expected: …)``."""
    row = data.result_row(data.best, cohort, "coverage_split")
    size = data.result_row(data.best, cohort, "set_size_split")
    if row is None or row["value"] is None or size is None or size["value"] is None:
        return ""
    ends = "" if row["low"] is None else f" [{row['low']:.0%}, {row['high']:.0%}]"
    answers = len(data.targets) if data.task == "single-label" else 2
    facts = f"mean size {fixed(size['value'], 1)} of {answers} answers"
    expected = _expected(data, cohort, "split")
    if expected is not None:
        verdict = coverage_verdict(row["value"], expected["low"], expected["high"])
        facts += f"; {verdict}: {_range_text(expected)} is expected with this tuning split"
    return f"{row['value']:.0%}{ends} of cases on {cohort} ({facts})"


def _expected(data: ReportData, cohort: str, method: str) -> Row | None:
    """Coverage to expect of a method if the cohort's cases are like the tuning cases."""
    rows = data.run_mean_rows(
        data.best,
        f"coverage_{method}{EXPECTED}",
        cohort=cohort,
        target=data.target_of(f"coverage_{method}"),
        attribute=ALL,
    )
    return rows[0] if rows and rows[0]["low"] is not None else None


def _range_text(row: Row) -> str:
    """``88% to 95%``."""
    return f"{row['low']:.0%} to {row['high']:.0%}"


def prediction_sets(data: ReportData) -> list[Component]:
    """Coverage and size of conformal prediction sets, by cohort and by group."""
    values = [
        {
            "row": METHODS[method][0],
            "cohort": cohort,
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
        }
        for method in METHODS
        for cohort in data.cohorts
        if (row := data.result_row(data.best, cohort, f"coverage_{method}")) is not None
        and row["value"] is not None
    ]
    if not values:
        return []
    rows = list(dict.fromkeys(str(value["row"]) for value in values))
    lowest = min(float(value["low"] or value["value"]) for value in values)
    title = "coverage: fraction of sets with the true class"
    axis = Axis(title, (min(0.7, int(lowest * 20) / 20), 1.0), percent=True)
    spec = figures.intervals(values, axis, rows=rows, cohorts=data.cohorts, line=SET_COVERAGE)
    caption = (
        f"{data.best}. Dashed line: the intended {SET_COVERAGE:.0%}. It holds for cases like those "
        "of the tuning split and can be lost at another hospital."
    )
    names = tuple(
        f"{metric}_{method}"
        for method in METHODS
        if method != "group"
        for metric in ("coverage", "set_size")
    )
    table = metric_table(data, names, "Coverage and mean size of prediction sets.")
    table = replace(table, head=[_set_title(title) for title in table.head])
    verdicts = _verdicts(data)
    # the verdicts show coverage and size of the best rung
    tables = [*verdicts, Fold("Prediction sets, all rungs", [table])] if verdicts else [table]
    return [Heading("Prediction sets"), figure("sets", spec, caption), *tables, *_by_group(data)]


def _verdicts(data: ReportData) -> list[Component]:
    """Coverage of every method against the range to expect from its tuning cases."""
    cells = Cells()
    lines: list[list[str]] = []
    for method in METHODS:
        for cohort in data.cohorts:
            row = data.result_row(data.best, cohort, f"coverage_{method}")
            expected = _expected(data, cohort, method)
            if row is None or row["value"] is None or (expected is None and method != SHIFTED):
                continue
            size = data.result_row(data.best, cohort, f"set_size_{method}")
            judged = _judged(row, expected)
            lines.append([METHODS[method][0], cohort, cells(row), cells(size), *judged])
    if not lines:
        return []
    head = ["Sets", "Cohort", "Coverage", "Size", "Expected", "Verdict"]
    caption = (
        f"{data.best}. Expected: range of the coverage in 95% of studies with as many tuning and "
        "test patients, if the cohort's cases are like the tuning cases. Sets for shifted "
        "frequencies suppose that only the frequency of the finding differs there, and estimate it "
        "from the answers of the network; they are not judged."
    )
    return [ReportTable(head, lines, caption, frozenset({2, 3, 4}), cells.notes)]


def _judged(row: Row, expected: Row | None) -> tuple[str, str]:
    """Range that is expected of a coverage, and the verdict."""
    if expected is None:
        return "–", "not judged"
    return _range_text(expected), coverage_verdict(row["value"], expected["low"], expected["high"])


def _set_title(title: str) -> str:
    return title.replace(" conformal", "").replace(" of ", ", ", 1).replace("Set size", "Size")


def _by_group(data: ReportData) -> list[Component]:
    """Coverage in each group, of marginal and of group-conditional sets."""
    metrics = ("coverage_split", "set_size_split", "coverage_group", "set_size_group")
    target = data.target_of("coverage_split")
    rows = data.run_means.filter(
        (pl.col("rung") == data.best)
        & (pl.col("attribute") != ALL)
        & (pl.col("target") == target)
        & pl.col("metric").is_in(metrics)
    )
    if rows.is_empty():
        return []
    cells = Cells()
    by_group: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows.to_dicts():
        key = (row["attribute"], row["group"], row["cohort"])
        by_group.setdefault(key, {})[row["metric"]] = row
    counts = group_counts(rows.to_dicts(), "num_cases", data.evaluation.minimum_group)
    lines = [
        [
            *key,
            counts[key],
            *(cells(by_metric.get(metric)) for metric in metrics),
        ]
        for key, by_metric in by_group.items()
    ]
    head = [
        "Attribute",
        "Group",
        "Cohort",
        "Cases",
        "Coverage, marginal",
        "Size",
        "Coverage, group-conditional",
        "Size",
    ]
    caption = (
        f"{data.best}, intended coverage {SET_COVERAGE:.0%}. Marginal: sets fitted on all cases. "
        "Group-conditional: sets fitted on the group."
    )
    table = ReportTable(head, lines, caption, frozenset(range(3, len(head))), cells.notes)
    return [Fold("Prediction sets by group", [table])]
