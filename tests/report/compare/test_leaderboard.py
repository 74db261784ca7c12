"""Rungs of several studies and evaluations side by side."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import StudyError
from medtransfer.report.compare.leaderboard import SCHEMA, Leaderboard, leaderboard
from medtransfer.runs.folders import StudyFolder
from medtransfer.tables.results import read_results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def board(
    finished: StudyFolder, evaluation: Path, tmp_path_factory: pytest.TempPathFactory
) -> Leaderboard:
    return leaderboard([finished.path, evaluation], tmp_path_factory.mktemp("board"))


def test_every_rung_of_every_cohort_has_its_row_best_first(
    finished: StudyFolder, board: Leaderboard
) -> None:
    assert dict(board.table.schema) == {name: kind() for name, kind in SCHEMA.items()}
    rows = board.table.filter(pl.col("study") == "finished")
    assert rows["cohort"].to_list() == ["a", "a", "b", "b"]
    assert rows["internal"].to_list() == [True, True, False, False]
    for _, cohort in rows.group_by("cohort"):
        assert cohort["value"].is_sorted(descending=True)
        assert cohort["place"].to_list() in ([1, 2], [1, 1])
    results = read_results(finished.path / "results.parquet").filter(
        pl.col("run_id").is_null(),
        pl.col("metric") == "auroc",
        pl.col("attribute") == "all",
        pl.col("label_fraction") == 1,
    )
    same = rows.join(results, on=["rung", "cohort", "value", "low", "high"], nulls_equal=True)
    assert len(same) == 4
    assert rows["seeds"].unique().to_list() == [2]


def test_a_place_is_not_all_that_is_said_of_a_study(board: Leaderboard) -> None:
    leaders = board.table.filter(pl.col("leader").is_not_null())
    assert set(leaders["study"]) <= {"finished"}  # an evaluation has no pairs of rungs
    assert "need not differ" in board.page.read_text("utf-8")


def test_the_table_lies_beside_its_page(board: Leaderboard) -> None:
    folder = board.page.parent
    assert pl.read_parquet(folder / "leaderboard.parquet").equals(board.table, null_equal=True)
    assert len(pl.read_csv(folder / "leaderboard.csv")) == len(board.table)


def test_of_an_error_the_smallest_is_best(evaluation: Path, tmp_path: Path) -> None:
    table = leaderboard([evaluation], tmp_path, metric="brier").table
    for _, cohort in table.group_by("study", "cohort"):
        assert cohort["value"].is_sorted()
        assert cohort["place"][0] == 1


def test_what_cannot_be_listed_is_said(evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="neither a study nor an evaluation"):
        leaderboard([tmp_path], tmp_path / "out")
    with pytest.raises(StudyError, match="describes and does not judge"):
        leaderboard([evaluation], tmp_path / "out", metric="prevalence")
    with pytest.raises(StudyError, match="metric 'aurock' does not exist"):
        leaderboard([evaluation], tmp_path / "out", metric="aurock")
