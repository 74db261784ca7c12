"""A study carried out in one process, so that a test can end it at any point."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medtransfer.files import sha256
from medtransfer.study import pretraining, schedule
from medtransfer.study.config import Study
from medtransfer.study.execute import environment, transfer
from medtransfer.study.pretrain import pretrain
from medtransfer.study.run import Pretrain, Transfer
from medtransfer.study.rungs import RungFolder
from medtransfer.study.store import StudyFolder

TABLES = ("predictions.parquet", "results.parquet", "results.csv", "comparisons.parquet")
OF_RUNS = ("predictions.parquet", "results.parquet", "history.jsonl", "done")


class HereExecutor:
    """Stands in for `LocalExecutor`: no worker process."""

    def __init__(self, study: Path) -> None:
        self._study = StudyFolder(study)

    def execute(self, about: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        folder = self._study.run(about["run_id"])
        run = Transfer.model_validate(about["run"])
        folder.start(about, environment(run.training))
        transfer(run, self._study, folder, lambda _: False)
        yield {"event": "ended", "state": "done", "message": ""}

    def close(self) -> None:
        pass


class RungHereExecutor(HereExecutor):
    """The same for pre-training."""

    def execute(self, about: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        folder = RungFolder(self._study.path)
        run = Pretrain.model_validate(about["pretrain"])
        folder.start(about, environment(run.training))
        pretrain(run, folder, lambda _: False)
        yield {"event": "ended", "state": "done", "message": ""}


def pretrain_here(run: Pretrain, folder: Path) -> RungFolder:
    """`run_pretraining` with everything in this process."""
    pretraining.LocalExecutor = RungHereExecutor  # type: ignore[misc,assignment]
    return pretraining.run_pretraining(run, folder, lambda _: None)


def rung_digests(folder: RungFolder) -> dict[str, str]:
    """What must come out the same whatever happened on the way."""
    names = ("model.safetensors", "rung.json", "history.jsonl", "classes.json", "done")
    return {name: sha256(folder.path / name) for name in names}


def run_here(study: Study, folder: Path) -> StudyFolder:
    """`run_study` with everything in this process."""
    schedule.LocalExecutor = HereExecutor  # type: ignore[misc,assignment]
    return schedule.run_study(study, folder)


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
