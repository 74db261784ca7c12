"""A run that trains far below its measured speed says so once, and what to do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.planned import planned_runs

from medtransfer.engines.contract import RunMessage
from medtransfer.models.precision.decision import PrecisionCase, PrecisionDecision, keep_decision
from medtransfer.models.precision.speeds import PrecisionSpeeds
from medtransfer.runs.events import Event, RunSlow
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.messages import StepDone
from medtransfer.runs.progress import RunProgress, read_progress
from medtransfer.study.execution import execution, precisions
from medtransfer.study.execution.execution import StudyExecution
from medtransfer.study.execution.jobs import TrainingJob
from medtransfer.study.execution.requests import request_of
from medtransfer.study.execution.workers import Workers
from medtransfer.study.planning import slowness
from medtransfer.study.planning.slowness import SpeedWatch, slow_sentence


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(
    clock: Clock, measured: Callable[[], float | None] = lambda: 40.0, checks: tuple[int, ...] = ()
) -> SpeedWatch:
    return SpeedWatch(8.0, checks, measured, clock)


def slow_steps(speed: SpeedWatch, clock: Clock, steps: range, seconds: float) -> Iterator[int]:
    """Steps at which the run is found slow, each of so many seconds."""
    for step in steps:
        clock.now += seconds
        if speed.note(step):
            yield step


def test_a_slow_run_is_told_once() -> None:
    clock = Clock()
    speed = watch(clock)
    assert list(slow_steps(speed, clock, range(1, 400), 0.2)) == []  # 40 images a second
    told = list(slow_steps(speed, clock, range(400, 600), 1.0))  # 8 images a second
    assert len(told) == 1
    assert speed.share == pytest.approx(0.2, rel=0.4)
    assert list(slow_steps(speed, clock, range(600, 700), 0.2)) == []


def test_half_the_speed_is_no_reason_to_speak() -> None:
    clock = Clock()
    assert list(slow_steps(watch(clock), clock, range(1, 2000), 0.5)) == []


def test_checks_of_the_tuning_split_do_not_count() -> None:
    clock = Clock()
    speed = watch(clock, checks=tuple(range(100, 2000, 100)))
    for step in range(1, 2000):
        clock.now += 0.2 + (600.0 if step % 100 == 0 else 0.0)  # ten minutes of predictions
        assert not speed.note(step)


def test_long_steps_are_judged_by_several() -> None:
    clock = Clock()
    speed = watch(clock, lambda: 0.05)  # 8 images in 160 seconds
    assert list(slow_steps(speed, clock, range(1, 5), 160.0)) == []
    assert list(slow_steps(speed, clock, range(5, 9), 1600.0)) == [5]  # of two steps


def test_a_run_that_nothing_was_measured_for_is_compared_with_itself() -> None:
    clock = Clock()
    speed = watch(clock, lambda: None)
    assert list(slow_steps(speed, clock, range(1, 600), 0.2)) == []
    assert len(list(slow_steps(speed, clock, range(600, 700), 2.0))) == 1


def test_a_linear_probe_is_not_watched() -> None:
    clock = Clock()
    speed = SpeedWatch(0.0, (), lambda: 100.0, clock)
    assert list(slow_steps(speed, clock, range(1, 10), 1000.0)) == []


def test_the_sentence_names_other_processes_only_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slowness, "usable_cores", lambda: 2)
    monkeypatch.setattr(slowness.os, "getloadavg", lambda: (6.7, 5.0, 4.0))
    assert slow_sentence(0.21).startswith(
        "at 0.21 of the measured speed: other processes take this machine's cores (7 want the 2). "
        "End them"
    )
    assert "--workers" in slow_sentence(0.21)
    monkeypatch.setattr(slowness.os, "getloadavg", lambda: (1.9, 2.0, 2.0))
    assert "may hold it up" in slow_sentence(0.21)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_study_tells_its_slow_run_by_the_speed_of_the_precisions_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    clock, events = Clock(), list[Event]()
    folder, run = StudyFolder(tmp_path), planned_runs()[0]
    case = PrecisionCase("r14x0.5", 64, "training")
    monkeypatch.setattr(precisions, "precision_case", lambda _run: case)
    decision = PrecisionDecision("float32", "measured", PrecisionSpeeds(320.0, 100.0), "here", 1)
    keep_decision(folder.path, case, decision)
    folder.run(run.run_id).start({}, {"threads": threads})
    monkeypatch.setattr(
        execution,
        "SpeedWatch",
        lambda images, checks, measured: SpeedWatch(images, checks, measured, clock),
    )
    at_work = StudyExecution(folder, [run], Lease(folder), events.append, workers=Workers(1, 1))
    job = TrainingJob(folder, request_of(run), lambda step: at_work._step(run, step))
    for step in range(1, 6):  # 32 images in half a minute; a check after every sixth
        clock.now += 31.0
        job.take(RunMessage(run.run_id, StepDone(step, run.steps, 0.5, 1.0, None)))
    job._progress.write()
    told = [event for event in events if isinstance(event, RunSlow)]
    progress = read_progress(folder.run(run.run_id))
    assert isinstance(progress, RunProgress)
    if threads == 1:
        assert [event.share for event in told] == [pytest.approx(1.03 / 320, rel=0.01)]
        assert progress.share_of_measured == told[0].share
    else:  # measured with other threads: nothing to compare with
        assert told == []
        assert progress.share_of_measured is None
