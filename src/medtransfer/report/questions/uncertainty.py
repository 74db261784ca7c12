"""Uncertainty: calibration, selective prediction, prediction sets and OOD detection."""

from dataclasses import replace

import polars as pl

from medtransfer.data.splits import OUTLIERS
from medtransfer.evaluation.scoring.ood import MEASURES
from medtransfer.metrics.calibration import CALIBRATORS
from medtransfer.posthoc.ood_detectors import DETECTORS
from medtransfer.report import figures
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
from medtransfer.report.content import POINT_COLUMNS, ReportData
from medtransfer.report.figures import Axis, figure
from medtransfer.report.questions.decisions import decision_curves
from medtransfer.report.questions.metric_tables import detailed_rungs, metric_table
from medtransfer.report.questions.prediction_sets import coverage_sentence, prediction_sets
from medtransfer.report.text import Cells, interval_text, joined, metric_title

QUESTION = "Uncertainty: can its probabilities be trusted?"
SERIES = {"none": "uncalibrated", "temperature": "after temperature scaling"}
"""Series of a reliability curve to its title."""
FLEXIBLE = "flexible calibration curve"
_BIN_ENDS = {"y": "bin", "low": "bin_low", "high": "bin_high"}
"""Columns of a bin's point to those of a dot that belongs to no line."""
BANDS = "Bands: pointwise 95% intervals over patients."
ERRORS = (
    "ece",
    "ece_scaled",
    "ici",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
)
SELECTIVE = (
    "aurc",
    "augrc",
    "accuracy_at_coverage80",
    "coverage_at_risk05",
    "auroc_at_coverage80",
    "auroc_oracle10",
    "calibration_auroc",
)
READ_BY_PEOPLE = 0.2
"""Share of the cases left to people in the caption's example."""
MAX_COHORTS = 2
"""Shifted cohorts that the answer names."""
DRAWN = ("vim", "mahalanobis", "knn", "energy", "max_probability", "max_logit")
"""Detectors in the order in which the first three of those scored are drawn."""


def section(data: ReportData) -> Section:
    """The answer; calibration, selective prediction, prediction sets, OOD detection."""
    card = answer(data)
    parts: list[Component] = [
        Note(
            "Temperatures, other calibrators, prediction sets and detector thresholds are fitted "
            "on the tuning split and applied unchanged to every cohort."
        ),
        *_calibration(data),
        *decision_curves(data),
        *_selective(data),
        *prediction_sets(data),
        *_ood(data),
    ]
    return Section("uncertainty", "Uncertainty", card.sentence, parts, card)


def answer(data: ReportData) -> Answer:
    """The card: the result in words that match its interval."""
    return Answer(QUESTION, _sentence(data))


def _sentence(data: ReportData) -> str:
    best, main = data.best, data.main_cohort
    before = data.result_row(best, main, "ece")
    if before is None or before["value"] is None:
        return f"The calibration error of {best} on {main} is unknown."
    sentence = f"On {main}, the calibration error (ECE) of {best} is {interval_text(before, 3)}"
    after = data.result_row(best, main, "ece_scaled")
    if after is not None and after["value"] is not None:
        sentence += f", and {interval_text(after, 3)} after temperature scaling"
    elsewhere = [
        f"{interval_text(row, 3)} on {cohort}"
        for cohort in _other_cohorts(data)
        if (row := data.result_row(best, cohort, "ece_scaled")) and row["value"] is not None
    ]
    if elsewhere:
        sentence += f"; with the same temperature it is {' and '.join(elsewhere)}"
    return f"{sentence}. {coverage_sentence(data, [main, *_other_cohorts(data)])}".rstrip()


def _other_cohorts(data: ReportData) -> list[str]:
    """The shifted cohorts that the answer names."""
    return [cohort for cohort in data.shifted if cohort != data.main_cohort][:MAX_COHORTS]


def _calibration(data: ReportData) -> list[Component]:
    parts: list[Component] = [Heading("Calibration")]
    charts = [(rung, chart) for rung in detailed_rungs(data) if (chart := _reliability(data, rung))]
    parts += [chart for rung, chart in charts if rung == data.best]
    others = [chart for rung, chart in charts if rung != data.best]
    caption = "Calibration errors."
    if data.task != "single-label":
        caption += " Slope below 1: overconfident. Intercept above 0: predicted risks too low."
    parts.append(metric_table(data, ERRORS, caption))
    if others:
        parts.append(Fold("Reliability diagrams of the other rungs", others))
    parts += _calibrators(data)
    return parts


