"""The sections that say what was done and what it cannot show."""

from typing import Any

import polars as pl

from medtransfer.errors import plural
from medtransfer.report.components import Component, Facts, Fold, Note, Section, Table, narrow
from medtransfer.report.content import ReportData
from medtransfer.report.text import points_text

FEW_SEEDS, FEW_PATIENTS = 5, 100
"""Fewer than these are warned of."""
ROLES = {
    "train": "trained on",
    "tune": "chose checkpoints, thresholds, temperatures and the like",
    "test": "what every number is of",
}
"""Split to its part in the study."""


def runs(content: ReportData) -> Section | None:
    """Every run with its state and costs; failures with their cause."""
    if content.runs is None:
        return None
    head = [
        "Run",
        "Rung",
        "Labels",
        "Seed",
        "State",
        "Steps",
        "Chosen step",
        "Cases",
        "Minutes",
        "Images/s",
        "Precision",
        "Memory MiB",
    ]
    rows = [
        [
            str(row["run_id"]),
            row["rung"],
            f"{100 * row['label_fraction']:.3g}%",
            str(row["seed"]),
            row["state"] if row.get("taken", True) else f"{row['state']}, not taken",
            *(_cell(row[name]) for name in ("steps", "selected_step", "training_cases")),
            "–" if row["seconds"] is None else f"{float(row['seconds']) / 60:.1f}",
            *(_cell(row[name]) for name in ("images_per_second", "precision", "peak_memory_mib")),
        ]
        for row in content.runs.iter_rows(named=True)
    ]
    table = Table(head, rows, "", frozenset({2, 3, 5, 6, 7, 8, 9, 11}))
    lost = content.runs.filter(pl.col("state") != "done")
    parts: list[Component] = [
        Note(f"{row['run_id']}: {row['state']}: {row['message']}")
        for row in lost.iter_rows(named=True)
        if row["message"]
    ]
    if "weights" in content.runs.columns:  # not in a list of runs that is made from a table
        loaded = content.runs.filter(pl.col("weights").is_not_null())
        parts += [
            Note(f"{row['rung']}: {row['weights']}.")
            for row in loaded.unique(["rung", "weights"], maintain_order=True).iter_rows(named=True)
        ]
    lead = f"{plural(len(rows), 'run')}, all with results."
    if len(lost):
        lead = f"{plural(len(lost), 'run')} of {len(content.runs)} without results."
    return Section("runs", "Runs and costs", lead, [*parts, Fold("Every run", [table])])


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def method(content: ReportData) -> Section:
    """Flow of cases, settings, versions, assumptions, findings of the audit."""
    parts: list[Component] = [_flow(content), Facts([*content.facts, *_scoring(content)])]
    parts += [Note(sentence) for sentence in content.said]
    if content.findings is not None:
        findings = [
            [found.code, found.level, found.check, found.sentence, found.waived or "–"]
            for found in content.findings
        ]
        head = ["Code", "Level", "Check", "Found", "Waived because"]
        parts.append(
            narrow(Table(head, findings, "What the audit found."))
            if findings
            else Note("The audit found nothing.")
        )
    return Section("method", "What was done", "", parts)


def _flow(content: ReportData) -> Table:
    """Who was used for what; of many targets, the positives are folded into one column."""
    images = any(count.images is not None for count in content.counts)
    several = len(content.targets) > 6
    head = ["Cohort", "Split", *(["Images"] if images else []), "Cases", "Patients"]
    head += ["Positive"] if several else [f"{target} +" for target in content.targets]
    rows: list[list[str]] = []
    for count in content.counts:
        positive = [f"{count.positive.get(target, 0):,}" for target in content.targets]
        if several:
            pairs = zip(content.targets, positive, strict=True)
            positive = [", ".join(f"{target} {number}" for target, number in pairs)]
        numbers = [*([_cell(count.images)] if images else []), f"{count.cases:,}"]
        rows.append([count.cohort, count.split, *numbers, f"{count.patients:,}", *positive])
    numeric = range(2, len(head) - 1 if several else len(head))
    used = [
        f"{split}: {ROLES[split]}" for split in ROLES if split in {c.split for c in content.counts}
    ]
    caption = f"Who was used for what. {'; '.join(used)}.{'' if several else ' +: positive cases.'}"
    return Table(head, rows, caption, frozenset(numeric))


def _scoring(content: ReportData) -> list[tuple[str, str]]:
    """How predictions were turned into numbers."""
    config = content.evaluation
    drawn = {
        "patients": "by patient",
        "stratified": "by patient, stratified by their labels",
        "bayesian": "with Bayesian weights of patients",
        "poisson": "with Poisson counts of patients",
    }[config.resample]
    points = points_text(config.operating_points)
    intervals = (
        f"95 %, {config.interval}; {config.replicates:,} bootstrap replicates {drawn}, the same "
        f"for all rungs; seed {config.seed}"
    )
    groups = (
        f"of at least {config.minimum_group} cases; p-values from {config.permutations:,} "
        "permutations of patients"
    )
    facts = [
        ("Reference", content.reference),
        ("Intervals", intervals),
        ("Operating points", points or "none"),
        ("Groups", groups),
    ]
    if config.margin is not None:
        facts.append(("Margin", f"{config.margin:g} AUROC would not matter, as stated beforehand"))
    if config.healthy_targets:
        facts.append(("No finding", ", ".join(config.healthy_targets)))
    return facts


def limits(content: ReportData) -> Section:
    """What a reader must not conclude."""
    notes: list[str] = []
    if content.seeds < FEW_SEEDS:
        notes.append(
            f"{plural(content.seeds, 'seed')}: intervals show the chance of patients, not that of "
            "training. Differences as small as those between seeds mean little."
        )
    if len(content.shifted) == 1:
        notes.append("One shifted cohort: what holds there need not hold at a third hospital.")
    if not content.shifted:
        notes.append("No shifted cohort: nothing is said of other hospitals.")
    for count in content.counts:
        if count.split == "test" and count.patients < FEW_PATIENTS:
            notes.append(
                f"{plural(count.patients, 'test patient')} at {count.cohort}: only large "
                "differences can be seen."
            )
    if len(content.rungs) > 2:
        notes.append(
            "The best rung was picked on the same test cases that its numbers are from: they "
            "flatter it a little."
        )
    notes += content.cautions
    notes.append("Association, not causation: a gap or a drop does not say why.")
    return Section("limits", "What this cannot say", "", [Note(note) for note in notes])
