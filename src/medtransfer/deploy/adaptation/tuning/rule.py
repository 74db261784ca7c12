"""Rule by which a bundle's network is tuned at a hospital: settings from its training cases."""

from typing import Literal

from medtransfer.sizes.image_size import ImageSize, height_width, image_size
from medtransfer.training.bit_hyperrule import LARGE_SIDES, SMALL_SIDES
from medtransfer.training.config import TrainingConfig

HELD_SHARE = 0.3
"""Share of the patients that select the checkpoint, and that thresholds and calibrators are fitted
on; the others are trained on."""
BATCH_SIZE = 32
LEARNING_RATE = 0.001
"""Peak of the schedule for batches of `BATCH_SIZE`."""
EPOCHS = 20
MIN_STEPS, MAX_STEPS = 60, 500
CHECKS = 10

Device = Literal["auto", "cpu", "cuda", "mps"]


def tuning_rule(cases: int, device: Device = "auto", *, ood: bool = True) -> TrainingConfig:
    """Training settings for some cases of a hospital.

    Batches of 32 cases, 20 passes over them but at least 60 and at most 500 steps, SGD with the
    warm-up and the drops of BiT-HyperRule from a peak of 0.001, and the best of 10 checks. Batch
    normalisation keeps the statistics of the bundle. Rate and normalisation were chosen on one pair
    of hospitals alone, see benchmarks/RESULTS.md.

    Args:
        cases: To train on.
        device: To train on.
        ood: True to score how foreign each case is.
    """
    steps = round(EPOCHS * cases / BATCH_SIZE)
    return TrainingConfig(
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        steps=min(max(steps, MIN_STEPS), MAX_STEPS),
        checks=CHECKS,
        device=device,
        ood=ood,
    )


def training_size(crop: ImageSize) -> ImageSize:
    """Size that training images are resized to before the random crop, as BiT-HyperRule has it.

    Sides are 160 to a crop of 128 and for smaller crops, and 512 to 480 for larger ones.

    Args:
        crop: Size of the network's input, in pixels.
    """
    height, width = height_width(crop)
    resize, cropped = SMALL_SIDES if max(height, width) <= SMALL_SIDES[1] else LARGE_SIDES
    return image_size(round(height * resize / cropped), round(width * resize / cropped))
