"""The executor: messages of the worker are passed on, and the end of its process is explained."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.local_run import request

from medtransfer.engines import local
from medtransfer.engines.local import LocalExecutor, WorkerDied, WorkerTimedOut
from medtransfer.pretraining.config import (
    Pretrain,
    PretrainRequest,
    UpstreamConfig,
    UpstreamTraining,
)
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import (
    Finished,
    Heartbeat,
    Interrupted,
    Message,
    ProcessStarted,
    RunRequest,
    StepDone,
    WorkerRequest,
    from_json,
    to_json,
)
from medtransfer.study.config import Study

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


def say(message: Message) -> str:
    """Shell code that sends a message as a worker does."""
    return f"echo '{to_json(message)}'"


DONE = Finished("done")
STEP = StepDone(1, 9, loss=0.5, images_per_second=10.0, tune_auroc=None)
ENDED = say(DONE)


def test_messages_are_passed_on_until_the_run_has_ended(worker: Worker, tiny_study: Study) -> None:
    executor = worker(f"while read run; do {say(STEP)}; {say(Heartbeat())}; {ENDED}; done")
    for _ in range(2):  # the same process takes the next run
        messages = [message for message in executor.execute(request(tiny_study)) if message]
        assert messages == [STEP, DONE]


@pytest.mark.parametrize(
    "message", [ProcessStarted(4711), Heartbeat(), STEP, Interrupted(), DONE], ids=str
)
def test_a_message_survives_its_line(message: Message) -> None:
    assert from_json(to_json(message)) == message


def test_the_worker_gets_the_request_and_the_folder(
    worker: Worker, tiny_study: Study, tmp_path: Path
) -> None:
    executor = worker(
        f'read run; echo "$run" > {tmp_path}/told; echo "$@" >> {tmp_path}/told; {ENDED}'
    )
    sent = request(tiny_study, "abc")
    list(executor.execute(sent))
    run, arguments = (tmp_path / "told").read_text().splitlines()
    assert json.loads(run) == sent.record()
    assert RunRequest.model_validate_json(run) == sent
    assert arguments == f"-P -m medtransfer.worker {tmp_path / 'study'}"


def test_a_silent_worker_is_noticed_about_once_a_tick(
    worker: Worker, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TICK_SECONDS", 0.05)
    messages = list(worker(f"read run; sleep 0.4; {ENDED}").execute(request(tiny_study)))
    assert messages[0] is None
    assert messages[-1] == DONE


@pytest.mark.parametrize(
    ("end", "message", "signal", "code"),
    [
        ("kill -KILL $$", "was killed by SIGKILL (likely out of memory)", "SIGKILL", -9),
        ("kill -SEGV $$", "was killed by SIGSEGV", "SIGSEGV", -11),
        ("exit 3", "was ended with code 3", None, 3),
    ],
)
def test_how_a_worker_was_lost_is_said_and_the_next_run_gets_a_new_one(
    worker: Worker,
    tiny_study: Study,
    end: str,
    message: str,
    signal: str | None,
    code: int,
) -> None:
    executor = worker(f"read run; case $run in *first*) {end};; *) {ENDED};; esac")
    with pytest.raises(WorkerDied) as caught:
        list(executor.execute(request(tiny_study, "first")))
    assert str(caught.value) == f"the worker process {message}"
    assert (caught.value.signal, caught.value.code) == (signal, code)
    assert list(executor.execute(request(tiny_study, "second")))[-1] == DONE


def test_a_worker_that_is_gone_between_two_runs_is_lost_too(
    worker: Worker, tiny_study: Study
) -> None:
    executor = worker(f"read run; {ENDED}; exec 0<&-; exit 4")
    list(executor.execute(request(tiny_study, "x" * 100_000)))
    with pytest.raises(WorkerDied, match="ended with code 4"):
        list(executor.execute(request(tiny_study, "x" * 100_000)))


def test_stopping_asks_the_worker_and_waits_for_its_message(
    worker: Worker, tiny_study: Study
) -> None:
    stopped = say(Interrupted())
    executor = worker(
        f'trap "{stopped.replace(chr(34), chr(92) + chr(34))}; exit 75" TERM; read run; '
        f"{say(STEP)}; while :; do sleep 0.05; done"
    )
    messages: list[Message] = []
    for message in executor.execute(request(tiny_study)):
        if message is not None:
            messages.append(message)
            if message == STEP:
                executor.stop()
    assert messages == [STEP, Interrupted()]


def test_stopping_without_a_worker_does_nothing(worker: Worker) -> None:
    executor = worker("exit 1")
    executor.stop()
    executor.close()


def test_the_workers_allocator_keeps_memory_unless_the_user_says_otherwise(
    worker: Worker, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    variables = to_json(Finished("done", "%s %s"))
    script = f"read run; printf '{variables}\\n' $MALLOC_TRIM_THRESHOLD_ $MALLOC_TOP_PAD_"
    (message,) = [m for m in worker(script).execute(request(tiny_study)) if m]
    assert message == Finished("done", f"{2**33} 1")
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


@pytest.mark.slow
def test_a_file_in_the_users_folder_is_not_taken_for_a_module(
    tmp_path: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("random", "torch", "numpy"):
        (tmp_path / f"{name}.py").write_text('print("mine")\nraise SystemExit(5)\n')
    executor = LocalExecutor(tmp_path / "study")
    try:
        messages = [m for m in executor.execute(request(tiny_study, device="cuda")) if m]
    finally:
        executor.close()
    assert [type(message) for message in messages] == [Finished]


@pytest.mark.parametrize(
    ("training", "processes"),
    [
        ({"devices": 3}, 3),
        ({"devices": 3, "tuning": {"mode": "linear"}}, None),
        ({"devices": 1}, None),
    ],
)
def test_devices_are_processes_that_torchrun_starts_for_one_run(
    worker: Worker,
    tiny_study: Study,
    tmp_path: Path,
    training: dict[str, object],
    processes: int | None,
) -> None:
    check_processes(worker, request(tiny_study, "abc", **training), tmp_path, processes)


def test_devices_of_pretraining_are_processes_too(worker: Worker, tmp_path: Path) -> None:
    run = Pretrain(
        name="a",
        rung="scratch/r50x1",
        data=UpstreamConfig(images=Path("x")),
        training=UpstreamTraining(devices=2),
    )
    check_processes(worker, PretrainRequest(run_id="abc", pretrain=run), tmp_path, 2)


def check_processes(
    worker: Worker, sent: WorkerRequest, tmp_path: Path, processes: int | None
) -> None:
    told = tmp_path / "told"
    executor = worker(f'echo "$@" > {told}; [ -n "$PYTHONSAFEPATH" ] || read run; {ENDED}')
    list(executor.execute(sent))
    arguments = told.read_text().strip()
    study = tmp_path / "study"
    if processes is None:
        assert arguments == f"-P -m medtransfer.worker {study}"
    else:
        assert arguments.startswith("-P -m torch.distributed.run --standalone")
        assert f"--nproc-per-node {processes} -m medtransfer.worker {study} abc" in arguments
        (described,) = study.rglob("run.json")
        assert json.loads(described.read_text()) == sent.record()


STUCK = """\
import time
from medtransfer import worker

