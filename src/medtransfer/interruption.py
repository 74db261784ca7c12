"""Ctrl-C, SIGTERM and SIGHUP: a command cleans up, and ends with an exit code of its own."""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

EXIT_STOPPED = 75
"""Exit code of a command that was asked to stop (EX_TEMPFAIL, on which Slurm can requeue)."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a command to stop; SIGHUP comes when a terminal is closed."""


class StopRequested(BaseException):
    """A signal asked the process to stop; raised where it is, so that all is cleaned up.

    It is no `KeyboardInterrupt`, which the command-line library turns into an exit code of its own.
    """


@contextmanager
def interruptible() -> Generator[None]:
    """While inside, the first signal raises `StopRequested`; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = threading.Event()

    def interrupt(number: int, _frame: object) -> None:
        if not asked.is_set():
            asked.set()
            raise StopRequested
        if number == signal.SIGINT:
            os._exit(EXIT_STOPPED)

    with handling(interrupt):
        yield


def ignore_signals() -> None:
    """Let a process that has done its work end with its own exit code."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def interrupt_self() -> None:
    """Send this process the first signal that stops it: Ctrl-C's, unless nohup has it ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            os.kill(os.getpid(), number)
            return


@contextmanager
def handling(handler: Callable[[int, object], None]) -> Generator[None]:
    """While inside, signals are handled; one that is ignored, as nohup does, stays ignored."""
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
