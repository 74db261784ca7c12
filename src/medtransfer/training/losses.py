"""Losses of a micro-batch, such that those of a step's micro-batches add up to the step's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from medtransfer.data.config import Task
from medtransfer.data.loader import Batch
from medtransfer.training.config import LossConfig


@dataclass(frozen=True)
class ClassWeights:
    """Loss weights of the two classes of each target.

    Attributes:
        positive: Weight of a target that is there; of a class, in a single-label task. [T]
        negative: Weight of a target that is not there. [T]
    """

    positive: tuple[float, ...]
    negative: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class TargetCounts:
    """Sums over the training cases.

    Attributes:
        positive: How often each target holds, a soft one in part. [T]
        known: How often it is known. [T]
    """

    positive: NDArray[np.float64]
    known: NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """Loss of a training step.

    A case's loss is ``y L₊ + (1 - y) L₋`` for each target y of 0 to 1, with
    ``L₊ = -w₊ (1 - p)^γ₊ log p`` and ``L₋ = -w₋ q^γ₋ log(1 - q)``, ``q = max(p - m, 0)``. Without
    weights, exponents and margin this is binary cross-entropy; equal exponents give the focal loss
    (Lin et al. 2017), others with a margin the asymmetric loss (Ridnik et al. 2021). In
    a single-label task it is ``-Σ y_c w_c (1 - p_c)^γ₊ log p_c`` over the classes.

    Attributes:
        task: Softmax over classes in a single-label task, else a sigmoid for each target.
        smoothing: Share of a target that is spread evenly over its values.
        gamma: γ₊.
        gamma_negative: γ₋.
        margin: m.
        weights: w₊ and w₋; None for 1.
    """

    task: Task
    smoothing: float = 0.0
    gamma: float = 0.0
    gamma_negative: float = 0.0
    margin: float = 0.0
    weights: ClassWeights | None = None


def make_loss(
    config: LossConfig,
    task: Task,
    names: Sequence[str],
    targets: NDArray[np.float64] | TargetCounts,
) -> Loss:
    """The loss that a study names, with weights from its training cases.

    Args:
        config: As in the study file.
        task: What the targets are to each other.
        names: The targets' names. T
        targets: Of the training cases, NaN where masked [N, T]; or the sums over them.
    """
    counts = targets if isinstance(targets, TargetCounts) else count_targets(targets, task)
    weights = class_weights(config, task, names, counts)
    match config.kind:
        case "cross-entropy":
            return Loss(task, config.smoothing, weights=weights)
        case "focal":
            gamma = config.exponent
            return Loss(task, config.smoothing, gamma, gamma, weights=weights)
        case "asymmetric":
            return Loss(
                task=task,
                smoothing=config.smoothing,
                gamma=config.exponent,
                gamma_negative=config.gamma_negative,
                margin=config.margin,
                weights=weights,
            )


def count_targets(targets: NDArray[np.float64], task: Task) -> TargetCounts:
    """Number of cases for which each target holds and is known.

    In a single-label task only whole cases count.

    Args:
        targets: NaN where masked. [N, T]
        task: What the targets are to each other.
    """
    if task == "single-label":
        targets = targets[~np.isnan(targets).any(axis=1)]
    return TargetCounts(
        np.nansum(targets, axis=0), (~np.isnan(targets)).sum(axis=0).astype(np.float64)
    )


def class_weights(
    config: LossConfig, task: Task, names: Sequence[str], counts: TargetCounts
) -> ClassWeights | None:
    """Weights by name, or such that the sides of a target count the same over the training cases.

    Balanced weights are those of scikit-learn: cases over (sides × cases of the side), a soft
    target counting for both sides. A side without any case has weight 1.

    Args:
        config: As in the study file.
        task: What the targets are to each other.
        names: The targets' names. T
        counts: Sums over the training cases.
    """
    if config.weights == "none":
        return None
    ones = tuple(1.0 for _ in names)
    if config.weights != "balanced":
        return ClassWeights(tuple(config.weights.get(name, 1.0) for name in names), ones)
    positive, labelled = counts.positive, counts.known
    if task == "single-label":
        return ClassWeights(_balanced(positive, labelled, len(names)), ones)
    return ClassWeights(
        _balanced(positive, labelled, 2), _balanced(labelled - positive, labelled, 2)
    )


def partial_loss(logits: torch.Tensor, batch: Batch, loss: Loss, entries: int) -> torch.Tensor:
    """A micro-batch's share of its step's loss.

    Binary and multi-label: over the unmasked targets. Single-label: over cases whose class is
    known, with (possibly mixed) class targets.

    Args:
        logits: [B, T]
        batch: The micro-batch.
        loss: Which loss.
        entries: What the step's sum is divided by: its unmasked entries (binary, multi-label) or
            its cases with a known class (single-label). Weights do not change it.

    Returns:
        A scalar; summed over the micro-batches of a step it is the step's mean loss.
    """
    if batch.weights is None:
        return masked_loss(logits, batch.targets, batch.known, loss, entries)
    of_cases = case_losses(logits, batch.targets, batch.known, loss)
    return (of_cases * batch.weights.to(of_cases.dtype)).sum() / entries


def case_losses(
    logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor, loss: Loss
) -> torch.Tensor:
    """Loss of each case, summed over its known targets; arguments as for `masked_loss`. [B]"""
    if loss.task == "single-label":
        each = _of_classes(logits, _smoothed(targets, loss.smoothing, logits.shape[1]), loss)
        return each * known.all(dim=1)
    each = _of_targets(logits, _smoothed(targets, loss.smoothing, 2), loss)
    return (each * known).sum(dim=1)


def masked_loss(
    logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor, loss: Loss, entries: int
) -> torch.Tensor:
    """Sum of the losses of known targets over a number of entries, as in `partial_loss`.

    Args:
        logits: [B, T]
        targets: 0 where they are not known. [B, T]
        known: 1 where a target is known. [B, T]
        loss: Which loss.
        entries: What the sum is divided by.
    """
    if loss.task == "single-label":
        each = _of_classes(logits, _smoothed(targets, loss.smoothing, logits.shape[1]), loss)
        return (each * known.all(dim=1)).sum() / entries
    each = _of_targets(logits, _smoothed(targets, loss.smoothing, 2), loss)
    return (each * known).sum() / entries


def loss_entries(known: int, targets: int, task: Task) -> int:
    """Divisor of a step's summed loss; at least 1.

    Args:
        known: Unmasked entries of the step.
        targets: Number of targets T.
        task: For single-label tasks every case with a known class has T unmasked entries.
    """
    return max(1, known // targets if task == "single-label" else known)


def _of_classes(logits: torch.Tensor, targets: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Of each case. [B]"""
    logs = functional.log_softmax(logits, dim=1)
    terms = targets * logs
    if loss.gamma:
        terms = terms * _power(-torch.expm1(logs), loss.gamma)
    if loss.weights is not None:
        terms = terms * _tensor(loss.weights.positive, logits)
    return -terms.sum(dim=1)


