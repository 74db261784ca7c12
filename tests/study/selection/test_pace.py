"""An automatic study keeps its time: by a fake clock, with steps and predictions of any length."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtransfer.automatic.auto_study import late_sentence
from medtransfer.runs.events import OnEvent, Preparing, RunEnded, RunName, RunStep
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.drafting.fingerprint import Machine
from medtransfer.study.selection import select
from medtransfer.study.selection.clock import Clock
from medtransfer.study.selection.pace import Pace
from medtransfer.study.selection.select import FINAL_SHARE, TABLES_SHARE, Selector

HOUR = 3600.0


class Now:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def name(rung: str, seed: int = 0) -> RunName:
    return RunName(f"{rung}-{seed}", rung, seed, rung)


def step_of(run: RunName, number: int = 1) -> RunStep:
    return RunStep(run, number, 100, 0.5, 10.0, None, 1.0, None)


def selector(now: Now, tmp_path: Path, study: Study, tested: int) -> Selector:
    folder = StudyFolder(tmp_path)
    folder.write("plan.json", [{"training_cases": 100, "test_cases": tested}])
    machine = Machine(cores=2, gpus=0, memory=2**34)
    return Selector(folder, study, machine, Clock(folder, HOUR, now), lambda _event: None)


def simulated(
    now: Now, rung: str, step_seconds: float, end_seconds: float, steps: int = 100
) -> Callable[..., None]:
    """Stands in for training: a run after another, each asked to stop after every step."""

    def train(
        _study: Study, _out: Path, on_event: OnEvent, *, until: Callable[[], bool], **_: Any
    ) -> None:
        for seed in range(1000):
            for number in range(1, steps + 1):
                if until():
                    return
                now.now += step_seconds
                on_event(step_of(name(rung, seed), number))
            now.now += end_seconds
            on_event(RunEnded(name(rung, seed), "done", "", seed, 1000))

    return train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step_seconds", "end_seconds"), [(0.5, 1.0), (60.0, 30.0), (5.0, 300.0), (170.0, 0.0)]
)
def test_training_stops_while_the_time_of_the_end_is_left(
    tiny_study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step_seconds: float,
    end_seconds: float,
) -> None:
    now = Now()
    auto = selector(now, tmp_path, tiny_study, 100)
    train = simulated(now, "scratch/r14x0.5", step_seconds, end_seconds, steps=10)
    monkeypatch.setattr(select, "select_on_tuning", train)
    auto._train(tiny_study, auto._has_to_stop)
    assert auto.clock.left >= FINAL_SHARE * HOUR - 1.0
    # then the finalists' test cases: twice the cases of what a run predicts at its end
    tests = 2 * end_seconds
    assert auto.clock.left - tests >= TABLES_SHARE * HOUR - 1.0


def test_seeds_that_cannot_be_tested_in_time_are_left_out(
    tiny_study: Study, tmp_path: Path
) -> None:
    now = Now()
    auto = selector(now, tmp_path, tiny_study, 300)
    rungs = ("scratch/r14x0.5", "imagenet/effnet-lite0")
    for rung in rungs:
        auto._hear(step_of(name(rung)))
        now.now += 30.0
        auto._hear(RunEnded(name(rung), "done", "", 1, 2))
    assert auto._affordable((0, 1, 2), rungs) == (0, 1, 2)
    now.now += HOUR - 1000.0  # of two rungs: 4 times 30 seconds each, and 432 for the tables
    assert auto._affordable((0, 1, 2), rungs) == (0, 1)
    now.now += 900.0
    assert auto._affordable((0, 1, 2), rungs) == (0,)


def test_a_silence_counts_from_the_last_sign_of_a_run_or_of_a_free_worker() -> None:
    now = Now()
    pace = Pace(now)
    assert pace.stop_seconds(100.0) == 0.0
    now.now += 7.0
    pace.hear(step_of(name("a")))
    now.now += 2.0
    pace.hear(step_of(name("b")))  # another worker's
    now.now += 3.0
    pace.hear(step_of(name("a"), 2))
    assert pace.stop_seconds(100.0) == 9.0
    assert pace.test_seconds(["a", "b", "b", "c"], 2.0) == 2 * (7.0 + 9.0 + 9.0)
    assert pace.dearest(1) == ["b"]
    pace.begin_stage()
    assert pace.stop_seconds(100.0) == 0.0
    now.now += 400.0  # images are read
    pace.hear(Preparing("images", 1, 1))
    now.now += 5.0
    pace.hear(step_of(name("c")))
    assert pace.stop_seconds(100.0) == 5.0
    now.now += 400.0
    pace.hear(step_of(name("a")))
    assert pace.stop_seconds(100.0) == 100.0


def test_the_time_counts_from_the_start_of_the_command(tmp_path: Path) -> None:
    now = Now()
    clock = Clock(StudyFolder(tmp_path), 60.0, now, begun=now() - 25.0)
    assert clock.left == 35.0
    clock.note(least=0)
    now.now += 500.0  # a pause
    assert Clock(StudyFolder(tmp_path), 60.0, now).left == 35.0
    now.now += 0.0
    late = Clock(StudyFolder(tmp_path), 60.0, now, begun=now() - 50.0)
    assert late_sentence(late).startswith("It took 75 s, and 60 s were asked for")
