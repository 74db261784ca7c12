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
            where there are more logits than `MOST_LOGITS` the share of images whose most likely
            class holds.

    Returns:
        Loss and score; NaN and None without an image.
    """
    targets = images.cases.targets
    if task != "single-label" and math.prod(targets.shape) <= MAX_LOGITS:
        logits = np.concatenate([own for _, own in passes(classifier, images)])
        return quick_score(targets[:], logits.astype(np.float64), task)
    loss, hits, done, entries = 0.0, 0, 0, 0
    for _, own in passes(classifier, images):
        truth = targets[np.arange(done, done + len(own))]
        done += len(own)
        wanted = torch.as_tensor(np.nan_to_num(truth))
        logits = torch.as_tensor(own).double()
        if task == "single-label":
            loss += float(-(wanted * functional.log_softmax(logits, dim=1)).sum())
            entries += len(own)
        else:
            each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            labelled = ~np.isnan(truth)
            loss += float(each[torch.as_tensor(labelled)].sum())
            entries += int(labelled.sum())
        best = own.argmax(axis=1)
        hits += int((truth[np.arange(len(own)), best] == 1).sum())
    return (loss / entries, hits / done) if entries else (float("nan"), None)
