"""Losses of a micro-batch, such that those of a step's micro-batches add up to the step's."""

import torch
from torch.nn import functional

from medtransfer.data.config import Task
from medtransfer.data.loader import Batch


def partial_loss(logits: torch.Tensor, batch: Batch, task: Task, entries: int) -> torch.Tensor:
    """A micro-batch's share of its step's loss.

    Binary and multi-label: binary cross-entropy over the unmasked targets. Single-label: softmax
    cross-entropy with (possibly mixed) class targets, over cases whose class is known.

    Args:
        logits: [B, T]
        batch: The micro-batch.
        task: Which loss.
        entries: What the step's sum is divided by: its unmasked entries (binary, multi-label) or
            its cases with a known class (single-label).

    Returns:
        A scalar; summed over the micro-batches of a step it is the step's mean loss.
    """
    if task == "single-label":
        each = -(batch.targets * functional.log_softmax(logits, dim=1)).sum(dim=1)
        return (each * batch.known.all(dim=1)).sum() / entries
    each = functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    return (each * batch.known).sum() / entries


def loss_entries(known: int, targets: int, task: Task) -> int:
    """What a step's summed loss is divided by; at least 1.

    Args:
        known: Unmasked entries of the step.
        targets: Number of targets T.
        task: For single-label tasks every case with a known class has T unmasked entries.
    """
    return max(1, known // targets if task == "single-label" else known)