def _reliability(data: ReportData, rung: str) -> Component | None:
    """Bins and flexible curves before and after temperature scaling, a colour per cohort."""
    bins = data.curve("reliability", [rung])
    if bins.is_empty():
        return None
    bins = bins.filter(pl.col("series").is_in(list(SERIES)))
    smooth = data.curve("calibration", [rung])
    values = [
        {**row, "panel": SERIES[row["series"]]}
        for row in bins.select(*POINT_COLUMNS, "series", "count").to_dicts()
    ]
    if not values:
        return None
    has_curve = not smooth.is_empty()
    if has_curve:
        values = [{_BIN_ENDS.get(name, name): cell for name, cell in row.items()} for row in values]
        values += [
            {**row, "panel": SERIES[row["series"]], "dash": FLEXIBLE}
            for row in smooth.select(*POINT_COLUMNS, "series").to_dicts()
        ]
    spec = figures.curves(
        values,
        Axis("predicted probability"),
        Axis("observed frequency"),
        cohorts=data.cohorts,
        panels=[title for name, title in SERIES.items() if name in set(bins["series"])],
        dashes=[FLEXIBLE] if has_curve else [],
        dash_title="line",
        diagonal=(0.0, 1.0),
        points=not has_curve,
        square=True,
    )
    caption = (
        "Dashed line: perfect calibration; of cases with a predicted probability of 70%, 70% are "
        "positive (with several classes: correctly classified). Dots: bins of equal width, larger "
        "with more cases. "
    )
    caption += _curve_sentences(data, rung) if has_curve else BANDS
    name = f"reliability-{data.rungs.index(rung)}"
    return figure(name, spec, caption if rung == data.best else "", f"Reliability, {rung}")


def _curve_sentences(data: ReportData, rung: str) -> str:
    """Sentences on the flexible curves: meaning, their index, and cohorts without one."""
    index = "whose mean distance from the dashed line, uncalibrated, is the ICI in the table"
    if data.task == "single-label":
        index = "of the most probable class (the ICI in the table is of each class)"
    elif len(data.targets) > 1:
        index = "of all targets together (the ICI in the table is the mean over targets)"
    sentences = (
        f"Solid line: flexible calibration curve, a local regression of the outcomes, {index}; it "
        f"is drawn over the range of probabilities that all seeds predict. {BANDS[:-1]}; bars: the "
        "same for the dots."
    )
    points = data.curve("calibration", [rung]).group_by("cohort", "series").len()
    drawn = set(points.filter(pl.col("len") > 1)["cohort"])
    for cohort in data.curve("reliability", [rung])["cohort"].unique(maintain_order=True):
        if cohort not in drawn:
            row = data.result_row(rung, cohort, "ici")
            narrow = "its probabilities span less than 1% in all seeds"
            reason = (row["reason"] if row else None) or narrow
            sentences += f" No curve for {cohort}: {reason}."
    return sentences


def _calibrators(data: ReportData) -> list[Component]:
    """Calibration after each calibrator."""
    endings = ["", *(f"_{ending}" for ending, *_ in CALIBRATORS.values())]
    titles = ["None", *(words[0].upper() + words[1:] for _, _, words, _ in CALIBRATORS.values())]
    tables: list[Component] = []
    for metric in ("nll", "brier", "ece"):
        names = tuple(metric + ending for ending in endings)
        table = metric_table(data, names, f"{metric_title(metric)} by calibrator.")
        by_title = dict(zip((metric_title(name) for name in names), titles, strict=True))
        tables.append(replace(table, head=[by_title.get(title, title) for title in table.head]))
    return [Fold("Comparison of calibrators", tables)]


def _selective(data: ReportData) -> list[Component]:
    """Risk over coverage, and its metrics."""
    parts: list[Component] = [Heading("Selective prediction")]
    points = data.curve("risk_coverage", data.shown_rungs)
    if not points.is_empty():
        values = [
            {**row, "panel": row["cohort"], "dash": row["rung"]}
            for row in points.select("rung", *POINT_COLUMNS).to_dicts()
        ]
        highest = max(float(row["high"] or row["y"]) for row in values if row["x"] >= 0.1)
        spec = figures.curves(
            values,
            Axis("answered by the network", percent=True, rest="left to people"),
            Axis("wrong, of those answered", (0.0, min(1.0, highest * 1.1)), percent=True),
            cohorts=data.cohorts,
            panels=[cohort for cohort in data.cohorts if cohort in set(points["cohort"])],
            dashes=data.shown_rungs,
        )
        caption = (
            "Risk over coverage. From right to left, more of the cases that the network is least "
            "certain of are left to people; the height is the share of wrong answers among the "
            "rest. A curve that falls in this direction shows that the confidence is informative. "
        )
        caption += _with_people(data.best, points)
        parts.append(figure("risk-coverage", spec, caption.rstrip()))
    caption = "Risk and coverage. Lower is better for AURC and AUGRC, higher for all others."
    parts.append(metric_table(data, SELECTIVE, caption))
    return parts


