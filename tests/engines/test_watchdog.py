"""The watchdog: long work is no hang, a hang is no long work."""

import pytest

from medtransfer.engines.watchdog import Watchdog
from medtransfer.runs.messages import Heartbeat, StepDone

BEAT = Heartbeat()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pass_by(clock: Clock, dog: Watchdog, seconds: float) -> str:
    for _ in range(round(seconds)):
        clock.now += 1
        dog.look()
    return dog.look()


def step(number: int, steps: int = 10) -> StepDone:
    return StepDone(number, steps, loss=0.5, images_per_second=10.0, tune_auroc=None)


def test_silence_is_told_at_the_limit_and_a_hang_at_twice_that(clock: Clock) -> None:
    dog = Watchdog(30, clock)
    dog.record(BEAT)
    assert pass_by(clock, dog, 29) == "fine"
    assert pass_by(clock, dog, 1) == "silent"
    assert pass_by(clock, dog, 29) == "silent"
    assert pass_by(clock, dog, 1) == "hung"
    assert dog.silence == 60


def test_any_word_starts_the_count_again(clock: Clock) -> None:
    dog = Watchdog(30, clock)
    dog.record(BEAT)
    for number in range(1, 5):
        assert pass_by(clock, dog, 29) == "fine"
        dog.record(step(number))
    assert pass_by(clock, dog, 31) == "silent"


def test_reading_before_and_scoring_after_training_may_take_their_time(clock: Clock) -> None:
    dog = Watchdog(30, clock)
    assert pass_by(clock, dog, 10_000) == "fine"
    dog.record(BEAT)
    dog.record(step(10))
    assert pass_by(clock, dog, 10_000) == "fine"


def test_without_a_limit_it_goes_by_the_slowest_so_far(clock: Clock) -> None:
    dog = Watchdog(None, clock)
    assert dog.limit == 600
    dog.record(BEAT)
    pass_by(clock, dog, 90)
    dog.record(step(1))
    assert dog.limit == 1800
    assert pass_by(clock, dog, 1799) == "fine"
    assert pass_by(clock, dog, 1) == "silent"


def test_a_machine_that_slept_is_no_hang(clock: Clock) -> None:
    dog = Watchdog(30, clock)
    dog.record(BEAT)
    clock.now += 50_000
    assert dog.look() == "fine"
