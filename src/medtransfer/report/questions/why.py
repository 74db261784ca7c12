"""Section *Why*: what training changed in the networks, and what their features know."""

from collections.abc import Sequence

import polars as pl

from medtransfer.errors import listed
from medtransfer.report.beside.between_rungs import (
    between_rungs_passage,
    between_rungs_sentence,
)
from medtransfer.report.beside.convergence_scale import convergence_scale
from medtransfer.report.beside.trajectory import trajectory_passage, trajectory_sentences
from medtransfer.report.components import Component, Fold, Heading, Note, ReportTable, Section
from medtransfer.report.content import ReportData, Row
from medtransfer.report.text import interval_text

TITLE = "Why"

SIMILARITY = (
    "Debiased CKA of each stage's output before and after training: 1 is the same up to a rotation "
    "and one scale, 0 is unrelated. High values at the top mean that pre-trained features are used "
    "again."
)
RESET = (
    "Drop of the tuning AUROC if one stage gets back its weights from before training. A small "
    "drop means that the stage was used as it came. With batch normalisation a stage meets the "
    "statistics of another training, so that its drop may be overstated."
)
TEXTS = {
    "similarity": (
        "Similarity before and after training",
        SIMILARITY,
    ),
    "reset": (
        "Reset of stages",
        RESET,
    ),
    "weight_distance": (
        "Change of the weights",
        "Length of the change of a stage's weights over their length before training.",
    ),
}
"""Tables with a column per stage: title and caption."""


def section(data: ReportData, table: pl.DataFrame) -> Section:
    """A sentence for each question that was asked, and its numbers.

    Args:
        data: Of the report.
        table: Rows of single runs and their means; the means are shown.
    """
    rows = table.filter(pl.col("run_id").is_null()).to_dicts()
    rungs = [rung for rung in data.rungs if any(row["rung"] == rung for row in rows)]
    sentences = [*_convergence_sentence(rows, rungs), *_reuse_sentence(rows, rungs)]
    sentences += [*between_rungs_sentence(rows), *trajectory_sentences(data, rows)]
    parts: list[Component] = [*_convergence(rows, rungs)]
    for question, (title, caption) in TEXTS.items():
        parts += _by_stage(question, title, caption, rows, rungs)
    parts += between_rungs_passage(rows, rungs)
    parts += [*_layers(rows, rungs), *_attributes(rows, rungs), *_covariates(rows, rungs)]
    parts += trajectory_passage(data, rows)
    parts.append(
        Note(
            "Measured on tuning cases, which selected the weights, except what is said to be of "
            "test cases: these numbers explain, they do not test. Intervals hold patients and, "
            "with several seeds, seeds."
        )
    )
    lead = " ".join(sentences) or "What the networks learned is in the tables below."
    return Section("why", TITLE, lead, parts)


def _of(rows: Sequence[Row], question: str, rung: str) -> list[Row]:
    places = [row for row in rows if row["question"] == question and row["rung"] == rung]
    return sorted(places, key=lambda row: row["number"])


def _convergence_sentence(rows: Sequence[Row], rungs: Sequence[str]) -> list[str]:
    """The rungs that needed the fewest and the most steps to 95% of their gain in AUROC."""
    steps = {
        rung: row["value"]
        for rung in rungs
        for row in _of(rows, "convergence", rung)
        if row["metric"] == "steps_to_95" and row["value"] is not None
    }
    if len(steps) < 2:
        return []
    fast, slow = min(steps, key=steps.__getitem__), max(steps, key=steps.__getitem__)
    sentence = (
        f"{fast} covered 95% of the way from 0.5 to its last tuning AUROC in "
        f"{steps[fast]:,.0f} steps, {slow} in {steps[slow]:,.0f}."
    )
    return [sentence]


def _reuse_sentence(rows: Sequence[Row], rungs: Sequence[str]) -> list[str]:
    """Similarity of the features that the head sees, the most and the least changed rung."""
    top = {
        rung: row
        for rung in rungs
        for row in _of(rows, "similarity", rung)
        if row["stage"] == "features" and row["value"] is not None
    }
    if not top:
        return []
    kept = max(top, key=lambda rung: top[rung]["value"])
    changed = min(top, key=lambda rung: top[rung]["value"])
    text = f"The features of {kept} changed least (CKA {interval_text(top[kept], 2)})"
    if kept == changed:
        return [f"The features of {kept} have a CKA of {interval_text(top[kept], 2)} with before."]
    first, last = top[kept], top[changed]
    ends = (first["low"], last["high"])
    apart = None not in ends and float(ends[0] or 0) > float(ends[1] or 0)
    note = "" if apart else "; the intervals overlap"
    return [f"{text}, those of {changed} most ({interval_text(top[changed], 2)}){note}."]


