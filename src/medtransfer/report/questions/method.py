"""Methods: runs and their costs, data, settings, audit findings, and limitations."""

from typing import Any

import polars as pl

from medtransfer.errors import plural
from medtransfer.evaluation.scoring.config import MissCost
from medtransfer.report.components import (
    Component,
    Facts,
    Fold,
    Note,
    ReportTable,
    Section,
    without_empty_columns,
)
from medtransfer.report.content import ReportData, SplitCounts
from medtransfer.report.flow.counts import flow_texts
from medtransfer.report.flow.diagram import flow_parts
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import joined, points_text
from medtransfer.statistics.small_samples import FEW_PATIENTS, MIN_PATIENTS

FEW_TEST_PATIENTS = 100
"""Fewer than these are named as a limitation."""
ROLES = {
    "train": "training",
    "tune": "selection of checkpoints; fitting of thresholds, temperatures and the like",
    "test": "all results",
}
"""Split to its use in the study."""


def runs(data: ReportData) -> Section | None:
    """Every run with its state and costs, and the causes of failures."""
    if data.runs is None:
        return None
    head = [
        "Run",
        "Rung",
        "Labels",
        "Seed",
        "State",
        "Steps",
        "Selected step",
        "Cases",
        "Minutes",
        "Images/s",
        "Precision",
        "Memory (MiB)",
    ]
    rows = [
        [
            str(row["run_id"]),
            row["rung"],
            f"{100 * row['label_fraction']:.3g}%",
            str(row["seed"]),
            row["state"] if row.get("taken", True) else f"{row['state']}, not selected",
            *(_cell(row[name]) for name in ("steps", "selected_step", "training_cases")),
            "–" if row["seconds"] is None else f"{float(row['seconds']) / 60:.1f}",
            *(_cell(row[name]) for name in ("images_per_second", "precision", "peak_memory_mib")),
        ]
        for row in data.runs.iter_rows(named=True)
    ]
    table = ReportTable(head, rows, "", frozenset({2, 3, 5, 6, 7, 8, 9, 11}))
    failed = data.runs.filter(pl.col("state") != "done")
    parts: list[Component] = [
        Note(f"{row['run_id']}: {row['state']}: {row['message']}")
        for row in failed.iter_rows(named=True)
        if row["message"]
    ]
    if "weights" in data.runs.columns:  # not in a list of runs that is made from a table
        loaded = data.runs.filter(pl.col("weights").is_not_null())
        parts += [
            Note(f"{row['rung']}: {row['weights']}.")
            for row in loaded.unique(["rung", "weights"], maintain_order=True).iter_rows(named=True)
        ]
    lead = f"{plural(len(rows), 'run')}, all with results."
    if len(failed):
        lead = f"{len(failed)} of {plural(len(data.runs), 'run')} without results."
    return Section("runs", "Runs and costs", lead, [*parts, Fold("All runs", [table])])


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def method(data: ReportData) -> Section:
    """Cases by split, settings, versions, assumptions, audit findings."""
    parts: list[Component] = [*flow_parts(data), _flow(data), Facts([*data.facts, *_scoring(data)])]
    parts += [Note(sentence) for sentence in data.notes]
    if data.findings is not None:
        rows = [
            [finding.code, finding.level, finding.check, finding.sentence, finding.waived or "–"]
            for finding in data.findings
        ]
        head = ["Code", "Level", "Check", "Finding", "Reason for waiver"]
        parts.append(
            without_empty_columns(ReportTable(head, rows, "Audit findings."))
            if rows
            else Note("The audit found no problems.")
        )
    return Section("method", "Methods", "", parts)


def _flow(data: ReportData) -> ReportTable:
    """Cases by cohort and split; many targets share one column of positive cases."""
    images = all(count.images is not None for count in data.counts)
    several = len(data.targets) > 6
    head = ["Cohort", "Split", *(["Images"] if images else []), "Cases", "Patients"]
    head += ["Positive"] if several else [f"{target}: positive" for target in data.targets]
    rows: list[list[str]] = []
    least = data.evaluation.minimum_group
    texts = flow_texts(data.counts, least)
    for count in data.counts:
        positive = [_positive_text(count, target, least) for target in data.targets]
        if several:
            pairs = zip(data.targets, positive, strict=True)
            positive = [", ".join(f"{target} {number}" for target, number in pairs)]
        shown = [*(["images"] if images else []), "cases", "patients"]
        numbers = [texts.splits[count.cohort, count.split][name] for name in shown]
        rows.append([count.cohort, count.split, *numbers, *positive])
    numeric = range(2, len(head) - 1 if several else len(head))
    splits = {count.split for count in data.counts}
    roles = ". ".join(
        f"{split.capitalize()}: {role}" for split, role in ROLES.items() if split in splits
    )
    caption = f"Cases by cohort and split. {roles}. Positive: of the labelled cases, which alone "
    caption += "enter the metrics."
    return ReportTable(head, rows, caption, frozenset(numeric))


