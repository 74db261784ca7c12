"""A finished study, or an evaluation, on the terminal."""

import polars as pl

from medtransfer.cli.display import print_table
from medtransfer.report.content import ReportData
from medtransfer.report.reading import load_study_data
from medtransfer.report.text import interval_text, saved_text
from medtransfer.runs.folders import StudyFolder


def print_summary(folder: StudyFolder) -> None:
    """Print a row per rung of a study."""
    print_rungs(load_study_data(folder))


def print_rungs(data: ReportData) -> None:
    """Print a row per rung: runs, AUROC on every cohort, labels saved."""
    cohorts = data.cohorts[:4]
    trained, curve = data.runs is not None, len(data.fractions) > 1
    rows = [
        [
            rung,
            *([_runs(data, rung)] if trained else []),
            *(interval_text(data.result_row(rung, cohort, "auroc")) for cohort in cohorts),
            *([_saved(data, rung)] if curve else []),
        ]
        for rung in data.rungs
    ]
    head = ["rung", *(["runs"] if trained else []), *(f"AUROC {cohort}" for cohort in cohorts)]
    print_table([*head, *(["labels saved"] if curve else [])], rows, right=(1,) if trained else ())


def _runs(data: ReportData, rung: str) -> str:
    if data.runs is None:
        return ""
    runs = data.runs.filter(pl.col("rung") == rung)
    return f"{runs.filter(pl.col('state') == 'done').height}/{runs.height}"


def _saved(data: ReportData, rung: str) -> str:
    row = data.result_row(rung, data.main_cohort, "labels_saved")
    return "–" if row is None else saved_text(row)
