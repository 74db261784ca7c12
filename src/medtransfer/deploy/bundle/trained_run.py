"""A finished run with its network as it was trained, and the data that it was trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl
import torch

from medtransfer.data.cases import build_cases
from medtransfer.data.covariates.encoding import MIN_VALUE_CASES, CovariateEncoding
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.data.loader import CaseImages
from medtransfer.data.splits import assign_splits
from medtransfer.deploy.bundle.schema import ArchitectureFacts, NetworkFacts
from medtransfer.deploy.inference.network import trained_classifier
from medtransfer.errors import StudyError, listed
from medtransfer.evaluation.inference.features import read_ood_reference
from medtransfer.files import is_whole
from medtransfer.models.classifier import Classifier
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.architectures import Architecture, Precision
from medtransfer.models.rungs.start import control_of
from medtransfer.models.tensors import read_tensors
from medtransfer.posthoc.ood_feature_scores import OODReference
from medtransfer.runs.config import Transfer
from medtransfer.runs.fine_tune import RunCases, partition_cases
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    CacheRequest,
    RunData,
    cache_requests,
    input_spec,
    known_architecture,
)
from medtransfer.runs.messages import RunRequest
from medtransfer.tables.manifest import Manifest
from medtransfer.training.checkpoint import MODEL


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A finished run, its data and its network.

    Attributes:
        request: Its place in the study's grid.
        folder: Its folder.
        manifest: Images of the study.
        facts: Header facts and digests of these images.
        frame: Rows of the manifest with their splits.
        cases: Of the run, by their use.
        spec: Input of its network.
        recipe: Recipe of the pixels that were tested.
        network: Facts of its network.
        weights: File of the selected weights.
    """

    request: RunRequest
    folder: RunFolder
    manifest: Manifest
    facts: pl.DataFrame
    frame: pl.DataFrame
    cases: RunCases
    spec: InputSpec
    recipe: PixelRecipe
    network: NetworkFacts
    weights: Path
    training_images: CacheRequest

    @property
    def run(self) -> Transfer:
        """Its configuration."""
        return self.request.run

    def classifier(self, device: torch.device) -> Classifier:
        """Its network, in evaluation mode."""
        return trained_classifier(
            self.network,
            self.spec.crop,
            len(self.run.data.names),
            read_tensors(self.weights),
            device,
            covariates=self.cases.width,
        )

    def ood_reference(
        self, classifier: Classifier, cache: Path, progress: Progress = no_progress
    ) -> OODReference:
        """Reference of its OOD detectors, from its training cases as they would be tested.

        Args:
            classifier: From `classifier`.
            cache: Folder of the study's prepared images; what it lacks is prepared.
            progress: Called as images are prepared.
        """
        images = self.training_images.make(self.manifest, self.facts, cache, progress)
        cases = CaseImages(self.cases.train, PixelCache(images), self.spec)
        return read_ood_reference(classifier, cases, self.run.data.task)


def open_run(study: StudyFolder, request: RunRequest) -> TrainedRun:
    """A finished run, with its data as they were planned.

    Args:
        study: Its study.
        request: From its ``run.json``.

    Raises:
        StudyError: Its data have changed since, or its weights or predictions are damaged or gone.
    """
    run, folder = request.run, study.run(request.run_id)
    if control_of(run.model.rung) is not None:
        raise StudyError(f"Rung '{run.model.rung}' is a negative control: no bundle is made of it.")
    mapped = sorted(set(run.model.covariates) & set(run.data.values))
    if mapped:
        raise StudyError(
            f"Rung '{run.model.rung}' sees {listed(mapped)}, whose values data.values replaces. A "
            "bundle does not hold the replacements: no bundle is made of it. Replace them in the "
            "manifest, or export its twin without clinical data."
        )
    if not find_rung(run.model.rung).reads_images:
        raise StudyError(
            f"Rung '{run.model.rung}' is a file of features: the network that made them is not "
            "here, so no bundle can be made of it."
        )
    weights = _selected_weights(folder)
    folder.require_sealed()
    data = RunData(run, study.images, request.inputs)
    frame = assign_splits(data.manifest, run.data)
    cases = partition_cases(build_cases(frame, run.data), frame, run)
    _refuse_rare_values(run.model.rung, cases.encoding)
    architecture = known_architecture(run.model.rung)
    spec = input_spec(run, architecture, frame, data.facts)
    _, tested, training = cache_requests(run, spec, frame)
    return TrainedRun(
        request=request,
        folder=folder,
        manifest=data.manifest,
        facts=data.facts,
        frame=frame,
        cases=cases,
        spec=spec,
        recipe=tested.recipe,
        network=_network_facts(run, architecture, folder),
        weights=weights,
        training_images=training,
    )


def _refuse_rare_values(rung: str, encoding: CovariateEncoding | None) -> None:
    """Refuse a bundle that would name a value of a few persons: bundles leave the hospital.

    Raises:
        StudyError: A value that the network sees has fewer training cases than `MIN_VALUE_CASES`.
    """
    columns = () if encoding is None else encoding.columns
    rare = [column.name for column in columns if 0 < column.fewest < MIN_VALUE_CASES]
    if rare:
        raise StudyError(
            f"Rung '{rung}' sees {listed(rare)}, with a value of fewer than {MIN_VALUE_CASES} "
            "training cases, which a bundle would name. Group such values in the manifest, or "
            "export its twin without clinical data."
        )


def _network_facts(run: Transfer, architecture: Architecture, folder: RunFolder) -> NetworkFacts:
    cost = folder.cost()
    if cost.precision not in get_args(Precision):
        raise StudyError(f"Run {folder.run_id} does not say in which precision it predicts.")
    precision: Precision = "bfloat16" if cost.precision == "bfloat16" else "float32"
    return NetworkFacts(
        rung=run.model.rung,
        architecture=ArchitectureFacts(
            name=architecture.name,
            timm=architecture.timm,
            width=architecture.width or 0,
            input_size=architecture.input_size,
            channels_last=architecture.channels_last,
            layers=architecture.layers,
            width_factor=architecture.width_factor,
            groups=architecture.groups,
            stem=architecture.stem,
        ),
        pool=run.model.pool,
        precision=precision,
        tuning=run.training.tuning.mode,
        parameters=cost.parameters or 0,
    )


def _selected_weights(folder: RunFolder) -> Path:
    """File of the weights that a run kept.

    Raises:
        StudyError: It is gone or damaged.
    """
    selected = folder.cost().selected_step
    kept = sorted(folder.checkpoint.glob("selected-*"))
    named = folder.checkpoint / f"selected-{selected or 0:08d}"
    weights = named if selected is not None else (kept[-1] if kept else named)
    if not is_whole(weights):
        raise StudyError(
            f"The weights of run {folder.run_id} are damaged or were deleted. `medtransfer fsck` "
            "says what is wrong with the study; `medtransfer run` makes the run again."
        )
    return weights / MODEL
