"""Time left, from the speed of each rung."""

from pathlib import Path

import pytest
from tests.cli.planned import planned_runs

from medtransfer.runs.folders import RunFolder
from medtransfer.study import progress as module
from medtransfer.study.progress import ProgressFile, RunEta, RungEta

SLOW, FAST = planned_runs()  # 1,920 images each


def test_nothing_is_known_before_the_first_step() -> None:
    assert RungEta().seconds(SLOW) is None
    assert RungEta().total([SLOW], 12.0) is None


def test_a_run_takes_its_images_by_the_speed_of_its_rung() -> None:
    clock = RungEta()
    clock.note("scratch/r14x0.5", 96.0)
    assert clock.seconds(SLOW) == pytest.approx(20.0)
    assert clock.seconds(SLOW, share_left=0.25) == pytest.approx(5.0)


def test_a_rung_not_seen_yet_is_taken_to_be_as_slow_as_the_slowest() -> None:
    clock = RungEta()
    clock.note("scratch/r14x0.5", 96.0)
    clock.note("scratch/r50x1", 192.0)
    assert clock.seconds(FAST) == pytest.approx(20.0)


def test_the_study_takes_what_is_left_of_the_current_run_and_all_that_wait() -> None:
    clock = RungEta()
    clock.note("scratch/r14x0.5", 96.0)
    clock.note("imagenet/effnet-lite0", 192.0)
    assert clock.total([SLOW, FAST], 3.0) == pytest.approx(3.0 + 20.0 + 10.0)
    assert clock.total([], 3.0) == 3.0


def test_a_speed_of_nothing_is_not_believed() -> None:
    clock = RungEta()
    clock.note("scratch/r14x0.5", 0.0)
    assert clock.seconds(SLOW) is None


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


def test_notes_are_left_now_and_then_and_the_last_always(now: list[float], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    notes = ProgressFile(folder)
    notes.write()
    assert folder.progress() == {}  # nothing was said yet
    noted: list[int] = []
    for step in range(1, 13):
        now[0] += 1
        notes.update({"step": step}, last=step == 12)
        noted.append(folder.progress()["step"])
    assert noted == [1, 1, 1, 1, 1, 1, 7, 7, 7, 7, 7, 12]
    notes.update({"step": 13})
    assert folder.progress() == {"step": 12}
    notes.write()
    assert folder.progress() == {"step": 13}
