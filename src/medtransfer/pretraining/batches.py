"""Batches to pre-train on: the training steps of a study, with progressive resolution."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from medtransfer.data.augment import Augmentation, resize_images
from medtransfer.data.loader import Batch, CaseImages, TrainingBatches


class UpstreamBatches(TrainingBatches):
    """Training steps whose images may be smaller at first (Tan and Le 2021)."""

    def __init__(
        self,
        images: CaseImages,
        batch_size: int,
        *,
        micro_batch: int,
        augmentation: Augmentation,
        side_at: Callable[[int], int],
    ) -> None:
        """Say what is trained on.

        Args:
            images: All that train.
            batch_size: Images per step.
            micro_batch: Most images held at once.
            augmentation: What chance does to them.
            side_at: Side of the input at a step, counted from 0.
        """
        super().__init__(images, batch_size, micro_batch=micro_batch, augmentation=augmentation)
        self._side_at = side_at

    def micro_batches(self, step: int, *where: Any, **how: Any) -> Iterator[Batch]:
        """As of `TrainingBatches`, at the side of the step."""
        side = self._side_at(step)
        for batch in super().micro_batches(step, *where, **how):
            images: torch.Tensor = batch.images
            yield (
                batch
                if images.shape[-1] == side
                else replace(batch, images=resize_images(images, side))
            )
