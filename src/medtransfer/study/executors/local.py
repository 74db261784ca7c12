"""One worker process on this machine, made anew when it is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

EXIT_STOPPED = 75
"""Exit code of a worker that was asked to stop and has saved its state (EX_TEMPFAIL)."""
TICK_SECONDS = 1.0
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
    """

    def __init__(self, returncode: int) -> None:
        self.signal = signal.Signals(-returncode).name if returncode < 0 else None
        self.code = returncode
        why = f"killed by {self.signal}" if self.signal else f"ended with code {returncode}"
        likely = " (likely out of memory)" if self.signal == "SIGKILL" else ""
        super().__init__(f"the worker process was {why}{likely}")


class LocalExecutor:
    """Runs one run at a time in a process of its own."""

    def __init__(self, study: Path) -> None:
        self._study = study
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str | None] = Queue()

    def execute(self, about: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        """Hand a run to the worker and give back what it says until the run has ended.

        Args:
            about: What the run's ``run.json`` holds.

        Yields:
            The worker's events, and None about once a second while it says nothing.

        Raises:
            WorkerLost: Its process is gone.
        """
        process = self._worker()
        try:
            assert process.stdin is not None  # noqa: S101 — a pipe was asked for
            process.stdin.write(json.dumps(about) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost(process) from None
        for event in self._listen(process):
            yield event
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
        if process.stdout is not None:
            process.stdout.close()

    def _worker(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 — our own module
                # -P: a file called random.py in the user's folder must not become Python's own
                [sys.executable, "-P", "-m", "medtransfer.study.worker", str(self._study)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**ALLOCATOR, **os.environ},
                start_new_session=True,  # Ctrl-C reaches the parent alone
            )
            self._lines = Queue()
            Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
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
