"""The executor: what the worker says is handed on, and how it was lost is said."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medtransfer.engines import local
from medtransfer.engines.local import LocalExecutor, WorkerDied, WorkerTimedOut
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.grid import expand

Worker = Callable[[str], LocalExecutor]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An executor whose worker is a shell script."""
    made: list[LocalExecutor] = []

    def make(script: str) -> LocalExecutor:
        path = tmp_path / "worker.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        made.append(LocalExecutor(tmp_path / "study"))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def said(**event: object) -> str:
    return f"echo '{json.dumps(event)}'"


ENDED = said(event="ended", state="done", message="")


def test_what_the_worker_says_is_handed_on_until_the_run_has_ended(worker: Worker) -> None:
    executor = worker(f"while read run; do {said(event='step', step=1, steps=9)}; {ENDED}; done")
    for _ in range(2):  # the same process takes the next run
        events = [event for event in executor.execute({"run_id": "a"}) if event]
        assert [event["event"] for event in events] == ["step", "ended"]


def test_the_worker_is_told_the_run_and_the_folder(worker: Worker, tmp_path: Path) -> None:
    executor = worker(
        f'read run; echo "$run" > {tmp_path}/told; echo "$@" >> {tmp_path}/told; {ENDED}'
    )
    list(executor.execute({"run_id": "abc", "run": {"seed": 3}}))
    run, arguments = (tmp_path / "told").read_text().splitlines()
    assert json.loads(run) == {"run_id": "abc", "run": {"seed": 3}}
    assert arguments == f"-P -m medtransfer.worker {tmp_path / 'study'}"


