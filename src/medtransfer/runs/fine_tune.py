"""Fine-tuning: the cases of a run, and the training of its network on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Cases, predicted_cases, training_cases
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import CaseImages, TrainingBatches
from medtransfer.errors import StudyError, plural
from medtransfer.evaluation.inference.features import (
    Outputs,
    outputs_of,
    read_ood_reference,
)
from medtransfer.evaluation.inference.predict import predict, quick_score
from medtransfer.models.classifier import Classifier
from medtransfer.models.partial_tuning import add_low_rank, freeze_stages
from medtransfer.posthoc.ood_feature_scores import OODReference
from medtransfer.runs.config import Transfer
from medtransfer.runs.folders import RunFolder
from medtransfer.training.bit_hyperrule import make_schedule, mixup_alpha
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.config import TuningConfig
from medtransfer.training.linear_probe import ProbeCheck
from medtransfer.training.loop import FitPlan, ProgressCallback, TuneScore, fit
from medtransfer.training.losses import make_loss


@dataclass(frozen=True)
class RunCases:
    """Cases of a run by their use.

    Attributes:
        all: All cases, sorted.
        train: Labelled cases to train on.
        tune: Cases to validate on.
        test: Cases to predict.
    """

    all: Cases
    train: Cases
    tune: Cases
    test: Cases


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Outputs and history of a trained classifier.

    Attributes:
        ood_reference: Its training cases as it sees them now.
        outputs: For the test cases.
        checks: Validations on the tuning split.
        state: Steps, images and time of its training.
    """

    ood_reference: OODReference
    outputs: Outputs
    checks: Sequence[Check | ProbeCheck]
    state: TrainingState


def partition_cases(cases: Cases, frame: pl.DataFrame, run: Transfer) -> RunCases:
    """Divide cases into those that a run trains on, validates on and predicts.

    Raises:
        StudyError: There is no labelled case to train on.
    """
    train = training_cases(cases, frame, run.data, run.seed)
    if not len(train):
        shots, share = run.data.split.shots, run.data.split.train_fraction
        budget = f"label fraction {share:g}" if shots is None else plural(shots, "shot")
        raise StudyError(f"No labelled training case is left at {budget}.")
    tune = cases.take(cases.splits == "tune")
    return RunCases(all=cases, train=train, tune=tune, test=predicted_cases(cases, run.data))


def fine_tune(
    run: Transfer,
    classifier: Classifier,
    cases: RunCases,
    images: Sequence[CachedImages],
    spec: InputSpec,
    *,
    folder: RunFolder,
    on_step: ProgressCallback,
) -> TrainedModel:
    """Train a classifier on a run's cases, in place.

    Args:
        run: Its configuration.
        classifier: On the device it trains on.
        cases: Of the run, by their use.
        images: In the order of `inputs.cache_requests`.
        spec: The network's input.
        folder: Holds the checkpoints.
        on_step: Called after every step; it may ask to stop.
    """
    to_train, to_test, as_tested = (PixelCache(cached) for cached in images)
    tuning = CaseImages(cases.tune, to_test, spec)
    augmentation = Augmentation(run.seed, run.data.image.flip, run.data.image.augment)
    batches = TrainingBatches(
        CaseImages(cases.train, to_train, spec),
        run.training.batch_size,
        augmentation=augmentation,
        micro_batch=run.training.micro_batch,
    )

    def validate() -> TuneScore:
        return tune_score(predict(classifier, tuning).astype(np.float64), cases.tune, run)

    state = fit(
        classifier,
        batches,
        plan_training(run, cases.train.targets),
        run.training,
        tune=validate,
        checkpoints=CheckpointFolder(folder.checkpoint),
        on_step=on_step,
    )
    trained_on = CaseImages(cases.train, as_tested, spec)
    return TrainedModel(
        ood_reference=read_ood_reference(classifier, trained_on, run.data.task),
        outputs=outputs_of(classifier, CaseImages(cases.test, to_test, spec)),
        checks=state.checks,
        state=state,
    )


def plan_training(run: Transfer, targets: NDArray[np.float64]) -> FitPlan:
    """Schedule, MixUp and loss; BiT-HyperRule sets what the study leaves out.

    Args:
        run: Its configuration.
        targets: Of the training cases, NaN where masked. [N, T]
    """
    config, num_cases = run.training, len(targets)
    alpha = mixup_alpha(num_cases) if config.mixup is None else config.mixup
    return FitPlan(
        schedule=make_schedule(num_cases, config.learning_rate, config.steps, config.schedule),
        mixup=alpha,
        loss=make_loss(config.loss, run.data.task, run.data.names, targets),
        seed=run.seed,
        select_best=config.selection == "best",
    )


def prepare_tuning(classifier: Classifier, tuning: TuningConfig, seed: int) -> int:
    """Freeze or adapt a classifier on the CPU for its way of tuning.

    Returns:
        The number of trained parameters.

    Raises:
        ConfigError: More stages are to be frozen than the network has.
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


def tune_score(logits: NDArray[np.float64], cases: Cases, run: Transfer) -> TuneScore:
    """Loss and AUROC of logits on the tuning split."""
    return TuneScore(*quick_score(cases.targets, logits, run.data.task))
