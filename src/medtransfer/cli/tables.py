"""A finished study on the terminal."""

import polars as pl

from medtransfer.cli.text import print_table
from medtransfer.report.content import Content, read_content
from medtransfer.report.summary import interval_text
from medtransfer.study.store import StudyFolder


def print_summary(folder: StudyFolder) -> None:
    """Print a row per rung: runs, AUROC on every cohort, labels saved."""
    content = read_content(folder)
    places = content.places[:4]
    curve = len(content.fractions) > 1
    head = ["rung", "runs", *(f"AUROC {place}" for place in places)]
    rows = [
        [
            rung.name,
            _runs(content, rung.name),
            *(interval_text(content.number(rung.name, place, "auroc")) for place in places),
            *([_saved(content, rung.name)] if curve else []),
        ]
        for rung in content.rungs
    ]
    print_table([*head, *(["labels saved"] if curve else [])], rows, right=(1,))


def _runs(content: Content, rung: str) -> str:
    own = content.runs.filter(pl.col("rung") == rung)
    return f"{own.filter(pl.col('state') == 'done').height}/{own.height}"


def _saved(content: Content, rung: str) -> str:
    rows = content.overall("labels_saved").filter(
        (pl.col("rung") == rung) & (pl.col("cohort") == content.places[0])
    )
    if rows.is_empty():
        return "–"
    row = rows.row(0, named=True)
    if row["value"] is None:
        return "none"
    least = "≥ " if str(row["reason"] or "").startswith("at least") else ""
    low = "–" if row["low"] is None else f"{row['low']:.0%}"
    high = "–" if row["high"] is None else f"{row['high']:.0%}"
    return f"{least}{row['value']:.0%} [{low}, {high}]"
