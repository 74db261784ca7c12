"""Runs that failed or diverged are taken again, and the reason is kept."""

from pathlib import Path

import pytest
from tests.study.care.shelf import Shelf

from medtransfer import retry_runs
from medtransfer.errors import ConfigError, StudyError
from medtransfer.integrity.fsck import fsck
from medtransfer.runs.folders import Lease
from medtransfer.study.care.histories import earlier_errors


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.run(0).fail("diverged", "the loss is not finite", step=7)
    shelf.run(1).fail("failed", "The memory is too small for the network")
    for number in (0, 1):
        (shelf.run(number).checkpoint / "step-00000004").mkdir(parents=True)
    return shelf


def test_runs_without_results_are_named_with_where_they_start(shelf: Shelf) -> None:
    retried = retry_runs(shelf.folder)
    assert [(run.state, run.starts_over) for run in retried] == [
        ("diverged", True),
        ("failed", False),
    ]
    assert retried[1].message == "The memory is too small for the network"


def test_a_diverged_run_starts_over_and_its_end_is_remembered(shelf: Shelf) -> None:
    retry_runs(shelf.folder)
    run = shelf.run(0)
    assert run.state() == "failed"  # which every command takes again
    assert not run.checkpoint.exists()
    assert [(error.state, error.step) for error in earlier_errors(run)] == [("diverged", 7)]
    assert shelf.run(1).checkpoint.exists()


def test_a_second_retry_does_not_note_the_end_twice(shelf: Shelf) -> None:
    retry_runs(shelf.folder)
    retry_runs(shelf.folder)
    assert len(earlier_errors(shelf.run(0))) == 1
    shelf.run(0).fail("diverged", "the loss is not finite", step=9)
    retry_runs(shelf.folder, [shelf.ids[0]])
    assert [error.step for error in earlier_errors(shelf.run(0))] == [7, 9]


def test_the_folder_passes_fsck_afterwards(shelf: Shelf) -> None:
    retry_runs(shelf.folder)
    assert fsck(shelf.folder.path).passed


def test_only_runs_that_ended_badly_are_retried(shelf: Shelf) -> None:
    (shelf.run(1).path / "error.json").unlink()
    with pytest.raises(ConfigError, match="111111111111 is waiting"):
        retry_runs(shelf.folder, shelf.ids)
    assert shelf.run(0).state() == "diverged"
    with pytest.raises(StudyError, match=r"no run 22.*Did you mean|no run 22"):
        retry_runs(shelf.folder, ["2" * 12])


def test_a_study_at_work_is_left_alone(shelf: Shelf) -> None:
    lease = Lease(shelf.folder)
    lease.take()
    with pytest.raises(StudyError, match="is working on this study"):
        retry_runs(shelf.folder)
    lease.drop()
    assert shelf.run(0).state() == "diverged"
