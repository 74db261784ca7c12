"""The sections of a report, each opening with what it shows."""

from typing import Any

import polars as pl
from markupsafe import Markup

from medtransfer.evaluation.fairness import GAP, GAP_P, WORST
from medtransfer.evaluation.means import HEADLINE
from medtransfer.metrics.catalog import CATALOG, find_metric
from medtransfer.report import figures
from medtransfer.report.content import Content
from medtransfer.report.method import limits, method, runs
from medtransfer.report.parts import Figure, Part, Section, Table
from medtransfer.report.summary import best_rung, interval_text, p_text
from medtransfer.tables.results import ALL, CASE

DOTS = "Dots are means over seeds, bars 95 % intervals over patients"


def all_sections(content: Content) -> list[Section]:
    """Every section that the study gives cause for, in reading order."""
    sections = [
        _ladder(content),
        _shift(content),
        _labels(content),
        _fairness(content),
        _uncertainty(content),
        runs(content),
        method(content),
        limits(content),
    ]
    return [section for section in sections if section is not None]


def _figure(name: str, spec: figures.Spec | None, caption: str, title: str = "") -> list[Part]:
    if spec is None:
        return []
    # drawn by the chart library, which escapes the texts it sets
    svg = Markup(figures.static_svg(spec))  # noqa: S704
    return [Figure(name, spec, svg, caption, title)]


def _ladder(content: Content) -> Section:
    caption = (
        f"{DOTS}; rungs from the smallest pre-training at the top. Intervals that overlap may "
        "still belong to different rungs: the paired differences below decide. The dashed line is "
        f"{content.study.reference_rung} on {content.places[0]}."
    )
    head = ["Rung", "Pre-training", "Parameters"]
    head += [f"AUROC, {place}" for place in content.places]
    head += [f"Difference, {place}" for place in content.places] + ["p (Holm)", "Minutes a run"]
    rows = [_ladder_row(content, rung.name) for rung in content.rungs]
    table = Table(
        head, rows,
        f"At {content.full:.0%} of the training labels. Differences from "
        f"{content.study.reference_rung} are paired: the same patients resampled for both. "
        f"p is for {content.places[0]}.",
        frozenset(range(2, len(head))),
    )  # fmt: skip
    parts = [*_figure("ladder", figures.ladder(content), caption), table]
    return Section("ladder", "Ladder", "", [*parts, *_all_metrics(content)])


def _ladder_row(content: Content, rung: str) -> list[str]:
    facts = next(r for r in content.rungs if r.name == rung)
    images = f" ({facts.images / 1e6:.1f} M images)" if facts.images else ""
    parameters = facts.architecture.parameters
    row = [
        rung,
        facts.pretraining + images,
        f"{parameters / 1e6:.1f} M" if parameters else "–",
        *(interval_text(content.number(rung, place, HEADLINE)) for place in content.places),
    ]
    for place in content.places:
        row.append(interval_text(content.comparison(rung, place, HEADLINE), 3))
    first = content.comparison(rung, content.places[0], HEADLINE)
    row.append(p_text(first["p_holm"]).removeprefix("p = ").removeprefix("p ") if first else "–")
    times = content.runs.filter((pl.col("rung") == rung) & (pl.col("state") == "done"))["seconds"]
    mean = times.cast(pl.Float64).mean()
    return [*row, f"{mean / 60:.1f}" if isinstance(mean, float) else "–"]


def _all_metrics(content: Content) -> list[Part]:
    """One table per cohort: a row per metric, a column per rung."""
    found = content.means.filter(
        (pl.col("attribute") == ALL)
        & (pl.col("label_fraction") == content.full)
        & pl.col("target").is_in([content.target, CASE])
    )
    known = found["metric"].unique(maintain_order=True).to_list()
    named = [name for name in known if name in CATALOG or ("@" in name and "_drop" not in name)]
    head = ["Metric", *(rung.name for rung in content.rungs)]
    tables: list[Part] = []
    for place in content.places:
        rows = [
            [
                _metric_title(name),
                *(interval_text(content.number(r.name, place, name)) for r in content.rungs),
            ]
            for name in named
        ]
        numeric = frozenset(range(1, len(head)))
        tables.append(Table(head, rows, f"Every metric, {place}.", numeric))
    return tables


def _metric_title(name: str) -> str:
    metric = find_metric(name)
    return metric.title + (f" ({name.split('@')[1]})" if "@" in name else "")


def _shift(content: Content) -> Section | None:
    if not content.shifted:
        return None
    reading = (
        "Each mark is a rung at one label fraction. On the dashed line nothing is lost at the "
        "other hospital; the further below, the more."
    )
    rows: list[list[str]] = []
    for rung in content.rungs:
        for place in content.shifted:
            cells = [content.number(rung.name, place, f"{HEADLINE}{s}") for s in ("", "_drop")]
            rows.append([rung.name, place, *(interval_text(cell) for cell in cells)])
    head = ["Rung", "Shifted cohort", "AUROC there", "Drop"]
    caption = f"Drop: AUROC of {content.inside} minus AUROC there; above 0 is a loss."
    table = Table(head, rows, caption, frozenset({2, 3}))
    parts = [*_figure("shift", figures.shift(content), reading), table]
    return Section("shift", "Shift", "Thresholds and temperatures are carried unchanged.", parts)


