"""A linear probe: a head fitted to features that the study keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from medtransfer.data.case_index import CaseNumbers
from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import CachedImages
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.evaluation.inference.feature_cache import kept_features
from medtransfer.evaluation.inference.features import make_ood_reference, outputs_from
from medtransfer.models.classifier import BuiltClassifier
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.case_features import CaseFeatures
from medtransfer.runs.embedded.progress import ProbeProgress, loss_at_zero
from medtransfer.runs.fine_tune import (
    ModelOutputs,
    RunCases,
    TrainedModel,
    case_images,
    images_of,
    tune_score,
)
from medtransfer.runs.folders import RunFolder
from medtransfer.training.bit_hyperrule import make_schedule
from medtransfer.training.checkpoint import CheckpointFolder
from medtransfer.training.linear_probe import LinearHead, Probe, ProbeCheck, fit_probe
from medtransfer.training.loop import ProgressCallback
from medtransfer.training.losses import make_loss
from medtransfer.training.mitigation.groups import balancing_weights


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Cases whose features are to be had, from the study's folder or by a pass.

    Attributes:
        blocks: Cases that are extracted together, see `feature_blocks`.
        images: All of them, as they are tested.
        spec: The network's input.
        parent: Folder of the features.
    """

    blocks: Sequence[Cases]
    images: CachedImages
    spec: InputSpec
    parent: Path

    def extract(
        self,
        run: Transfer,
        built: BuiltClassifier,
        on_images: Callable[[int], None],
        *,
        tuned: str | None = None,
    ) -> CaseFeatures:
        """Features of all cases; those that are there are read.

        Args:
            run: Its configuration.
            built: The classifier, whose head has no part in it.
            on_images: Called with the number of images that went through the network.
            tuned: Name of its weights if training changed the backbone; None if it did not.
        """
        determinants = {
            "architecture": built.rung.architecture.name,
            "weights": tuned or built.weights or f"random, seed {run.seed}",
            "pool": run.model.pool,
            "precision": built.classifier.precision,
            "input": vars(self.spec),
            "pixels": self.images.recipe.metadata(),
        }
        values = [
            kept_features(
                built.classifier,
                case_images(block, self.images, self.spec),
                contents=_contents(block, images_of(block, self.images)),
                about=determinants,
                parent=self.parent,
                heard=on_images,
            )
            for block in self.blocks
        ]
        names = np.concatenate([block.case_ids for block in self.blocks])
        order = np.argsort(names)
        return CaseFeatures(names[order], np.concatenate(values)[order])


def feature_blocks(cases: Cases, manifest: pl.DataFrame) -> list[Cases]:
    """Divide cases into those whose features are extracted together.

    The last digits of features depend on the cases in a batch. A block holds one cohort, or, where
    the manifest has splits of its own, the test cases of one cohort or its others. So a cohort or a
    test case that is added later leaves the features of all training cases as they are, and runs
    that leave out different cohorts share them.

    Args:
        cases: All cases of the manifest.
        manifest: Its rows, with its own splits.
    """
    keys = cases.cohorts
    if "split" in manifest.columns:
        numbers = CaseNumbers.of(manifest)
        is_tested = numbers.at_first(manifest["split"].cast(pl.String) == "test")
        keys = np.char.add(np.where(is_tested, "1", "0"), keys)
    return [cases.take(keys == key) for key in np.unique(keys)]


def needed_blocks(blocks: Sequence[Cases], train: Cases, parts: Sequence[Cases]) -> list[Cases]:
    """Blocks that hold cases which a run trains on or predicts.

    Args:
        blocks: From `feature_blocks`.
        train: Training cases.
        parts: Cases to predict.
    """
    needed = np.concatenate([part.case_ids for part in (train, *parts)])
    return [block for block in blocks if np.isin(block.case_ids, needed).any()]


