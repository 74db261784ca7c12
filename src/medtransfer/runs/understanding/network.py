"""A finished run's network before and after its training, with the tuning cases to look at."""

from dataclasses import dataclass

import polars as pl

from medtransfer.analysis.questions import MAX_CASES
from medtransfer.analysis.stages import StageOutputs, stage_outputs
from medtransfer.analysis.weights import StageState, state_of
from medtransfer.data.cases import Cases, build_cases, reported_attributes
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import CaseImages
from medtransfer.data.splits import assign_splits
from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.runs.config import Transfer
from medtransfer.runs.fine_tune import images_of
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    PlannedInputs,
    RunData,
    cache_requests,
    input_spec,
    known_architecture,
)
from medtransfer.runs.transfer import finished_precision, move_to_device, no_heartbeat, pick_device
from medtransfer.runs.understanding.drawn import drawn_patients
from medtransfer.training.checkpoint import CheckpointFolder


@dataclass(frozen=True, eq=False)
class TunedNetwork:
    """A network with its weights of both times.

    Attributes:
        classifier: After training, on its device.
        before: Weights of its backbone before training.
        after: After it.
        first: Outputs of its stages before training.
        last: After it.
        images: Tuning cases.
        cases: The same.
        attributes: `case_id` and the attributes of these cases, in their order.
    """

    classifier: Classifier
    before: StageState
    after: StageState
    first: StageOutputs
    last: StageOutputs
    images: CaseImages
    cases: Cases
    attributes: pl.DataFrame


def open_network(
    run: Transfer, study: StudyFolder, folder: RunFolder, planned: PlannedInputs | None
) -> TunedNetwork:
    """Build a finished run's network twice and pass its tuning cases through both.

    Args:
        run: Its configuration.
        study: Holds the facts and caches of the images.
        folder: The run's.
        planned: Digests of data and weights; None compares nothing.

    Raises:
        StudyError: The data changed, or the weights are gone or damaged.
    """
    data = RunData(run, study.images, planned)
    frame = assign_splits(data.manifest, run.data)
    spec = input_spec(run, known_architecture(run.model.rung), frame, data.facts)
    device = pick_device(run.training)
    built = build_classifier(
        run.model,
        len(run.data.names),
        seed=run.seed,
        device=device,
        precision=finished_precision(folder),
        input_size=spec.crop,
    )
    cases = tuning_cases(build_cases(frame, run.data))
    images = _images(run, data, frame, cases, spec=spec, study=study)
    before = state_of(built.classifier.backbone)
    first = stage_outputs(built.classifier.to(device), images)
    CheckpointFolder(folder.checkpoint).load_final(folder.cost().selected_step, built.classifier)
    classifier = move_to_device(built.classifier, device, run.training, no_heartbeat).eval()
    columns = reported_attributes(frame, run.data.attributes, run.evaluation.minimum_group)
    ids = pl.DataFrame({"case_id": cases.case_ids.tolist()}, schema={"case_id": pl.String})
    return TunedNetwork(
        classifier=classifier,
        before=before,
        after=state_of(classifier.backbone),
        first=first,
        last=stage_outputs(classifier, images),
        images=images,
        cases=cases,
        attributes=ids.join(columns, on="case_id", how="left", maintain_order="left"),
    )


def tuning_cases(cases: Cases) -> Cases:
    """The tuning cases that are looked at; whole patients are drawn where there are more."""
    tune = cases.take(cases.splits == "tune")
    return tune.take(drawn_patients(tune.patient_ids, MAX_CASES, "understanding cases"))


def _images(
    run: Transfer,
    data: RunData,
    frame: pl.DataFrame,
    cases: Cases,
    *,
    spec: InputSpec,
    study: StudyFolder,
) -> CaseImages:
    """The cases' images, prepared as they are tested."""
    request = cache_requests(run, spec, frame)[1]
    cached = request.make(data.manifest, data.facts, study.cache)
    return CaseImages(cases, PixelCache(images_of(cases, cached)), spec)
