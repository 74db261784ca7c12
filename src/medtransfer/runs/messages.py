"""Messages between the process that schedules runs and the worker that carries them out.

Each is one JSON line: a request goes to the worker's standard input, all others come back on its
standard output.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from medtransfer.models.rungs.architectures import Precision
from medtransfer.runs.config import Transfer
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import PlannedInputs
from medtransfer.runs.records import State
from medtransfer.training.config import TrainingConfig


class WorkerRequest(Protocol):
    """A run of either kind, for a worker to carry out."""

    @property
    def run_id(self) -> str:
        """Id of the run."""
        ...

    @property
    def training(self) -> TrainingConfig:
        """Its training settings."""
        ...

    @property
    def threads(self) -> int | None:
        """Threads of each of its processes, which can change last digits; None for torch's own."""
        ...

    def folder(self, study: StudyFolder) -> RunFolder:
        """The run's folder."""
        ...

    def record(self) -> Mapping[str, object]:
        """Content of the run's ``run.json``, which is also the line that the worker reads."""
        ...


class RunRequest(BaseModel):
    """A fine-tuning run, with its place in the study's grid for readers of ``run.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    rung: str
    label_fraction: float
    shots: int | None
    seed: int
    held_out: str | None
    retrain_fraction: float | None
    run: Transfer
    inputs: PlannedInputs | None = None
    threads: int | None = None
    tune_only: bool = False
    precision: Precision | None = None
    """That it must have, as a repetition does; None for its setting."""
    looks: bool = False
    start: str | None = None
    """Id of the run whose weights it goes on from; None for those of its rung."""

    @property
    def training(self) -> TrainingConfig:
        """The run's training settings."""
        return self.run.training

    def folder(self, study: StudyFolder) -> RunFolder:
        """The run's folder in its study."""
        return study.run(self.run_id)

    def record(self) -> Mapping[str, object]:
        """Content of ``run.json``."""
        return self.model_dump(mode="json")


class PredictRequest(BaseModel):
    """Cohorts that a finished run is to predict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    cohorts: tuple[str, ...]
    run: Transfer
    inputs: PlannedInputs | None = None
    threads: int | None = None

    @property
    def training(self) -> TrainingConfig:
        """The run's training settings; one process predicts, whatever number trained."""
        return self.run.training.model_copy(update={"devices": 1})

    def folder(self, study: StudyFolder) -> RunFolder:
        """The run's folder in its study."""
        return study.run(self.run_id)

    def record(self) -> Mapping[str, object]:
        """The line that the worker reads; ``run.json`` stays as it is."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class ProcessStarted:
    """One of several processes that share a run has started."""

    pid: int


@dataclass(frozen=True)
class Heartbeat:
    """The network is at work."""


@dataclass(frozen=True)
class StepDone:
    """A training step is finished; the fields are those of `training.loop.StepReport`."""

    step: int
    steps: int
    loss: float
    images_per_second: float
    tune_auroc: float | None


@dataclass(frozen=True)
class Interrupted:
    """The run was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Finished:
    """The run ended.

    Attributes:
        state: Done, failed or diverged; waiting if no run can start now: the disk is full, or
            the data changed.
        message: The reason, unless it is done.
        inputs_changed: The data are no longer those of the plan.
    """

    state: State
    message: str = ""
    inputs_changed: bool = False


Message = ProcessStarted | Heartbeat | StepDone | Interrupted | Finished
MESSAGES = {
    kind.__name__: kind for kind in (ProcessStarted, Heartbeat, StepDone, Interrupted, Finished)
}


def to_json(message: Message) -> str:
    """A message of the worker as one line."""
    return json.dumps({"event": type(message).__name__, **vars(message)})


def from_json(line: str) -> Message:
    """The message that a line of the worker holds."""
    fields: dict[str, Any] = json.loads(line)  # open JSON until its class takes it
    return MESSAGES[fields.pop("event")](**fields)
