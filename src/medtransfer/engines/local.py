"""Worker process on this machine: one for run after run, or several for a run, by torchrun."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from medtransfer.engines.machine import usable_cores
from medtransfer.engines.watchdog import Watchdog
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.lease import LEASE_VARIABLE, held_claim
from medtransfer.runs.messages import (
    Finished,
    Heartbeat,
    Interrupted,
    Message,
    ProcessStarted,
    WorkerRequest,
    from_json,
)

COMMAND = ("-P", "-m", "medtransfer.worker")
"""-P: a file called random.py in the user's folder must not become Python's own."""
TORCHRUN = (
    "-P",
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--local-addr",
    "127.0.0.1",
    "--shutdown-timeout",
    "600",
)
"""Ten minutes to save the state where it is asked to stop."""
LAST_LINES = 40
"""Of what several processes printed, shown when they are lost."""
EXIT_STOPPED = 75
"""Exit code of a worker that was asked to stop and has saved its state (EX_TEMPFAIL)."""
TICK_SECONDS = 1.0
STACK_SECONDS = 2.0
"""Seconds that a silent worker is given to print its stacks."""
STACK = ("Thread 0x", "Current thread 0x", "  File ", "  ...", "Fatal Python error")
"""Start of lines of stacks; other lines of a library may quote data, and are not kept."""
SMALLER = "a smaller training.micro_batch needs less"
# glibc otherwise gives large activations back to the system after every layer and asks for them
# again: up to a third of the time of a training step on a CPU (benchmarks/finetune.py)
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""Variables that libraries read as they are loaded."""


class WorkerDied(Exception):  # noqa: N818
    """The worker's process is gone.

    Attributes:
        signal: That ended it, if one did.
        code: Its exit code otherwise.
        advice: What to do, after "The same command tries again".
    """

    advice = SMALLER

    def __init__(self, returncode: int) -> None:
        self.signal = signal.Signals(-returncode).name if returncode < 0 else None
        self.code = returncode
        why = f"killed by {self.signal}" if self.signal else f"ended with code {returncode}"
        likely = " (likely out of memory)" if self.signal == "SIGKILL" else ""
        super().__init__(f"the worker process was {why}{likely}")


class WorkerTimedOut(WorkerDied):
    """The worker said nothing for too long while it trained, and was ended."""

    advice = (
        "stacks.txt in the run's folder shows where it stood. If steps take that long, set "
        "training.hang_seconds"
    )

    def __init__(self, silence: float) -> None:
        super().__init__(-signal.SIGKILL)
        self.args = (f"the worker process made no progress for {silence:,.0f} s and was ended",)