def _labels(content: Content) -> Section | None:
    spec = figures.label_curve(content)
    if spec is None:
        return None
    caption = (
        "Bands are 95 % intervals over patients. The dashed line is the reference's AUROC with all "
        "labels: where a curve crosses it, the labels to the right are saved."
    )
    rows = [
        [row["rung"], row["cohort"], _saved_text(row), row["reason"] or ""]
        for row in content.overall("labels_saved").iter_rows(named=True)
    ]
    reference = content.study.reference_rung
    head = ["Rung", "Cohort", "Labels saved", "Note"]
    table = Table(head, rows, f"Against {reference} with all its labels.", frozenset({2}))
    lead = "Smaller label sets lie inside larger ones; the tuning split keeps all of its labels."
    parts = [*_figure("labels", spec, caption), table]
    return Section("labels", "Data efficiency", lead, parts)


def _saved_text(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "none"
    ends = ["–" if row[end] is None else f"{row[end]:.0%}" for end in ("low", "high")]
    least = "≥ " if str(row["reason"] or "").startswith("at least") else ""
    return f"{least}{row['value']:.0%} [{ends[0]}, {ends[1]}]"


def _fairness(content: Content) -> Section | None:
    parts: list[Part] = []
    for number, attribute in enumerate(content.attributes()):
        caption = f"{DOTS}. Groups of fewer than {content.study.evaluation.minimum_group} cases "
        caption += "are in the table as counts only."
        spec = figures.groups(content, attribute)
        parts += _figure(f"group-{number}", spec, caption, f"By {attribute}")
        parts += [_group_table(content, attribute), _gap_table(content, attribute)]
    if not parts:
        return None
    lead = (
        "A gap is the largest minus the smallest group value. Over noisy groups it is biased "
        "upward, so its p-value comes from dealing the groups out to patients anew."
    )
    return Section("fairness", "Fairness", lead, parts)


def _group_table(content: Content, attribute: str) -> Table:
    points = [f"sensitivity@{p}" for p in content.study.evaluation.operating_points]
    points += [f"specificity@{p}" for p in content.study.evaluation.operating_points]
    wanted = [HEADLINE, *points, "ece"]
    best = best_rung(content)
    found = content.means.filter(
        (pl.col("attribute") == attribute)
        & (pl.col("label_fraction") == content.full)
        & (pl.col("rung") == best)
    )
    named = [name for name in wanted if name in found["metric"].to_list()]
    rows: list[list[str]] = []
    for (cohort, group), cells in found.group_by("cohort", "group", maintain_order=True):
        by_name = {row["metric"]: row for row in cells.iter_rows(named=True)}
        first = by_name[HEADLINE]
        counts = [f"{first['num_cases']:,}", f"{first['num_patients']:,}"]
        texts = [interval_text(by_name.get(name)) for name in named]
        rows.append([str(cohort), str(group), *counts, *texts])
    head = ["Cohort", "Group", "Cases", "Patients", *(_metric_title(name) for name in named)]
    return Table(head, rows, f"{best}, by {attribute}.", frozenset(range(2, len(head))))


def _gap_table(content: Content, attribute: str) -> Table:
    found = content.results.filter(
        (pl.col("attribute") == attribute)
        & pl.col("seed").is_not_null()
        & (pl.col("label_fraction") == content.full)
    )
    rows: list[list[str]] = []
    for (rung, seed, cohort), cells in found.group_by(
        "rung", "seed", "cohort", maintain_order=True
    ):
        by_name = {row["metric"]: row for row in cells.iter_rows(named=True)}
        if HEADLINE + GAP not in by_name:
            continue
        p = by_name[HEADLINE + GAP_P]["value"]
        rows.append(
            [
                str(rung),
                str(seed),
                str(cohort),
                interval_text(by_name[HEADLINE + WORST]),
                interval_text(by_name[HEADLINE + GAP]),
                p_text(p).removeprefix("p = ").removeprefix("p ") or "–",
            ]
        )
    head = ["Rung", "Seed", "Cohort", "Worst group's AUROC", "Gap", "p of no gap"]
    return Table(head, rows, f"Gap in AUROC by {attribute}.", frozenset({1, 3, 4, 5}))


def _uncertainty(content: Content) -> Section:
    parts: list[Part] = []
    caption = (
        "On the dashed line, of cases called 70 % likely 70 % are positive (for several classes: "
        "are rightly classed). The size of a dot is its number of cases; seeds are pooled."
    )
    for number, rung in enumerate(content.rungs):
        spec = figures.calibration(content, rung.name)
        parts += _figure(f"calibration-{number}", spec, caption if not number else "", rung.name)
    lead = "Temperatures are fitted on the tuning split and carried unchanged to every cohort."
    return Section("uncertainty", "Uncertainty", lead, parts)
