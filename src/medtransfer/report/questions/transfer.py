"""Transfer: differences between rungs, and the effect of scale."""

from collections import Counter

import polars as pl

from medtransfer.evaluation.comparison.seed_means import BETWEEN_PATIENTS, BETWEEN_SEEDS, HEADLINE
from medtransfer.report import figures
from medtransfer.report.beside.levels import levels_passage
from medtransfer.report.components import (
    Answer,
    Component,
    ReportTable,
    Section,
    Spec,
    without_empty_columns,
)
from medtransfer.report.content import POINT_COLUMNS, ReportData, Row, RungInfo
from medtransfer.report.figures import Axis, auroc_axis, figure
from medtransfer.report.questions.metric_tables import decisions_compared, every_metric, per_target
from medtransfer.report.questions.scaling import scale_parts
from medtransfer.report.text import (
    Cells,
    answered_sentence,
    detectable_text,
    fixed,
    interval_text,
    joined,
    large_number,
    of_all_rungs,
    outcome,
    p_cell,
    p_text,
    percent,
    short_reason,
    signed,
    trained,
)
from medtransfer.statistics.contrasts import PATIENTS_AND_SOME
from medtransfer.statistics.sample_size import POWER

QUESTION = "Transfer: which rung is better, and by how much?"
DOTS = "Dots: means over seeds. Bars: 95% intervals, over patients and, with several seeds, seeds."


def section(data: ReportData) -> Section:
    """The answer, the ladder, its differences, curves, and every metric."""
    card = answer(data)
    parts: list[Component] = [
        figure("ladder", _ladder(data), _ladder_caption(data)),
        difference_table(data),
        *_facts(data),
        *scale_parts(data),
        *_rankings(data),
        *levels_passage(data),
        *per_target(data),
        *decisions_compared(data),
        *every_metric(data),
    ]
    lead = f"{card.sentence} {_counts(data)}".rstrip()
    return Section("transfer", "Transfer", lead, parts, card)


def answer(data: ReportData) -> Answer:
    """The card: the result in words that match its interval."""
    return Answer(QUESTION, _sentence(data))


def _sentence(data: ReportData) -> str:
    best, reference, cohort = data.best, data.reference, data.main_cohort
    others = [rung for rung in data.rungs if rung != reference]
    if not others:
        auroc = interval_text(data.headline_row(reference, cohort))
        alone = f"Only {reference} was evaluated: AUROC {auroc} on {cohort}."
        return f"{alone} {hospitals_sentence(data, reference)}".rstrip()
    rung = best if best != reference else data.best_of(others)
    row = data.headline_difference(rung, cohort)
    low, high, p_all = (None, None, None) if row is None else of_all_rungs(row)
    if row is None or low is None or high is None:
        return f"{rung} and {reference} could not be compared on {cohort}."
    difference = row["difference"]
    p = p_text(p_all)
    if len(others) > 1:
        all_rungs = "both" if len(others) == 2 else f"all {len(others)}"
        p += f"; interval and p hold for {all_rungs} compared rungs at once"
    among = f" (the best of {len(others)} compared rungs)" if len(others) > 1 else ""
    match outcome(row):
        case "better":
            amount = f"{difference:.3f} AUROC [{low:.3f}, {high:.3f}]"
            subject = trained(rung, row) + among
            sentence = f"On {cohort}, {subject} is better than {reference} by {amount}, {p}."
        case "worse":
            amount = f"{-difference:.3f} AUROC [{-high:.3f}, {-low:.3f}]"
            subject = trained(rung, row)
            sentence = f"On {cohort}, {subject} is worse than {reference} by {amount}, {p}."
        case "not significant":
            amount = f"{signed(difference, 3)} AUROC [{fixed(low, 3)}, {fixed(high, 3)}]"
            sentence = (
                f"On {cohort}, there is no significant difference between {rung} and {reference} "
                f"({amount}, {p}{detectable_text('difference', row['detectable'])})."
            )
    parts = [sentence, hospitals_sentence(data, rung), _margin_sentence(row)]
    parts += [answered_sentence(row), _one_seed(row)]
    return " ".join(part for part in parts if part)


def hospitals_sentence(data: ReportData, rung: str) -> str:
    """Several training hospitals: within each, pooled, and at the next one; else empty."""
    cohort = data.main_cohort
    if data.headline(cohort) == HEADLINE:
        return ""
    within = interval_text(data.headline_row(rung, cohort))
    pooled = interval_text(data.result_row(rung, cohort, HEADLINE))
    first = (
        f"AUROC here is within the training hospitals, where {rung} reaches {within}; with all "
        f"their patients pooled it is {pooled}."
    )
    words = [first]
    between = data.result_row(rung, cohort, "auroc_between")
    if between is not None and between["low"] is not None and between["low"] > 0:
        words.append(
            f"Pooling adds {interval_text(between)} that is owed to differences between the "
            "hospitals and not to the disease."
        )
    following = data.result_row(rung, cohort, "auroc_next_cohort")
    if following is not None and following["low"] is not None:
        ignorance = f" ({following['reason']})" if following["reason"] else ""
        words.append(
            f"At the next such hospital it is expected to be {interval_text(following)}{ignorance}."
        )
    return " ".join(words)


