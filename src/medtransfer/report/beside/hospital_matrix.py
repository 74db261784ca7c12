"""Hospitals trained on by hospitals tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.scoring.run import INTERNAL
from medtransfer.report.charts.heat_map import heat_map
from medtransfer.report.components import Component, Figure, Heading, Note, ReportTable
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import auroc_axis, figure
from medtransfer.report.text import interval_text
from medtransfer.tables.results import ALL

TITLE = "Trained on, tested on"
OWN_CASES = "own test cases"
NOT_TESTED, NO_VALUE = "not tested", "undefined"
CAPTION = (
    "AUROC, with its 95% interval where there is room. Rows: trained on; columns: tested on; "
    "darker is higher. Solid frame: cases of where it was trained. Dashed frame: no value."
)
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


@dataclass(frozen=True)
class Training:
    """A training, and its AUROC where it was tested.

    Attributes:
        name: In its row.
        tested: Rows of results by hospital.
        at_home: The tested cases that are of where it was trained.
    """

    name: str
    tested: Mapping[str, Row]
    at_home: str


def hospital_matrix(trainings: Sequence[Training]) -> list[Component]:
    """AUROC with a row for what was trained on and a column for what was tested on: picture, table.

    Args:
        trainings: In reading order.
    """
    cohorts = dict.fromkeys(cohort for training in trainings for cohort in training.tested)
    homes = [training.at_home for training in trainings if training.at_home in cohorts]
    tested = list(dict.fromkeys([*homes, *cohorts]))
    cells = [
        [t.name, *(interval_text(t.tested[c]) if c in t.tested else "–" for c in tested)]
        for t in trainings
    ]
    head = ["Trained on", *map(_column_name, tested)]
    caption = "AUROC. Rows: trained on; columns: tested on."
    table = ReportTable(head, cells, caption, frozenset(range(1, len(head))))
    return [_picture(trainings, tested), table]


def _picture(trainings: Sequence[Training], tested: Sequence[str]) -> Figure:
    """The matrix as a heat map."""
    values = [
        {
            "row": training.name,
            "column": _column_name(cohort),
            **{end: row[end] if row else None for end in ("value", "low", "high")},
            "note": NOT_TESTED if row is None else NO_VALUE if row["value"] is None else None,
            "framed": cohort == training.at_home,
        }
        for training in trainings
        for cohort in tested
        for row in [training.tested.get(cohort)]
    ]
    spec = heat_map(
        values,
        auroc_axis("AUROC", values),
        rows=[training.name for training in trainings],
        columns=[_column_name(cohort) for cohort in tested],
        titles=("trained on", "tested on"),
    )
    reasons = [
        f" {training.name} at {_column_name(cohort)}: undefined ({row['reason']})."
        for training in trainings
        for cohort, row in training.tested.items()
        if row["value"] is None
    ]
    return figure("hospitals", spec, CAPTION + "".join(reasons))


def _column_name(cohort: str) -> str:
    return OWN_CASES if cohort == INTERNAL else cohort


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
        Training(
            f"all but {held_out}",
            _home_and_away(rows.filter(pl.col("held_out") == held_out)),
            INTERNAL,
        )
        for held_out in sorted(set(rows["held_out"]))
    ]
    if len(trained) < 2:
        return []
    return [Heading(TITLE), *hospital_matrix(trained), Note(LEFT_OUT.format(rung=data.best))]


def _home_and_away(rows: pl.DataFrame) -> dict[str, Row]:
    """Of one training: the mean of its runs on its own test cases, and its row of the hospital.

    No interval is made of the mean, since the patients of the trainings overlap.
    """
    of_runs = rows.filter(pl.col("run_id").is_not_null(), pl.col("cohort") != pl.col("held_out"))
    together = of_runs.filter(pl.col("cohort") == INTERNAL)
    # of two hospitals a training has one, whose test cases have its name
    at_home = of_runs if together.is_empty() else together
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
    trained = [Training(_home(data), _tested(data), str(data.internal_name)) for data in placed]
    return [*hospital_matrix(trained), Note(OF_STUDIES)]


def _home(data: ReportData) -> str:
    """The hospital that a study was trained on, with the study where that is several."""
    home = str(data.internal_name)
    return f"{data.name}: several" if home == INTERNAL else f"{home} ({data.name})"


def _tested(data: ReportData) -> dict[str, Row]:
    rows = {cohort: data.result_row(data.best, cohort, HEADLINE) for cohort in data.cohorts}
    return {cohort: row for cohort, row in rows.items() if row is not None}
