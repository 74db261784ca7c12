"""Runs carried out in this process, and folders compared bit by bit."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.shades import write_shades

from medtransfer.data.config import AugmentConfig, UpstreamConfig
from medtransfer.files import sha256
from medtransfer.study.config import Study
from medtransfer.study.execute import environment, transfer
from medtransfer.study.plan import PlannedRun, plan_runs, read_data
from medtransfer.study.run import Pretrain
from medtransfer.study.store import RunFolder, StudyFolder
from medtransfer.training.loop import Watch
from medtransfer.training.upstream import UpstreamTraining


@dataclass
class Local:
    """One run of a study, carried out without a worker process."""

    folder: StudyFolder
    planned: PlannedRun

    @property
    def own(self) -> RunFolder:
        return self.folder.run(self.planned.run_id)

    def carry_out(self, watch: Watch = lambda _: False) -> None:
        about = {"run_id": self.planned.run_id}
        self.own.start(about, environment(self.planned.cell.run.training))
        transfer(self.planned.cell.run, self.folder, self.own, watch)

    def digests(self) -> dict[str, str]:
        """What must come out the same whatever happened on the way."""
        weights = hashlib.sha256()
        for path in sorted(self.own.checkpoint.glob("selected-*/*.safetensors")):
            weights.update(path.read_bytes())
        names = ("predictions.parquet", "results.parquet", "history.jsonl", "done")
        files = {name: sha256(self.own.path / name) for name in names}
        return {**files, "weights": weights.hexdigest()}


@pytest.fixture(scope="session")
def local(tiny_study: Study) -> Callable[[Path], Local]:
    def make(folder: Path, study: Study = tiny_study) -> Local:
        place = StudyFolder(folder)
        place.claim(study.name)
        data = read_data(study, place.images)
        return Local(place, plan_runs(study, data)[0])

    return make


@pytest.fixture
def recipe(tmp_path: Path) -> Pretrain:
    """Shades: the class of a picture is how bright it is, so that a few steps learn something."""
    write_shades(tmp_path / "shades.parquet")
    return Pretrain(
        name="shades",
        rung="scratch/r26x0.25",
        about="shades of grey",
        data=UpstreamConfig(images=tmp_path / "shades.parquet", resize=18, crop=16,
                            augment=AugmentConfig()),
        training=UpstreamTraining(batch_size=16, micro_batch=8, epochs=3, learning_rate=0.05,
                                  checks=3, precision="float32", ema=0.9),
    )  # fmt: skip
