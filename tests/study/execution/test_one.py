"""One run without its driver: known runs alone, one process a run, and no driver beside it."""

import shutil
from pathlib import Path

import pytest
from tests.in_process import HereExecutor, run_here, study_digests

from medtransfer.errors import StudyError
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.lease import RunPlace
from medtransfer.study.config import Study
from medtransfer.study.execution import one
from medtransfer.study.execution.one import require_no_other, run_one


@pytest.fixture
def copied(finished: StudyFolder, tmp_path: Path) -> StudyFolder:
    shutil.copytree(finished.path, tmp_path / "s")
    return StudyFolder(tmp_path / "s")


def test_a_finished_run_is_left_as_it_is(copied: StudyFolder) -> None:
    run_id = copied.run_ids()[0]
    before = (copied.run(run_id).path / "done").stat()
    assert run_one(copied, run_id) == "done"
    assert (copied.run(run_id).path / "done").stat() == before
    assert not (copied.path / "leases").exists()


def test_a_run_that_the_study_has_not_is_refused(copied: StudyFolder) -> None:
    with pytest.raises(StudyError, match=r"has no run 'nothing'\. plan\.json lists all: "):
        run_one(copied, "nothing")


def test_a_run_is_carried_out_by_one_process(copied: StudyFolder) -> None:
    run_id = copied.run_ids()[0]
    copied.run(run_id).reopen()
    other = Lease(RunPlace.of(copied.path, run_id), "run")
    other.take()
    try:
        with pytest.raises(StudyError, match="is working on this run"):
            run_one(copied, run_id)
        with pytest.raises(StudyError, match=f"carries out run {run_id} of this study"):
            require_no_other(copied)
    finally:
        other.drop()
    require_no_other(copied)


def test_no_run_is_carried_out_beside_a_driver_of_this_machine(copied: StudyFolder) -> None:
    run_id = copied.run_ids()[0]
    copied.run(run_id).reopen()
    driver = Lease(copied)
    driver.take()
    try:
        with pytest.raises(StudyError, match="carries out the runs of this study"):
            run_one(copied, run_id)
    finally:
        driver.drop()
    assert not (copied.path / "leases" / run_id / "lease.json").exists()


@pytest.mark.slow
def test_runs_one_by_one_and_then_the_study_end_in_the_bits_of_a_serial_study(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "LocalExecutor", HereExecutor)
    folder = run_here(tiny_study, tmp_path / "s")
    golden = study_digests(folder)
    (run_id,) = folder.run_ids()
    folder.run(run_id).reopen()
    assert run_one(folder, run_id) == "done"
    assert study_digests(run_here(tiny_study, folder.path)) == golden