def test_a_silent_worker_is_noticed_about_once_a_tick(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TICK_SECONDS", 0.05)
    events = list(worker(f"read run; sleep 0.4; {ENDED}").execute({}))
    assert events[0] is None
    assert events[-1]["event"] == "ended"


@pytest.mark.parametrize(
    ("end", "message", "signal", "code"),
    [
        ("kill -KILL $$", "was killed by SIGKILL (likely out of memory)", "SIGKILL", -9),
        ("kill -SEGV $$", "was killed by SIGSEGV", "SIGSEGV", -11),
        ("exit 3", "was ended with code 3", None, 3),
    ],
)
def test_how_a_worker_was_lost_is_said_and_the_next_run_gets_a_new_one(
    worker: Worker, end: str, message: str, signal: str | None, code: int
) -> None:
    executor = worker(f"read run; case $run in *first*) {end};; *) {ENDED};; esac")
    with pytest.raises(WorkerDied) as caught:
        list(executor.execute({"run_id": "first"}))
    assert str(caught.value) == f"the worker process {message}"
    assert (caught.value.signal, caught.value.code) == (signal, code)
    assert list(executor.execute({"run_id": "second"}))[-1]["event"] == "ended"


def test_a_worker_that_is_gone_between_two_runs_is_lost_too(worker: Worker) -> None:
    executor = worker(f"read run; {ENDED}; exec 0<&-; exit 4")
    list(executor.execute({"run_id": "x" * 100_000}))
    with pytest.raises(WorkerDied, match="ended with code 4"):
        list(executor.execute({"run_id": "x" * 100_000}))


def test_stopping_asks_the_worker_and_waits_for_its_word(worker: Worker) -> None:
    stopped = said(event="stopped")
    executor = worker(
        f'trap "{stopped.replace(chr(34), chr(92) + chr(34))}; exit 75" TERM; read run; '
        f"{said(event='step', step=1, steps=9)}; while :; do sleep 0.05; done"
    )
    heard: list[str] = []
    for event in executor.execute({}):
        if event is not None:
            heard.append(event["event"])
            if event["event"] == "step":
                executor.stop()
    assert heard == ["step", "stopped"]


def test_stopping_without_a_worker_does_nothing(worker: Worker) -> None:
    executor = worker("exit 1")
    executor.stop()
    executor.close()


def test_the_workers_allocator_keeps_memory_unless_the_user_says_otherwise(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    format_ = r'{"event": "ended", "told": "%s %s"}\n'
    told = f"printf '{format_}' $MALLOC_TRIM_THRESHOLD_ $MALLOC_TOP_PAD_"
    (event,) = [e for e in worker(f"read run; {told}").execute({}) if e]
    assert event["told"] == f"{2**33} 1"
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


def test_a_file_in_the_users_folder_is_not_taken_for_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("random", "torch", "numpy"):
        (tmp_path / f"{name}.py").write_text('print("mine")\nraise SystemExit(5)\n')
    executor = LocalExecutor(tmp_path / "study")
    try:
        events = [e for e in executor.execute({"run_id": "abc", "run": {}}) if e]
    finally:
        executor.close()
    assert [event["event"] for event in events] == ["ended"]


@pytest.mark.parametrize(
    ("about", "processes"),
    [
        ({"run": {"training": {"devices": 3}}}, 3),
        ({"pretrain": {"training": {"devices": 2}}}, 2),
        ({"run": {"training": {"devices": 3, "tuning": {"mode": "linear"}}}}, None),
        ({"run": {"training": {"devices": 1}}}, None),
    ],
)
def test_devices_are_processes_that_torchrun_starts_for_one_run(
    worker: Worker, tmp_path: Path, about: dict, processes: int | None
) -> None:
    told = tmp_path / "told"
    executor = worker(f'echo "$@" > {told}; [ -n "$PYTHONSAFEPATH" ] || read run; {ENDED}')
    list(executor.execute({"run_id": "abc", **about}))
    arguments = told.read_text().strip()
    study = tmp_path / "study"
    if processes is None:
        assert arguments == f"-P -m medtransfer.worker {study}"
    else:
        assert arguments.startswith("-P -m torch.distributed.run --standalone")
        assert f"--nproc-per-node {processes} -m medtransfer.worker {study} abc" in arguments
        (described,) = study.rglob("run.json")
        assert json.loads(described.read_text()) == {"run_id": "abc", **about}


STUCK = """\
import time
from medtransfer.study import worker

def stuck_step(beat):
    secret = "patient-0815"
    beat()
    print(f"a library quotes {secret}", flush=True)
    time.sleep(600)

def transfer(run, study, folder, watch, beat):
    if folder.run_id == "a" * 12:
        stuck_step(beat)

worker.transfer = transfer
worker.main()
"""


SILENT = """\
import faulthandler, json, signal, sys, time

def stuck_step():
    print(json.dumps({"event": "beat"}), flush=True)
    print("a library quotes patient-0815", file=sys.stderr, flush=True)
    time.sleep(600)

faulthandler.register(signal.SIGUSR1, all_threads=True)
sys.stdin.readline()
stuck_step()
"""


def test_a_silent_worker_leaves_its_stacks_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "silent.py").write_text(SILENT)
    monkeypatch.setattr(local, "COMMAND", ("-P", str(tmp_path / "silent.py")))
    monkeypatch.setattr(local, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(local, "STACK_SECONDS", 0.2)
    executor = LocalExecutor(tmp_path / "study")
    about = {"run_id": "a" * 12, "run": {"training": {"hang_seconds": 0.4}}}
    with pytest.raises(WorkerTimedOut, match="made no progress for 1 s and was ended"):
        list(executor.execute(about))
    stacks = (StudyFolder(tmp_path / "study").run("a" * 12).path / "stacks.txt").read_text()
    assert "in stuck_step" in stacks
    assert "patient-0815" not in stacks  # where it stood, and no data


@pytest.mark.slow
def test_a_step_that_never_ends_leaves_its_stack_and_the_next_run_goes_on(
    tmp_path: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    monkeypatch.setattr(local, "COMMAND", ("-P", str(tmp_path / "stuck.py")))
    monkeypatch.setattr(local, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(local, "STACK_SECONDS", 0.5)
    (cell,) = expand(tiny_study, None)  # type: ignore[arg-type] — no cohort is left out
    run = cell.run.model_dump(mode="json")
    run["training"]["hang_seconds"] = 0.4
    study = StudyFolder(tmp_path / "study")
    executor = LocalExecutor(study.path)
    try:
        with pytest.raises(
            WorkerTimedOut, match="made no progress for 1 s and was ended"
        ) as caught:
            list(executor.execute({"run_id": "a" * 12, "run": run}))
        assert "training.hang_seconds" in caught.value.advice
        events = [e for e in executor.execute({"run_id": "b" * 12, "run": run}) if e]
    finally:
        executor.close()
    assert events[-1] == {"event": "ended", "state": "done", "message": ""}
    stacks = (study.run("a" * 12).path / "stacks.txt").read_text()
    assert "in stuck_step" in stacks
    assert "(most recent call first)" in stacks
    assert "patient-0815" not in stacks  # where it stood, and no data
