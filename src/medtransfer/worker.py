"""The process that trains. It reads requests from its input and writes messages to its output.

A separate process keeps the study alive when a run takes its process down: out of memory, a crash
in native code. It is started as ``python -m medtransfer.worker STUDY_FOLDER``.

Several processes that share one run are started by torchrun, with the run's id after the folder:
each reads the run's ``run.json``, and all end with the run.
"""

import contextlib
import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TextIO

from medtransfer.engines.local import EXIT_STOPPED
from medtransfer.errors import MedTransferError, StudyError
from medtransfer.files import is_full, read_json
from medtransfer.models.runtime import is_out_of_memory
from medtransfer.pretraining.config import PretrainRequest
from medtransfer.pretraining.pretrain import pretrain_rung
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import InputsChangedError
from medtransfer.runs.lease import guard_worker
from medtransfer.runs.messages import (
    Finished,
    Heartbeat,
    Interrupted,
    Message,
    PredictRequest,
    ProcessStarted,
    RunRequest,
    StepDone,
    to_json,
)
from medtransfer.runs.records import State
from medtransfer.runs.tested.predict import predict_cohorts
from medtransfer.runs.transfer import environment, transfer
from medtransfer.training.distributed import is_launched_together, join_world
from medtransfer.training.loop import Diverged, StepReport, Stopped

SECONDS_BETWEEN_STEPS = 0.2
SECONDS_BETWEEN_HEARTBEATS = 1.0
OUT_OF_MEMORY = (
    "The memory is too small for the network with its gradients and the optimiser's state, before "
    "any image. Choose a smaller rung, or a device with more memory."
)
Record = Mapping[str, object]
"""A request as JSON: a line of input, or a ``run.json``."""


