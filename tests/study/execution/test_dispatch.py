"""Dispatch: an engine is kept busy, shared inputs are made once, and a stop is passed on."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.local_run import request

from medtransfer.engines.contract import EngineEvent, RunMessage
from medtransfer.errors import StudyError
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.messages import Finished, RunRequest, WorkerRequest
from medtransfer.study.config import Study
from medtransfer.study.execution.dispatch import dispatch

DONE = Finished("done")


@dataclass
class FakeEngine:
    """Ends the run that was submitted first; notes how many were at work at once."""

    slots: int = 2
    active: list[str] = field(default_factory=list[str])
    order: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    on_poll: Callable[[], None] = lambda: None
    was_stopped = was_closed = False

    def has_room(self, _request: WorkerRequest) -> bool:
        return len(self.active) < self.slots

    def submit(self, request: WorkerRequest) -> None:
        self.active.append(request.run_id)
        self.order.append(tuple(name[0] for name in self.active))

    def poll(self) -> EngineEvent | None:
        self.on_poll()
        return RunMessage(self.active.pop(0), DONE)

    def stop(self) -> None:
        self.was_stopped = True

    def close(self) -> None:
        self.was_closed = True


@dataclass
class FakeJob:
    request: RunRequest
    shared_input: object | None = None
    error: Exception | None = None
    requires: str | None = None

    def start(self) -> None:
        pass

    def take(self, _event: EngineEvent) -> bool:
        if self.error is not None:
            raise self.error
        return True


@pytest.fixture
def lease(tmp_path: Path):
    folder = StudyFolder(tmp_path / "s")
    folder.claim("s")
    held = Lease(folder)
    held.take()
    yield held
    held.drop()


def jobs(study: Study, letters: str, **inputs: str) -> list[FakeJob]:
    return [FakeJob(request(study, n * 12), inputs.get(n)) for n in letters]


def test_every_job_is_carried_out_once_and_the_engine_is_kept_full(
    tiny_study: Study, lease: Lease
) -> None:
    engine, ended = FakeEngine(), list[tuple[str, int]]()
    is_over = dispatch(
        engine,
        jobs(tiny_study, "abcd"),
        lease,
        lambda job, left: ended.append((job.request.run_id[0], left)),
    )
    assert is_over
    assert engine.order == [("a",), ("a", "b"), ("b", "c"), ("c", "d")]
    assert ended == [("a", 2), ("b", 1), ("c", 0), ("d", 0)]
    assert engine.was_closed


def test_the_first_job_of_a_shared_input_makes_it_for_the_others(
    tiny_study: Study, lease: Lease
) -> None:
    engine = FakeEngine(slots=3)
    dispatch(engine, jobs(tiny_study, "abcd", a="f", b="f", d="f"), lease, lambda _job, _left: None)
    assert engine.order == [("a",), ("a", "c"), ("c", "b"), ("c", "b", "d")]


def test_a_run_waits_for_the_one_whose_weights_it_goes_on_from(
    tiny_study: Study, lease: Lease
) -> None:
    engine, work = FakeEngine(slots=3), jobs(tiny_study, "abcd")
    work[0].requires = "c" * 12
    work[1].requires = "e" * 12  # done before, so not among the jobs
    dispatch(engine, work, lease, lambda _job, _left: None)
    assert engine.order == [("b",), ("b", "c"), ("b", "c", "d"), ("d", "a")]


def test_after_a_signal_nothing_more_is_started(tiny_study: Study, lease: Lease) -> None:
    engine = FakeEngine()
    engine.on_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    ended: list[FakeJob] = []
    is_over = dispatch(
        engine, jobs(tiny_study, "abcd"), lease, lambda job, _left: ended.append(job)
    )
    assert not is_over
    assert engine.was_stopped
    assert len(ended) == 2  # those that were at work save their state


def test_an_error_of_a_job_closes_the_engine(tiny_study: Study, lease: Lease) -> None:
    engine, work = FakeEngine(), jobs(tiny_study, "ab")
    work[0].error = StudyError("the disk is full")
    with pytest.raises(StudyError, match="the disk is full"):
        dispatch(engine, work, lease, lambda _job, _left: None)
    assert engine.was_closed
