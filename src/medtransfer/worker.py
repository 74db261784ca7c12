"""The process that trains. It takes runs from its input, one JSON line each, and says how it goes.

A worker of its own keeps the study alive when a run takes its process down: out of memory, a
crash in native code. Started as ``python -m medtransfer.worker STUDY_FOLDER``.

Several processes that share one run are started by torchrun, with the run's id behind the folder:
each reads the run's ``run.json``, and all end with it.
"""

import contextlib
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from medtransfer.engines.local import EXIT_STOPPED
from medtransfer.errors import MedTransferError, StudyError
from medtransfer.files import is_full, read_json
from medtransfer.models.runtime import is_out_of_memory
from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.pretrain import pretrain_rung
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.config import Transfer
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.transfer import environment, transfer
from medtransfer.training.config import TrainingConfig
from medtransfer.training.distributed import is_launched_together, join_world
from medtransfer.training.loop import Diverged, StepReport, Stopped

SECONDS_BETWEEN_STEPS = 0.2
SECONDS_BETWEEN_BEATS = 1.0
OUT_OF_MEMORY = (
    "The memory does not hold the network with its gradients and the optimiser's state, before "
    "any image. Choose a smaller rung, or a device with more memory."
)


class Worker:
    """Runs what it is told, until it is asked to stop or its parent is gone."""

    def __init__(self, study: StudyFolder, events: TextIO) -> None:
        self.study = study
        self.stopping = False
        self.busy = False
        self._events = events
        self._parent = os.getppid()
        self._said = 0.0
        self._beaten = 0.0
        self.leads = True

    def ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """On SIGTERM: stop after the current step, or at once when idle."""
        self.stopping = True
        if not self.busy:
            sys.exit(EXIT_STOPPED)

    def work(self, about: dict[str, Any]) -> None:
        """Carry one run to its end and say how it ended."""
        upstream = "pretrain" in about
        folder = RungFolder(self.study.path) if upstream else self.study.run(about["run_id"])
        self.busy = True
        try:
            self._carry(about, folder)
            self.report(event="ended", state="done", message="")
        except Stopped:
            self.report(event="stopped")
            sys.exit(EXIT_STOPPED)
        except Diverged as error:
            self._fail(folder, "diverged", str(error), step=error.step)
        except MedTransferError as error:
            if is_full(error):  # the runs behind it would fail too: the parent stops
                self.say(event="ended", state="waiting", message=str(error))
            else:
                self._fail(folder, "failed", str(error))
        except Exception as error:  # noqa: BLE001 — a bug must not end the study
            if is_out_of_memory(error):
                self._fail(folder, "failed", OUT_OF_MEMORY)
            else:
                trace = "".join(traceback.format_exception(error))
                self._fail(folder, "failed", f"a bug: {type(error).__name__}", traceback=trace)
        finally:
            self.busy = False
        if self.stopping:
            sys.exit(EXIT_STOPPED)

    def _carry(self, about: dict[str, Any], folder: RunFolder) -> None:
        """One run of either kind, from its start to its end."""
        if isinstance(folder, RungFolder):
            own = Pretrain.model_validate(about["pretrain"])
            self._start(about, folder, own.training)
            pretrain_rung(own, folder, self.watch, self.heartbeat)
            return
        run = Transfer.model_validate(about["run"])
        self._start(about, folder, run.training)
        transfer(run, self.study, folder, self.watch, self.heartbeat)

    def _start(self, about: dict[str, Any], folder: RunFolder, training: TrainingConfig) -> None:
        if self.leads:
            folder.start(about, environment(training))

    def work_together(self, run_id: str) -> None:
        """Carry out a run as one of several processes."""
        own = self.study.run(run_id)
        folder = own if (own.path / "run.json").is_file() else RungFolder(self.study.path)
        about = read_json(folder.path / "run.json")
        self.say(event="process", pid=os.getpid())
        try:
            everyone = join_world((about.get("run") or about["pretrain"])["training"]["device"])
        except StudyError as error:
            self._fail(folder, "failed", str(error))
            return
        self.leads = everyone.is_main
        self.work(about)

    def watch(self, report: StepReport) -> bool:
        """Say how training goes, not too often; True when it is to stop."""
        if os.getppid() != self._parent:
            os._exit(1)  # nobody listens any more; the last checkpoint is good
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_STEPS or report.step == report.steps:
            self._said = now
            self.report(event="step", **vars(report))
        return self.stopping

    def heartbeat(self, *_: object) -> None:
        """Say, not too often, that the network is at work: the parent's watchdog listens."""
        now = time.monotonic()
        if now - self._beaten >= SECONDS_BETWEEN_BEATS:
            self._beaten = now
            self.report(event="beat")

    def report(self, **event: Any) -> None:
        """What one of several processes says for all; a failure each says for itself."""
        if self.leads:
            self.say(**event)

    def say(self, **event: Any) -> None:
        """One JSON line to the parent."""
        try:
            self._events.write(json.dumps(event) + "\n")
            self._events.flush()
        except BrokenPipeError:
            os._exit(1)

    def _fail(self, folder: RunFolder, state: Any, message: str, **details: Any) -> None:
        # a disk that fails takes no error either: then the parent hears it alone, and stops
        with contextlib.suppress(StudyError):
            # of several processes the first to fail knows why; the others only miss it
            if not is_launched_together() or folder.error() is None:
                folder.fail(state, message, **details)
        self.say(event="ended", state=state, message=message)
        if is_launched_together():
            os._exit(1)  # torchrun ends the others


def main() -> None:
    """Work through the lines of standard input, or carry out one run together with others."""
    # whatever libraries print must not get between the events
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(StudyFolder(Path(sys.argv[1])), events)
    # the parent asks for the stacks of a worker that hangs; works where Python no longer does
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # the parent hears Ctrl-C too, and decides what becomes of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, worker.ask_to_stop)
    if is_launched_together():
        worker.work_together(sys.argv[2])
    else:
        for line in sys.stdin:
            worker.work(json.loads(line))
    sys.stderr.flush()
    os._exit(0)  # all is written; taking torch down in good order takes more than a second


if __name__ == "__main__":
    main()
