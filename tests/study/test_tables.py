"""The study's tables: every finished run in them, nothing else, and made anew only when stale."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun, StudyData, plan_runs, read_data
from medtransfer.study.tables import rescore, write_study_tables
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.results import read_results

TABLES = ("predictions.parquet", "results.parquet", "results.csv", "comparisons.parquet")


class Copy:
    """A copy of a finished study, to be spoiled and collected again."""

    def __init__(self, source: StudyFolder, path: Path) -> None:
        shutil.copytree(source.path, path, ignore=shutil.ignore_patterns("cache", "checkpoint"))
        self.folder = StudyFolder(path)
        self.study: Study = read_study(path / "study.yaml")
        self.data: StudyData = read_data(self.study, self.folder.images)
        self.planned: list[PlannedRun] = plan_runs(self.study, self.data)

    def collect(self) -> None:
        write_study_tables(self.study, self.folder, self.planned, self.data)

    def rescore(self) -> int:
        return rescore(self.folder, self.planned, self.data)

    def results(self) -> pl.DataFrame:
        return read_results(self.folder.path / "results.parquet")

    def unfinish(self, number: int) -> PlannedRun:
        run = self.planned[number]
        (self.folder.run(run.run_id).path / "done").unlink()
        return run


@pytest.fixture
def copy(finished: StudyFolder, tmp_path: Path) -> Copy:
    return Copy(finished, tmp_path / "copy")


def test_a_study_that_is_read_again_from_its_folder_has_the_same_runs(copy: Copy) -> None:
    about = copy.folder.read("plan.json")
    assert [run["run_id"] for run in about] == [run.run_id for run in copy.planned]


def test_every_run_and_every_mean_is_placed_in_the_study(copy: Copy) -> None:
    results = copy.results()
    cells = {run.run_id: run.cell for run in copy.planned}
    own = results.filter(pl.col("run_id").is_not_null())
    assert set(own["run_id"]) == set(cells)
    for row in own.unique("run_id").iter_rows(named=True):
        cell = cells[row["run_id"]]
        assert (row["rung"], row["label_fraction"], row["seed"]) == (
            cell.rung,
            cell.label_fraction,
            cell.seed,
        )
    means = results.filter(pl.col("run_id").is_null())
    assert means["seed"].null_count() == len(means)
    means = means.filter(pl.col("rung") != "all")  # effects of scale are the whole ladder's
    assert set(means.select("rung", "label_fraction").rows()) == {
        (cell.rung, cell.label_fraction) for cell in cells.values()
    }


def test_a_mean_over_seeds_is_the_mean_of_its_runs(copy: Copy) -> None:
    overall = copy.results().filter(
        pl.col("metric") == "auroc", pl.col("group") == "all", pl.col("label_fraction") == 1.0
    )
    for rung in ("scratch/r14x0.5", "imagenet/effnet-lite0"):
        here = overall.filter(pl.col("rung") == rung, pl.col("cohort") == "b")
        runs = here.filter(pl.col("run_id").is_not_null())["value"]
        (mean,) = here.filter(pl.col("run_id").is_null())["value"].to_list()
        assert len(runs) == 2
        assert mean == pytest.approx(runs.mean())


def test_tables_that_are_up_to_date_are_left_alone(copy: Copy) -> None:
    files = [copy.folder.path / name for name in TABLES[1:]]
    before = [file.stat().st_mtime_ns for file in files]
    assert copy.rescore() == 0
    copy.collect()
    assert [file.stat().st_mtime_ns for file in files] == before


def test_only_runs_whose_scoring_is_stale_are_scored_again_and_end_in_the_same_bits(
    copy: Copy,
) -> None:
    own = copy.folder.run(copy.planned[0].run_id)
    before = (own.path / "results.parquet").read_bytes()
    (own.path / "scoring.json").unlink()
    (own.path / "results.parquet").write_bytes(b"stale")
    assert copy.rescore() == 1
    assert (own.path / "results.parquet").read_bytes() == before


def test_a_run_that_is_not_done_is_in_the_list_of_runs_alone(copy: Copy) -> None:
    lost = copy.unfinish(0)
    copy.folder.run(lost.run_id).fail("diverged", "the loss is not finite at step 3", step=3)
    copy.collect()
    assert lost.run_id not in copy.results()["run_id"].to_list()
    predictions = pl.read_parquet(copy.folder.path / "predictions.parquet")
    assert predictions["run_id"].n_unique() == len(copy.planned) - 1
    runs = pl.read_csv(copy.folder.path / "runs.csv")
    assert runs.height == len(copy.planned)
    (row,) = runs.filter(pl.col("run_id") == lost.run_id).to_dicts()
    assert (row["state"], row["message"]) == ("diverged", "the loss is not finite at step 3")
    assert row["seconds"] is None
    assert set(runs.filter(pl.col("state") == "done")["precision"]) <= {"float32", "bfloat16"}


def test_a_rung_without_any_result_is_missing_from_the_tables(copy: Copy) -> None:
    for number, run in enumerate(copy.planned):
        if run.cell.rung.startswith("imagenet"):
            copy.unfinish(number)
    copy.collect()
    assert set(copy.results()["rung"]) == {"scratch/r14x0.5"}


def test_without_any_result_there_is_only_the_list_of_runs(copy: Copy) -> None:
    for name in (*TABLES, "collected.json", "runs.csv"):
        (copy.folder.path / name).unlink()
    for number in range(len(copy.planned)):
        copy.unfinish(number)
    copy.collect()
    assert set(pl.read_csv(copy.folder.path / "runs.csv")["state"]) == {"waiting"}
    assert not any((copy.folder.path / name).exists() for name in TABLES)


def test_what_a_run_killed_at_its_end_left_behind_is_tidied(copy: Copy) -> None:
    left = copy.folder.run(copy.planned[0].run_id).checkpoint / "step-00000004"
    left.mkdir(parents=True)
    copy.collect()
    assert not left.exists()


def test_the_list_of_runs_says_how_a_weights_file_was_used(finished: StudyFolder) -> None:
    runs = pl.read_csv(finished.path / "runs.csv")
    loaded, random = (
        runs.filter(pl.col("rung") == rung)["weights"].unique().to_list()
        for rung in ("imagenet/effnet-lite0", "scratch/r14x0.5")
    )
    assert random == [None]
    (said,) = loaded
    assert said.startswith(
        "294 tensors loaded from the weights file; not loaded: classifier.bias, "
    )
    assert said.endswith("; new head, at zero")
