"""Summary of a study or an evaluation, for the terminal."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl

from medtransfer.cli.display import print_table, wrapped
from medtransfer.errors import listed
from medtransfer.evaluation.comparison.seed_means import DROP_SUFFIX, HEADLINE, OVER_SHARED
from medtransfer.report.content import ReportData
from medtransfer.report.text import interval_text, saved_text

if TYPE_CHECKING:
    from medtransfer.recipes.planted import PlantedTruth

MAX_COHORTS = 4


def print_rungs(data: ReportData) -> None:
    """Print a row per rung: finished runs, AUROC on every cohort, labels saved."""
    cohorts = data.cohorts[:MAX_COHORTS]
    trained, curve = data.runs is not None, len(data.fractions) > 1
    rows = [
        [
            rung,
            *([_finished_runs(data, rung)] if trained else []),
            *(interval_text(data.headline_row(rung, cohort)) for cohort in cohorts),
            *([_labels_saved(data, rung)] if curve else []),
        ]
        for rung in data.rungs
    ]
    head = ["rung", *(["runs"] if trained else []), *(_title(data, cohort) for cohort in cohorts)]
    print_table([*head, *(["labels saved"] if curve else [])], rows, right=(1,) if trained else ())
    if len(data.cohorts) > MAX_COHORTS:
        print(f"Cohorts in the report only: {listed(data.cohorts[MAX_COHORTS:])}.")
    for sentence in _other_targets(data):
        print(wrapped(sentence))


def _other_targets(data: ReportData) -> Iterator[str]:
    """Sentences on cohorts whose mean is of other targets than at home."""
    for cohort in data.shifted:
        drop = data.result_row(data.best, cohort, HEADLINE + DROP_SUFFIX)
        if drop is not None and (drop["reason"] or "").startswith(OVER_SHARED):
            value = "" if drop["value"] is None else f" is {interval_text(drop)}"
            yield (
                f"{cohort} has other targets than {data.drop_baseline}: their AUROCs above are not "
                f"alike. The drop of {data.best} {drop['reason']}{value}."
            )


def _title(data: ReportData, cohort: str) -> str:
    """Title of a cohort's column; several training cohorts are scored each within itself."""
    within = data.headline(cohort) != HEADLINE
    return f"AUROC {cohort}{', within hospitals' if within else ''}"


def _finished_runs(data: ReportData, rung: str) -> str:
    if data.runs is None:
        return ""
    runs = data.runs.filter(pl.col("rung") == rung)
    return f"{runs.filter(pl.col('state') == 'done').height}/{runs.height}"


def _labels_saved(data: ReportData, rung: str) -> str:
    row = data.result_row(rung, data.main_cohort, "labels_saved")
    return "–" if row is None else saved_text(row)


def print_truths(truths: "Sequence[PlantedTruth]", *, as_json: bool) -> None:
    """Print what was planted in a phantom beside what a study found of it."""
    if as_json:
        print(json.dumps({"planted": [asdict(truth) for truth in truths]}))
        return
    for truth in truths:
        print(wrapped(f"{truth.topic}: planted: {truth.planted}."))
        print(wrapped(f"  found: {truth.found}."))
