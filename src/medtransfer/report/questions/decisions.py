"""Decision curves: net benefit of acting on the network's probabilities."""

from collections.abc import Mapping

import polars as pl

from medtransfer.evaluation.comparison.cells.run_lines import NONE, TREAT_ALL
from medtransfer.metrics.decisions import risk_of
from medtransfer.report import figures
from medtransfer.report.components import (
    Component,
    Fold,
    Heading,
    ReportTable,
    without_empty_columns,
)
from medtransfer.report.content import POINT_COLUMNS, ReportData, Row
from medtransfer.report.figures import Axis, figure
from medtransfer.report.small_counts import group_counts
from medtransfer.report.text import Cells, interval_text
from medtransfer.tables.results import ALL

EVERYONE = "treat all"
"""Name of the strategy of acting on every case."""
COLUMNS = {
    "net_benefit_all": "Treat all",
    "net_benefit": "Net benefit",
    "interventions_avoided": "Avoided per 100",
}
"""Metric at a decision threshold to its column's title."""
FURTHER = {
    "net_benefit_standardized": "Standardised",
    "net_benefit_adjusted": "At tuning prevalence",
    "net_benefit_platt": "After Platt scaling",
}
"""The same in a table of its own."""


def decision_curves(data: ReportData) -> list[Component]:
    """The curve, its numbers at the stated thresholds, and the same by group."""
    if not data.evaluation.risks:
        return []
    table = _thresholds(data)
    if not table.rows:
        return []
    return [Heading("Net benefit"), *_curve(data), table, *_further(data), *_by_group(data)]


def _curve(data: ReportData) -> list[Component]:
    points = data.curve("decision", data.shown_rungs)
    if points.is_empty():
        return []
    own = points.filter(pl.col("series") == NONE).with_columns(dash=pl.col("rung"))
    everyone = points.filter(
        (pl.col("series") == TREAT_ALL) & (pl.col("rung") == data.best)
    ).with_columns(dash=pl.lit(EVERYONE), low=None, high=None)
    both = pl.concat([own, everyone], how="vertical_relaxed").select(*POINT_COLUMNS, "dash")
    values = [{**row, "panel": row["cohort"]} for row in both.to_dicts()]
    thresholds = data.evaluation.decision_thresholds
    heights = [float(row["y"]) for row in own.to_dicts()]
    top = max(0.01, *heights, *everyone["y"].to_list())
    bottom = min(-0.15 * top, *heights)
    domain = (thresholds[0], thresholds[-1])
    if domain[0] == domain[1]:
        return []
    spec = figures.curves(
        values,
        Axis("threshold probability from which one would act", domain, percent=True),
        Axis("net benefit", (max(bottom, -0.5 * top), 1.05 * top)),
        cohorts=data.cohorts,
        panels=[cohort for cohort in data.cohorts if cohort in set(both["cohort"])],
        dashes=[*data.shown_rungs, EVERYONE],
        dash_title="strategy",
        diagonal=(0.0, 0.0),
    )
    caption = (
        f"Net benefit: true positives less false positives at the threshold's odds, per case, over "
        f"the stated range of {domain[0]:.0%} to {domain[1]:.0%}. Dashed line at 0: treat none. A "
        "network is worth using at a threshold where its curve is above both treating all and "
        "treating none. Bands: pointwise 95% intervals over patients."
    )
    return [figure("decision", spec, caption)]


def _thresholds(data: ReportData) -> ReportTable:
    """Net benefit of the best rung at every cohort and threshold, against the reference."""
    caption = (
        f"{data.best}. Avoided: interventions avoided compared with treating all, net of missed "
        "cases."
    )
    return _table(data, COLUMNS, caption, with_difference=len(data.rungs) > 1)


def _further(data: ReportData) -> list[Component]:
    """Standardised net benefit, and net benefit at another prevalence and after scaling."""
    caption = (
        f"{data.best}. Standardised: share of the largest possible net benefit, which is the "
        "prevalence. At tuning prevalence: with the cohort's sensitivity and specificity."
    )
    table = _table(data, FURTHER, caption, with_difference=False)
    return [Fold("Net benefit, standardised, adjusted and scaled", [table])] if table.rows else []


def _table(
    data: ReportData, columns: Mapping[str, str], caption: str, *, with_difference: bool
) -> ReportTable:
    """A row per cohort and decision threshold of the best rung, a column per metric."""
    cells = Cells()
    rows: list[list[str]] = []
    for cohort in data.cohorts:
        for risk in data.evaluation.risks:
            by_name = {
                name: data.result_row(data.best, cohort, f"{name}@{risk}") for name in columns
            }
            if all(row is None for row in by_name.values()):
                continue
            texts = [cells(row, _digits(name)) for name, row in by_name.items()]
            difference = [_difference(data, cohort, risk)] if with_difference else []
            rows.append([cohort, f"{100 * risk_of(risk):g}%", *texts, *difference])
    head = ["Cohort", "Threshold", *columns.values()]
    head += [f"Against {data.reference}"] if with_difference else []
    return without_empty_columns(
        ReportTable(head, rows, caption, frozenset(range(1, len(head))), cells.notes)
    )


def _difference(data: ReportData, cohort: str, risk: str) -> str:
    """Paired difference in net benefit from the reference rung."""
    row = data.comparison_row(data.best, cohort, f"net_benefit@{risk}")
    if row is None or row["difference"] is None:
        return "–"
    return interval_text({**row, "value": row["difference"]}, 3)


def _digits(name: str) -> int:
    return 1 if name == "interventions_avoided" else 3


def _by_group(data: ReportData) -> list[Component]:
    """Net benefit in each group at the stated thresholds."""
    target = data.target_of("net_benefit@" + data.evaluation.risks[0])
    metrics = [f"{name}@{risk}" for risk in data.evaluation.risks for name in COLUMNS]
    rows = data.run_means.filter(
        (pl.col("rung") == data.best)
        & (pl.col("attribute") != ALL)
        & (pl.col("target") == target)
        & pl.col("metric").is_in(metrics)
    )
    if rows.is_empty():
        return []
    cells = Cells()
    by_place: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in rows.to_dicts():
        name, _, risk = str(row["metric"]).partition("@")
        place = (row["attribute"], row["group"], row["cohort"], risk)
        by_place.setdefault(place, {})[name] = row
    counts = group_counts(rows.to_dicts(), "num_cases", data.evaluation.minimum_group)
    lines = [
        [
            *place[:3],
            f"{100 * risk_of(place[3]):g}%",
            counts[place[:3]],
            *(cells(by_name.get(name), _digits(name)) for name in COLUMNS),
        ]
        for place, by_name in by_place.items()
    ]
    head = ["Attribute", "Group", "Cohort", "Threshold", "Cases", *COLUMNS.values()]
    caption = f"{data.best}, at the prevalence of each group."
    table = ReportTable(head, lines, caption, frozenset(range(3, len(head))), cells.notes)
    return [Fold("Net benefit by group", [table])]
