"""Ctrl-C, SIGTERM and SIGHUP while a worker is at work: it saves its state first."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from medtransfer.interruption import StopRequested, handling


class Stoppable(Protocol):
    """Work that can be asked to stop."""

    def stop(self) -> None:
        """Ask it to save its state and stop."""
        ...


@contextmanager
def stopping(work: Stoppable) -> Generator[threading.Event]:
    """While inside, signals stop after the current step; the second Ctrl-C at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, _frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise StopRequested
        asked.set()
        work.stop()

    with handling(ask):
        yield asked
