"""Hospitals trained on by hospitals tested on."""

from collections.abc import Mapping, Sequence

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.run import INTERNAL
from medtransfer.report.components import Component, Heading, Note, ReportTable
from medtransfer.report.content import ReportData, Row
from medtransfer.report.text import interval_text
from medtransfer.tables.results import ALL

TITLE = "Trained on, tested on"
OWN_CASES = "own test cases"
LEFT_OUT = (
    "A row is a training without one hospital; its own test cases are those of the hospitals that "
    "it was trained on, together, as a mean over seeds. The rung is {rung}. Compare the hospital "
    "that was left out with the own test cases of its row; other patients are in each."
)
OF_STUDIES = (
    "A row is a study, named after the hospital that it was trained on, with its rung of the best "
    "AUROC there. Studies may test a hospital on different cases of it, so that a column is no "
    "paired comparison; `medtransfer compare` makes one on common cases."
)


def hospital_matrix(trained: Sequence[tuple[str, Mapping[str, Row]]]) -> ReportTable:
    """A table of AUROC with a row for what was trained on and a column for what was tested on.

    Args:
        trained: Name of each training, and its rows of results by tested hospital.
    """
    tested = list(dict.fromkeys(cohort for _, rows in trained for cohort in rows))
    cells = [
        [name, *(interval_text(rows[cohort]) if cohort in rows else "–" for cohort in tested)]
        for name, rows in trained
    ]
    head = ["Trained on", *(OWN_CASES if cohort == INTERNAL else cohort for cohort in tested)]
    caption = "AUROC. Rows: trained on; columns: tested on."
    return ReportTable(head, cells, caption, frozenset(range(1, len(head))))


def left_out_passage(data: ReportData) -> list[Component]:
    """The matrix of a study that left out each hospital in turn; nothing of other studies."""
    if not data.leave_cohort_out:
        return []
    rows = data.results.filter(
        pl.col("retrain_fraction").is_null(),
        pl.col("held_out").is_not_null(),
        rung=data.best,
        metric=HEADLINE,
        attribute=ALL,
        target=data.target,
        label_fraction=data.full_fraction,
    )
    trained = [
        (f"all but {held_out}", _home_and_away(rows.filter(pl.col("held_out") == held_out)))
        for held_out in sorted(set(rows["held_out"]))
    ]
    if len(trained) < 2:
        return []
    table = hospital_matrix(trained)
    return [Heading(TITLE), table, Note(LEFT_OUT.format(rung=data.best))]


def _home_and_away(rows: pl.DataFrame) -> dict[str, Row]:
    """Of one training: the mean of its runs on its own test cases, and its row of the hospital.

    No interval is made of the mean, since the patients of the trainings overlap.
    """
    at_home = rows.filter(pl.col("run_id").is_not_null(), pl.col("cohort") == INTERNAL)
    home: dict[str, Row] = {}
    if at_home["value"].count():
        home[INTERNAL] = {"value": at_home["value"].mean(), "low": None, "high": None}
    away = rows.filter(pl.col("run_id").is_null(), pl.col("cohort") == pl.col("held_out"))
    return home | {row["cohort"]: row for row in away.to_dicts()}


def of_studies(boards: Sequence[ReportData]) -> list[Component]:
    """The matrix of studies of the same targets at different hospitals; nothing without two.

    Args:
        boards: Studies and evaluations.
    """
    placed = [data for data in boards if data.internal_name is not None]
    homes = {data.internal_name for data in placed}
    if len(homes) < 2 or len({frozenset(data.targets) for data in placed}) > 1:
        return []
    trained = [(_home(data), _tested(data)) for data in placed]
    return [hospital_matrix(trained), Note(OF_STUDIES)]


def _home(data: ReportData) -> str:
    """The hospital that a study was trained on, with the study where that is several."""
    home = str(data.internal_name)
    return f"{data.name}: several" if home == INTERNAL else f"{home} ({data.name})"


def _tested(data: ReportData) -> dict[str, Row]:
    rows = {cohort: data.result_row(data.best, cohort, HEADLINE) for cohort in data.cohorts}
    return {cohort: row for cohort, row in rows.items() if row is not None}
