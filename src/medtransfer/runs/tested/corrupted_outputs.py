"""Corrupted internal test cases, predicted by the weights of a finished run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import CachedImages
from medtransfer.data.images.corruptions import Corruption
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.evaluation.inference.features import outputs_of, read_ood_reference
from medtransfer.models.classifier import BuiltClassifier, Classifier
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.case_features import CaseFeatures
from medtransfer.runs.fine_tune import ModelOutputs, RunCases, case_images
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import CacheRequest, RunData, cache_requests
from medtransfer.runs.probe import FeatureSource, feature_blocks, head_outputs
from medtransfer.runs.tested.corrupted import corrupted_request, internal_tests


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A finished run, ready to predict.

    Attributes:
        run: Its configuration.
        study: Holds the caches of images and features.
        data: Manifest and image facts.
        frame: Manifest rows with splits.
        cases: Cases by their use.
        spec: Input of the network.
        built: The network as it was built.
        classifier: With its final weights, on its device.
    """

    run: Transfer
    study: StudyFolder
    data: RunData
    frame: pl.DataFrame
    cases: RunCases
    spec: InputSpec
    built: BuiltClassifier
    classifier: Classifier

    def images_of(self, request: CacheRequest) -> CachedImages:
        """Images of a request, made where they are missing."""
        return request.make(self.data.manifest, self.data.facts, self.study.cache)


def predict_corrupted(
    trained: TrainedRun, corruptions: Mapping[str, Corruption], heartbeat: Callable[..., None]
) -> tuple[ModelOutputs, list[CachedImages]]:
    """Outputs of a finished run for its corrupted internal test cases.

    Args:
        trained: The run.
        corruptions: By the name of their cohort.
        heartbeat: Called after every pass through the network.

    Returns:
        A part per corruption, in their order, and the images that were read.
    """
    run, split = trained.run, trained.cases
    tests = [part for name, part in split.test.items() if name in _homes(trained.frame)]
    whole = _joined(tests)
    _, rest, seen = cache_requests(run, trained.spec, trained.frame)
    parts: list[Cases] = []
    images: list[CachedImages] = []
    for name, corruption in corruptions.items():
        parts.append(replace(whole, cohorts=np.full(len(whole), name)))
        request = corrupted_request(rest.recipe, trained.frame, corruption)
        images.append(trained.images_of(request))
    as_tested = trained.images_of(seen)
    if run.training.tuning.mode == "linear":
        outputs = _probed(trained, parts, images, as_tested, heartbeat)
    else:
        reference = split.train if run.training.ood else split.train.take(np.arange(0))
        outputs = ModelOutputs(
            reference=read_ood_reference(
                trained.classifier,
                case_images(reference, as_tested, trained.spec),
                run.data.task,
            ),
            cases=parts,
            outputs=[
                outputs_of(trained.classifier, case_images(part, of_part, trained.spec))
                for part, of_part in zip(parts, images, strict=True)
            ],
        )
    return outputs, [*images, as_tested]


def _probed(
    trained: TrainedRun,
    parts: Sequence[Cases],
    images: Sequence[CachedImages],
    as_tested: CachedImages,
    heartbeat: Callable[..., None],
) -> ModelOutputs:
    """Outputs of a linear probe: features of each corruption, and those of the training cases."""
    run, split = trained.run, trained.cases
    blocks = [
        block
        for block in feature_blocks(split.all, trained.data.manifest.frame)
        if np.isin(block.case_ids, split.train.case_ids).any()
    ]
    needed = np.isin(
        trained.frame["case_id"].to_numpy(),
        np.concatenate([block.case_ids for block in blocks]),
    )
    whole = trained.images_of(CacheRequest(np.flatnonzero(needed), as_tested.recipe))
    source = FeatureSource(blocks, whole, trained.spec, trained.study.features)
    train = source.extract(run, trained.built, heartbeat).alone(split.train)
    outputs: list[ModelOutputs] = []
    for part, of_part in zip(parts, images, strict=True):
        source = FeatureSource([part], of_part, trained.spec, trained.study.features)
        features = source.extract(run, trained.built, heartbeat)
        names = np.concatenate([features.case_ids, split.train.case_ids])
        order = np.argsort(names)
        both = CaseFeatures(names[order], np.concatenate([features.values, train])[order])
        outputs.append(head_outputs(run, trained.classifier.head, both, split.train, [part]))
    return ModelOutputs(
        reference=outputs[0].reference,
        cases=list(parts),
        outputs=[of_part.outputs[0] for of_part in outputs],
    )


def _homes(frame: pl.DataFrame) -> set[str]:
    return set(frame.filter(internal_tests(frame))["cohort"])


def _joined(parts: Sequence[Cases]) -> Cases:
    """Cases of several cohorts together, in the order of their ids."""
    names = np.concatenate([part.case_ids for part in parts])
    images: list[tuple[str, ...]] = [names for part in parts for names in part.images]
    order = sorted(range(len(names)), key=lambda row: str(names[row]))
    return Cases(
        case_ids=names[order],
        patient_ids=np.concatenate([part.patient_ids for part in parts])[order],
        cohorts=np.concatenate([part.cohorts for part in parts])[order],
        splits=np.concatenate([part.splits for part in parts])[order],
        targets=np.concatenate([part.targets for part in parts])[order],
        images=[images[row] for row in order],
        covariates=_joined_covariates(parts, order),
    )


def _joined_covariates(parts: Sequence[Cases], order: list[int]) -> NDArray[np.float32] | None:
    values = [part.covariates for part in parts if part.covariates is not None]
    return np.concatenate(values)[order] if values else None