class Worker:
    """Carries out requests until it is asked to stop or its parent is gone."""

    def __init__(self, study: StudyFolder, output: TextIO) -> None:
        self.study = study
        self.is_stopping = False
        self.is_busy = False
        self.is_main = True
        self._output = output
        self._parent = os.getppid()
        self._last_step = 0.0
        self._last_heartbeat = 0.0

    def ask_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        """On SIGTERM: stop after the current step, or at once when idle."""
        self.is_stopping = True
        if not self.is_busy:
            sys.exit(EXIT_STOPPED)

    def work(self, record: Record) -> None:
        """Carry one run to its end and report how it ended."""
        folder = _folder_of(record, self.study)
        self.is_busy = True
        try:
            self._carry_out(read_request(record), folder)
            self.report(Finished("done"))
        except Stopped:
            self.report(Interrupted())
            sys.exit(EXIT_STOPPED)
        except Diverged as error:
            self._fail(folder, "diverged", str(error), step=error.step)
        except InputsChangedError as error:
            self.send(Finished("waiting", str(error), inputs_changed=True))
        except MedTransferError as error:
            if is_full(error):  # the runs behind it would fail too: the parent stops
                self.send(Finished("waiting", str(error)))
            else:
                self._fail(folder, "failed", str(error))
        except Exception as error:  # noqa: BLE001 — a bug must not end the study
            if is_out_of_memory(error):
                self._fail(folder, "failed", OUT_OF_MEMORY)
            else:
                trace = "".join(traceback.format_exception(error))
                self._fail(folder, "failed", f"a bug: {type(error).__name__}", traceback=trace)
        finally:
            self.is_busy = False
        if self.is_stopping:
            sys.exit(EXIT_STOPPED)

    def _carry_out(
        self, request: RunRequest | PredictRequest | PretrainRequest, folder: RunFolder
    ) -> None:
        if self.is_main and not isinstance(request, PredictRequest):
            folder.start(request.record(), environment(request.training))
        match request:
            case PredictRequest():
                predict_cohorts(
                    request.run,
                    self.study,
                    folder,
                    request.cohorts,
                    self.heartbeat_or_stop,
                    planned=request.inputs,
                )
            case RunRequest():
                transfer(
                    request.run,
                    self.study,
                    folder,
                    self.on_step,
                    self.heartbeat,
                    planned=request.inputs,
                    tune_only=request.tune_only,
                    precision=request.precision,
                    looks=request.looks,
                    start=request.start,
                )
            case PretrainRequest():
                rung_folder = RungFolder(folder.path)
                pretrain_rung(
                    request.pretrain,
                    rung_folder,
                    self.on_step,
                    self.heartbeat,
                    planned_id=request.run_id,
                )

    def work_together(self, run_id: str) -> None:
        """Carry out a run as one of several processes."""
        folder = self.study.run(run_id)
        path = folder.path / "run.json"
        record = read_json(path if path.is_file() else self.study.path / "run.json")
        self.send(ProcessStarted(os.getpid()))
        try:
            everyone = join_world(read_request(record).training.device)
        except StudyError as error:
            self._fail(_folder_of(record, self.study), "failed", str(error))
            return
        self.is_main = everyone.is_main
        self.work(record)

    def on_step(self, report: StepReport) -> bool:
        """Report a training step, a few times a second; True if training must stop."""
        if os.getppid() != self._parent:
            os._exit(1)  # nobody listens any more; the last checkpoint is good
        now = time.monotonic()
        if now - self._last_step >= SECONDS_BETWEEN_STEPS or report.step == report.steps:
            self._last_step = now
            self.report(StepDone(**vars(report)))
        return self.is_stopping

    def heartbeat(self, *_: object) -> None:
        """Report, about once a second, that the network is at work: the watchdog listens."""
        now = time.monotonic()
        if now - self._last_heartbeat >= SECONDS_BETWEEN_HEARTBEATS:
            self._last_heartbeat = now
            self.report(Heartbeat())

    def heartbeat_or_stop(self, *_: object) -> None:
        """Report as `heartbeat` does; stop where there is no step to stop after.

        Raises:
            Stopped: The worker was asked to stop.
        """
        self.heartbeat()
        if os.getppid() != self._parent:
            os._exit(1)
        if self.is_stopping:
            raise Stopped

    def report(self, message: Message) -> None:
        """Send a message, once for all processes that share the run."""
        if self.is_main:
            self.send(message)

    def send(self, message: Message) -> None:
        """Write one JSON line to the parent."""
        try:
            self._output.write(to_json(message) + "\n")
            self._output.flush()
        except BrokenPipeError:
            os._exit(1)

    def _fail(
        self,
        folder: RunFolder,
        state: State,
        message: str,
        *,
        step: int | None = None,
        traceback: str | None = None,
    ) -> None:
        # a disk that fails takes no error file either: then only the parent learns of it, and stops
        with contextlib.suppress(StudyError):
            # of several processes the first to fail knows why; the others only miss it
            is_first = not is_launched_together() or folder.error() is None
            if is_first and not folder.is_done():  # a run that predicts more stays finished
                folder.fail(state, message, step=step, traceback=traceback)
        self.send(Finished(state, message))
        if is_launched_together():
            os._exit(1)  # torchrun ends the others


def read_request(record: Record) -> RunRequest | PredictRequest | PretrainRequest:
    """The request that a ``run.json`` or a line of input holds."""
    if "pretrain" in record:
        return PretrainRequest.model_validate(record)
    kind = PredictRequest if "cohorts" in record else RunRequest
    return kind.model_validate(record)


def _folder_of(record: Record, study: StudyFolder) -> RunFolder:
    """The folder of a request that may be unreadable: its run fails, and no other."""
    return RunFolder(study.path) if "pretrain" in record else study.run(str(record["run_id"]))


def main() -> None:
    """Carry out the requests of standard input, or one run together with other processes."""
    # whatever libraries print must not get between the messages
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    guard_worker()
    worker = Worker(StudyFolder(Path(sys.argv[1])), output)
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
