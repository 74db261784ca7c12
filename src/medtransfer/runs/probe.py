"""A linear probe: a head fitted to features that the study keeps."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import CaseImages
from medtransfer.evaluation.inference.feature_cache import kept_features
from medtransfer.evaluation.inference.features import make_ood_reference, outputs_from
from medtransfer.models.classifier import BuiltClassifier
from medtransfer.models.runtime import world
from medtransfer.runs.config import Transfer
from medtransfer.runs.fine_tune import RunCases, TrainedModel, tune_score
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.training.checkpoint import CheckpointFolder, TrainingState
from medtransfer.training.linear_probe import LinearHead, ProbeCheck, fit_probe
from medtransfer.training.loop import ProgressCallback, StepReport, Stopped
from medtransfer.training.losses import make_loss


@dataclass(frozen=True, eq=False)
class CaseFeatures:
    """Features of all cases of a run.

    Attributes:
        case_ids: Sorted. [N]
        values: Before the head. [N, D]
    """

    case_ids: NDArray[np.str_]
    values: NDArray[np.float32]

    def of(self, cases: Cases) -> NDArray[np.float32]:
        """Features of some of the cases. [M, D]"""
        return self.values[np.searchsorted(self.case_ids, cases.case_ids)]


class ProbeProgress:
    """Progress of a linear probe: the extraction of features, then a step for each penalty."""

    def __init__(self, steps: int, initial_loss: float, on_step: ProgressCallback) -> None:
        """Start the clock.

        Args:
            steps: Number of penalties.
            initial_loss: Of a head at zero.
            on_step: Called with every report; it may ask to stop.
        """
        self.state = TrainingState()
        self._steps, self._on_step = steps, on_step
        self._started = time.monotonic()
        self._step, self._loss = 0, initial_loss
        self._auroc: float | None = None

    def add_images(self, count: int) -> None:
        """Count images whose features were extracted."""
        self.state.images += count
        self.report()

    def add_check(self, check: ProbeCheck) -> None:
        """Take the validation of a penalty."""
        self._step, self._loss, self._auroc = check.step, check.train_loss, check.tune_auroc
        self.report()

    def report(self) -> None:
        """Report the latest step.

        Raises:
            Stopped: The callback of any process asked to stop before the last step.
        """
        self.state.seconds = time.monotonic() - self._started
        report = StepReport(
            step=self._step,
            steps=self._steps,
            loss=self._loss,
            images_per_second=self.state.images / max(1e-9, self.state.seconds),
            tune_auroc=self._auroc,
        )
        if world().any(self._on_step(report)) and self._step < self._steps:
            raise Stopped


def probe(
    run: Transfer,
    built: BuiltClassifier,
    cases: RunCases,
    images: CachedImages,
    spec: InputSpec,
    *,
    study: StudyFolder,
    folder: RunFolder,
    on_step: ProgressCallback,
) -> TrainedModel:
    """Fit a classifier's head to features that the study keeps.

    Args:
        run: Its configuration.
        built: The classifier, on the device it runs on.
        cases: Of the run, by their use.
        images: All of them, as they are tested.
        spec: The network's input.
        study: Keeps the features.
        folder: Gets the weights.
        on_step: Called while features are extracted and penalties tried; it may ask to stop.
    """
    penalties = run.training.tuning.penalties
    progress = ProbeProgress(len(penalties), _loss_at_zero(run), on_step)
    features = _extract(run, built, cases.all, images, spec, study=study, progress=progress)

    train, tune = features.of(cases.train), features.of(cases.tune)
    fitted = fit_probe(
        features=train,
        targets=cases.train.targets,
        loss=make_loss(run.training.loss, run.data.task, run.data.names, cases.train.targets),
        penalties=penalties,
        tune=lambda head: tune_score(head.logits(tune), cases.tune, run),
        on_check=progress.add_check,
        heartbeat=progress.report,
    )
    head = built.classifier.head
    _set_head(head, fitted.head)
    built.classifier.eval()

    state = progress.state
    state.step, state.selected = len(penalties), fitted.selected
    CheckpointFolder(folder.checkpoint).select(fitted.selected, built.classifier)
    trained_on = outputs_from(head, train)
    return TrainedModel(
        ood_reference=make_ood_reference(trained_on, cases.train, head, run.data.task),
        outputs=outputs_from(head, features.of(cases.test)),
        checks=fitted.checks,
        state=state,
    )


def _loss_at_zero(run: Transfer) -> float:
    """Loss of a head at zero, which gives every class the same probability."""
    return math.log(len(run.data.names) if run.data.task == "single-label" else 2)


def _extract(
    run: Transfer,
    built: BuiltClassifier,
    cases: Cases,
    images: CachedImages,
    spec: InputSpec,
    *,
    study: StudyFolder,
    progress: ProbeProgress,
) -> CaseFeatures:
    """Features of all cases, from the study's folder or from a pass through the network."""
    determinants = {
        "architecture": built.rung.architecture.name,
        "weights": built.weights or f"random, seed {run.seed}",
        "pool": run.model.pool,
        "precision": built.classifier.precision,
        "input": vars(spec),
        "pixels": images.recipe.metadata(),
    }
    values = kept_features(
        built.classifier,
        CaseImages(cases, PixelCache(images), spec),
        contents=_contents(cases, images),
        about=determinants,
        parent=study.features,
        heard=progress.add_images,
    )
    return CaseFeatures(cases.case_ids, values)


def _contents(cases: Cases, images: CachedImages) -> list[list[str]]:
    """Digest and decoder of every image of each case."""
    rows = images.wanted.select("image_id", "content", "decoder").rows()
    contents = {name: f"{content} {decoder}" for name, content, decoder in rows}
    return [[contents[name] for name in names] for names in cases.images]


def _set_head(head: torch.nn.Linear, fitted: LinearHead) -> None:
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(fitted.weight))
        head.bias.copy_(torch.as_tensor(fitted.bias))
