"""Validation of pre-training on held-out images, without a table of all their logits."""

import math

import numpy as np
import torch
from torch.nn import functional

from medtransfer.data.config import Task
from medtransfer.data.loader import CaseImages
from medtransfer.evaluation.inference.predict import passes, quick_score
from medtransfer.models.classifier import Classifier

MAX_LOGITS = 50_000_000
"""More of them are not held at once; the score is then not an AUROC."""


def held_out_score(
    classifier: Classifier, images: CaseImages, task: Task
) -> tuple[float, float | None]:
    """Mean loss and a score from 0 to 1 on images that are not trained on.

    Args:
        classifier: On the device it runs on; left in the mode it was in.
        images: The images.
        task: ``single-label``: the score is top-1 accuracy; ``multi-label``: macro AUROC, or
            where there are more logits than `MAX_LOGITS` the share of images whose most likely
            class holds.

    Returns:
        Loss and score; NaN and None without an image.
    """
    targets = images.cases.targets
    if task != "single-label" and math.prod(targets.shape) <= MAX_LOGITS:
        logits = np.concatenate([batch for _, batch in passes(classifier, images)])
        return quick_score(targets[:], logits.astype(np.float64), task)
    loss, correct, done, entries = 0.0, 0, 0, 0
    for _, batch in passes(classifier, images):
        truth = targets[np.arange(done, done + len(batch))]
        done += len(batch)
        wanted = torch.as_tensor(np.nan_to_num(truth))
        logits = torch.as_tensor(batch).double()
        if task == "single-label":
            loss += float(-(wanted * functional.log_softmax(logits, dim=1)).sum())
            entries += len(batch)
        else:
            each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            labelled = ~np.isnan(truth)
            loss += float(each[torch.as_tensor(labelled)].sum())
            entries += int(labelled.sum())
        best = batch.argmax(axis=1)
        correct += int((truth[np.arange(len(batch)), best] == 1).sum())
    return (loss / entries, correct / done) if entries else (float("nan"), None)
