"""The spine of an addition: a finished run predicts cohorts that came later. Nothing is trained."""

from collections.abc import Callable, Sequence

import polars as pl

from medtransfer.data.cases import build_cases
from medtransfer.data.images.cache import CachedImages, require_intact
from medtransfer.data.splits import assign_splits
from medtransfer.models.classifier import build_classifier
from medtransfer.models.ladder import find_rung
from medtransfer.models.runtime import world
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.transfer import predict_feature_cohorts
from medtransfer.runs.fine_tune import (
    ModelOutputs,
    partition_cases,
    predict_parts,
    prediction_parts,
)
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    PlannedInputs,
    RunData,
    input_spec,
    known_architecture,
    merge_requests,
    prediction_requests,
)
from medtransfer.runs.probe import FeatureSource, feature_blocks, head_outputs, needed_blocks
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.tested.corrupted import named_in
from medtransfer.runs.tested.corrupted_outputs import TrainedRun, predict_corrupted
from medtransfer.runs.tested.files import CohortRecord, add_predictions
from medtransfer.runs.transfer import (
    environment,
    finished_precision,
    move_to_device,
    no_heartbeat,
    pick_device,
)
from medtransfer.training.checkpoint import CheckpointFolder


def predict_cohorts(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    cohorts: Sequence[str],
    heartbeat: Callable[..., None] = no_heartbeat,
    *,
    planned: PlannedInputs | None = None,
) -> None:
    """Predict test cohorts with the weights of a finished run, and add them to its folder.

    Args:
        run: Its configuration.
        study: Holds the facts and caches of the images.
        folder: The run's.
        cohorts: Names of the cohorts; those of corrupted test cases are of
            `tested.cases.corrupted_name`.
        heartbeat: Called after every pass through the network; it may raise to stop.
        planned: Digests of data and weights; None compares nothing.

    Raises:
        InputsChangedError: Labels or images are not those of the plan, before or after.
        MedTransferError: Something a user can mend.
    """
    if not find_rung(run.model.rung).reads_images:
        predict_feature_cohorts(
            run, study, folder, cohorts, lambda: environment(run.training), planned=planned
        )
        return
    trained, weights = open_trained(run, study, folder, heartbeat, planned=planned)
    data, frame = trained.data, trained.frame
    predicted = PredictedCases(frame, data.facts, run.data, run.model.covariates)
    corruptions = named_in(frame, cohorts)
    plain = [name for name in cohorts if name not in corruptions]
    images: list[CachedImages] = []
    tables: dict[str, pl.DataFrame] = {}
    if plain:
        outputs, images = _predict_plain(trained, plain, heartbeat)
        tables |= zip(plain, prediction_parts(outputs, run, folder.run_id), strict=True)
    if corruptions:
        outputs, more = predict_corrupted(trained, corruptions, heartbeat)
        images += more
        tables |= zip(corruptions, prediction_parts(outputs, run, folder.run_id), strict=True)

    if not world().is_main:
        return
    data.require_unchanged()
    require_intact(images)
    machine = environment(run.training)
    predictable = (*predicted.cohorts, *predicted.corrupted(list(corruptions.values())))
    of_cohort = {cohort.cohort: cohort for cohort in predictable}
    for name, table in tables.items():
        record = CohortRecord(**vars(of_cohort[name]), weights=weights, environment=machine)
        add_predictions(folder, record, table)


def open_trained(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    heartbeat: Callable[..., None] = no_heartbeat,
    *,
    planned: PlannedInputs | None = None,
) -> tuple[TrainedRun, str]:
    """A finished run, ready to predict, and the SHA-256 of its weights.

    Args:
        run: Its configuration.
        study: Holds the facts and caches of the images.
        folder: The run's.
        heartbeat: Called after every pass through the network.
        planned: Digests of data and weights; None compares nothing.

    Raises:
        InputsChangedError: Labels or images are not those of the plan.
        StudyError: The weights are gone or damaged.
    """
    data = RunData(run, study.images, planned)
    frame = assign_splits(data.manifest, run.data)
    cases = build_cases(frame, run.data)
    split = partition_cases(cases, frame, run)
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
    if split.width:
        built.classifier.add_covariates(split.width)
    checkpoints = CheckpointFolder(folder.checkpoint)
    weights = checkpoints.load_final(folder.cost().selected_step, built.classifier)
    classifier = move_to_device(built.classifier, device, run.training, heartbeat).eval()
    trained = TrainedRun(
        run=run,
        study=study,
        data=data,
        frame=frame,
        cases=split,
        spec=spec,
        built=built,
        classifier=classifier,
    )
    return trained, weights


def _predict_plain(
    trained: TrainedRun, cohorts: Sequence[str], heartbeat: Callable[..., None]
) -> tuple[ModelOutputs, list[CachedImages]]:
    """Outputs for cohorts of the manifest, and the images that were read."""
    run, split, spec, study = trained.run, trained.cases, trained.spec, trained.study
    parts = [split.test[name] for name in cohorts]
    requests = prediction_requests(run, spec, trained.frame, cohorts)
    if run.training.tuning.mode == "linear":
        images = [trained.images_of(request) for request in merge_requests(requests)]
        blocks = feature_blocks(split.all, trained.data.manifest.frame)
        blocks = needed_blocks(blocks, split.train, parts)
        source = FeatureSource(blocks, images[0], spec, study.features)
        features = source.extract(run, trained.built, heartbeat)
        return head_outputs(run, trained.classifier.head, features, split.train, parts), images
    images = [trained.images_of(request) for request in requests]
    as_tested, to_test = images
    outputs = predict_parts(
        run,
        trained.classifier,
        train=split.train,
        parts=parts,
        images=(as_tested, to_test),
        spec=spec,
    )
    return outputs, images
