"""The engine of one machine: several runs at once, within the cores, each ending by itself."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.local_run import request

from medtransfer.engines import local_engine
from medtransfer.engines.contract import EngineEvent, RunLost, RunMessage
from medtransfer.engines.local import EXIT_STOPPED, WorkerDied
from medtransfer.engines.local_engine import LocalEngine
from medtransfer.errors import StudyError
from medtransfer.runs.messages import Finished, Message, RunRequest, WorkerRequest
from medtransfer.study.config import Study

DONE = Finished("done")


class FakeExecutor:
    """Says what it is told for each run; waits for `gate` first, if there is one."""

    said: dict[str, list[Message | BaseException | None]] = {}
    gate: threading.Barrier | None = None

    def __init__(self, _study: Path, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.stopped = self.closed = False

    def execute(self, sent: WorkerRequest) -> Iterator[Message | None]:
        if self.gate is not None:
            self.gate.wait(10)
        for message in self.said.get(sent.run_id, [DONE]):
            if isinstance(message, BaseException):
                raise message
            yield message

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeExecutor]:
    monkeypatch.setattr(FakeExecutor, "said", {})
    monkeypatch.setattr(FakeExecutor, "gate", None)
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.05)
    return []


def engine(made: list[FakeExecutor], **settings) -> LocalEngine:
    def make(study: Path, variables: Mapping[str, str]) -> FakeExecutor:
        made.append(FakeExecutor(study, variables))
        return made[-1]

    return LocalEngine(Path("s"), make=make, **settings)


def run(study: Study, letter: str, threads: int | None = 1) -> RunRequest:
    return request(study, letter * 12).model_copy(update={"threads": threads})


def until(local: LocalEngine, ends: int) -> list[EngineEvent]:
    """Events until so many runs have ended, and the slots are free again."""
    events: list[EngineEvent] = []
    while sum(isinstance(e, RunLost) or isinstance(e.message, Finished) for e in events) < ends:
        events += [event] if (event := local.poll()) else []
    local.poll()
    return events


def test_two_slots_work_at_the_same_time(tiny_study: Study, made, monkeypatch) -> None:
    monkeypatch.setattr(FakeExecutor, "gate", threading.Barrier(2))  # neither goes on alone
    local = engine(made, slots=2, cores=2)
    for letter in "ab":
        assert local.has_room(run(tiny_study, letter))
        local.submit(run(tiny_study, letter))
    assert not local.has_room(run(tiny_study, "c"))
    ended = until(local, 2)
    assert {event.run_id for event in ended} == {"a" * 12, "b" * 12}


def test_a_run_that_wants_all_cores_has_them_alone(tiny_study: Study, made) -> None:
    local = engine(made, slots=2, cores=2)
    local.submit(run(tiny_study, "a", threads=2))
    assert not local.has_room(run(tiny_study, "b"))
    until(local, 1)
    local = engine(made, slots=2, cores=2)
    local.submit(run(tiny_study, "a"))
    assert not local.has_room(run(tiny_study, "b", threads=2))
    assert local.has_room(run(tiny_study, "b"))


def test_a_run_of_more_threads_than_cores_still_runs(tiny_study: Study, made) -> None:
    assert engine(made, cores=2).has_room(run(tiny_study, "a", threads=16))


@pytest.mark.parametrize("slots", [1, 2])
def test_a_lost_process_frees_its_slot_and_is_told_from_one_that_was_stopped(
    tiny_study: Study, made, slots: int
) -> None:
    FakeExecutor.said = {"a" * 12: [WorkerDied(-9)], "b" * 12: [WorkerDied(EXIT_STOPPED)]}
    local = engine(made, slots=slots, cores=slots)
    events: list[EngineEvent] = []
    for letter in "abc":
        local.submit(run(tiny_study, letter))
        events += until(local, 1)
    assert events == [
        RunLost(
            "a" * 12,
            "the worker process was killed by SIGKILL (likely out of memory)",
            WorkerDied.advice,
        ),
        RunLost("b" * 12, "the worker process was ended with code 75", WorkerDied.advice, True),
        RunMessage("c" * 12, DONE),
    ]


@pytest.mark.parametrize("slots", [1, 2])
def test_an_error_of_a_slot_is_raised_where_events_are_polled(
    tiny_study: Study, made, slots: int
) -> None:
    FakeExecutor.said = {"a" * 12: [StudyError("the disk is full")]}
    local = engine(made, slots=slots, cores=2)
    local.submit(run(tiny_study, "a"))
    with pytest.raises(StudyError, match="the disk is full"):
        until(local, 1)
    local.close()
    assert all(executor.closed for executor in made)


def test_stopping_reaches_the_slots_at_work_alone(tiny_study: Study, made) -> None:
    local = engine(made, slots=2, cores=2)
    local.submit(run(tiny_study, "a"))
    local.stop()
    assert [executor.stopped for executor in made] == [True, False]


def test_gpus_are_given_to_the_slots_in_turn(made) -> None:
    engine(made, slots=3, cores=8, gpus=("0", "GPU-5f"))
    assert [e.variables["CUDA_VISIBLE_DEVICES"] for e in made] == ["0", "GPU-5f", "0"]
