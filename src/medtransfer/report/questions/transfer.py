"""Transfer: which rung is better, by how much, and what scale has to do with it."""

from collections import Counter

import polars as pl

from medtransfer.evaluation.comparison.seed_means import BETWEEN_PATIENTS, BETWEEN_SEEDS, HEADLINE
from medtransfer.report import figures
from medtransfer.report.components import Answer, Component, Section, Table, narrow
from medtransfer.report.content import ReportData, Row, RungInfo
from medtransfer.report.figures import Axis, area_axis, figure
from medtransfer.report.questions.metric_tables import every_metric, per_target
from medtransfer.report.questions.scaling import scale_parts
from medtransfer.report.text import (
    Cells,
    counted,
    fixed,
    interval_text,
    judged,
    p_cell,
    p_text,
    signed,
    why,
)

QUESTION = "Transfer: which rung is better, and by how much?"
DOTS = "Dots are means over seeds, bars 95 % intervals over patients"


def section(content: ReportData) -> Section:
    """The answer, the ladder, its differences, curves, and every metric."""
    found = answer(content)
    parts: list[Component] = [
        figure("ladder", _ladder(content), _ladder_caption(content)),
        _differences(content),
        *_facts(content),
        *scale_parts(content),
        *_rankings(content),
        *per_target(content),
        *every_metric(content),
    ]
    lead = f"{found.sentence} {_others(content)}".rstrip()
    return Section("transfer", "Transfer", lead, parts, found)


def answer(content: ReportData) -> Answer:
    """The card: what the numbers say in words that match their intervals."""
    return Answer(QUESTION, _sentence(content))


def _sentence(content: ReportData) -> str:
    best, reference, place = content.best, content.reference, content.place
    others = [rung for rung in content.rungs if rung != reference]
    if not others:
        value = interval_text(content.number(reference, place, HEADLINE))
        return f"Only {reference} was run: AUROC {value} on {place}."
    rung = best if best != reference else _closest(content, others)
    row = content.comparison(rung, place)
    if row is None or row["difference"] is None or row["low"] is None:
        return f"{rung} and {reference} could not be compared on {place}."
    gap, low, high = row["difference"], row["low"], row["high"]
    p = p_text(row["p_holm"])
    if len(others) > 1:
        p += f" after correction for {len(others)} rungs"
    among = f", the best of {len(others)} compared with it," if len(others) > 1 else ""
    match judged(row):
        case "better":
            amount = f"{gap:.3f} AUROC [{low:.3f}, {high:.3f}]"
            said = f"On {place}, {rung}{among} is better than {reference} by {amount}, {p}."
        case "worse":
            amount = f"{-gap:.3f} AUROC [{-high:.3f}, {-low:.3f}]"
            said = f"On {place}, {rung} is worse than {reference} by {amount}, {p}."
        case "not shown":
            said = (
                f"On {place}, no difference between {rung} and {reference} could be shown "
                f"({signed(gap, 3)} [{fixed(low, 3)}, {fixed(high, 3)}], {p})."
            )
    return f"{said} {_held_against(row)}".rstrip()


def _held_against(row: Row) -> str:
    """What the margin says where no better rung was shown."""
    margin = row["margin"]
    if margin is None or judged(row) == "better":
        return ""
    if row["equal"] == "shown":
        return f"They are equal within {margin:g} ({p_text(row['p_equal'])})."
    if row["no_worse"] == "shown":
        return f"It is no worse by more than {margin:g} ({p_text(row['p_no_worse'])})."
    return f"That they are equal within {margin:g} could not be shown either."


def _others(content: ReportData) -> str:
    """How many rungs differ from the reference."""
    rows = [content.comparison(rung, content.place) for rung in content.rungs]
    found = Counter(judged(row) for row in rows if row is not None)
    if found.total() < 2:
        return ""
    if found["not shown"] == found.total():
        return f"None of {found.total()} rungs is shown to differ from {content.reference}."
    counts = [(found[word], word) for word in ("better", "worse") if found[word]]
    said = [f"{count} to be {word}" for count, word in counts]
    said[0] = said[0].replace(
        " to be", " is shown to be" if counts[0][0] == 1 else " are shown to be"
    )
    left = f"; for {found['not shown']} no difference is shown" * bool(found["not shown"])
    compared = f"Of {found.total()} rungs compared with {content.reference}"
    return f"{compared}, {' and '.join(said)}{left}."


def _closest(content: ReportData, others: list[str]) -> str:
    """The best of the other rungs."""
    values = {name: content.number(name, content.place, HEADLINE) or {} for name in others}
    return max(others, key=lambda name: values[name].get("value") or -1.0)


def _ladder(content: ReportData) -> figures.Spec:
    values = [
        {"row": rung, "cohort": place, **_ends(row), "note": _missing(row)}
        for rung in content.rungs
        for place in content.places
        if (row := content.number(rung, place, HEADLINE)) is not None
    ]
    at = content.number(content.reference, content.place, HEADLINE) or {}
    return figures.intervals(
        values,
        area_axis("AUROC", values),
        rows=content.rungs,
        places=content.places,
        line=at.get("value") if len(content.rungs) > 1 else None,
    )


def _ladder_caption(content: ReportData) -> str:
    if len(content.rungs) < 2:
        return f"{DOTS}."
    images = [rung.images for rung in content.known if rung.name in content.rungs]
    known = [count for count in images if count is not None]
    by_scale = len(known) == len(images) and known == sorted(known)
    scale = "; rungs from the smallest pre-training at the top" if by_scale else ""
    return (
        f"{DOTS}{scale}. Intervals that overlap may still belong to different rungs: the paired "
        f"differences below decide. The dashed line is {content.reference} on {content.place}."
    )


