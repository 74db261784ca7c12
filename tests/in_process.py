"""A study carried out in one process, so that a test can end it at any point."""

import hashlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from medtransfer.files import sha256
from medtransfer.pretraining import run as pretraining
from medtransfer.pretraining.config import Pretrain, PretrainRequest
from medtransfer.pretraining.pretrain import pretrain_rung
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.events import OnEvent, ignore_progress
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import Finished, Message, PredictRequest, RunRequest, StepDone
from medtransfer.runs.tested.predict import predict_cohorts
from medtransfer.runs.transfer import environment, transfer
from medtransfer.study import schedule
from medtransfer.study.config import Study
from medtransfer.study.execution import execution
from medtransfer.training.loop import StepReport

TABLES = ("predictions.parquet", "results.parquet", "results.csv", "comparisons.parquet")
OF_RUNS = ("predictions.parquet", "results.parquet", "history.jsonl")


class HereExecutor:
    """Stands in for `LocalExecutor`: no worker process, whose start takes seconds."""

    def __init__(self, study: Path, _variables: Mapping[str, str] | None = None) -> None:
        self._study = StudyFolder(study)

    def execute(
        self, request: RunRequest | PredictRequest | PretrainRequest
    ) -> Iterator[Message | None]:
        messages: list[Message] = []

        def on_step(report: StepReport) -> bool:
            messages.append(StepDone(**vars(report)))
            return False

        folder = request.folder(self._study)
        if not isinstance(request, PredictRequest):
            folder.start(request.record(), environment(request.training))
        match request:
            case PretrainRequest():
                pretrain_rung(
                    request.pretrain, RungFolder(folder.path), on_step, planned_id=request.run_id
                )
            case PredictRequest():
                predict_cohorts(
                    request.run, self._study, folder, request.cohorts, planned=request.inputs
                )
            case RunRequest():
                transfer(
                    request.run,
                    self._study,
                    folder,
                    on_step,
                    planned=request.inputs,
                    tune_only=request.tune_only,
                    precision=request.precision,
                    looks=request.looks,
                )
        yield from messages
        yield Finished("done")

    def stop(self) -> None:
        """Do nothing: a run here is over when its first message comes."""

    def close(self) -> None:
        pass


@contextmanager
def no_worker() -> Generator[None]:
    """While inside, studies and pre-training are carried out in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "LocalExecutor", HereExecutor)
        patch.setattr(pretraining, "LocalExecutor", HereExecutor)
        yield


def run_here(
    study: Study, folder: Path, on_event: OnEvent = ignore_progress, *, verify: bool = False
) -> StudyFolder:
    """`run_study` with everything in this process."""
    with no_worker():
        return schedule.run_study(study, folder, on_event, verify=verify)


def pretrain_here(
    run: Pretrain, out: Path | None = None, on_event: OnEvent = ignore_progress
) -> RungFolder:
    """`pretrain` with everything in this process."""
    with no_worker():
        return pretraining.pretrain(run, out, on_event)


def rung_digests(folder: RungFolder) -> dict[str, str]:
    """What must come out the same whatever happened on the way."""
    names = ("model.safetensors", "rung.json", "history.jsonl", "classes.json", "done")
    return {name: sha256(folder.path / name) for name in names}


def study_digests(folder: StudyFolder) -> dict[str, str]:
    """What must come out the same whatever happened on the way."""
    found = {name: sha256(folder.path / name) for name in TABLES}
    for run_id in folder.run_ids():
        own = folder.run(run_id)
        for name in OF_RUNS:
            found[f"{run_id}/{name}"] = sha256(own.path / name)
        weights = hashlib.sha256()
        for path in sorted(own.checkpoint.glob("selected-*/*.safetensors")):
            weights.update(path.read_bytes())
        found[f"{run_id}/weights"] = weights.hexdigest()
    return found
