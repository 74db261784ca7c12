"""Features of test cases by the network of a finished run, kept in the study's folder."""

from collections.abc import Sequence

import numpy as np

from medtransfer.data.cases import Cases, build_cases
from medtransfer.data.splits import assign_splits
from medtransfer.models.ladder import find_rung
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.case_features import CaseFeatures
from medtransfer.runs.embedded.features import read_case_features
from medtransfer.runs.fine_tune import partition_cases
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import CacheRequest, PlannedInputs, RunData, prediction_requests
from medtransfer.runs.probe import FeatureSource, feature_blocks, needed_blocks
from medtransfer.runs.tested.predict import open_trained


def home_features_of(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    cohorts: Sequence[str],
    planned: PlannedInputs | None = None,
) -> HomeFeatures:
    """Features of a finished run's test cases before its head, with clinical data if it sees any.

    Those of a linear probe are there since its training. A network that was trained as a whole
    passes its test images once.

    Args:
        run: Its configuration.
        study: Holds the caches of images and features.
        folder: The run's.
        cohorts: Test cohorts.
        planned: Digests of data and weights; None compares nothing.

    Raises:
        StudyError: The data changed, or the weights are gone or damaged.
    """
    if find_rung(run.model.rung).reads_images:
        return _of_network(run, study, folder, cohorts, planned)
    data = RunData(run, study.images, planned, images=False)
    frame = assign_splits(data.manifest, run.data)
    cases = build_cases(frame, run.data)
    split = partition_cases(cases, frame, run)
    parts = [split.test[name] for name in cohorts]
    return _joined(read_case_features(run.model, cases), parts)


def _of_network(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    cohorts: Sequence[str],
    planned: PlannedInputs | None,
) -> HomeFeatures:
    trained, weights = open_trained(run, study, folder, planned=planned)
    parts = [trained.cases.test[name] for name in cohorts]
    blocks = feature_blocks(trained.cases.all, trained.data.manifest.frame)
    blocks = needed_blocks(blocks, parts[0], parts)
    named = np.concatenate([block.case_ids for block in blocks])
    rows = np.flatnonzero(np.isin(trained.frame["case_id"].to_numpy(), named))
    _, to_test = prediction_requests(run, trained.spec, trained.frame, cohorts)
    images = trained.images_of(CacheRequest(rows, to_test.recipe))
    source = FeatureSource(blocks, images, trained.spec, study.features)
    is_frozen = run.training.tuning.mode == "linear"
    tuned = None if is_frozen else f"tuned, {weights}"
    return _joined(source.extract(run, trained.built, _no_progress, tuned=tuned), parts)


def _joined(features: CaseFeatures, parts: Sequence[Cases]) -> HomeFeatures:
    """Features of some parts of the cases, in the order of their ids."""
    return HomeFeatures.joined([HomeFeatures(p.case_ids, features.of(p)) for p in parts])


def _no_progress(_images: int) -> None:
    """Take a number of images and do nothing."""
