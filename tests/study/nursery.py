"""Lives of a study, each ended by SIGKILL after a given time; started by test_kill_anywhere.

Importing torch takes seconds, so it is done once and every life is a fork. Nothing may start
threads before a fork: no table is read here, no network built.

Input: one line a life, ``folder<TAB>seconds``. Output: ``done``, ``killed`` or ``failed``.
"""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

import torch  # noqa: F401 — what takes long to import
from tests.in_process import run_here, study_digests

from medtransfer.study.config import Study

SECONDS_BETWEEN_LOOKS = 0.002


def live(study: Study, folder: Path) -> None:
    """To the end, in a process of its own."""
    try:
        found = study_digests(run_here(study, folder))
        text = "".join(f"{name} {digest}\n" for name, digest in sorted(found.items()))
        (folder / "digests.txt").write_text(text)
    except BaseException:  # noqa: BLE001 — whatever it was, it must not go on as the parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    study = Study.model_validate_json(Path(sys.argv[1]).read_text())
    for line in sys.stdin:
        folder, seconds = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            live(study, Path(folder))
        end = time.monotonic() + float(seconds)
        outcome = "killed"
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                outcome = "done" if status == 0 else "failed"
                break
            if time.monotonic() >= end:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        print(outcome, flush=True)


if __name__ == "__main__":
    main()
