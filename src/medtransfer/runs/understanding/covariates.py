"""Permutation importance of clinical data: what a finished run loses without one of them.

The values of one covariate are dealt out anew among the tuning patients, all its columns together
(Breiman 2001). What the AUROC loses is what the network takes from that covariate and cannot take
from the images or from the other covariates.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medtransfer.analysis.discrimination import interval_of, macro_auroc, patient_weights
from medtransfer.analysis.questions import FEATURES
from medtransfer.analysis.table import AskedRun, UnderstandingRow
from medtransfer.data.cases import Cases, build_cases
from medtransfer.data.splits import assign_splits
from medtransfer.evaluation.inference.features import outputs_of
from medtransfer.models.classifier import build_classifier
from medtransfer.models.ladder import find_rung
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.features import read_case_features
from medtransfer.runs.embedded.heads import empty_head
from medtransfer.runs.fine_tune import case_images, partition_cases
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    PlannedInputs,
    RunData,
    cache_requests,
    input_spec,
    known_architecture,
)
from medtransfer.runs.transfer import finished_precision, pick_device
from medtransfer.runs.understanding.measure import AFTER
from medtransfer.runs.understanding.network import tuning_cases
from medtransfer.seeds import generator
from medtransfer.training.checkpoint import CheckpointFolder

PERMUTATIONS = 20
"""Deals of one covariate, whose mean is taken."""

Linear = tuple[NDArray[np.float64], NDArray[np.float64]]


def importance_rows(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    name: AskedRun,
    planned: PlannedInputs | None,
) -> Iterator[UnderstandingRow]:
    """Drop of the tuning AUROC for each covariate of a run.

    Args:
        run: Its configuration, with covariates.
        study: Holds the caches of images.
        folder: The run's; it is finished.
        name: Of the run.
        planned: Digests of data and weights; None compares nothing.

    Raises:
        StudyError: The data changed, or the weights are gone or damaged.
    """
    reads_images = find_rung(run.model.rung).reads_images
    data = RunData(run, study.images, planned, images=reads_images)
    frame = assign_splits(data.manifest, run.data)
    split = partition_cases(build_cases(frame, run.data), frame, run)
    cases = tuning_cases(split.tune)
    checkpoints, selected = CheckpointFolder(folder.checkpoint), folder.cost().selected_step
    if not reads_images:
        features = read_case_features(run.model, split.all).of(cases)
        head = empty_head(run, features.shape[1])
        checkpoints.load_final(selected, head)

        def logits(values: NDArray[np.float32]) -> NDArray[np.float32]:
            return head.outputs(values).logits
    else:
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
        built.classifier.add_covariates(split.width)
        checkpoints.load_final(selected, built.classifier)
        classifier = built.classifier.to(device).eval()
        request = cache_requests(run, spec, frame)[1]
        images = request.make(data.manifest, data.facts, study.cache)
        features = outputs_of(classifier, case_images(cases, images, spec)).features
        weight = classifier.head.weight.detach().cpu().numpy().astype(np.float64)
        bias = classifier.head.bias.detach().cpu().numpy().astype(np.float64)

        def logits(values: NDArray[np.float32]) -> NDArray[np.float32]:
            return (values @ weight.T + bias).astype(np.float32)

    weights = patient_weights(cases.patient_ids)

    def areas(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return macro_auroc(cases.targets[:], logits(values).astype(np.float64), weights)

    whole = areas(features)
    assert split.encoding is not None  # noqa: S101 — only runs with covariates are asked
    start = features.shape[1] - split.encoding.width
    for covariate, place in split.encoding.places().items():
        columns = slice(start + place.start, start + place.stop)
        lost = [
            whole - areas(with_permuted(features, columns, cases, covariate, number))
            for number in range(PERMUTATIONS)
        ]
        yield name.row(
            "covariate_importance",
            (0, FEATURES),
            AFTER,
            "auroc_drop",
            interval_of(np.mean(lost, axis=0)),
            cases=len(cases),
            group=(covariate, "all"),
        )


def with_permuted(
    features: NDArray[np.float32], columns: slice, cases: Cases, name: str, number: int
) -> NDArray[np.float32]:
    """Features with some columns dealt out anew among patients.

    Every case of a patient takes the columns of one case of another, so that what is alike within a
    patient stays alike.

    Args:
        features: [N, D]
        columns: To be dealt out.
        cases: The same N.
        name: Of the covariate; with the number it gives the deal.
        number: Of the deal.
    """
    patients, first, owner = np.unique(cases.patient_ids, return_index=True, return_inverse=True)
    order = generator(0, "covariate importance", name, number).permutation(len(patients))
    changed = features.copy()
    changed[:, columns] = features[first[order][owner.ravel()], columns]
    return changed