def _positive_text(count: SplitCounts, target: str, least: int) -> str:
    """``45 of 76``, with the unlabelled cases if there are any; small counts are hidden."""
    labelled = count.labelled(target)
    positive = count.positive.get(target, 0)
    few_negative = 0 < labelled - positive < least <= positive  # 45 of 47 would say 2
    part = f"≥{least}" if few_negative else count_text(positive, least)
    text = f"{part} of {count_text(labelled, least)}"
    rest = count_text(count.cases - labelled, least)
    return text if labelled == count.cases else f"{text} ({rest} unlabelled)"


def _scoring(data: ReportData) -> list[tuple[str, str]]:
    """Settings of the evaluation."""
    config = data.evaluation
    resampling = {
        "patients": "over patients",
        "stratified": "over patients, stratified by label",
        "bayesian": "with Bayesian weights for patients",
        "poisson": "with Poisson counts for patients",
    }[config.resample]
    points = points_text(config.operating_points)
    intervals = (
        f"95%, {config.interval}; {config.replicates:,} bootstrap replicates {resampling}, the "
        f"same for all rungs; seed {config.seed}"
    )
    if config.replicates:
        intervals += (
            f"; score intervals with fewer than {FEW_PATIENTS} positive or negative patients, none "
            f"with fewer than {MIN_PATIENTS}"
        )
    groups = (
        f"values of fewer than {config.minimum_group} patients are not named and form one group; "
        f"at least {config.minimum_group} cases each, and as many positive or negative ones for "
        f"metrics of these; permutation tests with {config.permutations:,} permutations"
    )
    facts = [
        ("Reference rung", data.reference),
        ("Intervals", intervals),
        ("Operating points", points or "none"),
        ("Groups", groups),
    ]
    if config.margin is not None:
        facts.append(
            (
                "Margin",
                f"differences of up to {config.margin:g} AUROC are negligible (stated in advance)",
            )
        )
    if config.decision_thresholds:
        risks = joined([f"{100 * threshold:g}%" for threshold in config.decision_thresholds])
        facts.append(("Decision thresholds", f"{risks}; stated in advance, not chosen by results"))
    if config.miss_cost is not None:
        facts.append(("Cost of a missed positive", costs_text(config.miss_cost)))
    if config.grades:
        facts.append(("Grades, lowest first", ", ".join(config.grades)))
    if config.healthy_targets:
        facts.append(("Healthy targets", ", ".join(config.healthy_targets)))
    return facts


def costs_text(costs: MissCost) -> str:
    """Costs of misses in words, as `evaluation.miss_cost` states them."""
    if not isinstance(costs, dict):
        return f"{costs:g} false alarms"
    parts: list[str] = []
    for name, cost in costs.items():
        if isinstance(cost, dict):
            parts += [f"{name} called {other} {amount:g}" for other, amount in cost.items()]
        else:
            parts.append(f"{name} {cost:g}")
    return f"{', '.join(parts)} (in false alarms)"


def limits(data: ReportData) -> Section:
    """Limitations of the results."""
    notes: list[str] = []
    if data.seeds == 1:
        notes.append(
            "One seed: intervals contain the variation between patients, not that between "
            "training runs. They speak of the trained models at hand; a rung trained again may "
            "differ by more."
        )
    else:
        notes.append(
            f"{plural(data.seeds, 'seed')}: intervals of means and differences contain the "
            "variation between patients and, as far as so many seeds show it, that between "
            "training runs."
        )
    if len(data.shifted) == 1:
        notes.append("One shifted cohort: results may not hold at a third hospital.")
    if not data.shifted:
        notes.append("No shifted cohort: the results say nothing about other hospitals.")
    for count in data.counts:
        if count.split == "test" and count.patients < FEW_TEST_PATIENTS:
            patients = count_text(count.patients, data.evaluation.minimum_group)
            patients += " test patient" if patients == "1" else " test patients"
            notes.append(f"{patients} on {count.cohort}: only large differences can be detected.")
    if len(data.rungs) > 2:
        notes.append(
            "The best rung was selected on the same test cases as its results, which makes them "
            "slightly optimistic."
        )
    notes += data.cautions
    notes.append("Association, not causation: the cause of a gap or a drop remains unknown.")
    return Section("limits", "Limitations", "", [Note(note) for note in notes])
