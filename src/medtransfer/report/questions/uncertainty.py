"""Uncertainty: whether its probabilities can be trusted, and whether it knows when they cannot."""

import polars as pl

from medtransfer.evaluation.scoring.ood import MEASURES
from medtransfer.metrics.calibration import CALIBRATORS
from medtransfer.metrics.ensembles import METHODS, SET_COVERAGE
from medtransfer.posthoc.ood_detectors import DETECTORS
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
from medtransfer.report.figures import Axis, figure
from medtransfer.report.text import Cells, digits_of, interval_text, metric_title
from medtransfer.tables.results import ALL

DRAWN = ("vim", "mahalanobis", "knn", "energy", "max_probability", "max_logit")
"""Detectors that are drawn where there are many, the first three that were scored."""


def ood_components(content: ReportData) -> list[Component]:
    """Whether inputs unlike the training data are noticed."""
    tables = {rung: _detectors(content, rung) for rung in content.rungs}
    first = tables.pop(content.best, None)
    if first is None or not first.rows:
        return [Heading("Foreign inputs"), Note("Not studied: no shifted cohort, no detector.")]
    others = [table for table in tables.values() if table.rows]
    folded = [Fold("Foreign inputs, other rungs", others)] if others else []
    return [Heading("Foreign inputs"), *_scores(content), first, *folded]


def _scores(content: ReportData) -> list[Component]:
    """How the scores of a few detectors lie in every cohort."""
    points = content.curve("ood", [content.best])
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
        values,
        Axis("share of tune's scores below", percent=True),
        Axis("share of the cohort's cases", (0.0, min(1.0, highest * 1.05)), percent=True),
        places=content.places,
        panels=[_titled(name) for name in drawn],
        points=True,
    )
    caption = (
        f"{content.best}. Each dot is a tenth of tune's scores, the most foreign on the right. At "
        "home a tenth of the cases lies in each; a cohort that looks foreign piles up on the right."
    )
    return [figure("ood", spec, caption)]


def _titled(name: str) -> str:
    """A detector in words; one that came with the predictions under its own name."""
    return DETECTORS[name].title if name in DETECTORS else name


def _detectors(content: ReportData, rung: str) -> Table:
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
    head = [
        "Detector",
        "Cohort",
        "AUROC against home",
        "AUPRC",
        "Flagged at home for 95% found",
        "Flagged by tune's limit",
    ]
    caption = (
        f"{rung}. A detector's score tells a cohort's cases from those at home; tune's limit flags "
        "5% of tune."
    )
    return narrow(Table(head, lines, caption, frozenset(range(2, len(head))), cells.notes))


QUESTION = "Uncertainty: can its probabilities be trusted?"
SERIES = {"none": "as they come", "temperature": "after temperature scaling"}
ERRORS = (
    "ece",
    "ece_scaled",
    "ece_smooth",
    "ece_mass",
    "calibration_slope",
    "calibration_intercept",
)
SELECTIVE = (
    "aurc",
    "accuracy_at_coverage80",
    "coverage_at_risk05",
    "auroc_at_coverage80",
    "auroc_oracle10",
    "calibration_auroc",
)
NAMED = 2
"""Shifted cohorts that the answer names."""


def section(content: ReportData) -> Section:
    """The answer; calibration, risk over coverage, prediction sets, foreign inputs."""
    found = answer(content)
    parts: list[Component] = [
        Note(
            "Temperatures, other calibrators, prediction sets and detectors' thresholds are fitted "
            "on tune and carried unchanged to every cohort."
        ),
        *_calibration(content),
        *_deferring(content),
        *_sets(content),
        *ood_components(content),
    ]
    return Section("uncertainty", "Uncertainty", found.sentence, parts, found)


def answer(content: ReportData) -> Answer:
    """The card: what the numbers say in words that match their intervals."""
    return Answer(QUESTION, _sentence(content))


