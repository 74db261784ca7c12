"""Supervised pre-training as BiT does it: recipe and schedule. No torch.

Kolesnikov et al. 2020 (arXiv 1912.11370), section 3 and appendix: SGD with momentum 0.9, learning
rate 0.03 for every 256 images of a batch of 4,096, weight decay 0.0001, a warm-up of 5,000 steps,
90 epochs with drops to a tenth after 30, 60 and 80.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from medtransfer.settings import identity
from medtransfer.training.bit_hyperrule import Schedule
from medtransfer.training.config import TrainingConfig

RATE_PER_256 = 0.03
WARMUP_STEPS = 5_000
MOST_WARMUP = 0.2
DROPS = (30 / 90, 60 / 90, 80 / 90)
Side = Annotated[int, Field(ge=8, le=4096)]


class UpstreamTraining(TrainingConfig):
    """BiT's upstream recipe by default; every departure is a named field."""

    batch_size: int = identity(4096, ge=1, le=65_536)
    """Images per step."""
    learning_rate: float = identity(RATE_PER_256 * 4096 / 256, gt=0, lt=100)
    """Peak of the schedule. Left out: 0.03 for every 256 images of a batch."""
    epochs: float = identity(90.0, gt=0, le=100_000)
    """How often each image is seen; `steps` goes before it."""
    warmup_steps: int | None = identity(None, ge=1)
    """Steps of the warm-up. Left out: 5,000, and not more than a fifth of all."""
    weight_decay: float = identity(0.0001, ge=0, lt=1)
    """L2 penalty on every weight."""
    mixup: float | None = identity(0.0, ge=0, le=10)
    """Alpha of MixUp, 0 for none."""
    selection: Literal["best", "last"] = identity("last")
    """Which weights are kept: those that are best on the images held out, or the last."""
    sides: tuple[Side, ...] = identity(())
    """Progressive resolution: sides of the input over stretches of equal length, e.g. 128, 160,
    224. Left out: `data.crop` throughout."""

    @model_validator(mode="before")
    @classmethod
    def _scaled_rate(cls, values: Any) -> Any:
        """The learning rate that goes with the batch, where none is given."""
        if isinstance(values, dict) and "batch_size" in values and "learning_rate" not in values:
            batch = values["batch_size"]  # type: ignore[index]
            if isinstance(batch, int):
                return {**values, "learning_rate": RATE_PER_256 * batch / 256}  # type: ignore[dict-item]
        return values  # type: ignore[return-value]

    def length(self, num_images: int) -> int:
        """Steps of training on so many images."""
        return self.steps or max(1, math.ceil(self.epochs * num_images / self.batch_size))

    def side_at(self, step: int, num_images: int, crop: int) -> int:
        """Side of the input at a step, counted from 0."""
        if not self.sides:
            return crop
        stretch = step * len(self.sides) // self.length(num_images)
        return self.sides[min(stretch, len(self.sides) - 1)]


def upstream_schedule(training: UpstreamTraining, num_images: int) -> Schedule:
    """Learning rate of every step of training on so many images."""
    steps = training.length(num_images)
    warmup = training.warmup_steps or min(WARMUP_STEPS, max(1, round(MOST_WARMUP * steps)))
    drops = (max(warmup, round(share * steps)) for share in DROPS)
    supports = (min(warmup, steps), *(min(drop, steps) for drop in drops), steps)
    return Schedule(supports, training.learning_rate, training.schedule)
