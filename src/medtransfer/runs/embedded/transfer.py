"""The spine of a run whose features are in a file: no image is read, no network is built."""

import resource
from collections.abc import Callable, Sequence

import polars as pl

from medtransfer.data.cases import build_cases, reported_attributes
from medtransfer.data.splits import assign_splits
from medtransfer.models.runtime import world
from medtransfer.runs.config import Transfer, run_id, scoring_digest
from medtransfer.runs.embedded.features import embeddings_digest, read_case_features
from medtransfer.runs.embedded.heads import empty_head, feature_outputs, fit_head
from medtransfer.runs.embedded.progress import ProbeProgress, loss_at_zero
from medtransfer.runs.fine_tune import RunCases, partition_cases, prediction_parts
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import PlannedInputs, RunData, training_digest
from medtransfer.runs.records import RunCost
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.tested.files import CohortRecord, add_predictions, write_tested
from medtransfer.training.checkpoint import CheckpointFolder
from medtransfer.training.heads.feature_head import FeatureHead, FittedHead
from medtransfer.training.heads.neighbours import NeighbourHead
from medtransfer.training.heads.settings import head_steps
from medtransfer.training.loop import ProgressCallback


def transfer_features(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    on_step: ProgressCallback,
    *,
    planned: PlannedInputs | None = None,
    tune_only: bool = False,
) -> None:
    """Carry one run on given features from its manifest to its results.

    Args:
        run: Its configuration.
        study: Its folder.
        folder: The run's.
        on_step: Called after every setting of the head; it may ask to stop.
        planned: Digests of data and features that the run's id was made from; None compares
            nothing.
        tune_only: Predict the tuning split alone.

    Raises:
        InputsChangedError: Labels are not those of the plan, before training or after it.
        MedTransferError: Something a user can mend.
        Diverged: The loss is no longer a number.
        Stopped: `on_step` asked to stop.
    """
    data = RunData(run, study.images, planned, images=False)
    manifest, facts = data.manifest, data.facts
    frame = assign_splits(manifest, run.data)
    cases = build_cases(frame, run.data)

    digest = embeddings_digest(run.model)
    if planned is not None:
        planned.require_weights(run.model.rung, digest, "features")
    features = read_case_features(run.model, cases)
    split = partition_cases(cases, frame, run)
    split = split.without_test() if tune_only else split
    steps = head_steps(run.model.head, run.training.tuning, len(split.train))
    progress = ProbeProgress(steps, loss_at_zero(run), on_step)
    fitted = fit_head(run, split, features, progress)
    outputs = feature_outputs(run, fitted.head, features, split.train, split.predicted)

    if not world().is_main:
        return
    data.require_unchanged()
    predictions = pl.concat(prediction_parts(outputs, run, folder.run_id)).sort("case_id")
    CheckpointFolder(folder.checkpoint).select(fitted.selected, fitted.head)
    folder.write_history(vars(check) for check in fitted.checks)
    folder.write_outcome(predictions, _cost(fitted, progress, split, digest))
    covariates = run.model.covariates
    predicted = PredictedCases(frame, facts, run.data, covariates, tune_only=tune_only)
    identity = run_id(run, training_digest(frame, facts, run.data, run.training_columns), digest)
    write_tested(folder, identity, predicted.cohorts)
    attributes = reported_attributes(frame, run.data.attributes, run.evaluation.minimum_group)
    scored = study.kept_runs().scored
    results = scored(predictions, attributes, run.data.task, run.evaluation)
    folder.write_results(results, scoring_digest(run, predicted.digest))
    folder.finish()


def predict_feature_cohorts(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    cohorts: Sequence[str],
    environment: Callable[[], dict[str, object]],
    *,
    planned: PlannedInputs | None = None,
) -> None:
    """Predict test cohorts with the head of a finished run, and add them to its folder.

    Args:
        run: Its configuration.
        study: Its folder.
        folder: The run's.
        cohorts: Names of the cohorts.
        environment: Facts of this machine.
        planned: Digests of data and features; None compares nothing.

    Raises:
        InputsChangedError: Labels are not those of the plan, before or after.
        MedTransferError: Something a user can mend.
    """
    data = RunData(run, study.images, planned, images=False)
    frame = assign_splits(data.manifest, run.data)
    cases = build_cases(frame, run.data)
    predicted = PredictedCases(frame, data.facts, run.data, run.model.covariates)
    features = read_case_features(run.model, cases)
    split = partition_cases(cases, frame, run)
    head = empty_head(run, features.of(split.train).shape[1])
    weights = CheckpointFolder(folder.checkpoint).load_final(folder.cost().selected_step, head)
    if isinstance(head, NeighbourHead):
        head.set_bank(features.of(split.train), split.train.targets[:])
    parts = [split.test[name] for name in cohorts]
    outputs = feature_outputs(run, head, features, split.train, parts)
    data.require_unchanged()
    of_cohort = {cohort.cohort: cohort for cohort in predicted.cohorts}
    for name, table in zip(cohorts, prediction_parts(outputs, run, folder.run_id), strict=True):
        record = CohortRecord(**vars(of_cohort[name]), weights=weights, environment=environment())
        add_predictions(folder, record, table)


def _cost(
    fitted: FittedHead, progress: ProbeProgress, split: RunCases, digest: str | None
) -> RunCost:
    """Time of the fit and size of the head."""
    return RunCost(
        seconds=round(progress.state.seconds, 1),
        steps=len(fitted.checks),
        selected_step=fitted.selected,
        training_cases=len(split.train),
        parameters=_size(fitted.head),
        trained_parameters=_size(fitted.head),
        precision="float32",
        weights=digest,
        weights_loaded=0,
        peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def _size(head: FeatureHead) -> int:
    return sum(weight.numel() for weight in head.parameters())
