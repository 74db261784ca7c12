"""Runs carried out in this process, requests for a worker, and folders compared bit by bit."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.files import sha256
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.messages import RunRequest
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.transfer import environment, transfer
from medtransfer.study.config import Study
from medtransfer.study.execution.requests import request_of
from medtransfer.study.grid import expand
from medtransfer.study.plan import PlannedRun, plan_runs, read_data
from medtransfer.training.loop import ProgressCallback

EMPTY = pl.DataFrame(
    schema=dict.fromkeys(("cohort", "case_id", "image_id", "split", "sha256"), pl.String)
)


def request(study: Study, run_id: str = "a" * 12, **training: object) -> RunRequest:
    """A worker's request for the one run of a study without a manifest, training changed."""
    (cell,) = expand(study, None)  # type: ignore[arg-type] — no cohort is left out
    fields = cell.run.model_dump(mode="json")
    fields["training"] |= training
    cases = PredictedCases(EMPTY, EMPTY, cell.run.data)
    planned = PlannedRun(run_id, cell, (), steps=6, num_images=24, num_cases=4, predicted=cases)
    record = request_of(planned).record()
    return RunRequest.model_validate({**record, "run": fields})


@dataclass
class Local:
    """One run of a study, carried out without a worker process."""

    folder: StudyFolder
    planned: PlannedRun

    @property
    def own(self) -> RunFolder:
        return self.folder.run(self.planned.run_id)

    def carry_out(self, watch: ProgressCallback = lambda _: False) -> None:
        about = {"run_id": self.planned.run_id}
        self.own.start(about, environment(self.planned.cell.run.training))
        transfer(self.planned.cell.run, self.folder, self.own, watch)

    def digests(self) -> dict[str, str]:
        """What must come out the same whatever happened on the way."""
        weights = hashlib.sha256()
        for path in sorted(self.own.checkpoint.glob("selected-*/*.safetensors")):
            weights.update(path.read_bytes())
        names = ("predictions.parquet", "results.parquet", "history.jsonl")
        files = {name: sha256(self.own.path / name) for name in names}
        return {**files, "weights": weights.hexdigest()}


def plan_locally(study: Study, folder: Path) -> Local:
    """The first run of a study whose folder is claimed and whose data are read."""
    place = StudyFolder(folder)
    place.claim(study.name)
    data = read_data(study, place.images)
    return Local(place, plan_runs(study, data)[0])
