"""From a classifier to the predictions table, one row per case."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.data.config import Task
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import Batch
from medtransfer.errors import StudyError
from medtransfer.metrics.calibration import binary_nll, class_nll
from medtransfer.metrics.discrimination import auroc
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import Weighted
from medtransfer.models.classifier import Classifier
from medtransfer.models.folding import folded
from medtransfer.models.runtime import is_out_of_memory, release_memory, world
from medtransfer.sizes.image_size import sides_words
from medtransfer.tables.predictions import target_columns

IMAGES_AT_ONCE = 128
"""Halved where memory runs out."""
TOO_LARGE = (
    "The memory does not hold one case to predict (images of {size} pixels). Choose a "
    "smaller rung or data.image.crop, or a device with more memory."
)


class TestedImages(Protocol):
    """Cases with their images as they are tested: of a cache, or decoded just now."""

    @property
    def spec(self) -> InputSpec:
        """Input of the network."""
        ...

    def __len__(self) -> int:
        """Number of cases."""
        ...

    def split(self, rows: NDArray[np.int64], limit: int) -> list[NDArray[np.int64]]:
        """Cut positions into runs of at most `limit` images, never inside a case."""
        ...

    def test_batch(self, rows: NDArray[np.int64], device: torch.device) -> Batch:
        """Cases as they are tested."""
        ...


def predict(classifier: Classifier, images: TestedImages) -> NDArray[np.float32]:
    """Logits of cases, nothing drawn, no gradients.

    Args:
        classifier: On the device it runs on; left in the mode it was in.
        images: The cases.

    Returns:
        One row per case, in their order. [N, T]
    """
    return np.concatenate([logits for _, logits in passes(classifier, images)])


@torch.inference_mode()
def passes(
    classifier: Classifier, images: TestedImages, rows: NDArray[np.int64] | None = None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Features and logits of cases, some at a time, from one pass through the network.

    Several processes share the work; each is given all of the outcome, in order, each case once.

    Args:
        classifier: As in `predict`.
        images: The cases.
        rows: Which of them; all, if left out.

    Yields:
        Of the next cases, in their order. [B, D], [B, T]

    Raises:
        StudyError: The memory does not hold a single case.
    """
    training = classifier.training
    device = next(classifier.parameters()).device
    asked = np.arange(len(images), dtype=np.int64) if rows is None else rows
    everyone = world()
    parts = [asked[part] for part in images.split(asked, IMAGES_AT_ONCE)]
    classifier.eval()
    try:
        with folded(classifier.backbone, classifier.precision):
            for turn in range(0, len(parts), everyone.size):
                these = parts[turn : turn + everyone.size]
                # one without a part makes a pass too: spread weights are brought together for it
                my_rows = these[everyone.rank] if everyone.rank < len(these) else these[0]
                my_outputs = _outputs(classifier, images, my_rows, device)
                counts = [len(part) for part in these] + [0] * (everyone.size - len(these))
                for outputs in everyone.gather(my_outputs[: counts[everyone.rank]], counts):
                    width = classifier.head.in_features
                    features, logits = np.split(outputs.cpu().numpy(), [width], axis=1)
                    yield features, logits
    finally:
        classifier.train(training)


def _outputs(
    classifier: Classifier, images: TestedImages, rows: NDArray[np.int64], device: torch.device
) -> torch.Tensor:
    """Features and logits of some cases beside each other; in smaller parts if need be. [B, D+T]"""
    waiting, batches = [rows], list[torch.Tensor]()
    while waiting:
        part = waiting.pop(0)
        lacking = False
        try:
            batch = images.test_batch(part, device)
            features = classifier.features(
                batch.images, batch.case_of_image, len(batch), batch.covariates
            )
            batches.append(torch.cat([features, classifier.head(features).float()], dim=1))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            lacking = True
        if lacking:  # outside the handler: the error holds the frames whose tensors are to go
            if len(part) == 1:
                raise StudyError(TOO_LARGE.format(size=sides_words(images.spec.crop)))
            release_memory()
            waiting = [half for whole in [part, *waiting] for half in _halves(whole)]
    return torch.cat(batches)


def _halves(part: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [half for half in np.array_split(part, 2) if len(half)]


def predictions_frame(
    cases: Cases,
    logits: NDArray[np.float32],
    names: tuple[str, ...],
    run_id: str,
    foreign: Mapping[str, Floats] | None = None,
) -> pl.DataFrame:
    """The predictions table of some cases.

    Args:
        cases: N of them.
        logits: [N, T]
        names: The targets' names. T
        run_id: The run that made them.
        foreign: How foreign each case is, by detector. [N] each
    """
    logit_columns = {
        f"logit_{name}": logits[:, i].astype(np.float64) for i, name in enumerate(names)
    }
    return pl.DataFrame(
        {
            "run_id": [run_id] * len(cases),
            "member": np.zeros(len(cases), dtype=np.int64),
            "case_id": cases.case_ids.tolist(),
            "patient_id": cases.patient_ids.tolist(),
            "cohort": cases.cohorts.tolist(),
            "split": cases.splits.tolist(),
            **target_columns(cases.targets, names),
            **logit_columns,
            **{f"ood_{name}": scores for name, scores in (foreign or {}).items()},
        }
    )


def quick_score(targets: Floats, logits: Floats, task: Task) -> tuple[float, float | None]:
    """Mean loss and macro AUROC, for selection on the tuning split.

    Args:
        targets: NaN where masked. [N, T]
        logits: [N, T]
        task: Which loss.

    Returns:
        The loss (NaN where nothing is labelled), and the mean AUROC over the targets for which it
        is defined, None if there is none.
    """
    hard = (targets == 0) | (targets == 1)
    areas: list[float] = []
    losses: list[float] = []
    for column in range(targets.shape[1]):
        rows = hard[:, column]
        truth = targets[rows, column].astype(np.int64)
        if len(np.unique(truth)) == 2:
            areas.append(_value(auroc(truth, logits[rows, column]), len(truth)))
        if len(truth):
            losses.append(_value(binary_nll(truth, logits[rows, column]), len(truth)))
    if task == "single-label":
        rows = hard.all(axis=1)
        losses = [_value(class_nll(targets[rows].argmax(axis=1), logits[rows]), int(rows.sum()))]
    loss = float(np.mean(losses)) if losses else float("nan")
    return loss, float(np.mean(areas)) if areas else None


def _value(metric: Weighted, count: int) -> float:
    return float(metric(np.ones((1, count)))[0])