def probe(
    run: Transfer,
    built: BuiltClassifier,
    cases: RunCases,
    source: FeatureSource,
    *,
    folder: RunFolder,
    on_step: ProgressCallback,
) -> TrainedModel:
    """Fit a classifier's head to features that the study keeps.

    Args:
        run: Its configuration.
        built: The classifier, on the device it runs on.
        cases: Of the run, by their use.
        source: Features of all of them.
        folder: Gets the weights.
        on_step: Called while features are extracted and penalties tried; it may ask to stop.
    """
    penalties = run.training.tuning.penalties
    progress = ProbeProgress(len(penalties), loss_at_zero(run), on_step)
    features = source.extract(run, built, progress.add_images)

    fitted = _fit(run, features, cases, progress.report, progress.add_check)
    head = built.classifier.head
    _set_head(head, fitted.head)
    built.classifier.eval()

    state = progress.state
    state.step, state.selected = len(penalties), fitted.selected
    CheckpointFolder(folder.checkpoint).select(fitted.selected, built.classifier)
    outputs = head_outputs(run, head, features, cases.train, cases.predicted)
    return TrainedModel(outputs, fitted.checks, state)


def start_head(
    run: Transfer,
    built: BuiltClassifier,
    cases: RunCases,
    source: FeatureSource,
    *,
    on_step: ProgressCallback,
) -> None:
    """Set the head of a classifier that is to be fine-tuned to its linear probe, if that is asked.

    Fine-tuning from a head at zero changes features before the head knows what they mean; from the
    probe it does not (Kumar et al. 2022, arXiv 2202.10054).

    Args:
        run: Its configuration.
        built: The classifier before its first step, on the device it runs on.
        cases: Of the run, by their use.
        source: Features of its training and tuning cases.
        on_step: Called at step 0 while features are extracted and penalties tried; it may ask to
            stop.
    """
    config = run.training
    if config.head_start == "zero":
        return
    schedule = make_schedule(len(cases.train), config.learning_rate, config.steps, config.schedule)
    progress = ProbeProgress(schedule.steps, loss_at_zero(run), on_step)
    features = source.extract(run, built, progress.add_images)
    _set_head(built.classifier.head, _fit(run, features, cases, progress.report).head)


def _fit(
    run: Transfer,
    features: CaseFeatures,
    cases: RunCases,
    heartbeat: Callable[[], None],
    on_check: Callable[[ProbeCheck], None] = lambda _check: None,
) -> Probe:
    """The head of a run's training cases with the best penalty on its tuning cases."""
    tune = features.of(cases.tune).astype(np.float64)
    return fit_probe(
        features=features.of(cases.train),
        targets=cases.train.targets,
        loss=make_loss(run.training.loss, run.data.task, run.data.names, cases.train.targets),
        penalties=run.training.tuning.penalties,
        tune=lambda head: tune_score(head.logits(tune), cases.tune, run),
        on_check=on_check,
        heartbeat=heartbeat,
        case_weights=None if cases.train.groups is None else balancing_weights(cases.train.groups),
    )


def head_outputs(
    run: Transfer,
    head: torch.nn.Linear,
    features: CaseFeatures,
    train: Cases,
    parts: Sequence[Cases],
) -> ModelOutputs:
    """Outputs of a fitted head for parts of the cases.

    Args:
        run: Its configuration.
        head: After the fit.
        features: Of all these cases.
        train: Its training cases.
        parts: To predict.
    """
    trained_on = outputs_from(head, features.of(train))
    return ModelOutputs(
        reference=make_ood_reference(trained_on, train, head, run.data.task),
        cases=parts,
        outputs=[outputs_from(head, features.of(part)) for part in parts],
    )


def _contents(cases: Cases, images: CachedImages) -> list[list[str]]:
    """Digest and decoder of every image of each case."""
    rows = images.wanted.select("image_id", "content", "decoder").rows()
    contents = {name: f"{content} {decoder}" for name, content, decoder in rows}
    return [[contents[name] for name in names] for names in cases.images]


def _set_head(head: torch.nn.Linear, fitted: LinearHead) -> None:
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(fitted.weight))
        head.bias.copy_(torch.as_tensor(fitted.bias))