def stuck_step(heartbeat):
    secret = "patient-0815"
    heartbeat()
    print(f"a library quotes {secret}", flush=True)
    time.sleep(600)

def transfer(run, study, folder, on_step, heartbeat, **options):
    if folder.run_id == "a" * 12:
        stuck_step(heartbeat)

worker.transfer = transfer
worker.main()
"""


SILENT = """\
import faulthandler, signal, sys, time
from medtransfer.runs.messages import Heartbeat, to_json

def stuck_step():
    print(to_json(Heartbeat()), flush=True)
    print("a library quotes patient-0815", file=sys.stderr, flush=True)
    time.sleep(600)

faulthandler.register(signal.SIGUSR1, all_threads=True)
sys.stdin.readline()
stuck_step()
"""


@pytest.mark.slow
def test_a_silent_worker_leaves_its_stacks_and_is_ended(
    tmp_path: Path, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "silent.py").write_text(SILENT)
    monkeypatch.setattr(local, "COMMAND", ("-P", str(tmp_path / "silent.py")))
    monkeypatch.setattr(local, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(local, "STACK_SECONDS", 0.2)
    executor = LocalExecutor(tmp_path / "study")
    with pytest.raises(WorkerTimedOut, match="made no progress for 1 s and was ended"):
        list(executor.execute(request(tiny_study, hang_seconds=0.4)))
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
    study = StudyFolder(tmp_path / "study")
    executor = LocalExecutor(study.path)
    try:
        with pytest.raises(
            WorkerTimedOut, match="made no progress for 1 s and was ended"
        ) as caught:
            list(executor.execute(request(tiny_study, "a" * 12, hang_seconds=0.4)))
        assert "training.hang_seconds" in caught.value.advice
        sent = request(tiny_study, "b" * 12, hang_seconds=0.4)
        messages = [message for message in executor.execute(sent) if message]
    finally:
        executor.close()
    assert messages[-1] == DONE
    stacks = (study.run("a" * 12).path / "stacks.txt").read_text()
    assert "in stuck_step" in stacks
    assert "(most recent call first)" in stacks
    assert "patient-0815" not in stacks  # where it stood, and no data
