"""Time left of a study, from the speed of each rung."""

import pytest
from tests.cli.planned import planned_runs

from medtransfer.study.plan import RungEta

SLOW, FAST = planned_runs()  # 1,920 images each


def test_nothing_is_known_before_the_first_step() -> None:
    assert RungEta().seconds(SLOW) is None
    assert RungEta().total([SLOW], {}) is None


def test_a_run_takes_its_images_by_the_speed_of_its_rung() -> None:
    eta = RungEta()
    eta.note("scratch/r14x0.5", 96.0)
    assert eta.seconds(SLOW) == pytest.approx(20.0)
    assert eta.seconds(SLOW, share_left=0.25) == pytest.approx(5.0)


def test_a_rung_not_seen_yet_is_taken_to_be_as_slow_as_the_slowest() -> None:
    eta = RungEta()
    eta.note("scratch/r14x0.5", 96.0)
    eta.note("scratch/r50x1", 192.0)
    assert eta.seconds(FAST) == pytest.approx(20.0)


def test_the_study_takes_what_is_left_of_its_unfinished_runs() -> None:
    eta = RungEta()
    eta.note("scratch/r14x0.5", 96.0)
    eta.note("imagenet/effnet-lite0", 192.0)
    assert eta.total([SLOW, FAST], {SLOW.run_id: 0.15}) == pytest.approx(3.0 + 10.0)
    assert eta.total([], {}) == 0.0


def test_workers_share_the_runs_and_the_longest_run_is_a_bound() -> None:
    eta = RungEta()
    eta.note("scratch/r14x0.5", 96.0)
    eta.note("imagenet/effnet-lite0", 192.0)
    assert eta.total([SLOW, FAST], {}, workers=2) == pytest.approx(20.0)
    assert eta.total([SLOW, SLOW, FAST, FAST], {}, workers=2) == pytest.approx(30.0)


def test_a_speed_of_nothing_is_not_believed() -> None:
    eta = RungEta()
    eta.note("scratch/r14x0.5", 0.0)
    assert eta.seconds(SLOW) is None