def _of_targets(logits: torch.Tensor, targets: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Of each target of each case. [B, T]"""
    if not (loss.gamma or loss.gamma_negative or loss.margin or loss.weights):
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    positive = -functional.logsigmoid(logits)
    if loss.gamma:
        positive = positive * _power(torch.sigmoid(-logits), loss.gamma)
    probability = torch.sigmoid(logits)
    if loss.margin:
        probability = (probability - loss.margin).clamp(min=0)
        negative = -torch.log1p(-probability)
    else:
        negative = -functional.logsigmoid(-logits)
    if loss.gamma_negative:
        negative = negative * _power(probability, loss.gamma_negative)
    if loss.weights is not None:
        positive = positive * _tensor(loss.weights.positive, logits)
        negative = negative * _tensor(loss.weights.negative, logits)
    return targets * positive + (1 - targets) * negative


def _power(probability: torch.Tensor, exponent: float) -> torch.Tensor:
    """A power whose slope at 0 is a number."""
    return probability.clamp(min=torch.finfo(probability.dtype).tiny) ** exponent


def _smoothed(targets: torch.Tensor, share: float, values: int) -> torch.Tensor:
    """Targets of 0 to 1, a share of each spread evenly over its values."""
    return targets * (1 - share) + share / values if share else targets


def _balanced(
    counts: NDArray[np.float64], cases: NDArray[np.float64], sides: int
) -> tuple[float, ...]:
    """Cases over (sides × cases of a side); 1 for a side without any."""
    present = counts > 0
    return tuple(np.where(present, cases / (sides * np.where(present, counts, 1.0)), 1.0).tolist())


def _tensor(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)
