"""Runs that are selected on the tuning split: their test cases are predicted once, afterwards."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.in_process import TABLES, no_worker, run_here
from tests.study.test_additions import LOW_RANK, PROBE, study_of

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.engines.contract import EngineEvent
from medtransfer.files import sha256
from medtransfer.integrity.fsck import fsck
from medtransfer.runs.events import Event, RunEnded, RunExtended
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import WorkerRequest
from medtransfer.runs.tested.reads import count_reads
from medtransfer.study.config import Study
from medtransfer.study.execution.dispatch import TimeWatch, dispatch
from medtransfer.study.schedule import select_on_tuning


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "ab.parquet"
    hospitals = {"a": Hospital(40), "b": Hospital(12)}
    write_phantom(Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3), path)
    return path


@pytest.fixture(params=[PROBE, LOW_RANK], ids=["probe", "low-rank"])
def study(tiny_study: Study, table: Path, request: pytest.FixtureRequest) -> Study:
    split = {"train_cohorts": ["a"]}
    data = tiny_study.data.model_dump(exclude_unset=True) | {"manifest": table, "split": split}
    return study_of(tiny_study, table, data=data, training=request.param)


@pytest.mark.slow
def test_the_test_split_is_predicted_after_the_selection_in_the_same_bits(
    study: Study, tmp_path: Path
) -> None:
    with no_worker():
        folder = select_on_tuning(study, tmp_path / "selected")
    runs = [folder.run(run_id) for run_id in folder.run_ids()]
    assert runs
    for run in runs:
        assert run.is_done()
        assert run.predictions()["split"].unique().to_list() == ["tune"]
        assert run.results()["split"].unique().to_list() == ["tune"]
    assert not (folder.path / "predictions.parquet").exists()
    assert count_reads(folder) == {}

    events: list[Event] = []
    run_here(study, folder.path, events.append)
    assert not [event for event in events if isinstance(event, RunEnded)]
    assert len([event for event in events if isinstance(event, RunExtended)]) == len(runs)
    assert count_reads(folder) == {"a": 1, "b": 1}
    assert fsck(folder.path).passed
    fresh = run_here(study, tmp_path / "fresh")
    for name in TABLES:
        assert sha256(folder.path / name) == sha256(fresh.path / name), name


@pytest.mark.slow
def test_no_test_label_can_reach_what_is_selected(study: Study, tmp_path: Path) -> None:
    """Wrong labels of all test cases change no tuning prediction."""
    with no_worker():
        first = select_on_tuning(study, tmp_path / "first")
        rows = pl.read_parquet(study.data.manifest)
        target = study.data.names[0]
        wrong = (
            pl.when(pl.col("cohort") == "b")
            .then((1 - pl.col(target).cast(pl.Int64)).cast(rows.schema[target]))
            .otherwise(target)
        )
        rows.with_columns(wrong.alias(target)).write_parquet(tmp_path / "wrong.parquet")
        data = study.data.model_copy(update={"manifest": tmp_path / "wrong.parquet"})
        second = select_on_tuning(study.model_copy(update={"data": data}), tmp_path / "second")
    assert first.run_ids() == second.run_ids()
    for run_id in first.run_ids():
        assert first.run(run_id).predictions().equals(second.run(run_id).predictions())


@pytest.mark.slow
def test_time_that_is_over_stops_before_the_next_run(study: Study, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    ended: list[Event] = []

    def until() -> bool:
        return any(isinstance(event, RunEnded) for event in ended)

    with no_worker():
        select_on_tuning(study, tmp_path, ended.append, until=until, workers=1)
    states = [folder.run(run_id).state() for run_id in folder.run_ids()]
    assert states.count("done") == 1
    with no_worker():  # the same call goes on
        select_on_tuning(study, tmp_path, workers=1)
    assert {folder.run(run_id).state() for run_id in folder.run_ids()} == {"done"}


class _Engine:
    slots, was_stopped = 1, False

    def has_room(self, _request: WorkerRequest) -> bool:
        return True

    def submit(self, _request: WorkerRequest) -> None:
        raise AssertionError("nothing is to be started")

    def poll(self) -> EngineEvent | None:
        return None

    def stop(self) -> None:
        self.was_stopped = True

    def close(self) -> None:
        pass


def test_a_signal_that_comes_before_the_end_of_the_time_is_no_end_of_time() -> None:
    answers = [False, True]
    watch = TimeWatch(lambda: answers.pop(0))
    assert not watch()
    assert not watch.is_over
    assert watch()
    assert watch()  # and it stays so
    assert watch.is_over


def test_nothing_is_started_when_the_time_is_over_already() -> None:
    engine = _Engine()
    over: Callable[[], bool] = lambda: True  # noqa: E731 — a constant answer
    job: list[object] = [object()]
    assert not dispatch(engine, job, object(), lambda *_: None, until=over)  # type: ignore[arg-type,type-var] — neither is touched
    assert engine.was_stopped
