"""Input of a network: sizes from the study or the rule, the rest from the rung."""

from dataclasses import dataclass

from medtransfer.data.images.pictures import Interpolation


@dataclass(frozen=True)
class InputSpec:
    """Conversion of pixels to a network's input. It belongs to the rung, not to the data.

    Attributes:
        resize: Side of the square a training image is resized to, before the random crop.
        crop: Side of the network's input; a test image is resized straight to it.
        mean: Per channel, on the scale 0 to 1.
        std: Per channel, on the scale 0 to 1.
        interpolation: Used in both resizes.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation
