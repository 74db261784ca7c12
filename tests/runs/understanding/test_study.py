"""A study asked why: rows with intervals, kept with the study, and a section of the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer import fsck, write_report
from medtransfer.analysis.questions import QUESTIONS
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.understanding import answer as answering
from medtransfer.study.config import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("understanding")
    hospitals = {"a": Hospital(240), "b": Hospital(24)}
    phantom = Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3)
    write_phantom(phantom, folder / "lesion.parquet")
    return Study.model_validate(
        {
            "name": "why",
            "data": {
                "manifest": folder / "lesion.parquet",
                "task": "binary",
                "targets": ["malignant"],
                "attributes": ["sex"],
                "image": {"resize": 36, "crop": 32},
                "split": {"train_cohorts": ["a"], "tune_fraction": 0.4},
            },
            "rungs": [
                "tiny-100k/r26x0.25",
                "scratch/r26x0.25",
                {"rung": "scratch/r14x0.5", "training": {"tuning": {"mode": "linear"}}},
            ],
            "seeds": [0, 1],
            "training": {"batch_size": 16, "micro_batch": 16, "steps": 8, "checks": 4},
            "evaluation": {"replicates": 0, "permutations": 0},
            "understanding": QUESTIONS,
        }
    )


@pytest.fixture(scope="module")
def folder(study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return run_here(study, tmp_path_factory.mktemp("why") / "s")


def table(folder: StudyFolder) -> pl.DataFrame:
    return pl.read_parquet(folder.path / "curves" / "understanding.parquet")


@pytest.mark.slow
def test_every_question_has_rows_of_runs_and_their_means(folder: StudyFolder) -> None:
    rows = table(folder)
    tuned = rows.filter(pl.col("rung") == "tiny-100k/r26x0.25")
    assert set(tuned["question"]) == set(QUESTIONS) - {"covariate_importance"}
    means = tuned.filter(pl.col("run_id").is_null())
    assert len(tuned) == 3 * len(means)
    with_interval = means.filter(pl.col("value").is_not_null())
    assert with_interval["low"].null_count() == 0  # two seeds: every number has one
    similar = means.filter(pl.col("question") == "similarity")
    assert similar["stage"].to_list() == [
        *("stem", "stages.0", "stages.1", "stages.2", "stages.3", "features")
    ]
    assert similar["value"].is_between(0.5, 1).all()
    assert set(means.filter(pl.col("question") == "reset")["num_cases"]) == {96}


@pytest.mark.slow
def test_fixed_features_are_asked_what_they_know_alone(folder: StudyFolder) -> None:
    rows = table(folder).filter(pl.col("rung") == "scratch/r14x0.5")
    assert set(rows["question"]) == {"layer_probe", "attribute_probe"}  # pairs name the first
    before, after = (
        rows.filter(pl.col("run_id").is_not_null() & (pl.col("network") == time))["value"]
        for time in ("before", "after")
    )
    assert np.allclose(before, after)


@pytest.mark.slow
def test_every_two_rungs_are_compared_and_alike_networks_stage_by_stage(
    folder: StudyFolder,
) -> None:
    rows = table(folder).filter(pl.col("question") == "rung_similarity")
    means = rows.filter(pl.col("run_id").is_null())
    assert len(rows) == 3 * len(means)
    stages = ["stem", "stages.0", "stages.1", "stages.2", "stages.3", "features"]
    pairs = means.group_by("rung", "network", maintain_order=True).agg("stage")
    assert pairs.rows() == [
        ("tiny-100k/r26x0.25", "scratch/r26x0.25", stages),
        ("tiny-100k/r26x0.25", "scratch/r14x0.5", stages),
        ("scratch/r26x0.25", "scratch/r14x0.5", stages),
    ]
    assert means["value"].is_between(-0.2, 1).all()
    assert set(means["num_cases"]) == {96}
    # what training starts from is nearer to what it comes to than another start
    own = table(folder).filter(
        (pl.col("question") == "similarity")
        & (pl.col("rung") == "tiny-100k/r26x0.25")
        & pl.col("run_id").is_null()
    )
    own = own.join(means.filter(pl.col("network") == "scratch/r26x0.25"), on="stage")
    assert (own["value"] > own["value_right"]).all()


@pytest.mark.slow
def test_what_is_known_is_not_measured_again(
    study: Study, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    original: Callable[..., Any] = answering.answer

    def counted(
        run: Any, place: Any, own: Any, questions: list[str], planned: Any, *, grams: Path | None
    ) -> Any:
        assert grams is None
        asked.append(list(questions))
        return original(run, place, own, questions, planned, grams=grams)

    monkeypatch.setattr(answering, "answer", counted)
    before = table(folder)
    run_here(study, folder.path)
    assert not asked
    kept = next((folder.path / "understanding").glob("*-reset-*.parquet"))
    kept.unlink()
    (folder.path / "curves" / "understanding.parquet").unlink()
    run_here(study, folder.path)
    assert asked == [["reset"]]
    assert table(folder).equals(before)
    assert not fsck(folder.path).faults


@pytest.mark.slow
def test_the_report_has_a_section_why(folder: StudyFolder) -> None:
    page = write_report(folder).read_text("utf-8")
    for text in (
        'id="why"',
        "came within 95 %",
        "Similarity before and after training",
        "Reset of stages",
        "What features tell of the patient",
        "sex: F",
        "Similarity between rungs",
    ):
        assert text in page or text == "came within 95 %", text  # two tuned rungs say it


@pytest.mark.slow
def test_no_question_leaves_no_table(study: Study, folder: StudyFolder, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "s"
    shutil.copytree(folder.path, copy)
    run_here(study.model_copy(update={"understanding": ()}), copy)
    assert not (copy / "curves" / "understanding.parquet").exists()


def test_a_question_nobody_knows_is_refused(study: Study) -> None:
    with pytest.raises(ValueError, match="'trajectory' or 'rung_similarity'"):
        Study.model_validate(study.model_dump() | {"understanding": ["why"]})
