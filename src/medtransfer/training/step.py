"""The gradients of one step: its micro-batches added up, smaller ones where memory runs out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from medtransfer.data.loader import Batch, MixUp, TrainingBatches
from medtransfer.errors import StudyError
from medtransfer.models.chance import seeded
from medtransfer.models.classifier import Classifier
from medtransfer.models.memory import give_back, is_out_of_memory
from medtransfer.training.checkpoint import TrainingState

PartialLoss = Callable[[torch.Tensor, Batch], torch.Tensor]
"""From logits and their micro-batch to its share of the step's mean loss."""


@dataclass(frozen=True)
class StepDraws:
    """What is drawn for a step as a whole.

    Attributes:
        seed: The run's seed.
        mix: How the cases of the step are mixed, if they are.
    """

    seed: int
    mix: MixUp | None


def step_gradients(
    classifier: Classifier,
    batches: TrainingBatches,
    state: TrainingState,
    draws: StepDraws,
    loss: PartialLoss,
) -> float:
    """Leave the gradients of a step in the weights.

    Where memory runs out, the step is made again from its beginning with micro-batches half as
    large, and the size that fits is kept in the state. Which cases are in the step, and how they
    are changed, stays as it is.

    Args:
        classifier: In training mode.
        batches: The training cases.
        state: Says which step; its images and micro-batch are brought up to date.
        draws: MixUp and seed.
        loss: Of a micro-batch; those of a step add up to the step's.

    Returns:
        The step's mean loss.

    Raises:
        StudyError: The memory does not hold a single case.
    """
    before = [buffer.clone() for buffer in classifier.buffers()]
    while True:
        most = state.micro_batch or batches.micro_batch
        try:
            total, images = _attempt(classifier, batches, state.step, most, draws, loss)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if most == 1:
                raise StudyError(_too_large(batches)) from error
        else:
            state.images += images
            return total
        # outside the handler: the error holds the frames whose tensors are to go
        classifier.zero_grad(set_to_none=True)
        _put_back(classifier, before)
        give_back()
        state.micro_batch = most // 2


def _attempt(
    classifier: Classifier,
    batches: TrainingBatches,
    step: int,
    most: int,
    draws: StepDraws,
    loss: PartialLoss,
) -> tuple[float, int]:
    """The summed loss of a step and its images; the gradients are in the weights."""
    classifier.zero_grad(set_to_none=True)
    device = next(classifier.parameters()).device
    total, images = 0.0, 0
    for index, batch in enumerate(batches.micro_batches(step, device, draws.mix, most=most)):
        with seeded(draws.seed, "step", step, index):
            logits = classifier(batch.images, batch.case_of_image, len(batch))
            part = loss(logits, batch)
            cast("Any", part).backward()
        total += part.item()
        images += len(batch.images)
    return total, images


def _put_back(classifier: Classifier, before: list[torch.Tensor]) -> None:
    """Undo what the attempt did to running statistics."""
    with torch.no_grad():
        for buffer, value in zip(classifier.buffers(), before, strict=True):
            buffer.copy_(value)


def _too_large(batches: TrainingBatches) -> str:
    size = batches.images.spec.crop
    return (
        f"The memory does not hold one case of a training step (micro_batch 1, images of {size} × "
        f"{size} pixels). Choose a smaller rung or data.image.crop, or a device with more memory."
    )
