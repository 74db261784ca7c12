"""A training set small enough to train on in a second."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import build_cases, training_cases
from medtransfer.data.config import DataConfig
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.scan import scan_images
from medtransfer.data.loader import CaseImages, TrainingBatches
from medtransfer.data.splits import assign_splits
from medtransfer.evaluation.inference.predict import predict, quick_score
from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.runs.config import Transfer
from medtransfer.runs.inputs import cache_requests, input_spec, known_architecture
from medtransfer.tables.manifest import read_manifest
from medtransfer.training.bit_hyperrule import make_schedule
from medtransfer.training.checkpoint import CheckpointFolder, TrainingState
from medtransfer.training.config import TrainingConfig
from medtransfer.training.loop import FitPlan, ProgressCallback, TuneScore, fit
from medtransfer.training.losses import make_loss


@dataclass
class Bench:
    """Everything `fit` needs, ready to be used again and again."""

    training: CaseImages
    tuning: CaseImages
    config: TrainingConfig

    def classifier(self, rung: str = "scratch/r14x0.5") -> Classifier:
        model = ModelConfig(rung=rung)
        built = build_classifier(model, 1, seed=0, device=torch.device("cpu"), precision="float32")
        return built.classifier

    def fit(
        self,
        folder: Path,
        *,
        classifier: Classifier | None = None,
        watch: ProgressCallback = lambda _: False,
        tune: Callable[[Classifier], TuneScore] | None = None,
        mixup: float = 0.0,
        after_check: Callable[[int], None] = lambda _: None,
        **changes,
    ) -> tuple[Classifier, TrainingState]:
        config = TrainingConfig(**(self.config.model_dump() | changes))
        classifier = classifier or self.classifier()
        batches = TrainingBatches(
            self.training,
            config.batch_size,
            micro_batch=config.micro_batch,
            augmentation=Augmentation(5, "both"),
        )
        schedule = make_schedule(
            len(self.training), config.learning_rate, config.steps, config.schedule
        )
        loss = make_loss(config.loss, "binary", ["malignant"], self.training.cases.targets[:])
        plan = FitPlan(schedule, mixup, loss, 5, config.selection == "best")
        score = tune or self.look_at
        state = fit(
            classifier,
            batches,
            plan,
            config,
            tune=lambda: score(classifier),
            checkpoints=CheckpointFolder(folder),
            on_step=watch,
            after_check=after_check,
        )
        return classifier, state

    def look_at(self, classifier: Classifier) -> TuneScore:
        logits = predict(classifier, self.tuning).astype("float64")
        return TuneScore(*quick_score(self.tuning.cases.targets[:], logits, "binary"))


@pytest.fixture(scope="session")
def bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="session")
def bench(phantom_folder: Path, bench_folder: Path) -> Bench:
    return make_bench(phantom_folder, bench_folder)


def make_bench(phantom_folder: Path, folder: Path) -> Bench:
    """A bench whose caches lie in a folder; what is there is used."""
    data = DataConfig.model_validate(
        {
            "manifest": phantom_folder / "lesion.parquet",
            "task": "binary",
            "targets": ["malignant"],
            "image": {"resize": 36, "crop": 32},
            "split": {"train_cohorts": ["a"]},
        }
    )
    run = Transfer(data=data, model=ModelConfig(rung="scratch/r14x0.5"))
    manifest = read_manifest(data.manifest, targets=data.names)
    frame = assign_splits(manifest, data)
    facts = scan_images(manifest, data.pixel_limit, folder / "images.parquet")
    spec = input_spec(run, known_architecture("scratch/r14x0.5"), frame, facts)
    train, test, _ = (
        PixelCache(need.make(manifest, facts, folder)) for need in cache_requests(run, spec, frame)
    )
    cases = build_cases(frame, data)
    config = TrainingConfig(
        batch_size=8, micro_batch=4, steps=6, checks=3, learning_rate=0.02, checkpoint_seconds=0
    )
    return Bench(
        CaseImages(training_cases(cases, frame, data, 0), train, spec),
        CaseImages(cases.take(cases.splits == "tune"), test, spec),
        config,
    )