def _one_seed(row: Row) -> str:
    """A caution where the interval does not contain the seeds."""
    if row["contains"] == PATIENTS_AND_SOME:
        return (
            "One of the two was trained once, and the interval does not contain its training: "
            "trained again with another seed, it may differ by more."
        )
    if row["contains"] != "patients":
        return ""
    return (
        "Each rung was trained once: a network trained again with another seed may differ by more."
    )


def _margin_sentence(row: Row) -> str:
    """Equivalence or non-inferiority, for a rung that is not better than the reference."""
    margin = row["margin"]
    if margin is None or outcome(row) == "better":
        return ""
    if row["equal"] == "shown":
        p = p_text(row["p_equal"])
        return f"They are equivalent within a margin of {margin:g} AUROC ({p})."
    if row["no_worse"] == "shown":
        p = p_text(row["p_no_worse"])
        return f"It is non-inferior within a margin of {margin:g} AUROC ({p})."
    shown = row["detectable_margin"]
    sentence = f"Equivalence within a margin of {margin:g} AUROC was not shown either"
    if shown is None:
        return f"{sentence}."
    return (
        f"{sentence}; if the networks are equal, such a study has {POWER:.0%} power to show it "
        f"within {fixed(shown, 3)}."
    )


def _counts(data: ReportData) -> str:
    """Numbers of rungs that are better or worse than the reference."""
    rows = [data.headline_difference(rung, data.main_cohort) for rung in data.rungs]
    counts = Counter(outcome(row) for row in rows if row is not None)
    total, unclear = counts.total(), counts["not significant"]
    if total < 2:
        return ""
    if unclear == total:
        return f"None of {total} rungs differs significantly from {data.reference}."
    words = [
        f"{counts[word]} {'is' if counts[word] == 1 else 'are'} significantly {word}"
        for word in ("better", "worse")
        if counts[word]
    ]
    if unclear:
        words.append(f"{unclear} {'does' if unclear == 1 else 'do'} not differ significantly")
    return f"Of {total} rungs compared with {data.reference}, {joined(words)}."


def _ladder(data: ReportData) -> Spec:
    values = [
        {"row": rung, "cohort": cohort, **_interval(row), "note": _missing(row)}
        for rung in data.rungs
        for cohort in data.cohorts
        if (row := data.headline_row(rung, cohort)) is not None
    ]
    reference = data.headline_row(data.reference, data.main_cohort) or {}
    return figures.intervals(
        values,
        auroc_axis("AUROC", values),
        rows=data.rungs,
        cohorts=data.cohorts,
        line=reference.get("value") if len(data.rungs) > 1 else None,
    )


def _ladder_caption(data: ReportData) -> str:
    if len(data.rungs) < 2:
        return DOTS
    images = [rung.images for rung in data.rung_infos if rung.name in data.rungs]
    sizes = [count for count in images if count is not None]
    by_scale = len(sizes) == len(images) and sizes == sorted(sizes)
    order = " Rungs are ordered by pre-training size, smallest at the top." if by_scale else ""
    return (
        f"{DOTS}{order} Overlapping intervals do not rule out a difference; see the paired "
        f"differences below. Dashed line: {data.reference} on {data.main_cohort}."
    )


def _interval(row: Row) -> Row:
    return {name: row[name] for name in ("value", "low", "high")}


def _missing(row: Row) -> str | None:
    return f"undefined: {short_reason(row['reason'])}" if row["value"] is None else None


def difference_table(data: ReportData) -> ReportTable:
    """AUROC of every rung on every cohort, against the reference."""
    cells = Cells()
    margin = data.evaluation.margin
    head = [
        "Rung",
        "Cohort",
        "AUROC",
        "SD over seeds",
        "SD over patients",
        "Difference",
        "p",
        "p (Holm)",
        "p (BH)",
        "p (max-t)",
        "Detectable",
        "Answered",
        "Answered by the reference",
    ]
    if margin:
        head += [f"Non-inferior (margin {margin:g})", f"Equivalent (margin {margin:g})"]
    rows: list[list[str]] = []
    for rung in data.rungs:
        for cohort in data.cohorts:
            row = data.headline_difference(rung, cohort)
            spread = [
                data.result_row(rung, cohort, data.headline(cohort) + part)
                for part in (BETWEEN_SEEDS, BETWEEN_PATIENTS)
            ]
            line = [
                rung,
                cohort,
                cells(data.headline_row(rung, cohort), 3),
                *(cells(_without_interval(part), 3) for part in spread),
                cells(row, 3),
                *(
                    p_cell(row.get(name) if row else None)
                    for name in ("p", "p_holm", "p_bh", "p_all")
                ),
                _detectable_cell(row),
                *(_share_answered(row, name) for name in ("coverage", "coverage_reference")),
            ]
            if margin:
                line += [_verdict(row, "no_worse"), _verdict(row, "equal")]
            rows.append(line)
    paired = (
        f"Differences from {data.reference} are paired: both rungs are resampled on the same "
        "patients. p is uncorrected; p (Holm) and p (BH) are corrected for the number of rungs "
        "by Holm, by Benjamini-Hochberg, and by the largest of all rungs' errors (max-t), which "
        "the sentence above goes by. "
        f"Detectable: smallest true difference that such a study detects with {POWER:.0%} power "
        "after correction for the number of rungs. "
    )
    caption = (
        f"At {data.full_fraction:.0%} of the training labels. "
        f"{paired if len(data.rungs) > 1 else ''}"
        "SD over seeds: of single networks, not of their mean. SD over patients: of the mean."
    )
    return without_empty_columns(
        ReportTable(head, rows, caption, numeric=frozenset(range(2, 13)), notes=cells.notes)
    )


