"""Two ways to a run's predictions: train the network, or fit a head to kept features."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Cases, predicted_cases, training_cases
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import CaseImages, TrainingBatches
from medtransfer.errors import StudyError, plural
from medtransfer.evaluation.inference.feature_cache import kept_features
from medtransfer.evaluation.inference.features import (
    Outputs,
    make_ood_reference,
    outputs_from,
    outputs_of,
    read_ood_reference,
)
from medtransfer.evaluation.inference.predict import predict, quick_score
from medtransfer.models.classifier import BuiltClassifier, Classifier
from medtransfer.models.partial_tuning import add_low_rank, freeze_stages
from medtransfer.models.runtime import world
from medtransfer.posthoc.ood_feature_scores import OODReference
from medtransfer.runs.config import Transfer
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.training.bit_hyperrule import make_schedule, mixup_alpha
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.config import TuningConfig
from medtransfer.training.linear_probe import LinearHead, ProbeCheck, fit_probe
from medtransfer.training.loop import FitPlan, ProgressCallback, StepReport, Stopped, TuneScore, fit
from medtransfer.training.losses import make_loss


@dataclass(frozen=True)
class RunCases:
    """Who is what in a run.

    Attributes:
        everyone: All cases, sorted.
        labelled: To be trained on.
        tuning: To be looked at on the way.
        testing: To be predicted.
    """

    all: Cases
    train: Cases
    tune: Cases
    test: Cases


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A classifier after its training, and what it gives.

    Attributes:
        known: What it was trained on, as it sees it now.
        outputs: For the cases that are predicted.
        checks: Looks at the tuning split.
        state: What it took.
    """

    ood_reference: OODReference
    outputs: Outputs
    checks: Sequence[Check | ProbeCheck]
    state: TrainingState


def partition_cases(cases: Cases, frame: pl.DataFrame, run: Transfer) -> RunCases:
    """Say which cases a run trains on, looks at and predicts.

    Raises:
        StudyError: There is no labelled case to train on.
    """
    labelled = training_cases(cases, frame, run.data, run.seed)
    if not len(labelled):
        shots, share = run.data.split.shots, run.data.split.train_fraction
        budget = f"label fraction {share:g}" if shots is None else plural(shots, "shot")
        raise StudyError(f"No labelled training case is left at {budget}.")
    tuning = cases.take(cases.splits == "tune")
    return RunCases(cases, labelled, tuning, predicted_cases(cases, run.data))


def fine_tune(
    run: Transfer,
    classifier: Classifier,
    cases: RunCases,
    images: Sequence[CachedImages],
    spec: InputSpec,
    folder: RunFolder,
    watch: ProgressCallback,
) -> TrainedModel:
    """Train a classifier on a run's cases, in place.

    Args:
        run: What is asked for.
        classifier: On the device it trains on.
        cases: Who is what.
        images: As `inputs.cache_needs` names them.
        spec: The network's input.
        folder: Holds the checkpoints.
        watch: Hears of every step, and may ask to stop.
    """
    to_train, to_test, as_tested = (PixelCache(one) for one in images)
    tuning = CaseImages(cases.tune, to_test, spec)
    chance = Augmentation(run.seed, run.data.image.flip, run.data.image.augment)
    batches = TrainingBatches(
        CaseImages(cases.train, to_train, spec),
        run.training.batch_size,
        augmentation=chance,
        micro_batch=run.training.micro_batch,
    )

    def look() -> TuneScore:
        return _score(predict(classifier, tuning).astype(np.float64), cases.tune, run)

    checkpoints = CheckpointFolder(folder.checkpoint)
    plan = plan_training(run, cases.train.targets)
    state = fit(
        classifier, batches, plan, run.training, tune=look, checkpoints=checkpoints, on_step=watch
    )
    known = read_ood_reference(classifier, CaseImages(cases.train, as_tested, spec), run.data.task)
    outputs = outputs_of(classifier, CaseImages(cases.test, to_test, spec))
    return TrainedModel(known, outputs, state.checks, state)