def _ends(row: Row) -> Row:
    return {name: row[name] for name in ("value", "low", "high")}


def _missing(row: Row) -> str | None:
    return f"undefined: {why(row['reason'])}" if row["value"] is None else None


def _differences(content: ReportData) -> Table:
    """AUROC of every rung on every cohort, against the reference."""
    cells = Cells()
    margin = content.evaluation.margin
    head = [
        "Rung",
        "Cohort",
        "AUROC",
        "SD of seeds",
        "SD of patients",
        "Difference",
        "p",
        "Holm",
        "B-H",
    ]
    if margin:
        head += [f"No worse by {margin:g}", f"Equal within {margin:g}"]
    rows: list[list[str]] = []
    for rung in content.rungs:
        for place in content.places:
            row = content.comparison(rung, place)
            spread = [
                content.number(rung, place, HEADLINE + part)
                for part in (BETWEEN_SEEDS, BETWEEN_PATIENTS)
            ]
            line = [
                rung,
                place,
                cells(content.number(rung, place, HEADLINE), 3),
                *(cells(_bare(part), 3) for part in spread),
                cells(row, 3),
                *(p_cell(row[name] if row else None) for name in ("p", "p_holm", "p_bh")),
            ]
            if margin:
                line += [_verdict(row, "no_worse"), _verdict(row, "equal")]
            rows.append(line)
    paired = (
        f"Differences from {content.reference} are "
        "paired: the same patients resampled for both. p is of no difference; Holm and "
        "Benjamini-Hochberg (B-H) correct it for the number of rungs. "
    )
    caption = (
        f"At {content.full:.0%} of the training labels. {paired if len(content.rungs) > 1 else ''}"
        "SD: how much the mean would vary with other seeds, and with other patients."
    )
    return narrow(Table(head, rows, caption, frozenset(range(2, 9)), cells.notes))


def _bare(row: Row | None) -> Row | None:
    """A row without the reason why an interval is missing that it never has."""
    return None if row is None else {**row, "reason": row["reason"] if row["value"] is None else ""}


def _verdict(row: Row | None, name: str) -> str:
    if row is None or row[name] is None:
        return "–"
    return f"{row[name]}, {p_text(row[f'p_{name}'])}"


def _facts(content: ReportData) -> list[Component]:
    """What the rungs are, and what their runs cost."""
    known = {rung.name: rung for rung in content.known}
    head = [
        "Rung",
        "Full name",
        "Pre-training",
        "Images",
        "Parameters",
        "Runs",
        "Minutes a run",
        "Images/s",
    ]
    rows = [[*_known(known[rung]), *_cost(content, rung)] for rung in content.rungs]
    table = narrow(Table(head, rows, "The rungs.", frozenset(range(3, 8))))
    return [table] if len(table.head) > 1 else []


def _known(rung: RungInfo) -> list[str]:
    images = "–" if not rung.images else counted(rung.images)
    full = rung.full if rung.full != rung.name else ""
    return [rung.name, full, rung.pretraining or "–", images, counted(rung.parameters)]


def _cost(content: ReportData, rung: str) -> list[str]:
    if content.runs is None:
        return ["–"] * 3
    own = content.runs.filter(pl.col("rung") == rung)
    done = own.filter(pl.col("state") == "done")
    times = [done[name].cast(pl.Float64).mean() for name in ("seconds", "images_per_second")]
    minutes, speed = (value if isinstance(value, float) else None for value in times)
    return [
        f"{len(done)}/{len(own)}",
        "–" if minutes is None else f"{minutes / 60:.1f}",
        "–" if speed is None else f"{speed:,.0f}",
    ]


def _rankings(content: ReportData) -> list[Component]:
    """ROC and precision-recall curves of the best rung and the reference."""
    words = {
        "roc": ("ROC", Axis("false positive rate"), Axis("true positive rate"), (0.0, 1.0)),
        "pr": ("Precision and recall", Axis("recall"), Axis("precision"), None),
    }
    parts: list[Component] = []
    for kind in ("roc", "pr"):
        points = content.curve(kind, content.shown)
        if points.is_empty():
            continue
        title, x, y, diagonal = words[kind]
        values = [
            {**row, "panel": row["cohort"], "dash": row["rung"]}
            for row in points.select("rung", "cohort", "x", "y", "low", "high").to_dicts()
        ]
        panels = [place for place in content.places if place in set(points["cohort"])]
        spec = figures.curves(
            values,
            x,
            y,
            places=content.places,
            panels=panels,
            dashes=content.shown,
            diagonal=diagonal,
            square=True,
        )
        parts.append(figure(kind, spec, _curve_caption(content, kind), title))
    return parts


def _curve_caption(content: ReportData, kind: str) -> str:
    bands = "Bands are pointwise 95 % intervals over patients"
    several = ""
    if len(content.targets) > 1:
        noun = "classes" if content.task == "single-label" else "targets"
        several = f"; the mean of the curves of {len(content.targets)} {noun}"
    if kind == "roc":
        return f"{bands}{several}. On the dashed line a network is no better than chance."
    return (
        f"{bands}{several}. Precision depends on how many cases are positive: compare rungs, "
        "not cohorts."
    )
