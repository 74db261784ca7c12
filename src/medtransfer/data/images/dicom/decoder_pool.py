"""A few processes that read DICOM files for this one, kept between files.

Starting one takes half a second, so each serves many files, from any thread. One that dies is
replaced, and its death is the reason why the file cannot be used. They end with this process, or
when none has asked for a minute.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from io import FileIO
from typing import Any, cast

import numpy as np

from medtransfer.data.images.dicom.facts import Comparison, FrameFacts, facts_from
from medtransfer.errors import ImageError

PATIENCE_SECONDS = 900
"""By the clock, for a process that neither works nor answers; its own limit counts its work."""
PIPE_BYTES = 2**20


def ask_facts(data: bytes, pixel_limit: int, frame: int | None = None) -> FrameFacts:
    """Facts of one frame of a DICOM file, from its headers.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None where the file has only one.

    Raises:
        ImageError: The file or the frame cannot be read. The message is a reason.
    """
    reply, _ = _pool.ask("facts", data, pixel_limit, frame)
    return facts_from(reply)


def ask_pixels(
    data: bytes, pixel_limit: int, frame: int | None = None
) -> np.ndarray[Any, np.dtype[np.uint8 | np.uint16]]:
    """One frame of a DICOM file as it is to be shown.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None where the file has only one.

    Returns:
        Grey [rows, columns] of 8 or 16 bits, black is 0; or RGB [rows, columns, 3] of 8 bits.

    Raises:
        ImageError: The file or the frame cannot be read, or took its reader down with it. The
            message is a reason.
    """
    reply, content = _pool.ask("pixels", data, pixel_limit, frame)
    return np.frombuffer(content, np.dtype(reply["dtype"])).reshape(reply["shape"])


def ask_comparison(data: bytes, pixel_limit: int, frame: int | None = None) -> Comparison:
    """Whether two decoders give the same numbers for one frame of a DICOM file.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None where the file has only one.

    Raises:
        ImageError: As `ask_pixels`.
    """
    reply, _ = _pool.ask("comparison", data, pixel_limit, frame)
    return Comparison(reply["second"], reply["most"], reply["allowed"])


class _Gone(Exception):  # noqa: N818
    """A process is gone, or was ended because it took too long."""

    def __init__(self, code: int, *, late: bool = False) -> None:
        super().__init__(code)
        self.code, self.late = code, late


class _Process:
    """One reader process."""

    def __init__(self) -> None:
        self.served = 0
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "medtransfer.data.images.dicom.decoder_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, **threads, "MALLOC_ARENA_MAX": "2"},
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        self._to, self._from = cast("FileIO", self._child.stdin), cast("FileIO", self._child.stdout)
        _widen(self._to.fileno())
        _widen(self._from.fileno())

    def ask(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytearray]:
        """Send a file and wait for what becomes of it."""
        message = json.dumps({**request, "size": len(data)}).encode()
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            for content in (struct.pack(">L", len(message)) + message, data):
                rest = memoryview(content)
                while rest:
                    rest = rest[self._to.write(rest) :]
        except BrokenPipeError:
            raise _Gone(self._child.wait()) from None
        size = struct.unpack(">L", self._receive(4, deadline))[0]
        reply: dict[str, Any] = json.loads(self._receive(size, deadline))
        self.served += 1
        return reply, self._receive(reply["size"], deadline)

    def end(self) -> None:
        """Close its input, at which it goes; end it if it does not."""
        with contextlib.suppress(OSError):
            self._to.close()
        try:
            self._child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._from.close()

    def _receive(self, size: int, deadline: float) -> bytearray:
        content = bytearray(size)
        rest = memoryview(content)
        while rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                self._child.kill()
                raise _Gone(self._child.wait(), late=True)
            count = self._from.readinto(rest)
            if not count:
                raise _Gone(self._child.wait())
            rest = rest[count:]
        return content


class Pool:
    """As many reader processes as there are processors, started when they are needed."""

    def __init__(self) -> None:
        self._free: list[_Process] = []
        self._all: list[_Process] = []
        self._most = len(os.sched_getaffinity(0))
        self._change = threading.Condition()

    def ask(
        self, want: str, data: bytes, pixel_limit: int, frame: int | None
    ) -> tuple[dict[str, Any], bytearray]:
        """Have a free process answer; wait until one is free.

        Raises:
            ImageError: The file cannot be read. The message is a reason.
        """
        request = {"want": want, "limit": pixel_limit, "frame": frame}
        while True:
            process = self._take()
            try:
                reply, content = process.ask(request, data)
            except _Gone as gone:
                self._drop(process)
                if gone.code == 0 and process.served:
                    continue  # it went home, as it does when nobody asks for a while
                raise ImageError(_cause(gone)) from None
            except BaseException:  # interrupted between a question and its answer
                self._drop(process)
                raise
            self._give(process)
            if "reason" in reply:
                raise ImageError(reply["reason"])
            return reply, content

    def close(self) -> None:
        """End all processes; a later question starts new ones."""
        with self._change:
            ending, self._all, self._free = self._all, [], []
        for process in ending:
            process.end()

    def _take(self) -> _Process:
        with self._change:
            while not self._free and len(self._all) >= self._most:
                self._change.wait()
            if self._free:
                return self._free.pop()
            process = _Process()
            self._all.append(process)
            return process

    def _give(self, process: _Process) -> None:
        with self._change:
            if process in self._all:
                self._free.append(process)
                self._change.notify()

    def _drop(self, process: _Process) -> None:
        with self._change:
            if process in self._all:
                self._all.remove(process)
                self._change.notify()
        process.end()


def _cause(gone: _Gone) -> str:
    if gone.late or gone.code == -signal.SIGXCPU:
        return "took too long to be unpacked"
    if gone.code == -signal.SIGKILL:
        return "ran out of memory while being unpacked"
    if gone.code < 0:
        name = signal.Signals(-gone.code).name
        return f"is damaged: its decoder crashed on it, or ran out of memory ({name})"
    return f"cannot be read: the process for it ended with code {gone.code}"


def _widen(pipe: int) -> None:
    """Let a pipe hold more than 64 KiB: pictures are larger."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


_pool = Pool()


def close_readers() -> None:
    """End the reader processes of this process; the next file starts new ones."""
    _pool.close()


def _forget() -> None:
    """In a fork: the processes belong to the parent."""
    global _pool  # noqa: PLW0603 — it is the one pool of a process
    _pool = Pool()


atexit.register(close_readers)
os.register_at_fork(after_in_child=_forget)
