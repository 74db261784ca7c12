"""The gradients of one step: its micro-batches added up, smaller ones where memory runs out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from medtransfer.data.loader import Batch, MixUp, TrainingBatches
from medtransfer.errors import StudyError
from medtransfer.models.classifier import Classifier
from medtransfer.models.runtime import World, is_out_of_memory, release_memory, seeded, world
from medtransfer.sizes.image_size import sides_words
from medtransfer.training.checkpoint import TrainingState
from medtransfer.training.distributed import RunningStatistics, is_sharded, sum_gradients

PartialLoss = Callable[[torch.Tensor, Batch], torch.Tensor]
"""From logits and their micro-batch to its share of the step's mean loss."""


@dataclass(frozen=True)
class StepRandomness:
    """Random draws for a step as a whole.

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
    randomness: StepRandomness,
    loss: PartialLoss,
) -> float:
    """Leave the gradients of a step in the weights.

    Where memory runs out, the step is made again from its beginning with micro-batches half as
    large, and the size that fits is kept in the state. Which cases are in the step, and how they
    are changed, stays as it is. Several processes share the micro-batches; all of them end up with
    the same gradients.

    Args:
        classifier: In training mode.
        batches: The training cases.
        state: Says which step; its images and micro-batch are brought up to date.
        randomness: MixUp and seed.
        loss: Of a micro-batch; those of a step add up to the step's.

    Returns:
        The step's mean loss.

    Raises:
        StudyError: The memory does not hold a single case.
        ProcessLost: Another process of the run is gone.
    """
    everyone = world()
    before = [buffer.clone() for buffer in classifier.buffers()]
    while True:
        micro_batch = state.micro_batch or batches.micro_batch
        attempt = _Attempt(classifier, batches, state.step, micro_batch, everyone)
        fits = attempt.run(randomness, loss)
        total, images, lacking = everyone.total([attempt.loss, attempt.images, float(not fits)])
        if not lacking:
            attempt.combine()
            state.images += round(images)
            return total
        if micro_batch == 1:
            raise StudyError(_too_large(batches))
        classifier.zero_grad(set_to_none=True)
        _restore_buffers(classifier, before)
        release_memory()
        state.micro_batch = micro_batch // 2


class _Attempt:
    """One process's part of one go at a step."""

    def __init__(
        self,
        classifier: Classifier,
        batches: TrainingBatches,
        step: int,
        micro_batch: int,
        everyone: World,
    ) -> None:
        self.loss, self.images = 0.0, 0
        self._classifier, self._batches, self._everyone = classifier, batches, everyone
        self._step, self._micro_batch = step, micro_batch
        self._count = batches.count(step, micro_batch)
        self._statistics = RunningStatistics(classifier) if everyone.size > 1 else None
        self._spread = is_sharded(classifier)

    def run(self, randomness: StepRandomness, loss: PartialLoss) -> bool:
        """Add up this process's micro-batches; False if the memory does not hold one."""
        self._classifier.zero_grad(set_to_none=True)
        device = next(self._classifier.parameters()).device
        turns = self._turns()
        micro_batches = self._batches.micro_batches(
            self._step,
            device,
            randomness.mix,
            most=self._micro_batch,
            only=[index for index, _ in turns],
        )
        try:
            for (index, counts), batch in zip(turns, micro_batches, strict=True):
                with seeded(randomness.seed, "step", self._step, index):
                    self._pass(batch, loss, counts=counts)
        except (RuntimeError, MemoryError) as error:
            # with spread weights the others wait inside their pass: they cannot be told
            if self._spread or not is_out_of_memory(error):
                raise
            return False
        return True

    def combine(self) -> None:
        """Leave every process with the gradients and running statistics of the whole step."""
        if self._statistics is not None:
            self._statistics.replay(self._everyone, self._count)
            sum_gradients(list(self._classifier.parameters()), self._everyone)

    def _turns(self) -> list[tuple[int, bool]]:
        """Micro-batches in turn, and whether they count.

        Spread weights are brought together for each pass, so that all processes must make one:
        where there is none left for this process, it makes one that counts for nothing.
        """
        turns = [(index, True) for index in range(self._count)[self._everyone.shard_slice]]
        rounds = -(-self._count // self._everyone.size)
        return turns + [(0, False)] * (rounds - len(turns)) if self._spread else turns

    def _pass(self, batch: Batch, loss: PartialLoss, *, counts: bool) -> None:
        """Add a micro-batch's gradients to the weights."""
        logits = self._classifier(batch.images, batch.case_of_image, len(batch), batch.covariates)
        part = loss(logits, batch) * float(counts)
        cast("Any", part).backward()
        if counts:
            self.loss += part.item()
            self.images += len(batch.images)
            if self._statistics is not None:
                self._statistics.record()


def _restore_buffers(classifier: Classifier, before: list[torch.Tensor]) -> None:
    """Undo what the attempt did to running statistics."""
    with torch.no_grad():
        for buffer, value in zip(classifier.buffers(), before, strict=True):
            buffer.copy_(value)


def _too_large(batches: TrainingBatches) -> str:
    size = sides_words(batches.images.spec.crop)
    return (
        f"The memory does not hold one case of a training step (micro_batch 1, images of {size} "
        f"pixels). Choose a smaller rung or data.image.crop, or a device with more memory."
    )
