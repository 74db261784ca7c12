"""Predictions of many runs, read at once, are those read one after the other."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.prediction_tables import Site, binary_table

from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.tested import files
from medtransfer.runs.tested.cases import PredictedCases, PredictedCohort
from medtransfer.runs.tested.files import (
    CohortRecord,
    add_predictions,
    read_predictions_of,
    read_predictions_of_runs,
    write_tested,
)
from medtransfer.tables.predictions import write_predictions

SITES = {"a": Site({"tune": 8, "test": 12}), "b": Site({"test": 6})}
TABLE = binary_table(SITES)
COHORTS = (PredictedCohort("a", 12, "aa"), PredictedCohort("b", 6, "bb"))


class Cases(PredictedCases):
    """Cases of the manifest with labels of today; the last one is not there any more."""

    def __init__(self, cohorts: tuple[PredictedCohort, ...] = COHORTS) -> None:
        self.__dict__["cohorts"] = cohorts  # both are made from a manifest when first asked for
        names = ["case_id", "patient_id", "cohort", "split", "target_x"]
        self.__dict__["table"] = TABLE.select(names)[:-1].with_columns(target_x=pl.lit(1.0))


def made(folder: StudyFolder, name: str, cohorts: tuple[PredictedCohort, ...]) -> RunFolder:
    run = folder.run(name)
    run.path.mkdir(parents=True)
    known = [cohort.cohort for cohort in cohorts]
    rows = TABLE.filter((pl.col("split") == "tune") | pl.col("cohort").is_in(known))
    logit = pl.col("logit_x") + len(name)
    write_predictions(
        rows.with_columns(logit, run_id=pl.lit(name)), run.path / "predictions.parquet"
    )
    write_tested(run, name, cohorts)
    return run


@pytest.mark.parametrize("at_once", [2, 64])
def test_many_at_once_are_as_one_after_the_other(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "AT_ONCE", at_once)
    folder, cases, other = StudyFolder(tmp_path), Cases(), Cases(COHORTS[:1])
    runs = [made(folder, name, COHORTS) for name in ("r1", "r2", "r3")]
    later = made(folder, "later", COHORTS[:1])
    record = CohortRecord("b", 6, "bb", "weights", {})
    added = TABLE.filter(pl.col("cohort") == "b").with_columns(run_id=pl.lit("later"))
    add_predictions(later, record, added)
    asked = [*((run, cases) for run in runs), (later, cases), (runs[0], other), (runs[1], other)]
    tables = list(read_predictions_of_runs(asked))
    assert [len(table) for table in tables] == [25, 25, 25, 25, 20, 20]
    for (run, of_run), table in zip(asked, tables, strict=True):
        assert table["run_id"].unique().to_list() == [run.run_id]
        assert_frame_equal(table, read_predictions_of(run, of_run))
    assert tables[0]["target_x"].unique().to_list() == [1.0]


def test_tables_of_other_columns_are_read_one_by_one(tmp_path: Path) -> None:
    folder, cases = StudyFolder(tmp_path), Cases()
    runs = [made(folder, name, COHORTS) for name in ("r1", "r2")]
    path = runs[1].path / "predictions.parquet"
    write_predictions(pl.read_parquet(path).with_columns(ood_knn=pl.lit(0.5)), path)
    asked = [(run, cases) for run in runs]
    for (run, _), table in zip(asked, read_predictions_of_runs(asked), strict=True):
        assert_frame_equal(table, read_predictions_of(run, cases))
