"""Readings that a study names: judged on its test cases, never trained on."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.study.test_tables import Copy

from medtransfer.errors import ConfigError, TableError
from medtransfer.evaluation.comparison.readers.compare import compare_readers
from medtransfer.evaluation.comparison.readers.judged import find_readers
from medtransfer.evaluation.comparison.readers.table import Readings
from medtransfer.report.page import write_report
from medtransfer.report.reading import load_study_data
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.beside.readings import study_readings
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.record.lock import data_facts
from medtransfer.study.yaml_file import resolve_paths

FLIPS = {"r1": 0.05, "r2": 0.15, "r3": 0.3}


def write_readings(copy: Copy, path: Path, seed: int = 0) -> Study:
    """Write three readers' labels of the study's cases, and name the table in the study."""
    rng = np.random.default_rng(seed)
    (target,) = copy.study.data.names
    cases = copy.data.manifest.frame.unique("case_id", maintain_order=True)
    labels = cases[target].cast(pl.Float64, strict=False).fill_null(0).to_numpy()
    parts = [
        pl.DataFrame(
            {
                "case_id": cases["case_id"],
                "reader": reader,
                f"target_{target}": np.abs(labels - (rng.random(len(labels)) < flip)),
            }
        )
        for reader, flip in FLIPS.items()
    ]
    pl.concat(parts).write_csv(path)
    return copy.study.model_copy(update={"readings": path})


@pytest.fixture
def copy(finished: StudyFolder, tmp_path: Path) -> Copy:
    return Copy(finished, tmp_path / "copy")


def collect(copy: Copy, study: Study) -> pl.DataFrame | None:
    copy.study, copy.data = study, read_data(study, copy.folder.images)
    copy.collect()
    return find_readers(copy.folder.path)


@pytest.mark.slow
def test_rungs_are_judged_against_readers_and_training_stays_as_it_was(
    copy: Copy, tmp_path: Path
) -> None:
    ids = [run.run_id for run in copy.planned]
    before = (copy.folder.path / "results.parquet").read_bytes()
    plain = copy.study
    study = write_readings(copy, tmp_path / "readings.csv")
    found = collect(copy, study)
    assert found is not None
    assert [run.run_id for run in plan_runs(study, copy.data)] == ids
    assert (copy.folder.path / "results.parquet").read_bytes() == before
    # by the function for tables of predictions, on those of the runs with most labels
    predictions = pl.read_parquet(copy.folder.path / "predictions.parquet")
    places = pl.DataFrame(
        [
            (run.run_id, run.cell.rung, run.cell.seed, run.cell.label_fraction)
            for run in copy.planned
        ],
        schema=["run_id", "rung", "seed", "label_fraction"],
        orient="row",
    )
    assert copy.data.readings is not None
    expected = compare_readers(
        predictions.join(places, on="run_id", maintain_order="left"),
        Readings(copy.data.readings.frame),
        "binary",
        study.evaluation,
    )
    keys = ["cohort", "target", "against", "metric", "rung", "reader", "run_id"]
    assert found.sort(keys).equals(expected.sort(keys))
    means = found.filter(pl.col("num_seeds") == 2, metric="auroc")
    assert set(means["rung"]) == {run.cell.rung for run in copy.planned}
    assert set(means["contains"].drop_nulls()) == {"patients and seeds"}
    assert load_study_data(copy.folder).readers is not None
    page = write_report(copy.folder).read_text("utf-8")
    assert "majority without r1" in page
    # the same readings: nothing is made again; other ones: everything is; none: nothing is left
    files = [copy.folder.path / name for name in ("readers.parquet", "readers.csv")]
    times = [file.stat().st_mtime_ns for file in files]
    copy.collect()
    assert [file.stat().st_mtime_ns for file in files] == times
    first = data_facts(copy.data)["data.readings"]
    other = collect(copy, write_readings(copy, tmp_path / "readings.csv", seed=1))
    assert other is not None
    assert not other.equals(found)
    assert data_facts(copy.data)["data.readings"] != first
    assert collect(copy, plain) is None
    assert not any(file.exists() for file in files)
    assert "data.readings" not in data_facts(copy.data)


def test_the_notes_count_cases_that_were_read_and_readings_of_others(
    copy: Copy, tmp_path: Path
) -> None:
    study = write_readings(copy, tmp_path / "readings.csv")
    table = pl.read_csv(tmp_path / "readings.csv")
    foreign = table.head(2).with_columns(
        pl.lit("elsewhere").alias("case_id"), reader=pl.Series(["r1", "r2"])
    )
    some = table.filter(pl.col("case_id").is_in(table["case_id"].unique().sort().head(9).implode()))
    pl.concat([some, foreign]).write_csv(tmp_path / "readings.csv")
    cases = copy.data.manifest.frame["case_id"].n_unique()
    readings = study_readings(study, copy.data.manifest)
    assert readings is not None
    assert readings.notes[-2:] == (
        f"3 readers read 9 cases of {cases}.",
        "2 readings of cases that the manifest lacks: left out.",
    )


def test_all_faults_of_the_readings_are_named_before_anything_is_run(
    copy: Copy, tmp_path: Path
) -> None:
    (target,) = copy.study.data.names
    path = tmp_path / "readings.csv"
    path.write_text("case_id,reader,target_other\nx,r1,1\nx,r2,0\n", "utf-8")
    study = copy.study.model_copy(update={"readings": path})
    with pytest.raises(TableError) as refused:
        read_data(study, copy.folder.images)
    assert f"no column for target_{target}" in str(refused.value)
    assert "no case of the manifest is in it" in str(refused.value)


def test_the_place_of_the_readings_is_relative_to_the_study_file(copy: Copy) -> None:
    study = copy.study.model_copy(update={"readings": Path("r.csv")})
    assert resolve_paths(study, Path("/data")).readings == Path("/data/r.csv")
    assert resolve_paths(copy.study, Path("/data")).readings is None
    with pytest.raises((ConfigError, ValueError)):
        Study.model_validate({**study.model_dump(), "readings": ["a.csv"]})
