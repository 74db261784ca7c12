"""A finished study, or an evaluation, on the terminal."""

import polars as pl

from medtransfer.cli.display import print_table
from medtransfer.report.content import ReportData
from medtransfer.report.reading import read_content
from medtransfer.report.text import interval_text, saved_text
from medtransfer.runs.folders import StudyFolder


def print_summary(folder: StudyFolder) -> None:
    """Print a row per rung of a study."""
    print_rungs(read_content(folder))


def print_rungs(content: ReportData) -> None:
    """Print a row per rung: runs, AUROC on every cohort, labels saved."""
    places = content.places[:4]
    trained, curve = content.runs is not None, len(content.fractions) > 1
    rows = [
        [
            rung,
            *([_runs(content, rung)] if trained else []),
            *(interval_text(content.number(rung, place, "auroc")) for place in places),
            *([_saved(content, rung)] if curve else []),
        ]
        for rung in content.rungs
    ]
    head = ["rung", *(["runs"] if trained else []), *(f"AUROC {place}" for place in places)]
    print_table([*head, *(["labels saved"] if curve else [])], rows, right=(1,) if trained else ())


def _runs(content: ReportData, rung: str) -> str:
    if content.runs is None:
        return ""
    own = content.runs.filter(pl.col("rung") == rung)
    return f"{own.filter(pl.col('state') == 'done').height}/{own.height}"


def _saved(content: ReportData, rung: str) -> str:
    row = content.number(rung, content.place, "labels_saved")
    return "–" if row is None else saved_text(row)
