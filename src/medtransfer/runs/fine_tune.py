"""Fine-tuning: the cases of a run, and the training of its network on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.augment import Augmentation
from medtransfer.data.cases import Cases, predicted_cases, training_cases
from medtransfer.data.config import SEQUENTIAL, TOGETHER
from medtransfer.data.covariates.cells import covariate_cells
from medtransfer.data.covariates.encoding import CovariateEncoding
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import CaseImages, Growth, TrainingBatches
from medtransfer.errors import StudyError, plural
from medtransfer.evaluation.inference.features import (
    Outputs,
    outputs_of,
    read_ood_reference,
)
from medtransfer.evaluation.inference.predict import predict, predictions_frame, quick_score
from medtransfer.models.classifier import Classifier
from medtransfer.models.partial_tuning import LowestStages, add_low_rank
from medtransfer.models.rungs.start import Mitigation, control_of
from medtransfer.models.runtime import world
from medtransfer.posthoc.ood_detectors import ood_scores
from medtransfer.posthoc.ood_feature_scores import OODReference
from medtransfer.runs.config import Transfer
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.understanding.looks import looked_cases, write_look
from medtransfer.seeds import generator
from medtransfer.sizes.image_size import ImageSize, height_width, image_size
from medtransfer.training.bit_hyperrule import make_schedule, mixup_alpha
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.config import TuningConfig
from medtransfer.training.linear_probe import ProbeCheck
from medtransfer.training.loop import FitPlan, ProgressCallback, TuneScore, fit
from medtransfer.training.losses import make_loss
from medtransfer.training.mitigation.groups import case_groups


@dataclass(frozen=True)
class RunCases:
    """Cases of a run by their use.

    Attributes:
        all: All cases, sorted.
        train: Labelled cases to train on.
        tune: Cases to validate on, which are predicted too.
        test: Cases to predict, by cohort.
        encoding: Of the clinical data; None where they are not used.
    """

    all: Cases
    train: Cases
    tune: Cases
    test: dict[str, Cases]
    encoding: CovariateEncoding | None = None

    @property
    def width(self) -> int:
        """Columns of clinical data beside the features of the images."""
        return 0 if self.encoding is None else self.encoding.width

    def without_test(self) -> "RunCases":
        """The same cases without those of the test split."""
        return replace(self, test={})

    @property
    def predicted(self) -> tuple[Cases, ...]:
        """Cases that are predicted together: the tuning split, and each cohort's test cases.

        The last digits of a prediction depend on the cases that are in a batch with it. So no batch
        holds cases of two of these: the predictions of a cohort are the same whatever other cohorts
        there are.
        """
        return tuple(part for part in (self.tune, *self.test.values()) if len(part))


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """Outputs of a trained classifier.

    Attributes:
        reference: Its training cases as it sees them, for OOD detectors.
        cases: Predicted cases, in parts.
        outputs: For each part.
    """

    reference: OODReference
    cases: Sequence[Cases]
    outputs: Sequence[Outputs]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Outputs and history of a classifier after its training.

    Attributes:
        outputs: For all predicted cases.
        checks: Validations on the tuning split.
        state: Steps, images and time of its training.
    """

    outputs: ModelOutputs
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
    encoding, encoded = None, cases
    if run.model.covariates:
        fitted = _home_cases(cases, frame, run) if goes_on(run) else train
        encoding, encoded = _with_covariates(cases, fitted, frame, run.model.covariates)
        train = encoded.take(np.isin(cases.case_ids, train.case_ids))
    if run.training.mitigation is not None:
        groups = case_groups(frame, run.training.mitigation.groups, train.case_ids)
        train = replace(train, groups=groups.number)
    if control_of(run.model.rung) == "shuffled-labels":
        order = generator(run.seed, "shuffled labels").permutation(len(train))
        train = replace(train, targets=train.targets[order])
    predicted = predicted_cases(encoded, run.data)
    tested = predicted.take(predicted.splits == "test")
    return RunCases(
        all=cases,
        train=train,
        tune=encoded.take(cases.splits == "tune"),
        test={str(name): tested.take(tested.cohorts == name) for name in np.unique(tested.cohorts)},
        encoding=encoding,
    )


def goes_on(run: Transfer) -> bool:
    """True for a run that starts from the weights of another one, trained at home."""
    again = run.data.split.retrain
    return again is not None and again.arm == SEQUENTIAL


def load_start(classifier: Classifier, home: RunFolder | None) -> None:
    """Load the weights of a finished run, which another one goes on from.

    Args:
        classifier: Of the same rung, without low-rank products; changed in place.
        home: Folder of the finished run; None leaves the weights as they are.

    Raises:
        StudyError: It is not finished, or its weights are gone or damaged.
    """
    if home is None:
        return
    try:
        if not home.is_done():
            raise StudyError("It is not finished.")
        CheckpointFolder(home.checkpoint).load_final(home.cost().selected_step, classifier)
    except StudyError as error:
        raise StudyError(
            f"This run goes on from the weights of run {home.run_id}, which cannot be used: "
            f"{error} `medtransfer status` says how that run stands."
        ) from error


def _home_cases(cases: Cases, frame: pl.DataFrame, run: Transfer) -> Cases:
    """Training cases of the run that a run goes on from: its head was fitted to their encoding."""
    again = run.data.split.retrain
    if again is None:
        return training_cases(cases, frame, run.data, run.seed)
    together = again.model_copy(update={"arm": TOGETHER})
    split = run.data.split.model_copy(update={"retrain": together})
    train = training_cases(cases, frame, run.data.model_copy(update={"split": split}), run.seed)
    return train.take(train.cohorts != again.cohort)


