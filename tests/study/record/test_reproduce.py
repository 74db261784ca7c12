"""A run carried out again: equal to the bit, or what differs; changed inputs are refused first."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.in_process import HereExecutor

from medtransfer import Reproduction, StudyFolder, fsck, reproduce_run
from medtransfer.errors import StudyError
from medtransfer.integrity.run_seal import seal_run
from medtransfer.study.record import reproduce
from medtransfer.study.yaml_file import read_study


@pytest.fixture
def repeat(
    study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Reproduction]:
    """Carry out a run of the study again, in this process."""
    monkeypatch.setattr(reproduce, "LocalExecutor", HereExecutor)
    return lambda run_id: reproduce_run(study, run_id, tmp_path / "again")


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 5])
def test_a_run_comes_out_the_same_to_the_bit(
    study: StudyFolder, repeat: Callable[[str], Reproduction], number: int
) -> None:
    outcome = repeat(study.run_ids()[number])
    assert outcome.is_equal
    assert [part.is_equal for part in outcome.parts] == [True, True, True]
    assert all(part.then == part.now for part in outcome.parts)
    assert outcome.largest is None
    assert outcome.circumstances == ()
    assert fsck(Path(outcome.folder)).passed


@pytest.mark.slow
def test_a_difference_says_where_it_is_and_what_was_not_the_same(
    study: StudyFolder, repeat: Callable[[str], Reproduction]
) -> None:
    run = study.run(study.run_ids()[0])
    moved = pl.when(pl.col("case_id") == pl.col("case_id").max()).then(0.25).otherwise(0.0)
    table = run.predictions().with_columns(pl.col("logit_malignant") + moved)
    table.write_parquet(run.path / "predictions.parquet")
    machine = run.environments()[0]
    machine["packages"]["torch"] = "1.0"
    (run.path / "environment.json").write_text(pl.Series([machine]).to_frame().write_json())
    seal_run(run.path)
    outcome = repeat(run.run_id)
    assert not outcome.is_equal
    assert outcome.largest is not None
    assert outcome.largest.value == pytest.approx(0.25, abs=1e-6)
    assert outcome.largest.cases == 1
    assert [part.is_equal for part in outcome.parts] == [False, True, True]
    (item,) = (item for item in outcome.circumstances if item.name.endswith("torch"))
    assert item.then == "1.0"
    assert repeat(run.run_id) == outcome  # a repetition that is done is compared again


def test_changed_inputs_are_refused_before_anything_is_run(
    study: StudyFolder, repeat: Callable[[str], Reproduction], tmp_path: Path
) -> None:
    manifest = read_study(study.path / "study.yaml").data.manifest
    table = pl.read_parquet(manifest)
    flipped = pl.col("malignant").cast(pl.String).replace({"0": "1", "1": "0"})
    table.with_columns(flipped).write_parquet(tmp_path / "other.parquet")
    run = study.run(study.run_ids()[0])
    text = (run.path / "run.json").read_text("utf-8")
    (run.path / "run.json").write_text(text.replace(str(manifest), str(tmp_path / "other.parquet")))
    seal_run(run.path)
    with pytest.raises(StudyError, match="the rows and images that train and select are others"):
        repeat(run.run_id)
    assert not (tmp_path / "again" / "runs").exists()


def test_a_run_that_is_not_as_sealed_is_nothing_to_compare_with(
    study: StudyFolder, repeat: Callable[[str], Reproduction]
) -> None:
    run = study.run(study.run_ids()[0])
    run.predictions().head(3).write_parquet(run.path / "predictions.parquet")
    with pytest.raises(StudyError, match="Not as sealed.*predictions.parquet of run"):
        repeat(run.run_id)


def test_a_run_that_is_not_done_has_nothing_to_compare_with(
    repeat: Callable[[str], Reproduction],
) -> None:
    with pytest.raises(StudyError, match="Run 'nothing' is not finished or not there"):
        repeat("nothing")
