"""A small multi-layer perceptron on fixed features: one hidden layer, AdamW, early stopping."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medtransfer.models.runtime import seeded
from medtransfer.seeds import generator
from medtransfer.training.heads.feature_head import FittedHead, StandardisedHead
from medtransfer.training.heads.settings import (
    BATCH_SIZE,
    HIDDEN_UNITS,
    LEARNING_RATE,
    MAX_EPOCHS,
    PATIENCE,
    WEIGHT_DECAY,
)
from medtransfer.training.linear_probe import ProbeCheck
from medtransfer.training.loop import Diverged, TuneScore
from medtransfer.training.losses import Loss, loss_entries, masked_loss

Floats = NDArray[np.float64]


class MLPHead(StandardisedHead):
    """Standardised features, a hidden layer of 256 rectified units, and a linear layer."""

    def __init__(self, width: int, targets: int, seed: int) -> None:
        super().__init__(width, targets, HIDDEN_UNITS)
        with seeded(seed, "mlp head"):
            self.hidden = nn.Linear(width, HIDDEN_UNITS)

    def inner(self, features: torch.Tensor) -> torch.Tensor:
        """Hidden units. [B, D] -> [B, 256]"""
        return torch.relu(self.hidden(self.standardised(features)))


def fit_mlp(
    features: NDArray[np.float32],
    targets: Floats,
    tuning: NDArray[np.float32],
    *,
    loss: Loss,
    seed: int,
    tune: Callable[[Floats], TuneScore],
    on_check: Callable[[ProbeCheck], None] = lambda _check: None,
) -> FittedHead:
    """Train a perceptron and keep the epoch with the best score on the tuning split.

    Args:
        features: Of the training cases. [N, D]
        targets: 0 to 1, NaN where masked. [N, T]
        tuning: Features of the tuning cases. [M, D]
        loss: Which loss.
        seed: Draws weights and order.
        tune: Scores logits of the tuning cases.
        on_check: Called after every epoch; an exception that it raises ends the fit.

    Raises:
        Diverged: The loss is no longer a number.
    """
    head = MLPHead(features.shape[1], targets.shape[1], seed)
    head.set_scale(features)
    inputs = torch.as_tensor(features)
    labelled = torch.as_tensor((~np.isnan(targets)).astype(np.float32))
    truth = torch.as_tensor(np.nan_to_num(targets).astype(np.float32))
    optimiser = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best: tuple[tuple[float, float], int, dict[str, torch.Tensor]] | None = None
    checks: list[ProbeCheck] = []
    for epoch in range(1, MAX_EPOCHS + 1):
        order = generator(seed, "mlp order", epoch).permutation(len(inputs))
        total = 0.0
        for start in range(0, len(order), BATCH_SIZE):
            rows = torch.as_tensor(order[start : start + BATCH_SIZE])
            entries = loss_entries(int(labelled[rows].sum()), targets.shape[1], loss.task)
            value = masked_loss(
                head(head.inner(inputs[rows])), truth[rows], labelled[rows], loss, entries
            )
            optimiser.zero_grad()
            cast("Any", value).backward()
            cast("Any", optimiser).step()
            total += float(value.detach()) * len(rows)
        score = tune(head.outputs(tuning).logits.astype(np.float64))
        if not np.isfinite(total) or not np.isfinite(score.loss):
            raise Diverged(epoch)
        checks.append(ProbeCheck(epoch, None, total / len(order), score.loss, score.auroc))
        on_check(checks[-1])
        if best is None or score.rank > best[0]:
            best = score.rank, epoch, deepcopy(dict(head.state_dict()))
        elif epoch - best[1] >= PATIENCE:
            break
    assert best is not None  # noqa: S101 — there is at least one epoch
    head.load_state_dict(best[2])
    return FittedHead(head, best[1], checks)