def _with_covariates(
    cases: Cases, train: Cases, frame: pl.DataFrame, names: Sequence[str]
) -> tuple[CovariateEncoding, Cases]:
    """The encoding of clinical data, fitted to training cases, and all cases with it."""
    cells = covariate_cells(frame, names)
    is_trained = cells["case_id"].is_in(train.case_ids.tolist())
    encoding = CovariateEncoding.fit(cells.filter(is_trained), names)
    of_cases = pl.DataFrame({"case_id": cases.case_ids.tolist()})
    in_order = of_cases.join(cells, on="case_id", how="left", maintain_order="left")
    return encoding, replace(cases, covariates=encoding.encode(in_order))


def fine_tune(
    run: Transfer,
    classifier: Classifier,
    cases: RunCases,
    images: Sequence[CachedImages],
    spec: InputSpec,
    *,
    folder: RunFolder,
    on_step: ProgressCallback,
    looks: bool = False,
    start_head: Callable[[], None] | None = None,
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
        looks: Predict test cases at each validation too; nothing is selected by them.
        start_head: Called before the first step, may set the weights of the head; None leaves it.
    """
    to_train, to_test, as_tested = images
    tuning = case_images(cases.tune, to_test, spec)
    augmentation = Augmentation(run.seed, run.data.image.flip, run.data.image.augment)
    batches = TrainingBatches(
        case_images(cases.train, to_train, spec),
        run.training.batch_size,
        augmentation=augmentation,
        micro_batch=run.training.micro_batch,
        balanced=_treats_alike(run, "sampling"),
        growth=plan_growth(run, len(cases.train), spec.crop),
    )

    def validate() -> TuneScore:
        return tune_score(predict(classifier, tuning).astype(np.float64), cases.tune, run)

    looked = looked_cases(cases.test) if looks else []
    looked_images = [case_images(part, to_test, spec) for part in looked]

    def look(step: int) -> None:
        logits = [predict(classifier, part) for part in looked_images]
        if looked and world().is_main:
            write_look(folder, step, looked, logits, run.data.names)

    state = fit(
        classifier,
        batches,
        plan_training(run, cases.train.targets),
        run.training,
        tune=validate,
        checkpoints=CheckpointFolder(folder.checkpoint),
        on_step=on_step,
        after_check=look,
        at_start=start_head or (lambda: None),
    )
    outputs = predict_parts(
        run,
        classifier,
        train=cases.train,
        parts=cases.predicted,
        images=(as_tested, to_test),
        spec=spec,
    )
    return TrainedModel(outputs, state.checks, state)


def predict_parts(
    run: Transfer,
    classifier: Classifier,
    *,
    train: Cases,
    parts: Sequence[Cases],
    images: tuple[CachedImages, CachedImages],
    spec: InputSpec,
) -> ModelOutputs:
    """Outputs of a trained classifier for parts of the cases, each in batches of its own.

    Args:
        run: Its configuration.
        classifier: After training.
        train: Its training cases.
        parts: To predict.
        images: Of the training cases as they are tested, and of the others.
        spec: The network's input.
    """
    as_tested, to_test = images
    reference = train if run.training.ood else train.take(np.arange(0))
    trained_on = case_images(reference, as_tested, spec)
    return ModelOutputs(
        reference=read_ood_reference(classifier, trained_on, run.data.task),
        cases=parts,
        outputs=[outputs_of(classifier, case_images(part, to_test, spec)) for part in parts],
    )


def case_images(cases: Cases, images: CachedImages, spec: InputSpec) -> CaseImages:
    """The images of some cases, in a pixel format that does not depend on other cases."""
    return CaseImages(cases, PixelCache(images_of(cases, images)), spec)


def images_of(cases: Cases, images: CachedImages) -> CachedImages:
    """The images of some cases among those of a cache."""
    is_theirs = pl.col("image_id").is_in(cases.image_ids)
    return replace(images, wanted=images.wanted.filter(is_theirs))


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
        mitigation=config.mitigation,
    )


def plan_growth(run: Transfer, num_cases: int, crop: ImageSize) -> Growth | None:
    """Size of the images in the first steps; None where all steps have the whole size.

    Args:
        run: Its configuration.
        num_cases: Number of training cases.
        crop: Whole size of the images.
    """
    config = run.training
    if config.growth is None:
        return None
    steps = make_schedule(num_cases, config.learning_rate, config.steps, config.schedule).steps
    height, width = (round(side * config.growth.share) for side in height_width(crop))
    return Growth(image_size(height, width), round(config.growth.until * steps))


def _treats_alike(run: Transfer, method: Mitigation) -> bool:
    """True if groups are treated alike in a way."""
    mitigation = run.training.mitigation
    return mitigation is not None and mitigation.method == method


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
            lowest = LowestStages(classifier, tuning.frozen_stages)
            if tuning.frozen_until == 1:
                lowest.freeze()
        case "low-rank":
            add_low_rank(classifier, tuning.rank, tuning.scale, seed)
    return sum(weight.numel() for weight in classifier.parameters() if weight.requires_grad)


def tune_score(logits: NDArray[np.float64], cases: Cases, run: Transfer) -> TuneScore:
    """Loss and AUROC of logits on the tuning split."""
    return TuneScore(*quick_score(cases.targets, logits, run.data.task))


def prediction_parts(outputs: ModelOutputs, run: Transfer, name: str) -> list[pl.DataFrame]:
    """Predictions tables of the parts of a run's cases, with OOD scores.

    Args:
        outputs: Of its classifier.
        run: Its configuration.
        name: Of its folder.
    """
    return [
        predictions_frame(
            cases,
            part.logits,
            run.data.names,
            name,
            ood_scores(outputs.reference, part.features, part.logits) if run.training.ood else None,
        )
        for cases, part in zip(outputs.cases, outputs.outputs, strict=True)
    ]
