"""Balance of the groups in one training step."""

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.loader import Batch, TrainingBatches
from medtransfer.training.checkpoint import TrainingState
from medtransfer.training.losses import Loss, case_losses
from medtransfer.training.mitigation.config import MitigationConfig
from medtransfer.training.mitigation.groups import (
    balancing_weights,
    dro_case_weights,
    stepped_weights,
)


class GroupBalance:
    """Weights of a step's cases, and for `dro` the losses of its groups.

    Where memory runs out a step is made again, and some cases are watched twice: the mean loss of a
    group stays a mean over its cases.
    """

    def __init__(
        self,
        config: MitigationConfig | None,
        loss: Loss,
        batches: TrainingBatches,
        state: TrainingState,
    ) -> None:
        """Set the weights of the step's cases.

        Args:
            config: None leaves all as it is.
            loss: Of a step.
            batches: The training cases.
            state: Says which step; holds the weights of the groups.
        """
        groups = batches.images.groups
        self._config, self._loss, self._state = config, loss, state
        self._is_dro = config is not None and config.method == "dro" and groups is not None
        self._count = 0 if groups is None else int(groups.max()) + 1
        self._sums = np.zeros(self._count)
        self._entries = np.zeros(self._count)
        if config is None or groups is None or config.method == "sampling":
            return
        if config.method == "weights":
            batches.images.weights = balancing_weights(groups).astype(np.float32)
            return
        if not state.group_weights:
            state.group_weights = [1 / self._count] * self._count
        rows = np.unique(batches.at(state.step)[0], return_counts=True)
        mass = self._mass(batches.images.cases.targets[rows[0]]) * rows[1]
        weights = np.ones(len(groups))
        of_step = dro_case_weights(groups[rows[0]], mass, np.array(state.group_weights))
        weights[rows[0]] = of_step
        batches.images.weights = weights.astype(np.float32)

    def watched(self, loss: torch.Tensor, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss of a micro-batch as it is; for `dro` the losses of its groups are noted."""
        if self._is_dro and batch.groups is not None:
            with torch.no_grad():
                each = case_losses(logits, batch.targets, batch.known, self._loss)
            groups = batch.groups.cpu().numpy()
            labelled = batch.known.cpu().numpy()
            mass = self._mass(np.where(labelled, 0.0, np.nan))
            self._sums += np.bincount(groups, each.double().cpu().numpy(), self._count)
            self._entries += np.bincount(groups, mass, self._count)
        return loss

    def update(self) -> None:
        """Let the weights of groups with a large loss grow."""
        if self._config is None or not self._is_dro:
            return
        losses = np.full(self._count, np.nan)
        seen = self._entries > 0
        losses[seen] = self._sums[seen] / self._entries[seen]
        weights = stepped_weights(np.array(self._state.group_weights), losses, self._config.rate)
        self._state.group_weights = weights.tolist()

    def _mass(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Entries of the loss that each case has. [B]"""
        labelled = (~np.isnan(targets)).astype(np.float64)
        return labelled.min(axis=1) if self._loss.task == "single-label" else labelled.sum(axis=1)
