"""Shares of training cases in the mean loss of each target."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.training.losses import Loss

Floats = NDArray[np.float64]
MIN_CURVATURE = 1e-3


class CaseShares:
    """Training cases with their share in the mean loss of each target.

    Attributes:
        single_label: True if each case has one class of several.
        positive: Weight of "has the target": share, class weight and target. [N, T]
        negative: Weight of "has it not", likewise; of no use in single-label tasks. [N, T]
        curvature: Mean of q (1 - q) over the targets, q the share of positives.
    """

    def __init__(self, targets: Floats, loss: Loss, case_weights: Floats | None = None) -> None:
        """Share the cases out.

        Args:
            targets: 0 to 1, NaN where masked. [N, T]
            loss: The task and its weights; nothing else of it is used.
            case_weights: Weight of each case in the mean loss; None for 1. [N]
        """
        labelled = ~np.isnan(targets)
        self.single_label = loss.task == "single-label"
        if self.single_label:
            labelled = np.broadcast_to(labelled.all(axis=1, keepdims=True), labelled.shape)
        truth = np.where(labelled, targets, 0.0)
        ones = (1.0,) * targets.shape[1]
        positive = loss.weights.positive if loss.weights else ones
        negative = loss.weights.negative if loss.weights else ones
        share = labelled / np.maximum(labelled.sum(axis=0), 1)
        if case_weights is not None:
            weighted = share * case_weights[:, None]
            share = weighted / np.maximum(weighted.sum(axis=0), np.finfo(np.float64).tiny)
        self.positive: Floats = share * np.array(positive) * truth
        self.negative: Floats = share * np.array(negative) * (1 - truth)
        prevalence = (share * truth).sum(axis=0)
        self.curvature = max(float((prevalence * (1 - prevalence)).mean()), MIN_CURVATURE)

    def mean_loss(self, value: float) -> float:
        """Mean over the targets, from the sum; of a single-label task that of a case."""
        return value if self.single_label else value / self.positive.shape[1]
