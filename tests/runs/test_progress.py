"""Progress of one run: time left, and what is written for `medtransfer status`."""

from pathlib import Path

import pytest

from medtransfer.runs import progress as module
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.progress import ProgressFile, RunEta, RunProgress, read_progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    time = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: time[0])
    return time


def test_what_is_left_of_a_run_comes_from_what_this_sitting_did(now: list[float]) -> None:
    left = RunEta()
    assert left.after(40, 100) is None  # it goes on from here: nothing is known of its speed
    now[0] += 10
    assert left.after(60, 100) == pytest.approx(20)
    now[0] += 20
    assert left.after(100, 100) == 0


def test_large_images_at_the_end_take_longer_than_small_ones_at_first(now: list[float]) -> None:
    left = RunEta((64, 128))
    left.after(0, 100)
    now[0] += 25
    assert left.after(25, 100) == pytest.approx(25 + 4 * 50)
    now[0] += 25
    assert left.after(50, 100) == pytest.approx(4 * 50)
    now[0] += 100
    assert left.after(75, 100) == pytest.approx(100)


def test_a_run_that_was_over_has_no_time_left(now: list[float]) -> None:
    assert RunEta().after(7, 7) == 0


def test_progress_is_written_now_and_then_and_at_the_last_step(
    now: list[float], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    file = ProgressFile(folder)
    file.write()
    assert read_progress(folder) is None  # nothing was reported yet
    written: list[int] = []
    for step in range(1, 13):
        now[0] += 1
        file.update(RunProgress(step, 12, None), last=step == 12)
        written.append(folder.progress()["step"])
    assert written == [1, 1, 1, 1, 1, 1, 7, 7, 7, 7, 7, 12]
    file.update(RunProgress(13, 13, 0.5))
    assert read_progress(folder) == RunProgress(12, 12, None)
    file.write()
    assert read_progress(folder) == RunProgress(13, 13, 0.5)