def probe(
    run: Transfer,
    built: BuiltClassifier,
    cases: RunCases,
    images: CachedImages,
    spec: InputSpec,
    study: StudyFolder,
    folder: RunFolder,
    watch: ProgressCallback,
) -> TrainedModel:
    """Fit a classifier's head to features that the study keeps.

    Args:
        run: What is asked for.
        built: The classifier, on the device it runs on.
        cases: Who is what.
        images: All of them, as they are tested.
        spec: The network's input.
        study: Keeps the features.
        folder: Gets the weights.
        watch: Hears of images that are extracted and of penalties, and may ask to stop.
    """
    steps = len(run.training.tuning.penalties)
    state, started = TrainingState(), time.monotonic()
    # what a head at zero costs: it gives every value the same chance
    untold = math.log(len(run.data.names) if run.data.task == "single-label" else 2)

    latest: list[tuple[int, float, float | None]] = [(0, untold, None)]

    def tell(step: int, loss: float, area: float | None) -> None:
        latest[0] = step, loss, area
        state.seconds = time.monotonic() - started
        rate = state.images / max(1e-9, state.seconds)
        if world().any(watch(StepReport(step, steps, loss, rate, area))) and step < steps:
            raise Stopped

    def extracted(count: int) -> None:
        state.images += count
        tell(0, untold, None)

    everyone = CaseImages(cases.all, PixelCache(images), spec)
    features = kept_features(
        built.classifier,
        everyone,
        _contents(cases.all, images),
        _about(run, built, images, spec),
        study.features,
        extracted,
    )

    def of(some: Cases) -> NDArray[np.float32]:
        return features[np.searchsorted(cases.all.case_ids, some.case_ids)]

    tuning = of(cases.tune)
    loss = make_loss(run.training.loss, run.data.task, run.data.names, cases.train.targets)
    found = fit_probe(
        of(cases.train),
        cases.train.targets,
        loss,
        run.training.tuning.penalties,
        lambda head: _score(head.logits(tuning), cases.tune, run),
        lambda check: tell(check.step, check.train_loss, check.tune_auroc),
        lambda: tell(*latest[0]),
    )
    head = built.classifier.head
    _set_head(head, found.head)
    built.classifier.eval()
    state.step, state.selected = steps, found.selected
    CheckpointFolder(folder.checkpoint).select(found.selected, built.classifier)
    known = make_ood_reference(
        outputs_from(head, of(cases.train)), cases.train, head, run.data.task
    )
    return TrainedModel(known, outputs_from(head, of(cases.test)), found.checks, state)


def plan_training(run: Transfer, targets: NDArray[np.float64]) -> FitPlan:
    """Schedule and MixUp, by the rule where the study names none, and the loss.

    Args:
        run: What is asked for.
        targets: Of the training cases, NaN where masked. [N, T]
    """
    config, num_cases = run.training, len(targets)
    alpha = mixup_alpha(num_cases) if config.mixup is None else config.mixup
    return FitPlan(
        make_schedule(num_cases, config.learning_rate, config.steps, config.schedule),
        alpha,
        make_loss(config.loss, run.data.task, run.data.names, targets),
        run.seed,
        config.selection == "best",
    )


def prepare_tuning(classifier: Classifier, tuning: TuningConfig, seed: int) -> int:
    """Leave trainable what is to be trained of a classifier on the CPU.

    Returns:
        How many numbers are trained.

    Raises:
        ConfigError: More stages are to be frozen than there are.
    """
    match tuning.mode:
        case "full":
            pass
        case "linear":
            classifier.backbone.requires_grad_(requires_grad=False)
        case "partial":
            freeze_stages(classifier, tuning.frozen_stages)
        case "low-rank":
            add_low_rank(classifier, tuning.rank, tuning.scale, seed)
    return sum(weight.numel() for weight in classifier.parameters() if weight.requires_grad)


def _score(logits: NDArray[np.float64], cases: Cases, run: Transfer) -> TuneScore:
    return TuneScore(*quick_score(cases.targets, logits, run.data.task))


def _contents(cases: Cases, images: CachedImages) -> list[list[str]]:
    """Of each case what its images are: the digests of their files and their decoders."""
    rows = images.wanted.select("image_id", "content", "decoder").rows()
    known = {name: f"{content} {decoder}" for name, content, decoder in rows}
    return [[known[name] for name in own] for own in cases.images]


def _about(
    run: Transfer, built: BuiltClassifier, images: CachedImages, spec: InputSpec
) -> dict[str, Any]:
    """What makes features beside the images: the network, its weights, its input."""
    return {
        "architecture": built.rung.architecture.name,
        "weights": built.weights or f"random, seed {run.seed}",
        "pool": run.model.pool,
        "precision": built.classifier.precision,
        "input": vars(spec),
        "pixels": images.recipe.metadata(),
    }


def _set_head(head: torch.nn.Linear, found: LinearHead) -> None:
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(found.weight))
        head.bias.copy_(torch.as_tensor(found.bias))
