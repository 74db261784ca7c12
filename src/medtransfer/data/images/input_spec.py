"""Input of a network: sizes from the study or the rule, the rest from the rung."""

from dataclasses import dataclass

from medtransfer.data.images.pictures import Interpolation
from medtransfer.sizes.image_size import ImageSize


@dataclass(frozen=True)
class InputSpec:
    """Conversion of pixels to a network's input. It belongs to the rung, not to the data.

    Attributes:
        resize: Size that a training image is resized to, before the random crop.
        crop: Size of the network's input; a test image is resized straight to it.
        mean: Per channel, on the scale 0 to 1.
        std: Per channel, on the scale 0 to 1.
        interpolation: Used in both resizes.
    """

    resize: ImageSize
    crop: ImageSize
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation
