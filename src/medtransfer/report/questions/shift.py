"""Shift: performance on cohorts that were not trained on."""

from dataclasses import replace
from typing import cast

import numpy as np
import polars as pl
from scipy.special import expit, logit

from medtransfer.errors import plural
from medtransfer.evaluation.comparison.scaling import ROBUSTNESS
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.language.translation import translate
from medtransfer.report import figures
from medtransfer.report.beside.adaptation import adaptation_passage
from medtransfer.report.beside.corruptions import corruptions_passage
from medtransfer.report.beside.hospital_matrix import left_out_passage
from medtransfer.report.components import (
    Answer,
    Component,
    Fold,
    Heading,
    ReportTable,
    Section,
    without_empty_columns,
)
from medtransfer.report.content import POINT_COLUMNS, ReportData, Row
from medtransfer.report.figures import Axis, auroc_axis, figure
from medtransfer.report.text import (
    NOT_STUDIED,
    Cells,
    Outcome,
    detectable,
    detectable_text,
    digits_of,
    fixed,
    interval_text,
    joined,
    outcome,
    percent,
    point_words,
    signed,
)
from medtransfer.statistics.robustness import EPSILON, effective_robustness
from medtransfer.tables.results import ALL

QUESTION = "Shift: how well does it perform at another hospital?"
MAX_COHORTS = 3
"""Shifted cohorts that the answer names."""
AT_THRESHOLD = {
    "prevalence": "Prevalence",
    "predicted_prevalence": "Predicted positive",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "ppv_adjusted": "PPV at tuning prevalence",
    "threshold_drift": "Threshold drift",
}
"""Metric at a fixed threshold to its column's title."""


def section(data: ReportData) -> Section:
    """The answer, the scatter plot, drops, fixed thresholds, and the gain by retraining."""
    card = answer(data)
    parts: list[Component] = []
    if card.studied:
        parts += [*_scatter(data), _drops(data), *left_out_passage(data), *_thresholds(data)]
    parts += [*_retraining(data), *adaptation_passage(data), *corruptions_passage(data)]
    return Section("shift", "Shift", card.sentence, parts, card)


def answer(data: ReportData) -> Answer:
    """The card: the result in words that match its interval."""
    if not data.shifted:
        why = (
            translate("the training cohort is unknown (no case is in the split tune).")
            if data.internal_name is None
            else translate("all cohorts with test cases were trained on.")
        )
        return Answer(QUESTION, translate(NOT_STUDIED, why=why), studied=False)
    cohorts = data.shifted[:MAX_COHORTS]
    values = "; ".join(_auroc_and_drop(data, cohort) for cohort in cohorts)
    sentence = f"{data.best} reaches AUROC {values}."
    more = len(data.shifted) - MAX_COHORTS
    if more > 0:
        sentence += f" See below for {plural(more, 'more cohort')}."
    parts = [sentence, *(missed_and_called(data, cohort) for cohort in cohorts)]
    parts.append(_against_reference(data, cohorts))
    return Answer(QUESTION, " ".join(part for part in parts if part))


def missed_and_called(data: ReportData, cohort: str) -> str:
    """Cases missed and called at the carried threshold, of 100 each; empty without a threshold."""
    points = data.evaluation.operating_points
    if not points:
        return ""
    parts: list[str] = []
    for metric, verb, group in (
        ("sensitivity", "missed", "cases with the finding"),
        ("specificity", "called positive", "without it"),
    ):
        row = data.result_row(data.best, cohort, f"{metric}@{points[0]}")
        if row is None or row["value"] is None:
            continue
        rate = 100 * (1 - row["value"])
        ends = ""
        if row["low"] is not None and row["high"] is not None:
            ends = f" [{100 * (1 - row['high']):.0f}, {100 * (1 - row['low']):.0f}]"
        parts.append(f"of 100 {group}, {rate:.0f}{ends} are {verb}")
    if not parts:
        return ""
    mean = ", mean over targets" if len(data.targets) > 1 else ""
    return f"On {cohort}, at the tuning threshold ({points[0]}{mean}): {'; '.join(parts)}."


def _auroc_and_drop(data: ReportData, cohort: str) -> str:
    """AUROC of the best rung on a cohort, and the drop to it."""
    auroc = data.result_row(data.best, cohort, HEADLINE)
    drop = data.result_row(data.best, cohort, f"{HEADLINE}_drop")
    text = f"{interval_text(auroc)} on {cohort}"
    if drop is None or drop["value"] is None or drop["low"] is None:
        return text
    if drop["low"] > 0:
        return f"{text}, {interval_text(drop)} below {data.drop_baseline}"
    if drop["high"] < 0:
        gain = {"value": -drop["value"], "low": -drop["high"], "high": -drop["low"]}
        return f"{text}, {interval_text(gain)} above {data.drop_baseline}"
    amount = f"{interval_text(drop)}{detectable_text('drop', detectable(drop))}"
    return f"{text}, no significant drop from {data.drop_baseline} ({amount})"


def _against_reference(data: ReportData, cohorts: list[str]) -> str:
    """Cohorts where the best rung is better than the reference, worse, or neither."""
    by_outcome: dict[Outcome, list[str]] = {}
    for cohort in cohorts:
        row = data.comparison_row(data.best, cohort)
        if row is not None and row["low"] is not None:
            interval = f"{signed(row['difference'])} [{fixed(row['low'])}, {fixed(row['high'])}]"
            verdict = outcome(row)
            if verdict == "not significant":
                interval += detectable_text("difference", row["detectable"])
            by_outcome.setdefault(verdict, []).append(f"{cohort} ({interval})")
    outcomes: tuple[Outcome, ...] = ("better", "worse")
    words = [
        f"{word} than {data.reference} on {joined(by_outcome[word])}"
        for word in outcomes
        if word in by_outcome
    ]
    one = data.seeds == 1
    subject = "This one trained model" if one else "It"
    sentence = f"{subject} is {' and '.join(words)}." if words else ""
    if unclear := by_outcome.get("not significant"):
        sentence += f" No significant difference from {data.reference} on {joined(unclear)}."
    return sentence.strip()


def _scatter(data: ReportData) -> list[Component]:
    rows = data.overall(HEADLINE).filter(pl.col("value").is_not_null())
    inside = rows.filter(pl.col("cohort") == data.internal_name)
    outside = rows.filter(pl.col("cohort").is_in(data.shifted))
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
    x = auroc_axis(f"AUROC on {data.main_cohort}", rows.to_dicts())
    y = Axis("AUROC on the shifted cohort", x.domain)
    trend = _trends(data, x)
    spec = figures.scatter(values, x, y, cohorts=data.cohorts, shapes=data.rungs, trend=trend)
    caption = (
        "Each mark is one rung at one label fraction. Dashed line: equal AUROC on both cohorts; "
        "marks below it lose performance on the shifted cohort."
    )
    if trend:
        caption += " Thin lines: fit over all runs; effective robustness is the height above."
    return [figure("shift", spec, caption)]


def _trends(data: ReportData, x: Axis) -> list[Row]:
    """Baseline of effective robustness on each shifted cohort."""
    runs = data.results.filter(
        pl.col("run_id").is_not_null()
        & (pl.col("metric") == HEADLINE)
        & (pl.col("target") == data.target)
        & (pl.col("attribute") == ALL)
        & pl.col("retrain_fraction").is_null()
        & pl.col("value").is_not_null()
    )
    inside = runs.filter(pl.col("cohort") == data.internal_name)
    points: list[Row] = []
    for cohort in data.shifted:
        both = runs.filter(pl.col("cohort") == cohort).join(inside, on="run_id", suffix="_in")
        if both.is_empty():
            continue
        inner, outer = (both[name].to_numpy()[:, None] for name in ("value_in", "value"))
        line = effective_robustness(inner, outer, np.zeros(len(both), dtype=np.int64))
        if not np.isfinite(line.slope[0]):
            continue
        low, high = cast("tuple[float, float]", (both["value_in"].min(), both["value_in"].max()))
        grid = np.linspace(max(low, x.domain[0]), min(high, x.domain[1]), 25)
        fit = logit(np.clip(grid, EPSILON, 1 - EPSILON)) * line.slope[0] + line.intercept[0]
        points += [
            {"cohort": cohort, "x": float(a), "y": float(b)}
            for a, b in zip(grid, np.asarray(expit(fit), dtype=np.float64), strict=True)
        ]
    return points


def _drops(data: ReportData) -> ReportTable:
    cells = Cells()
    names = (HEADLINE, f"{HEADLINE}_drop", HEADLINE + ROBUSTNESS, "auprc", "auprc_adjusted")
    digits = (3, 3, 3, 2, 2)
    rows = [
        [
            rung,
            cohort,
            *(
                cells(data.result_row(rung, cohort, n), d)
                for n, d in zip(names, digits, strict=True)
            ),
        ]
        for rung in data.rungs
        for cohort in data.shifted
    ]
    head = [
        "Rung",
        "Shifted cohort",
        "AUROC",
        "Drop",
        "Effective robustness",
        "AUPRC",
        "AUPRC at tuning prevalence",
    ]
    caption = (
        f"Drop: AUROC on {data.drop_baseline} minus AUROC on the shifted cohort; above 0 is a loss."
    )
    numeric = frozenset(range(2, len(head)))
    table = without_empty_columns(ReportTable(head, rows, caption, numeric, cells.notes))
    if head[4] not in table.head:
        return table
    baseline = "AUROC on the shifted cohort minus the value that the fit over all runs predicts"
    return replace(table, caption=f"{caption} {head[4]}: {baseline}.")


def _thresholds(data: ReportData) -> list[Component]:
    """Decisions in every cohort at the thresholds that were fixed on the tuning split."""
    tables: list[Component] = []
    for point in data.evaluation.operating_points:
        cells = Cells()
        names = {
            name if name == "prevalence" else f"{name}@{point}": title
            for name, title in AT_THRESHOLD.items()
            if name != "prevalence" or data.task != "single-label"
        }
        rows = [
            [
                rung,
                cohort,
                *(cells(data.result_row(rung, cohort, name), digits_of(name)) for name in names),
            ]
            for rung in data.shown_rungs
            for cohort in data.cohorts
        ]
        head = ["Rung", "Cohort", *names.values()]
        title = f"Threshold with {point_words(point)}"
        caption = f"{title} ({point}), applied unchanged to every cohort."
        numeric = frozenset(range(2, len(head)))
        table = without_empty_columns(ReportTable(head, rows, caption, numeric, cells.notes))
        if AT_THRESHOLD["threshold_drift"] in table.head:
            drift = "the threshold fixed on the cohort itself minus the applied one"
            table = replace(table, caption=f"{caption} Threshold drift: {drift}.")
        tables.append(table if not tables else Fold(title, [table]))
    return [Heading("Fixed thresholds"), *tables] if tables else []


def _retraining(data: ReportData) -> list[Component]:
    """AUROC over the fraction of the shifted cohort's cases that joined the training."""
    points = data.curve("retrain")
    if points.is_empty() or points["x"].n_unique() < 2:
        return []
    values = [
        {**row, "panel": row["rung"]} for row in points.select("rung", *POINT_COLUMNS).to_dicts()
    ]
    fractions = sorted(set(points["x"].to_list()))
    title = "fraction of the shifted cohort's cases in training"
    x = Axis(title, (0.0, fractions[-1]), "sqrt", fractions, percent=True)
    spec = figures.curves(
        values,
        x,
        auroc_axis("AUROC", values),
        cohorts=data.cohorts,
        panels=[rung for rung in data.rungs if rung in set(points["rung"])],
        points=True,
    )
    caption = (
        "From left to right, more of the shifted cohort's cases join the training data; at 0, "
        "none. All fractions are tested on the same patients. Bands: 95% intervals over patients."
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
    table = ReportTable(["Rung", "Cohort", "Fraction", "AUROC"], rows, "", frozenset({2, 3}))
    return [
        Heading("Retraining with cases of the shifted cohort"),
        figure("retrain", spec, caption),
        Fold("AUROC at every fraction", [table]),
    ]
