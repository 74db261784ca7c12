"""Shift: how it holds at another hospital, with what was fitted at home carried there."""

from dataclasses import replace
from typing import cast

import numpy as np
import polars as pl
from scipy.special import expit, logit

from medtransfer.evaluation.comparison.scaling import ROBUSTNESS
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.report import figures
from medtransfer.report.components import Answer, Component, Fold, Heading, Section, Table, narrow
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import Axis, area_axis, figure
from medtransfer.report.text import (
    Cells,
    digits_of,
    fixed,
    interval_text,
    judged,
    percent,
    point_words,
    signed,
)
from medtransfer.statistics.robustness import EPSILON, effective_robustness
from medtransfer.tables.results import ALL

QUESTION = "Shift: how does it hold at another hospital?"
LISTED = 3
"""Shifted cohorts that the answer names."""
CARRIED = {
    "prevalence": "Prevalence",
    "predicted_prevalence": "Called positive",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "ppv_adjusted": "PPV at tune's prevalence",
    "threshold_drift": "Threshold drift",
}
"""Metrics of a carried threshold to their column's title."""


def section(content: ReportData) -> Section:
    """The answer, the scatter, drops, carried thresholds, and what re-training gives back."""
    found = answer(content)
    parts: list[Component] = []
    if found.studied:
        parts += [*_scatter(content), _drops(content), *_carried(content)]
    parts += _retraining(content)
    return Section("shift", "Shift", found.sentence, parts, found)


def answer(content: ReportData) -> Answer:
    """The card: what the numbers say in words that match their intervals."""
    if not content.shifted:
        why = (
            "no cohort is known to be the one trained on (no case is in the split tune)"
            if content.internal_name is None
            else "all cohorts with test cases were trained on"
        )
        return Answer(QUESTION, f"Not studied: {why}.", studied=False)
    named = content.shifted[:LISTED]
    said = f"{content.best} reaches AUROC {'; '.join(_at(content, cohort) for cohort in named)}."
    more = len(content.shifted) - LISTED
    if more > 0:
        said += f" {more} more {'cohort is' if more == 1 else 'cohorts are'} below."
    return Answer(QUESTION, f"{said} {_against_reference(content, named)}".rstrip())


def _at(content: ReportData, cohort: str) -> str:
    """The AUROC of the best rung at a cohort, and what was lost."""
    value = content.number(content.best, cohort, HEADLINE)
    drop = content.number(content.best, cohort, f"{HEADLINE}_drop")
    text = f"{interval_text(value)} at {cohort}"
    if drop is None or drop["value"] is None or drop["low"] is None:
        return text
    if drop["low"] > 0:
        return f"{text}, {interval_text(drop)} below {content.inside}"
    if drop["high"] < 0:
        turned = {"value": -drop["value"], "low": -drop["high"], "high": -drop["low"]}
        return f"{text}, {interval_text(turned)} above {content.inside}"
    return f"{text}, no drop from {content.inside} shown ({interval_text(drop)})"


def _against_reference(content: ReportData, cohorts: list[str]) -> str:
    """Where the best rung is better than the reference, where worse, where neither is shown."""
    found: dict[str, list[str]] = {}
    for cohort in cohorts:
        row = content.comparison(content.best, cohort)
        if row is not None and row["low"] is not None:
            ends = f"{signed(row['difference'])} [{fixed(row['low'])}, {fixed(row['high'])}]"
            found.setdefault(judged(row), []).append(f"{cohort} ({ends})")
    reference = content.reference
    said = [
        f"{word} than {reference} at {', '.join(found[word])}"
        for word in ("better", "worse")
        if word in found
    ]
    text = f"It is {' and '.join(said)}." if said else ""
    if "not shown" in found:
        where = ", ".join(found["not shown"])
        text += f" No difference from {reference} could be shown at {where}."
    return text.strip()


def _scatter(content: ReportData) -> list[Component]:
    rows = content.overall(HEADLINE).filter(pl.col("value").is_not_null())
    inside = rows.filter(pl.col("cohort") == content.internal_name)
    outside = rows.filter(pl.col("cohort").is_in(content.shifted))
    both = outside.join(inside, on=["rung", "label_fraction"], suffix="_in")
    if both.is_empty():
        return []
    values = [
        {
            "rung": row["rung"],
            "cohort": row["cohort"],
            "x": row["value_in"],
            "x_low": row["low_in"],
            "x_high": row["high_in"],
            "y": row["value"],
            "low": row["low"],
            "high": row["high"],
        }
        for row in both.to_dicts()
    ]
    x = area_axis(f"AUROC on {content.place}", rows.to_dicts())
    y = Axis("AUROC on the shifted cohort", x.domain)
    trend = _trends(content, x)
    spec = figures.scatter(values, x, y, places=content.places, shapes=content.rungs, trend=trend)
    reading = (
        "Each mark is a rung at one share of the labels. On the dashed line nothing is lost at "
        "the other hospital; the further below, the more."
    )
    if trend:
        reading += " The thin lines run through all runs: effective robustness is the height above."
    return [figure("shift", spec, reading)]


