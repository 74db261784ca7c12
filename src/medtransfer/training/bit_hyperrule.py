"""BiT-HyperRule: resolution, schedule and MixUp from the size of the data. No torch.

Kolesnikov et al. 2020 (arXiv 1912.11370), as in google-research/big_transfer,
``bit_hyperrule.py``.
"""

import math
from dataclasses import dataclass
from typing import Literal

Shape = Literal["staircase", "cosine"]
SMALL_AREA = 96 * 96
SMALL_SIDES = (160, 128)
LARGE_SIDES = (512, 480)
SMALL_TASK = 20_000
MEDIUM_TASK = 500_000
SUPPORTS = {
    "small": (100, 200, 300, 400, 500),
    "medium": (500, 3_000, 6_000, 9_000, 10_000),
    "large": (500, 6_000, 12_000, 18_000, 20_000),
}
MIXUP_ALPHA = 0.1


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then a staircase of tenths or half a cosine (Loshchilov and Hutter 2017).

    Attributes:
        supports: End of the warm-up, the steps after which the rate drops, and the length.
        learning_rate: The peak.
        shape: A cosine takes no notice of the drops.
    """

    supports: tuple[int, ...]
    learning_rate: float
    shape: Shape = "staircase"

    @property
    def steps(self) -> int:
        """Length of training."""
        return self.supports[-1]

    def at(self, step: int) -> float:
        """Learning rate of a step, counted from 0.

        As published: the first step of the warm-up has rate 0, and a drop takes effect one step
        after its support.
        """
        warmup = self.supports[0]
        if step < warmup:
            return self.learning_rate * step / warmup
        if self.shape == "cosine":
            gone = (step - warmup) / max(1, self.steps - warmup)
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * gone))
        return self.learning_rate * 0.1 ** sum(step > drop for drop in self.supports[1:-1])


def task_size(num_cases: int) -> str:
    """``small``, ``medium`` or ``large``, by the number of training cases."""
    if num_cases < SMALL_TASK:
        return "small"
    return "medium" if num_cases < MEDIUM_TASK else "large"


def make_schedule(
    num_cases: int, learning_rate: float, steps: int | None = None, shape: Shape = "staircase"
) -> Schedule:
    """The rule's schedule for a training set.

    Args:
        num_cases: Training cases.
        learning_rate: The peak.
        steps: Another length; warm-up and drops keep their shares of it.
        shape: After the warm-up.
    """
    supports = SUPPORTS[task_size(num_cases)]
    if steps is not None:
        supports = (*(max(1, round(s * steps / supports[-1])) for s in supports[:-1]), steps)
    return Schedule(supports, learning_rate, shape)


def mixup_alpha(num_cases: int) -> float:
    """The rule's MixUp: none for small tasks, 0.1 otherwise."""
    return 0.0 if task_size(num_cases) == "small" else MIXUP_ALPHA


def resolution(area: float) -> tuple[int, int]:
    """The rule's (resize, crop) for images of an area in pixels."""
    return SMALL_SIDES if area < SMALL_AREA else LARGE_SIDES


def check_steps(steps: int, checks: int) -> list[int]:
    """Numbers of finished steps after which the tuning split is looked at, the last included."""
    return sorted({round(steps * k / checks) for k in range(1, checks + 1)} - {0})
