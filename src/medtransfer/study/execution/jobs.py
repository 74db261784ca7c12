"""Jobs of a study: runs to be trained, and finished runs that predict added cohorts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from medtransfer.engines.contract import EngineEvent, RunLost, RunMessage
from medtransfer.errors import StudyError
from medtransfer.files import note_change
from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import InputsChangedError
from medtransfer.runs.messages import (
    Finished,
    Interrupted,
    PredictRequest,
    RunRequest,
    StepDone,
)
from medtransfer.runs.progress import ProgressFile, RunProgress
from medtransfer.study.plan import PlannedRun


@dataclass
class TrainingJob:
    """A run that is carried to its end.

    Attributes:
        folder: Of the study.
        request: What the worker gets.
        on_step: Called after every training step; returns the share of the measured speed of a
            run that fell far below it, else None.
        was_stopped: It was stopped before its end.
    """

    folder: StudyFolder
    request: RunRequest
    on_step: Callable[[StepDone], float | None]
    was_stopped: bool = False

    @property
    def shared_input(self) -> object | None:
        """Features of a linear probe: the first of one network extracts them for the others."""
        config = self.request.run
        rung = find_rung(config.model.rung)
        if config.training.tuning.mode != "linear" or not rung.reads_images:
            return None
        drawn = config.seed if rung.is_random else 0
        split = self.request.held_out, self.request.retrain_fraction is not None
        return config.model.rung, config.model.pool, drawn, split

    @property
    def requires(self) -> str | None:
        """Run whose weights it goes on from."""
        return self.request.start

    @cached_property
    def _progress(self) -> ProgressFile:
        return ProgressFile(self.folder.run(self.request.run_id))

    def start(self) -> None:
        """Note the folders that the worker writes to."""
        note_folders(self.folder, self.request.run_id)

    def take(self, event: EngineEvent, /) -> bool:
        """Take an event of the run; True if it was the last.

        Raises:
            InputsChangedError: The data are no longer those of the plan.
            StudyError: The disk is full, or fails.
        """
        if isinstance(event, RunLost):
            self.was_stopped = event.was_stopped
            if not event.was_stopped:
                message = f"{event.reason}. The same command tries again; {event.advice}"
                self.folder.run(self.request.run_id).fail("failed", message)
            return True
        match event.message:
            case StepDone() as step:
                share = self.on_step(step)
                progress = RunProgress(
                    step.step, step.steps, step.tune_auroc, step.images_per_second, share
                )
                self._progress.update(progress, last=step.step == step.steps)
            case Interrupted():
                self._progress.write()
                self.was_stopped = True
                return True
            case Finished(message=text, inputs_changed=True):
                raise InputsChangedError(text)
            case Finished() as end:
                if self.folder.run(self.request.run_id).state() == "waiting":
                    raise StudyError(end.message)
                return True
            case _:
                pass
        return False


@dataclass
class ProbeJob(TrainingJob):
    """A run that is stopped after a few steps, its state saved.

    Attributes:
        steps: After which it is stopped.
        stop: Stops the run.
    """

    steps: int = 1
    stop: Callable[[], None] = lambda: None
    begun: int | None = None

    def take(self, event: EngineEvent, /) -> bool:
        """Take an event of the run; True if it was the last."""
        if isinstance(event, RunMessage) and isinstance(event.message, StepDone):
            step = event.message.step
            self.begun = step if self.begun is None else self.begun
            if step - self.begun >= self.steps:
                self.stop()
        return super().take(event)


@dataclass
class PredictionJob:
    """A finished run that predicts cohorts it has not.

    Attributes:
        folder: Of the study.
        run: The run.
        cohorts: Their names.
        threads: Of the process.
        failure: The reason if it could not, empty if it has, None if it was stopped.
    """

    folder: StudyFolder
    run: PlannedRun
    cohorts: tuple[str, ...]
    threads: int | None
    failure: str | None = ""

    @property
    def request(self) -> PredictRequest:
        """Request for the worker."""
        return self._request

    @cached_property
    def _request(self) -> PredictRequest:
        return PredictRequest(
            run_id=self.run.run_id,
            cohorts=self.cohorts,
            run=self.run.cell.run,
            inputs=self.run.inputs,
            threads=self.threads,
        )

    @property
    def shared_input(self) -> object | None:
        """No input that others would make."""
        return None

    @property
    def requires(self) -> str | None:
        """No other run."""
        return None

    def start(self) -> None:
        """Note the folders that the worker writes to."""
        note_folders(self.folder, self.run.run_id)

    def take(self, event: EngineEvent, /) -> bool:
        """Take an event of the run; True if it was the last.

        Raises:
            InputsChangedError: The data are no longer those of the plan.
            StudyError: The disk is full, or fails.
        """
        if isinstance(event, RunLost):
            self.failure = None if event.was_stopped else f"{event.reason}."
            return True
        match event.message:
            case Interrupted():
                self.failure = None
                return True
            case Finished(message=text, inputs_changed=True):
                raise InputsChangedError(text)
            case Finished(state="waiting", message=text):
                raise StudyError(text)
            case Finished(message=text):
                self.failure = text
                return True
            case _:
                return False


def note_folders(folder: StudyFolder, run_id: str) -> None:
    """Note the folders that a worker writes to: their files are sealed anew."""
    for path in (folder.run(run_id).path, folder.images, folder.features):
        note_change(path)