def _with_people(rung: str, points: pl.DataFrame) -> str:
    """Sentence on the errors of a rung if people read some of the cases."""
    of_rung = points.filter(pl.col("rung") == rung)
    numbers: list[str] = []
    for cohort in of_rung["cohort"].unique(maintain_order=True):
        at = of_rung.filter(pl.col("cohort") == cohort).sort("x")
        rest = at.filter((pl.col("x") - (1 - READ_BY_PEOPLE)).abs() < 1e-9)["y"].to_list()
        every = at.filter(pl.col("x") == 1)["y"].to_list()
        if rest and every:
            numbers.append(f"{rest[0]:.0%} of the rest at {cohort} ({every[0]:.0%} of all cases)")
    if not numbers:
        return ""
    share = f"{READ_BY_PEOPLE:.0%}"
    return (
        f"If people read the {share} of cases that it is least certain of, {rung} is wrong in "
        f"{joined(numbers)}."
    )


def _ood(data: ReportData) -> list[Component]:
    """OOD detection: scores and metrics of the detectors."""
    tables = {rung: _detectors(data, rung) for rung in detailed_rungs(data)}
    first = tables.pop(data.best, None)
    if first is None or not first.rows:
        note = "Not studied: there is no shifted cohort or no detector."
        return [Heading("OOD detection"), Note(note)]
    others = [table for table in tables.values() if table.rows]
    folded = [Fold("OOD detection, other rungs", others)] if others else []
    return [Heading("OOD detection"), *_outliers(data), *_ood_scores(data), first, *folded]


def _outliers(data: ReportData) -> list[Component]:
    """Sentence on the classes that no network learns, by a detector that is named beforehand."""
    rows = data.means.filter(
        rung=data.best, label_fraction=data.full_fraction, cohort=OUTLIERS, target=DRAWN[0]
    )
    by_metric = {row["metric"]: row for row in rows.to_dicts()}
    auroc, flagged = (by_metric.get(measure) for measure in (MEASURES[0], MEASURES[3]))
    if auroc is None or flagged is None or flagged["value"] is None:
        return []
    return [
        Note(
            f"Classes that no network learned: {_detector_title(DRAWN[0])} tells their cases from "
            f"those of the internal test set with AUROC {interval_text(auroc, 2)} and flags "
            f"{interval_text(flagged, 2)} of them, at the threshold that flags 5% of the tuning "
            "split."
        )
    ]


def _ood_scores(data: ReportData) -> list[Component]:
    """Distribution of the scores of a few detectors in every cohort."""
    points = data.curve("ood", [data.best])
    if points.is_empty():
        return []
    scored = set(points["series"])
    drawn = [name for name in DRAWN if name in scored][:3]
    values = [
        {**row, "panel": _detector_title(row["series"])}
        for row in points.select(*POINT_COLUMNS, "series").to_dicts()
        if row["series"] in drawn
    ]
    highest = max(float(row["high"] or row["y"]) for row in values)
    spec = figures.curves(
        values,
        Axis("quantile of the tuning split's scores", percent=True),
        Axis("fraction of the cohort's cases", (0.0, min(1.0, highest * 1.05)), percent=True),
        cohorts=_test_sets(data),
        panels=[_detector_title(name) for name in drawn],
        points=True,
    )
    caption = (
        f"{data.best}. Each dot stands for a tenth of the tuning split's scores, the most "
        "out-of-distribution on the right. A cohort like the tuning split has a tenth of its cases "
        "at each dot; the cases of an out-of-distribution cohort pile up on the right."
    )
    return [figure("ood", spec, caption)]


def _test_sets(data: ReportData) -> list[str]:
    """The cohorts, and after them the cases of classes that no network learns."""
    has_outliers = OUTLIERS in data.means["cohort"]
    return [*data.cohorts, *([OUTLIERS] if has_outliers else [])]


def _detector_title(name: str) -> str:
    """Title of a detector; one that came with the predictions keeps its name."""
    return DETECTORS[name].title if name in DETECTORS else name


def _detectors(data: ReportData, rung: str) -> ReportTable:
    cells = Cells()
    rows = data.means.filter(
        (pl.col("rung") == rung)
        & (pl.col("label_fraction") == data.full_fraction)
        & pl.col("metric").is_in(list(MEASURES))
    ).to_dicts()
    by_key = {(row["target"], row["cohort"], row["metric"]): row for row in rows}
    lines: list[list[str]] = []
    for detector in dict.fromkeys(row["target"] for row in rows):
        for cohort in _test_sets(data):
            metrics = [by_key.get((detector, cohort, measure)) for measure in MEASURES]
            if any(row is not None for row in metrics):
                lines.append([_detector_title(detector), cohort, *(cells(row) for row in metrics)])
    head = [
        "Detector",
        "Cohort",
        "AUROC",
        "AUPRC",
        "FPR at 95% TPR",
        "Flag rate",
    ]
    caption = (
        f"{rung}. AUROC, AUPRC and false positive rate: separation of the cohort's cases from the "
        "internal test set. Flag rate: fraction of cases over the threshold that flags 5% of the "
        "tuning split."
    )
    return without_empty_columns(
        ReportTable(head, lines, caption, frozenset(range(2, len(head))), cells.notes)
    )
