"""Nearest neighbours: training cases that resemble a case vote on its targets."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from medtransfer.data.config import Task
from medtransfer.training.heads.feature_head import FittedHead, StandardisedHead
from medtransfer.training.heads.settings import NEIGHBOUR_COUNTS, TEMPERATURE
from medtransfer.training.linear_probe import ProbeCheck
from medtransfer.training.loop import TuneScore

Floats = NDArray[np.float64]
MIN_LENGTH = 1e-12


class NeighbourHead(StandardisedHead):
    """Votes of the training cases nearest by cosine of their standardised features.

    A vote counts exp(cosine / 0.07). To the votes on a target one of mean weight is added that is
    divided as the target is over the training cases, so that no probability is 0 or 1. Neighbours
    whose label is masked have no vote.

    Attributes:
        neighbours: Training cases that vote.
    """

    neighbours: torch.Tensor
    rows_at_once = 512

    def __init__(self, width: int, targets: int, task: Task) -> None:
        super().__init__(width, targets)
        self.register_buffer("neighbours", torch.ones((), dtype=torch.int64))
        self._task: Task = task
        self._bank = torch.empty(0, width)
        self._votes = torch.empty(0, targets)
        self._known = torch.empty(0, targets)
        self._prior = torch.empty(targets)

    def set_bank(self, features: NDArray[np.float32], targets: Floats) -> None:
        """Keep the training cases; they are not among the weights. [N, D], [N, T]"""
        labelled = ~np.isnan(targets)
        if self._task == "single-label":
            labelled = np.broadcast_to(labelled.all(axis=1, keepdims=True), labelled.shape)
        with torch.inference_mode():
            self._bank = self._unit(torch.as_tensor(features))
        self._votes = torch.as_tensor(np.where(labelled, targets, 0.0), dtype=torch.float32)
        self._known = torch.as_tensor(labelled.astype(np.float32))
        counts = self._known.sum(dim=0)
        empty = 1 / targets.shape[1] if self._task == "single-label" else 0.5
        smoothed = (self._votes.sum(dim=0) + empty) / (counts + 1)
        self._prior = smoothed / smoothed.sum() if self._task == "single-label" else smoothed

    def forward(self, inner: torch.Tensor) -> torch.Tensor:
        """Logits of features as they are given. [B, D] -> [B, T]"""
        near, nearest = self.nearest(inner, int(self.neighbours))
        return self.logits_of(near, nearest)

    def nearest(self, features: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and positions of the nearest training cases, nearest first. [B, count] each"""
        cosines = self._unit(features) @ self._bank.T
        near, nearest = torch.topk(cosines, min(count, len(self._bank)), dim=1)
        return near, nearest

    def logits_of(self, near: torch.Tensor, nearest: torch.Tensor) -> torch.Tensor:
        """Logits from neighbours. [B, k], [B, k] -> [B, T]"""
        weights = torch.exp((near - near[:, :1]) / TEMPERATURE)[:, :, None]
        has_vote = self._known[nearest]
        votes, total = (weights * self._votes[nearest]).sum(dim=1), (weights * has_vote).sum(dim=1)
        added = weights.mean(dim=1)
        shares = (votes + added * self._prior) / (total + added)
        return torch.log(shares) if self._task == "single-label" else torch.logit(shares)

    def _unit(self, features: torch.Tensor) -> torch.Tensor:
        standardised = self.standardised(features)
        return functional.normalize(standardised, dim=1, eps=MIN_LENGTH)


def fit_neighbours(
    features: NDArray[np.float32],
    targets: Floats,
    tuning: NDArray[np.float32],
    *,
    task: Task,
    tune: Callable[[Floats], TuneScore],
    on_check: Callable[[ProbeCheck], None] = lambda _check: None,
) -> FittedHead:
    """Choose the number of neighbours on the tuning split; the larger of equals.

    Args:
        features: Of the training cases. [N, D]
        targets: 0 to 1, NaN where masked. [N, T]
        tuning: Features of the tuning cases. [M, D]
        task: What the targets are to each other.
        tune: Scores logits of the tuning cases.
        on_check: Called with the check of each number.
    """
    head = NeighbourHead(features.shape[1], targets.shape[1], task)
    head.set_scale(features)
    head.set_bank(features, targets)
    counts = [count for count in NEIGHBOUR_COUNTS if count <= len(features)]
    near, nearest = _tuning_neighbours(head, tuning, counts[-1])
    best: tuple[tuple[float, float], int, int] | None = None
    checks: list[ProbeCheck] = []
    for step, count in enumerate(reversed(counts), start=1):
        with torch.inference_mode():
            logits = head.logits_of(near[:, :count], nearest[:, :count]).double().numpy()
        score = tune(logits)
        checks.append(
            ProbeCheck(
                step,
                penalty=None,
                train_loss=float("nan"),
                tune_loss=score.loss,
                tune_auroc=score.auroc,
                neighbours=count,
            )
        )
        on_check(checks[-1])
        if best is None or score.rank > best[0]:
            best = score.rank, count, step
    assert best is not None  # noqa: S101 — one neighbour is always tried
    head.neighbours.fill_(best[1])
    return FittedHead(head, best[2], checks)


@torch.inference_mode()
def _tuning_neighbours(
    head: NeighbourHead, tuning: NDArray[np.float32], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    starts = range(0, max(1, len(tuning)), head.rows_at_once)
    batches = (torch.as_tensor(tuning[start : start + head.rows_at_once]) for start in starts)
    parts = [head.nearest(batch, count) for batch in batches]
    return torch.cat([near for near, _ in parts]), torch.cat([nearest for _, nearest in parts])
