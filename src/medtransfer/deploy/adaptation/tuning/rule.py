"""Rule by which a bundle's network is tuned at a hospital: settings from its training cases."""

from typing import Literal

from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.sizes.image_size import ImageSize, height_width, image_size
from medtransfer.training.bit_hyperrule import LARGE_SIDES, SMALL_SIDES
from medtransfer.training.config import TrainingConfig, TuningConfig

BATCH_SIZE = 32
EPOCHS = 20
MIN_STEPS, MAX_STEPS = 60, 500
CHECKS = 10

Device = Literal["auto", "cpu", "cuda", "mps"]


def tuning_rule(
    cases: int, settings: SequentialConfig, device: Device = "auto", *, ood: bool = True
) -> TrainingConfig:
    """Training settings for some cases of a hospital.

    Batches of 32 cases, by default 20 passes over them but at least 60 and at most 500 steps, SGD
    with the warm-up and the drops of BiT-HyperRule, and the best of 10 checks. The default rate and
    batch normalisation were chosen on one pair of hospitals alone, see benchmarks/RESULTS.md.

    Args:
        cases: To train on.
        settings: Rate, steps, and stages that stay as they are.
        device: To train on.
        ood: True to score how foreign each case is.
    """
    by_rule = min(max(round(EPOCHS * cases / BATCH_SIZE), MIN_STEPS), MAX_STEPS)
    steps = settings.steps or by_rule
    tuning = TuningConfig()
    if settings.frozen_stages:
        tuning = TuningConfig(mode="partial", frozen_stages=settings.frozen_stages)
    return TrainingConfig(
        batch_size=BATCH_SIZE,
        learning_rate=settings.learning_rate,
        steps=steps,
        checks=min(CHECKS, steps),
        tuning=tuning,
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