class LocalExecutor:
    """Runs one run at a time in a process of its own, or in several that share it."""

    def __init__(self, study: Path, variables: Mapping[str, str] | None = None) -> None:
        """Prepare; the process starts with the first run.

        Args:
            study: The study's folder.
            variables: Environment variables of the process.
        """
        self._study = study
        self._variables = dict(variables or {})
        self._threads: int | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str | None] = Queue()
        self._printed: deque[str] = deque(maxlen=10_000)
        self._handles: list[int] = []  # of processes that share a run: their ids may be reused

    def execute(self, request: WorkerRequest) -> Iterator[Message | None]:
        """Hand a run to the worker and pass on its messages until the run has ended.

        Yields:
            The worker's messages, without heartbeats, and None about once a second of silence.

        Raises:
            WorkerDied: Its process is gone, or hung and was killed.
        """
        training = request.training
        # a linear probe is one pass and a fit of seconds: nothing to share
        ends_with_run = training.devices > 1 and training.tuning.mode != "linear"
        if ends_with_run:
            process = self._start_together(request)
        else:
            process = self._worker(request.threads)
            self._send(process, request)
        watchdog, has_stacks = Watchdog(training.hang_seconds), False
        for message in self._listen(process):
            if message is not None:
                watchdog.record(message)
                has_stacks = False
            elif (health := watchdog.look()) == "hung":
                raise self._hung(watchdog.silence)
            elif health == "silent" and not has_stacks:
                has_stacks = True
                self._note_stacks(request.folder(StudyFolder(self._study)))
            yield None if isinstance(message, Heartbeat) else message
            if isinstance(message, Finished | Interrupted):
                ends_with_run |= isinstance(message, Interrupted)
                break
        if ends_with_run:
            self.close()  # such processes end with their run, and so does one that was stopped

    def stop(self) -> None:
        """Ask the worker to save its state and stop after the current step."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def close(self) -> None:
        """End the worker: idle ones go when their input closes, others are killed."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._kill(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        while self._handles:
            os.close(self._handles.pop())

    def _worker(self, threads: int | None) -> "subprocess.Popen[str]":
        """The process with a number of threads; they are fixed as its libraries are loaded."""
        if threads != self._threads:
            self.close()
            self._threads = threads
        if self._process is None:
            counts = {} if threads is None else dict.fromkeys(THREADS, str(threads))
            self._process = self._start(
                [*COMMAND, str(self._study)], self._variables | counts, _pass_on
            )
        return self._process

    def _start_together(self, request: WorkerRequest) -> "subprocess.Popen[str]":
        """Start the processes that share a run; they read the request from the run's folder."""
        self.close()
        request.folder(StudyFolder(self._study)).describe(request.record())
        devices = request.training.devices
        threads = request.threads or max(1, usable_cores() // devices)
        self._process = self._start(
            [
                *TORCHRUN,
                "--nproc-per-node",
                str(devices),
                *COMMAND[1:],
                str(self._study),
                request.run_id,
            ],
            {"OMP_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"},
            _keep,
        )
        return self._process

    def _start(
        self,
        arguments: list[str],
        variables: dict[str, str],
        read_errors: Callable[["subprocess.Popen[str]", "deque[str]"], None],
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603 — our own module
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={
                **ALLOCATOR,
                **os.environ,
                **variables,
                LEASE_VARIABLE: held_claim(self._study),
            },
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        self._lines = Queue()
        self._printed.clear()
        Thread(target=_read, args=(process, self._lines), daemon=True).start()
        Thread(target=read_errors, args=(process, self._printed), daemon=True).start()
        return process

    def _send(self, process: "subprocess.Popen[str]", request: WorkerRequest) -> None:
        try:
            assert process.stdin is not None  # noqa: S101 — a pipe was asked for
            process.stdin.write(json.dumps(request.record()) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost(process) from None

    def _listen(self, process: "subprocess.Popen[str]") -> Iterator[Message | None]:
        while True:
            try:
                line = self._lines.get(timeout=TICK_SECONDS)
            except Empty:
                yield None
                continue
            if line is None:
                raise self._lost(process)
            match from_json(line):
                case ProcessStarted(pid):
                    with contextlib.suppress(ProcessLookupError):
                        self._handles.append(os.pidfd_open(pid))
                case message:
                    yield message

    def _note_stacks(self, folder: RunFolder) -> None:
        """Have a silent worker print the stacks of its threads; keep them with the run."""
        assert self._process is not None  # noqa: S101 — it is silent, not gone
        self._printed.clear()
        if self._handles:
            self._signal_all(signal.SIGUSR1)
        else:
            self._process.send_signal(signal.SIGUSR1)
        time.sleep(STACK_SECONDS)
        lines = [line for line in self._printed.copy() if line.startswith(STACK)]
        folder.note_stacks("".join(lines))

    def _hung(self, silence: float) -> WorkerTimedOut:
        if self._process is not None:
            self._kill(self._process)
        self.close()
        return WorkerTimedOut(silence)

    def _kill(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        self._signal_all(signal.SIGKILL)
        process.wait()

    def _signal_all(self, number: signal.Signals) -> None:
        """Send a signal to each of the processes that share a run."""
        for handle in self._handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)

    def _lost(self, process: "subprocess.Popen[str]") -> WorkerDied:
        code = process.wait()
        if self._handles:
            self._signal_all(signal.SIGKILL)  # a killed torchrun leaves them behind
            sys.stderr.writelines(list(self._printed)[-LAST_LINES:])
        self.close()
        return WorkerDied(code)


def _read(process: "subprocess.Popen[str]", lines: "Queue[str | None]") -> None:
    """Hand on the worker's lines, then None when it is gone."""
    with contextlib.suppress(ValueError):  # closed under our feet
        for line in process.stdout or ():
            lines.put(line)
    lines.put(None)


def _pass_on(process: "subprocess.Popen[str]", printed: "deque[str]") -> None:
    """Hand on what the worker prints, and remember the last of it."""
    with contextlib.suppress(ValueError):
        for line in process.stderr or ():
            printed.append(line)
            sys.stderr.write(line)


def _keep(process: "subprocess.Popen[str]", printed: "deque[str]") -> None:
    """Remember the last of what several processes print: torchrun says much, often in vain."""
    with contextlib.suppress(ValueError):
        for line in process.stderr or ():
            printed.append(line)