def _sentence(content: ReportData) -> str:
    best, place = content.best, content.place
    before = content.number(best, place, "ece")
    if before is None or before["value"] is None:
        return f"On {place}, the calibration of {best} is not known."
    said = f"On {place}, the calibration error (ECE) of {best} is {interval_text(before, 3)}"
    after = content.number(best, place, "ece_scaled")
    if after is not None and after["value"] is not None:
        said += f", and {interval_text(after, 3)} after temperature scaling on tune"
    carried = [
        f"{interval_text(row, 3)} at {cohort}"
        for cohort in _elsewhere(content)
        if (row := content.number(best, cohort, "ece_scaled")) and row["value"] is not None
    ]
    if carried:
        said += f"; with the same temperature {' and '.join(carried)}"
    return f"{said}. {_promise(content)}".rstrip()


def _elsewhere(content: ReportData) -> list[str]:
    """The other cohorts that the answer names."""
    return [cohort for cohort in content.shifted if cohort != content.place][:NAMED]


def _promise(content: ReportData) -> str:
    """Whether sets that are to hold the truth in 90 % of the cases do so, by cohort."""
    said: list[str] = []
    for cohort in [content.place, *_elsewhere(content)]:
        row = content.number(content.best, cohort, "coverage_split")
        if row is None or row["value"] is None or row["low"] is None:
            continue
        kept = "as promised"
        if row["high"] < SET_COVERAGE:
            kept = "less than promised"
        elif row["low"] > SET_COVERAGE:
            kept = "more than promised"
        ends = f"[{row['low']:.0%}, {row['high']:.0%}]"
        said.append(f"{row['value']:.0%} {ends} at {cohort}, {kept}")
    if not said:
        return ""
    return f"Its {SET_COVERAGE:.0%} prediction sets hold the truth in {'; '.join(said)}."


def _calibration(content: ReportData) -> list[Component]:
    parts: list[Component] = [Heading("Calibration")]
    drawn = [(rung, part) for rung in content.rungs if (part := _reliability(content, rung))]
    for rung, part in drawn:
        if rung == content.best:
            parts.append(part)
    others = [part for rung, part in drawn if rung != content.best]
    caption = "Calibration errors."
    if content.task != "single-label":
        caption += " Slope: below 1 overconfident. Intercept: above 0, risks are too low."
    parts.append(_table(content, ERRORS, caption))
    if others:
        parts.append(Fold("Reliability of the other rungs", others))
    parts += _calibrators(content)
    return parts


def _reliability(content: ReportData, rung: str) -> Component | None:
    """Observed over predicted, before and after temperature scaling, a line per cohort."""
    points = content.curve("reliability", [rung])
    if points.is_empty():
        return None
    points = points.filter(pl.col("series").is_in(list(SERIES)))
    values = [
        {**row, "panel": SERIES[row["series"]]}
        for row in points.select("cohort", "series", "x", "y", "low", "high", "count").to_dicts()
    ]
    if not values:
        return None
    panels = [title for name, title in SERIES.items() if name in set(points["series"])]
    spec = figures.curves(
        values,
        Axis("predicted"),
        Axis("observed"),
        places=content.places,
        panels=panels,
        diagonal=(0.0, 1.0),
        points=True,
        square=True,
    )
    caption = (
        "On the dashed line, of cases called 70 % likely 70 % are positive (for several classes: "
        "are rightly classed). The size of a dot is its number of cases; bands are pointwise 95 % "
        "intervals over patients."
    )
    name = f"reliability-{content.rungs.index(rung)}"
    return figure(name, spec, caption if rung == content.best else "", f"Reliability, {rung}")


def _table(content: ReportData, names: tuple[str, ...], caption: str) -> Table:
    """A row per rung and cohort, a column per metric."""
    cells = Cells()
    rows = [
        [
            rung,
            place,
            *(cells(content.number(rung, place, name), digits_of(name)) for name in names),
        ]
        for rung in content.rungs
        for place in content.places
    ]
    head = ["Rung", "Cohort", *(metric_title(name) for name in names)]
    return narrow(Table(head, rows, caption, frozenset(range(2, len(head))), cells.notes))


def _calibrators(content: ReportData) -> list[Component]:
    """All calibrators side by side."""
    endings = ["", *(f"_{ending}" for ending, *_ in CALIBRATORS.values())]
    titles = ["None", *(words[0].upper() + words[1:] for _, _, words, _ in CALIBRATORS.values())]
    tables: list[Component] = []
    for metric in ("nll", "brier", "ece"):
        names = tuple(metric + ending for ending in endings)
        table = _table(content, names, f"{metric_title(metric)} after each calibrator.")
        heads = dict(zip((metric_title(name) for name in names), titles, strict=True))
        head = [heads.get(title, title) for title in table.head]
        tables.append(Table(head, table.rows, table.caption, table.numeric, table.notes))
    return [Fold("Calibrators side by side", tables)]