def _convergence(rows: Sequence[Row], rungs: Sequence[str]) -> list[Component]:
    lines: list[list[str]] = []
    for rung in rungs:
        values = {row["metric"]: row for row in _of(rows, "convergence", rung)}
        if values:
            steps, share = values.get("steps_to_95"), values.get("share_of_steps_to_95")
            reason = (steps or {}).get("reason") or ""
            lines.append([rung, interval_text(steps, 0), interval_text(share, 2), reason])
    if not lines:
        return []
    caption = (
        "Steps until 95% of the way from 0.5 to the last tuning AUROC, read off the validations, "
        "between which a straight line is taken; more `checks` make it finer."
    )
    head = ["Rung", "Steps", "Share of all steps", "Note"]
    parts = [Heading("Convergence"), ReportTable(head, lines, caption, frozenset({1, 2}))]
    return [*parts, *convergence_scale(rows)]


def _by_stage(
    question: str, title: str, caption: str, rows: Sequence[Row], rungs: Sequence[str]
) -> list[Component]:
    """One row per rung and stage: networks differ in their stages."""
    lines = [
        [rung, row["stage"], interval_text(row, 3)]
        for rung in rungs
        for row in _of(rows, question, rung)
    ]
    if not lines:
        return []
    table = ReportTable(["Rung", "Stage, from below", title], lines, caption, frozenset({2}))
    return [Heading(title), table]


def _layers(rows: Sequence[Row], rungs: Sequence[str]) -> list[Component]:
    lines: list[list[str]] = []
    for rung in rungs:
        places = _of(rows, "layer_probe", rung)
        for stage in dict.fromkeys(row["stage"] for row in places):
            cells = {
                (row["network"], row["metric"]): row for row in places if row["stage"] == stage
            }
            keys = [
                (time, metric)
                for metric in ("linear_auroc", "neighbour_auroc")
                for time in ("before", "after")
            ]
            lines.append([rung, stage, *(interval_text(cells.get(key), 3) for key in keys)])
    if not lines:
        return []
    head = ["Rung", "Stage, from below"]
    head += [f"{kind}, {time}" for kind in ("Linear", "Neighbours") for time in ("before", "after")]
    caption = (
        "AUROC of a linear and a nearest-neighbour probe on each stage's output before and after "
        "training, cross-validated over the patients of the tuning split."
    )
    return [
        Heading("What each stage knows of the targets"),
        ReportTable(head, lines, caption, frozenset({2, 3, 4, 5})),
    ]


def _attributes(rows: Sequence[Row], rungs: Sequence[str]) -> list[Component]:
    lines: list[list[str]] = []
    missing: list[str] = []
    for rung in rungs:
        places = _of(rows, "attribute_probe", rung)
        for key in dict.fromkeys((row["attribute"], row["group"]) for row in places):
            cells = {
                row["network"]: row for row in places if (row["attribute"], row["group"]) == key
            }
            if all(row["value"] is None for row in cells.values()):
                missing.append(f"{key[0]}: {key[1]}")
                continue
            times = [interval_text(cells.get(time), 3) for time in ("before", "after")]
            lines.append([rung, f"{key[0]}: {key[1]}", *times])
    if not lines and not missing:
        return []
    caption = (
        "AUROC of a linear probe that tells a group from all other cases by the features before "
        "the head. A network whose features tell who a patient is can use it; whether it does, the "
        "gaps between groups tell."
    )
    head = ["Rung", "Attribute: group", "Before", "After"]
    parts: list[Component] = [Heading("What features tell of the patient")]
    if lines:
        parts.append(ReportTable(head, lines, caption, frozenset({2, 3})))
    if missing:
        names = listed(sorted(set(missing)))
        parts.append(Fold("Not probed", [Note(f"Too few cases on the tuning split: {names}.")]))
    return parts


def _covariates(rows: Sequence[Row], rungs: Sequence[str]) -> list[Component]:
    """Permutation importance of clinical data, a row per rung and covariate."""
    lines = [
        [rung, row["attribute"], interval_text(row, 3)]
        for rung in rungs
        for row in _of(rows, "covariate_importance", rung)
    ]
    if not lines:
        return []
    caption = (
        "Drop of the tuning AUROC if the values of one covariate are dealt out anew among "
        "patients, mean over 20 deals: what the network takes from it and cannot take from the "
        "images or the other covariates."
    )
    head = ["Rung", "Covariate", "Drop of AUROC"]
    return [
        Heading("What the clinical data give"),
        ReportTable(head, lines, caption, frozenset({2})),
    ]
