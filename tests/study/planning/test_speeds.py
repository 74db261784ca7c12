"""Time left of a study, from the speed of each kind of run."""

import json
from pathlib import Path

import pytest

from medtransfer.runs.folders import StudyFolder
from medtransfer.study.planning.speeds import RunSize, Speeds, TimeLeft, read_speeds

SLOW = RunSize("a", "scratch/r14x0.5 32 px full", 1920)
FAST = RunSize("b", "imagenet/effnet-lite0 32 px full", 1920)


def middle(speeds: Speeds, *runs: RunSize, workers: int = 1) -> float | None:
    total = speeds.total(runs, workers)
    return None if total is None else total.middle


def test_nothing_is_known_before_the_first_step() -> None:
    assert Speeds().seconds(SLOW) is None
    assert Speeds().total([SLOW], 1) is None
    assert middle(Speeds()) == 0.0


def test_a_run_takes_its_images_by_the_speed_of_its_kind() -> None:
    speeds = Speeds()
    speeds.note_step(SLOW.kind, 96.0)
    assert middle(speeds, SLOW) == pytest.approx(20.0)
    assert middle(speeds, RunSize("a", SLOW.kind, 1920, 0.25)) == pytest.approx(5.0)


def test_a_kind_not_seen_yet_is_taken_to_be_as_slow_as_the_slowest() -> None:
    speeds = Speeds()
    speeds.note_step(SLOW.kind, 96.0)
    speeds.note_step("scratch/r50x1 32 px full", 192.0)
    assert middle(speeds, FAST) == pytest.approx(20.0)
    guess, seen = speeds.seconds(FAST), speeds.seconds(SLOW)
    assert guess is not None
    assert seen is not None
    assert guess.high - guess.low > seen.high - seen.low  # a guess has the wider range


def test_workers_share_the_runs_and_the_longest_run_is_a_bound() -> None:
    speeds = Speeds()
    speeds.note_step(SLOW.kind, 96.0)
    speeds.note_step(FAST.kind, 192.0)
    assert middle(speeds, SLOW, FAST) == pytest.approx(30.0)
    assert middle(speeds, SLOW, FAST, workers=2) == pytest.approx(20.0)
    assert middle(speeds, SLOW, SLOW, FAST, FAST, workers=2) == pytest.approx(30.0)
    assert middle(speeds, SLOW, workers=8) == pytest.approx(20.0)


def test_finished_runs_count_more_than_the_latest_step_and_give_the_range() -> None:
    speeds = Speeds()
    for rate in (80.0, 96.0, 120.0):
        speeds.note_finished(SLOW.kind, rate, besides=4.0)
    speeds.note_step(SLOW.kind, 1.0)
    time = speeds.seconds(SLOW)
    assert time is not None
    assert time.low == pytest.approx(1920 / 120 + 4)
    assert time.high == pytest.approx(1920 / 80 + 4)
    assert time.middle == pytest.approx((1920 / 80 + 1920 / 96 + 1920 / 120) / 3 + 4)


def test_a_speed_of_nothing_is_not_believed() -> None:
    speeds = Speeds()
    speeds.note_step(SLOW.kind, 0.0)
    assert speeds.seconds(SLOW) is None


def test_speeds_are_read_from_the_folders_of_runs(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.claim("s")
    done, stopped = folder.run("a"), folder.run("b")
    done.describe({})
    (done.path / "cost.json").write_text(json.dumps({"seconds": 10.0, "images": 960}))
    (done.path / "done").write_text("{}")
    stopped.write_progress({"step": 3, "steps": 6, "tune_auroc": None, "images_per_second": 192.0})
    speeds = read_speeds(folder, [SLOW, FAST, RunSize("c", SLOW.kind, 1)])
    assert middle(speeds, SLOW) == pytest.approx(20.0, abs=0.5)
    assert middle(speeds, FAST) == pytest.approx(10.0)


def test_a_total_that_takes_long_is_worked_out_less_often() -> None:
    now = [0.0]
    calls: list[float] = []
    left = TimeLeft(lambda: now[0])

    def work() -> None:
        calls.append(now[0])
        now[0] += 0.1

    for _ in range(100):
        left.seconds(work)
        now[0] += 0.1
    # with no answer it is asked again at once; with one, a twentieth of the time
    assert len(calls) == 100

    from medtransfer.study.planning.speeds import Seconds

    calls.clear()

    def answer() -> Seconds:
        work()
        return Seconds(1, 2, 3)

    for _ in range(100):
        assert left.seconds(answer) == 2
        now[0] += 0.1
    assert 3 <= len(calls) <= 7


def test_a_run_that_has_its_features_takes_as_long_as_earlier_ones_from_start_to_end() -> None:
    speeds = Speeds()
    fit = RunSize("r", "embeddings/x, linear", 0)
    unknown = speeds.seconds(fit)
    assert unknown is not None
    assert 0 < unknown.middle < 60
    for seconds in (2.0, 4.0, 9.0):
        speeds.note_fit(fit.kind, seconds)
    known = speeds.seconds(fit)
    assert known is not None
    assert (known.low, known.middle, known.high) == (2.0, 4.0, 9.0)
    assert speeds.is_measured(fit.kind)
    assert not speeds.has_rate(fit.kind)
