"""Worker processes on this machine: one for run after run, or several for a run, by torchrun."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from medtransfer.engines.watchdog import Watchdog
from medtransfer.runs.folders import RunFolder, StudyFolder

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
"""How long a silent worker is given to print its stacks."""
STACK = ("Thread 0x", "Current thread 0x", "  File ", "  ...", "Fatal Python error")
"""What lines of stacks begin with; other lines of a library may quote data, and are not kept."""
SMALLER = "a smaller training.micro_batch needs less"
# glibc otherwise gives large activations back to the system after every layer and asks for them
# again: up to a third of the time of a training step on a CPU (benchmarks/finetune.py)
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}


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

    def __init__(self, study: Path) -> None:
        self._study = study
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str | None] = Queue()
        self._printed: deque[str] = deque(maxlen=10_000)
        self._handles: list[int] = []  # of processes that share a run: their ids may be reused

    def execute(self, about: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        """Hand a run to the worker and give back what it says until the run has ended.

        Args:
            about: What the run's ``run.json`` holds.

        Yields:
            The worker's events, and None about once a second while it says nothing.

        Raises:
            WorkerLost: Its process is gone, or hung and was ended.
        """
        training = about.get("run", about.get("pretrain", {})).get("training", {})
        # a linear probe is one pass and a fit of seconds: nothing to share
        linear = training.get("tuning", {}).get("mode") == "linear"
        together = training.get("devices", 1) > 1 and not linear
        if together:
            process = self._start_together(about, training["devices"])
        else:
            process = self._worker()
            self._tell(process, about)
        watchdog, noted = Watchdog(training.get("hang_seconds")), False
        for event in self._listen(process):
            if event is not None:
                watchdog.record(event)
                noted = False
            elif (verdict := watchdog.look()) == "hung":
                raise self._hung(watchdog.silence)
            elif verdict == "silent" and not noted:
                noted = True
                self._note_stacks(self._folder(about))
            quiet = event is None or event["event"] == "beat"
            yield None if quiet else event
            if event is not None and event["event"] in ("ended", "stopped"):
                break
        if together:
            self.close()  # such processes end with their run

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

    def _worker(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = self._start([*COMMAND, str(self._study)], {}, _pass_on)
        return self._process

    def _folder(self, about: dict[str, Any]) -> RunFolder:
        """A run's own folder; a rung that is pre-trained is its own."""
        study = StudyFolder(self._study)
        return RunFolder(study.path) if "pretrain" in about else study.run(about["run_id"])

    def _start_together(self, about: dict[str, Any], devices: int) -> "subprocess.Popen[str]":
        """Start the processes that share a run; they read what it is from its folder."""
        self.close()
        self._folder(about).describe(about)
        threads = max(1, len(os.sched_getaffinity(0)) // devices)
        self._process = self._start(
            [
                *TORCHRUN,
                "--nproc-per-node",
                str(devices),
                *COMMAND[1:],
                str(self._study),
                about["run_id"],
            ],
            {"OMP_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"},
            _keep,
        )
        return self._process

    def _start(
        self,
        arguments: list[str],
        variables: dict[str, str],
        hear: Callable[["subprocess.Popen[str]", "deque[str]"], None],
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603 — our own module
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**ALLOCATOR, **variables, **os.environ},
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        self._lines = Queue()
        self._printed.clear()
        Thread(target=_read, args=(process, self._lines), daemon=True).start()
        Thread(target=hear, args=(process, self._printed), daemon=True).start()
        return process

    def _tell(self, process: "subprocess.Popen[str]", about: dict[str, Any]) -> None:
        try:
            assert process.stdin is not None  # noqa: S101 — a pipe was asked for
            process.stdin.write(json.dumps(about) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost(process) from None

    def _listen(self, process: "subprocess.Popen[str]") -> Iterator[dict[str, Any] | None]:
        while True:
            try:
                line = self._lines.get(timeout=TICK_SECONDS)
            except Empty:
                yield None
                continue
            if line is None:
                raise self._lost(process)
            event = json.loads(line)
            if event["event"] == "process":
                with contextlib.suppress(ProcessLookupError):
                    self._handles.append(os.pidfd_open(event["pid"]))
            else:
                yield event

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
