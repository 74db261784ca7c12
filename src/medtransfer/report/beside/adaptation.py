"""Adaptation: what a few patients of another hospital are worth to the best rung."""

import polars as pl

from medtransfer.evaluation.comparison.adaptation.reading import LOSS, read_adaptation
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.posthoc.adaptation.arms import MEANINGS
from medtransfer.report.components import Component, Fold, Heading, Note, ReportTable
from medtransfer.report.content import ReportData, Row
from medtransfer.report.text import difference_text, interval_text

TITLE = "Adaptation with a few patients of the other hospital"
AROUND = (
    "Every way is fitted on the same patients, drawn at random, and tested on the hospital's other "
    "patients, who take no part in any fit or choice. Differences are paired with the network as "
    "it is carried there; below 0 is a gain in log loss. Selected: the way that cross-validation "
    "chooses within the drawn patients, among those that leave the network as it is."
)
WORDS = {
    **MEANINGS,
    "selected": "chosen by cross-validation",
    "internal+shifted": "trained again with the home cases and those of the patients",
    "sequential": "the training at home goes on with the patients alone",
    "shifted-only": "trained from the rung's weights on the patients alone",
}


def adaptation_passage(data: ReportData) -> list[Component]:
    """Sentences on the best rung and a table of each hospital; nothing if not asked for."""
    table = data.adaptation
    if table is None or table.is_empty():
        return []
    rows = table.filter(pl.col("rung") == data.best)
    if rows.is_empty():
        return []
    notes = [Note(reading.sentence) for reading in read_adaptation(rows)]
    tables = [
        _table(rows.filter(pl.col("cohort") == cohort), cohort, data.best)
        for cohort in rows["cohort"].unique(maintain_order=True).to_list()
    ]
    meanings = "; ".join(
        f"{arm}: {words}" for arm, words in WORDS.items() if arm in set(rows["arm"])
    )
    return [
        Heading(TITLE),
        *notes,
        Note(AROUND),
        Fold("Every way, by patients", tables),
        Note(meanings),
    ]


def _table(rows: pl.DataFrame, cohort: str, rung: str) -> ReportTable:
    """Log loss and AUROC of each way and number of patients."""
    numbers: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows.to_dicts():
        if row["metric"] in (LOSS, HEADLINE) and row["target"] == _overall(rows, row["metric"]):
            numbers.setdefault((row["arm"], row["patients"]), {})[row["metric"]] = row
    cells = [
        [arm, str(patients), *_cells(of_arm.get(LOSS)), *_cells(of_arm.get(HEADLINE))]
        for (arm, patients), of_arm in numbers.items()
    ]
    head = ["Way", "Patients", "Log loss", "Difference", "AUROC", "Difference in AUROC"]
    return ReportTable(head, cells, f"{rung} at {cohort}", frozenset({1, 2, 3, 4, 5}))


def _overall(rows: pl.DataFrame, metric: str) -> str:
    """Target of a metric's overall numbers: the mean over targets, the case, or the only one."""
    targets = rows.filter(pl.col("metric") == metric)["target"].unique(maintain_order=True)
    names = [str(name) for name in targets]
    return next((name for name in ("macro", "case") if name in names), names[0])


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None or row["value"] is None:
        return "–", "–" if row is None else str(row["reason"] or "–")
    return interval_text(row, 3), "" if row["difference"] is None else difference_text(row)
