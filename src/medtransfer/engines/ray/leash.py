"""Start of a command that is asked to stop when the process that started it dies.

Run as ``python -m medtransfer.engines.ray.leash PARENT COMMAND...``. Ray kills its workers without
notice; what they started would go on, and keep the lease of its run from the next attempt.
"""

import ctypes
import os
import signal
import sys

from medtransfer.interruption import EXIT_STOPPED

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies; kept by execve(2)."""


def main() -> None:
    """Tie this process to its parent, and become the command."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):  # it died before it was listened for
        sys.exit(EXIT_STOPPED)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 — the words of our own task


if __name__ == "__main__":
    main()