def _trends(content: ReportData, x: Axis) -> list[Row]:
    """The line that effective robustness is measured from, of each shifted cohort."""
    runs = content.results.filter(
        pl.col("run_id").is_not_null(),
        pl.col("metric") == HEADLINE,
        pl.col("target") == content.target,
        pl.col("attribute") == ALL,
        pl.col("retrain_fraction").is_null(),
        pl.col("value").is_not_null(),
    )
    inside = runs.filter(pl.col("cohort") == content.internal_name)
    points: list[Row] = []
    for cohort in content.shifted:
        both = runs.filter(pl.col("cohort") == cohort).join(inside, on="run_id", suffix="_in")
        if both.is_empty():
            continue
        inner, outer = (both[name].to_numpy()[:, None] for name in ("value_in", "value"))
        line = effective_robustness(inner, outer, np.zeros(len(both), dtype=np.int64))
        if not np.isfinite(line.slope[0]):
            continue
        low, high = cast("tuple[float, float]", (both["value_in"].min(), both["value_in"].max()))
        grid = np.linspace(max(low, x.domain[0]), min(high, x.domain[1]), 25)
        risen = logit(np.clip(grid, EPSILON, 1 - EPSILON)) * line.slope[0] + line.intercept[0]
        points += [
            {"cohort": cohort, "x": float(a), "y": float(b)}
            for a, b in zip(grid, np.asarray(expit(risen), dtype=np.float64), strict=True)
        ]
    return points


def _drops(content: ReportData) -> Table:
    cells = Cells()
    names = (HEADLINE, f"{HEADLINE}_drop", HEADLINE + ROBUSTNESS, "auprc", "auprc_adjusted")
    digits = (3, 3, 3, 2, 2)
    rows = [
        [
            rung,
            place,
            *(cells(content.number(rung, place, n), d) for n, d in zip(names, digits, strict=True)),
        ]
        for rung in content.rungs
        for place in content.shifted
    ]
    head = [
        "Rung",
        "Shifted cohort",
        "AUROC there",
        "Drop",
        "Effective robustness",
        "AUPRC there",
        "AUPRC at tune's prevalence",
    ]
    caption = f"Drop: AUROC of {content.inside} minus AUROC there; above 0 is a loss."
    numeric = frozenset(range(2, len(head)))
    table = narrow(Table(head, rows, caption, numeric, cells.notes))
    if head[4] not in table.head:
        return table
    explained = f"{caption} {head[4]}: AUROC there minus what the line through all runs predicts."
    return replace(table, caption=explained)


def _carried(content: ReportData) -> list[Component]:
    """What a threshold that was fixed on tune does in every cohort."""
    tables: list[Component] = []
    for point in content.evaluation.operating_points:
        cells = Cells()
        names = {
            name if name == "prevalence" else f"{name}@{point}": title
            for name, title in CARRIED.items()
            if name != "prevalence" or content.task != "single-label"
        }
        rows = [
            [
                rung,
                place,
                *(cells(content.number(rung, place, name), digits_of(name)) for name in names),
            ]
            for rung in content.shown
            for place in content.places
        ]
        head = ["Rung", "Cohort", *names.values()]
        caption = (
            f"The threshold of {point_words(point)} ({point}), carried unchanged. Drift: how much "
            "higher the threshold would be if it were fixed on the cohort itself."
        )
        numeric = frozenset(range(2, len(head)))
        table = narrow(Table(head, rows, caption, numeric, cells.notes))
        tables.append(
            table if not tables else Fold(f"The threshold of {point_words(point)}", [table])
        )
    return [Heading("Carried thresholds"), *tables] if tables else []


def _retraining(content: ReportData) -> list[Component]:
    """AUROC over the share of the shifted cohort's own cases that were trained on again."""
    points = content.curve("retrain")
    if points.is_empty() or points["x"].n_unique() < 2:
        return []
    values = [
        {**row, "panel": row["rung"]}
        for row in points.select("rung", "cohort", "x", "y", "low", "high").to_dicts()
    ]
    shares = sorted(set(points["x"].to_list()))
    x = Axis("share of the cohort's own cases", (0.0, shares[-1]), "sqrt", shares, percent=True)
    spec = figures.curves(
        values,
        x,
        area_axis("AUROC", values),
        places=content.places,
        panels=[rung for rung in content.rungs if rung in set(points["rung"])],
        points=True,
    )
    caption = (
        "From left to right more of the shifted cohort's own cases are trained on again; at 0 "
        "none. All shares are tested on the same patients. Bands are 95 % intervals over patients."
    )
    rows = [
        [
            row["rung"],
            row["cohort"],
            percent(row["x"]),
            interval_text({**row, "value": row["y"]}, 3),
        ]
        for row in points.sort("rung", "cohort", "x").to_dicts()
    ]
    table = Table(["Rung", "Cohort", "Share", "AUROC"], rows, "", frozenset({2, 3}))
    return [
        Heading("After training again on some of its cases"),
        figure("retrain", spec, caption),
        Fold("The numbers", [table]),
    ]
