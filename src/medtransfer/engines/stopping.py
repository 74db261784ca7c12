"""Ctrl-C and SIGTERM while a worker is at work: it saves its state first."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

from medtransfer.engines.local import LocalExecutor


@contextmanager
def stopping(executor: LocalExecutor) -> Generator[threading.Event]:
    """While inside, Ctrl-C and SIGTERM stop after the current step; the second Ctrl-C at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, _frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()
        executor.stop()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