def _deferring(content: ReportData) -> list[Component]:
    """Risk over coverage, and its numbers."""
    parts: list[Component] = [Heading("Deferring uncertain cases")]
    points = content.curve("risk_coverage", content.shown)
    if not points.is_empty():
        values = [
            {**row, "panel": row["cohort"], "dash": row["rung"]}
            for row in points.select("rung", "cohort", "x", "y", "low", "high").to_dicts()
        ]
        most = max(float(row["high"] or row["y"]) for row in values if row["x"] >= 0.1)
        spec = figures.curves(
            values,
            Axis("share of cases answered", percent=True),
            Axis("share of them wrong", (0.0, min(1.0, most * 1.1)), percent=True),
            places=content.places,
            panels=[place for place in content.places if place in set(points["cohort"])],
            dashes=content.shown,
        )
        caption = (
            "From right to left more of the least certain cases are left to a person; a curve that "
            "falls says that certainty means something."
        )
        parts.append(figure("risk-coverage", spec, caption))
    caption = "Risk and coverage: less AURC is better, more of all others."
    parts.append(_table(content, SELECTIVE, caption))
    return parts


def _sets(content: ReportData) -> list[Component]:
    """Coverage and size of conformal prediction sets, by cohort and by group."""
    values = [
        {
            "row": METHODS[method][0],
            "cohort": place,
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
        }
        for method in METHODS
        for place in content.places
        if (row := content.number(content.best, place, f"coverage_{method}")) is not None
        and row["value"] is not None
    ]
    if not values:
        return []
    rows = list(dict.fromkeys(str(value["row"]) for value in values))
    lowest = min(float(value["low"] or value["value"]) for value in values)
    axis = Axis(
        "share of sets that hold the truth", (min(0.7, int(lowest * 20) / 20), 1.0), percent=True
    )
    spec = figures.intervals(values, axis, rows=rows, places=content.places, line=SET_COVERAGE)
    caption = (
        f"{content.best}. The dashed line is the promised {SET_COVERAGE:.0%}: it holds for cases "
        "like those of tune, and may be lost at another hospital."
    )
    names = tuple(
        f"{what}_{method}"
        for method in METHODS
        if method != "group"
        for what in ("coverage", "set_size")
    )
    table = _table(content, names, "Coverage and mean size of prediction sets.")
    head = [_set_title(title) for title in table.head]
    shown = Table(head, table.rows, table.caption, table.numeric, table.notes)
    return [Heading("Prediction sets"), figure("sets", spec, caption), shown, *_by_group(content)]


def _set_title(title: str) -> str:
    return title.replace(" conformal", "").replace(" of ", ", ", 1).replace("Set size", "Size")


def _by_group(content: ReportData) -> list[Component]:
    """Coverage in each group: of sets made for everyone, and of sets made for the group."""
    metrics = ("coverage_split", "set_size_split", "coverage_group", "set_size_group")
    target = content.target_of("coverage_split")
    rows = content.over_seeds.filter(
        (pl.col("rung") == content.best)
        & (pl.col("attribute") != ALL)
        & (pl.col("target") == target)
        & pl.col("metric").is_in(metrics)
    )
    if rows.is_empty():
        return []
    cells = Cells()
    found: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows.to_dicts():
        key = (row["attribute"], row["group"], row["cohort"])
        found.setdefault(key, {})[row["metric"]] = row
    lines = [
        [*key, f"{next(iter(own.values()))['num_cases']:,}", *(cells(own.get(m)) for m in metrics)]
        for key, own in found.items()
    ]
    head = [
        "Attribute",
        "Group",
        "Cohort",
        "Cases",
        "Coverage, sets for all",
        "Size",
        "Coverage, sets for the group",
        "Size",
    ]
    caption = f"{content.best}, promised {SET_COVERAGE:.0%}."
    table = Table(head, lines, caption, frozenset(range(3, len(head))), cells.notes)
    return [Fold("Prediction sets by group", [table])]
