"""Pool of processes that read DICOM files for this one.

Starting a process takes half a second, so each serves many files, from any thread. A process that
dies is replaced, and its death is the reason why the file cannot be used. They end with this
process, or after a minute without a request.
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

from medtransfer.data.images.dicom.facts import (
    DecoderComparison,
    FrameFacts,
    Reply,
    Request,
    Want,
    facts_from,
)
from medtransfer.errors import ImageError

PATIENCE_SECONDS = 900
"""Wall-clock limit for a process that neither works nor answers; its own limit is on CPU time."""
PIPE_BYTES = 2**20


def ask_facts(data: bytes, pixel_limit: int, frame: int | None = None) -> FrameFacts:
    """Facts of one frame of a DICOM file, from its headers.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None if the file has only one.

    Raises:
        ImageError: The file or the frame cannot be read. The message is a reason.
    """
    reply, _ = _pool.ask("facts", data, pixel_limit, frame)
    return facts_from(reply)


def ask_pixels(
    data: bytes, pixel_limit: int, frame: int | None = None
) -> np.ndarray[Any, np.dtype[np.uint8 | np.uint16]]:
    """Display pixels of one frame of a DICOM file.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None if the file has only one.

    Returns:
        Grey [rows, columns] of 8 or 16 bits, black is 0; or RGB [rows, columns, 3] of 8 bits.

    Raises:
        ImageError: The file or the frame cannot be read, or crashed its reader. The message is a
            reason.
    """
    reply, content = _pool.ask("pixels", data, pixel_limit, frame)
    return np.frombuffer(content, np.dtype(reply["dtype"])).reshape(reply["shape"])


def ask_comparison(data: bytes, pixel_limit: int, frame: int | None = None) -> DecoderComparison:
    """Compare the numbers that two decoders give for one frame of a DICOM file.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None if the file has only one.

    Raises:
        ImageError: As `ask_pixels`.
    """
    reply, _ = _pool.ask("comparison", data, pixel_limit, frame)
    return DecoderComparison(reply["second"], reply["largest_difference"], reply["allowed"])


class _ProcessEnded(Exception):  # noqa: N818
    """A process died, or was ended because it took too long."""

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

    def ask(self, request: Request, data: bytes) -> tuple[Reply, bytearray]:
        """Send a file and wait for the reply."""
        message = json.dumps(request).encode()
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            for content in (struct.pack(">L", len(message)) + message, data):
                rest = memoryview(content)
                while rest:
                    rest = rest[self._to.write(rest) :]
        except BrokenPipeError:
            raise _ProcessEnded(self._child.wait()) from None
        size = struct.unpack(">L", self._receive(4, deadline))[0]
        reply: Reply = json.loads(self._receive(size, deadline))
        self.served += 1
        return reply, self._receive(reply["size"], deadline)

    def end(self) -> None:
        """Close its input, which ends it; kill it if it stays."""
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
                raise _ProcessEnded(self._child.wait(), late=True)
            count = self._from.readinto(rest)
            if not count:
                raise _ProcessEnded(self._child.wait())
            rest = rest[count:]
        return content


class Pool:
    """At most one reader process for each processor, started when needed."""

    def __init__(self) -> None:
        self._free: list[_Process] = []
        self._all: list[_Process] = []
        self._limit = len(os.sched_getaffinity(0))
        self._change = threading.Condition()

    def ask(
        self, want: Want, data: bytes, pixel_limit: int, frame: int | None
    ) -> tuple[Reply, bytearray]:
        """Send a request to a free process; wait until one is free.

        Raises:
            ImageError: The file cannot be read. The message is a reason.
        """
        request = Request(want=want, limit=pixel_limit, frame=frame, size=len(data))
        while True:
            process = self._acquire()
            try:
                reply, content = process.ask(request, data)
            except _ProcessEnded as ended:
                self._drop(process)
                if ended.code == 0 and process.served:
                    continue  # it ended after a while without a request, as it should
                raise ImageError(_cause(ended)) from None
            except BaseException:  # interrupted between a request and its reply
                self._drop(process)
                raise
            self._release(process)
            if "reason" in reply:
                raise ImageError(reply["reason"])
            return reply, content

    def close(self) -> None:
        """End all processes; a later request starts new ones."""
        with self._change:
            ending, self._all, self._free = self._all, [], []
        for process in ending:
            process.end()

    def _acquire(self) -> _Process:
        with self._change:
            while not self._free and len(self._all) >= self._limit:
                self._change.wait()
            if self._free:
                return self._free.pop()
            process = _Process()
            self._all.append(process)
            return process

    def _release(self, process: _Process) -> None:
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


def _cause(ended: _ProcessEnded) -> str:
    if ended.late or ended.code == -signal.SIGXCPU:
        return "took too long to be unpacked"
    if ended.code == -signal.SIGKILL:
        return "ran out of memory while being unpacked"
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        return f"is damaged: its decoder crashed on it, or ran out of memory ({name})"
    return f"cannot be read: the process for it ended with code {ended.code}"


def _widen(pipe: int) -> None:
    """Let a pipe hold more than 64 KiB: images are larger."""
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
