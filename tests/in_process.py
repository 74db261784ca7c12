"""A study carried out in one process, so that a test can end it at any point."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from medtransfer.files import sha256
from medtransfer.pretraining import run as pretraining
from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.pretrain import pretrain_rung
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.config import Transfer
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.transfer import environment, transfer
from medtransfer.study import schedule
from medtransfer.study.config import Study
from medtransfer.study.progress import OnEvent, ignore_progress
from medtransfer.training.loop import StepReport

TABLES = ("predictions.parquet", "results.parquet", "results.csv", "comparisons.parquet")
OF_RUNS = ("predictions.parquet", "results.parquet", "history.jsonl", "done")


class HereExecutor:
    """Stands in for `LocalExecutor`: no worker process, whose start takes seconds."""

    def __init__(self, study: Path) -> None:
        self._study = StudyFolder(study)

    def execute(self, about: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        said: list[dict[str, Any]] = []

        def watch(report: StepReport) -> bool:
            said.append({"event": "step", **vars(report)})
            return False

        if "pretrain" in about:
            rung, own = RungFolder(self._study.path), Pretrain.model_validate(about["pretrain"])
            rung.start(about, environment(own.training))
            pretrain_rung(own, rung, watch)
        else:
            folder, run = self._study.run(about["run_id"]), Transfer.model_validate(about["run"])
            folder.start(about, environment(run.training))
            transfer(run, self._study, folder, watch)
        yield from said
        yield {"event": "ended", "state": "done", "message": ""}

    def close(self) -> None:
        pass


@contextmanager
def no_worker() -> Generator[None]:
    """While inside, studies and pre-training are carried out in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "LocalExecutor", HereExecutor)
        patch.setattr(pretraining, "LocalExecutor", HereExecutor)
        yield


def run_here(study: Study, folder: Path, watch: OnEvent = ignore_progress) -> StudyFolder:
    """`run_study` with everything in this process."""
    with no_worker():
        return schedule.run_study(study, folder, watch)


def pretrain_here(
    run: Pretrain, out: Path | None = None, watch: OnEvent = ignore_progress
) -> RungFolder:
    """`pretrain` with everything in this process."""
    with no_worker():
        return pretraining.pretrain(run, out, watch)


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
