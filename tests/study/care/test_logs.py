"""The log of a study and of its runs, from their folders."""

import json
from pathlib import Path

import pytest
from tests.study.care.shelf import Shelf

from medtransfer import StudyFolder, read_log
from medtransfer.errors import StudyError
from medtransfer.study.care.histories import checks_so_far

CHECK = {
    "step": 4,
    "learning_rate": 0.003,
    "train_loss": 0.7,
    "tune_loss": 0.6,
    "tune_auroc": 0.81,
}


def test_the_log_of_a_study_tells_starts_and_ends(finished: StudyFolder) -> None:
    entries = read_log(finished)
    assert len(entries) == 2 * len(finished.run_ids())
    assert [entry.time for entry in entries] == sorted(entry.time or "" for entry in entries)
    assert sum("best tune AUROC" in entry.text for entry in entries) == len(finished.run_ids())


def test_the_log_of_a_run_has_its_machine_and_validations(finished: StudyFolder) -> None:
    name = finished.run_ids()[0]
    text = "\n".join(entry.text for entry in read_log(finished, name))
    assert "torch" in text
    assert "threads" in text
    for check in finished.run(name).history():
        assert f"step {check.step}: train loss {check.train_loss:.4f}" in text


def test_a_run_that_trains_shows_the_validations_of_its_newest_checkpoint(tmp_path: Path) -> None:
    run = Shelf(tmp_path).run(0)
    for step, checks in ((4, [CHECK]), (8, [CHECK, {**CHECK, "step": 8}])):
        folder = run.checkpoint / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps({"step": step, "checks": checks}))
    assert [check.step for check in checks_so_far(run)] == [4, 8]
    (run.checkpoint / "step-00000008" / "state.json").write_text("{")  # torn
    assert [check.step for check in checks_so_far(run)] == [4]


def test_a_bug_shows_its_place_and_not_its_message(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    trace = (
        "Traceback (most recent call last):\n"
        '  File "loop.py", line 7, in fit\n'
        "    float(cell)\n"
        "ValueError: could not convert 'DOE^JANE'\n  DOE^JANE again\n"
    )
    shelf.run(0).fail("failed", "a bug: ValueError", traceback=trace)
    text = "\n".join(entry.text for entry in read_log(shelf.folder, shelf.ids[0]))
    assert 'File "loop.py", line 7, in fit' in text
    assert "a bug: ValueError" in text
    assert "DOE" not in text


def test_a_run_that_is_not_there_is_refused(finished: StudyFolder) -> None:
    with pytest.raises(StudyError, match="has no run nothing"):
        read_log(finished, "nothing")
