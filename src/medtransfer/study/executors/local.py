"""One worker process on this machine, made anew when it is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

from medtransfer.study.store import StudyFolder
from medtransfer.study.watchdog import Watchdog

COMMAND = ("-P", "-m", "medtransfer.study.worker")
"""-P: a file called random.py in the user's folder must not become Python's own."""
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


class WorkerLost(Exception):  # noqa: N818
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


class WorkerHung(WorkerLost):
    """The worker said nothing for too long while it trained, and was ended."""

    advice = (
        "stacks.txt in the run's folder shows where it stood. If steps take that long, set "
        "training.hang_seconds"
    )

    def __init__(self, silence: float) -> None:
        super().__init__(-signal.SIGKILL)
        self.args = (f"the worker process made no progress for {silence:,.0f} s and was ended",)


class LocalExecutor:
    """Runs one run at a time in a process of its own."""

    def __init__(self, study: Path) -> None:
        self._study = study
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str | None] = Queue()
        self._printed: deque[str] = deque(maxlen=10_000)

    def execute(self, about: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        """Hand a run to the worker and give back what it says until the run has ended.

        Args:
            about: What the run's ``run.json`` holds.

        Yields:
            The worker's events, and None about once a second while it says nothing.

        Raises:
            WorkerLost: Its process is gone, or hung and was ended.
        """
        watchdog = Watchdog(_hang_seconds(about))
        process = self._worker()
        try:
            assert process.stdin is not None  # noqa: S101 — a pipe was asked for
            process.stdin.write(json.dumps(about) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost(process) from None
        noted = False
        for event in self._listen(process):
            if event is None:
                verdict = watchdog.look()
                if verdict == "hung":
                    raise self._hung(process, watchdog.silence)
                if verdict == "silent" and not noted:
                    noted = True
                    self._note_stacks(process, about["run_id"])
            else:
                watchdog.hear(event)
                noted = False
            yield None if event is not None and event["event"] == "beat" else event
            if event is not None and event["event"] in ("ended", "stopped"):
                return

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
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _worker(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 — our own module
                [sys.executable, *COMMAND, str(self._study)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**ALLOCATOR, **os.environ},
                start_new_session=True,  # Ctrl-C reaches the parent alone
            )
            self._lines = Queue()
            self._printed.clear()
            for target, into in ((_read, self._lines), (_pass_on, self._printed)):
                Thread(target=target, args=(self._process, into), daemon=True).start()
        return self._process

    def _listen(self, process: "subprocess.Popen[str]") -> Iterator[dict[str, Any] | None]:
        while True:
            try:
                line = self._lines.get(timeout=TICK_SECONDS)
            except Empty:
                yield None
                continue
            if line is None:
                raise self._lost(process)
            yield json.loads(line)

    def _note_stacks(self, process: "subprocess.Popen[str]", run_id: str) -> None:
        """Have a silent worker print the stacks of its threads; keep them with the run."""
        self._printed.clear()
        process.send_signal(signal.SIGUSR1)
        time.sleep(STACK_SECONDS)
        lines = [line for line in self._printed.copy() if line.startswith(STACK)]
        StudyFolder(self._study).run(run_id).note_stacks("".join(lines))

    def _hung(self, process: "subprocess.Popen[str]", silence: float) -> WorkerHung:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.close()
        return WorkerHung(silence)

    def _lost(self, process: "subprocess.Popen[str]") -> WorkerLost:
        code = process.wait()
        self.close()
        return WorkerLost(code)


def _read(process: "subprocess.Popen[str]", lines: "Queue[str | None]") -> None:
    """Hand on the worker's lines, then None when it is gone."""
    with contextlib.suppress(ValueError):  # closed under our feet
        for line in process.stdout or ():
            lines.put(line)
    lines.put(None)


def _pass_on(process: "subprocess.Popen[str]", printed: "deque[str]") -> None:
    """Hand on what the worker prints, and remember the last of it."""
    stream: IO[str] | None = process.stderr
    with contextlib.suppress(ValueError):
        for line in stream or ():
            printed.append(line)
            sys.stderr.write(line)


def _hang_seconds(about: dict[str, Any]) -> float | None:
    """The limit that the run's settings set, if they do."""
    seconds = about.get("run", {}).get("training", {}).get("hang_seconds")
    return None if seconds is None else float(seconds)