def _share_answered(row: Row | None, name: str) -> str:
    """Share of the cases that a side answered; a dash where it answered all."""
    share = None if row is None else row.get(name)
    return "–" if share is None or share >= 1 else percent(share)


def _without_interval(row: Row | None) -> Row | None:
    """The row of a metric that never has an interval, without a reason for its absence."""
    return None if row is None else {**row, "reason": row["reason"] if row["value"] is None else ""}


def _detectable_cell(row: Row | None) -> str:
    amount = None if row is None else row["detectable"]
    return "–" if amount is None else fixed(amount, 3)


def _verdict(row: Row | None, name: str) -> str:
    if row is None or row[name] is None:
        return "–"
    return f"{row[name]}, {p_text(row[f'p_{name}'])}"


def _facts(data: ReportData) -> list[Component]:
    """Pre-training, size and cost of the rungs."""
    infos = {rung.name: rung for rung in data.rung_infos}
    head = [
        "Rung",
        "Full name",
        "Pre-training",
        "Images",
        "Parameters",
        "Runs",
        "Minutes per run",
        "Images/s",
    ]
    rows = [[*_info_cells(infos[rung]), *_cost_cells(data, rung)] for rung in data.rungs]
    table = without_empty_columns(ReportTable(head, rows, "Rungs.", frozenset(range(3, 8))))
    return [table] if len(table.head) > 1 else []


def _info_cells(rung: RungInfo) -> list[str]:
    images = "–" if not rung.images else large_number(rung.images)
    full_name = rung.full_name if rung.full_name != rung.name else ""
    return [rung.name, full_name, rung.pretraining or "–", images, large_number(rung.parameters)]


def _cost_cells(data: ReportData, rung: str) -> list[str]:
    if data.runs is None:
        return ["–"] * 3
    runs = data.runs.filter(pl.col("rung") == rung)
    done = runs.filter(pl.col("state") == "done")
    times = [done[name].cast(pl.Float64).mean() for name in ("seconds", "images_per_second")]
    minutes, speed = (value if isinstance(value, float) else None for value in times)
    return [
        f"{len(done)}/{len(runs)}",
        "–" if minutes is None else f"{minutes / 60:.1f}",
        "–" if speed is None else f"{speed:,.0f}",
    ]


def _rankings(data: ReportData) -> list[Component]:
    """ROC and precision-recall curves of the best rung and the reference."""
    charts = {
        "roc": ("ROC", Axis("false positive rate"), Axis("true positive rate"), (0.0, 1.0)),
        "pr": ("Precision-recall", Axis("recall"), Axis("precision"), None),
    }
    parts: list[Component] = []
    for kind in ("roc", "pr"):
        points = data.curve(kind, data.shown_rungs)
        if points.is_empty():
            continue
        title, x, y, diagonal = charts[kind]
        values = [
            {**row, "panel": row["cohort"], "dash": row["rung"]}
            for row in points.select("rung", *POINT_COLUMNS).to_dicts()
        ]
        panels = [cohort for cohort in data.cohorts if cohort in set(points["cohort"])]
        spec = figures.curves(
            values,
            x,
            y,
            cohorts=data.cohorts,
            panels=panels,
            dashes=data.shown_rungs,
            diagonal=diagonal,
            square=True,
        )
        parts.append(figure(kind, spec, _curve_caption(data, kind), title))
    return parts


def _curve_caption(data: ReportData, kind: str) -> str:
    bands = "Bands: pointwise 95% intervals over patients."
    mean = ""
    if len(data.targets) > 1:
        noun = "classes" if data.task == "single-label" else "targets"
        mean = f" Each curve is the mean of the curves of {len(data.targets)} {noun}."
    if kind == "roc":
        return f"{bands}{mean} Dashed line: chance level."
    return f"{bands}{mean} Precision depends on prevalence: compare rungs, not cohorts."
