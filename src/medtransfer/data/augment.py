"""Random changes of training images: for each a drawn parameter and a function without chance.

What is drawn for an image depends on (seed, epoch, image_id, operation) alone. Functions take one
image of float32 pixels, 0 to 1, [C, H, W] with C 1 or 3, and give one of the same kind.
"""

# torchvision publishes no stubs
# pyright: reportMissingTypeStubs=false

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.config import AugmentConfig, Flip
from medtransfer.seeds import uniforms
from medtransfer.sizes.image_size import ImageSize, height_width

SMALLEST_ERASED = 0.02
"""Least share of an image that is erased where something is."""
ASPECTS = (3 / 4, 4 / 3)
"""Width over height of a random part of an image."""


def _ops() -> Any:
    """Functions of torchvision, imported with the first change of an image: predictions have none.

    With them comes torch's compiler, which takes two seconds.
    """
    from torchvision.transforms.v2 import functional

    return functional


def _bilinear() -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode.BILINEAR


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images.

    Attributes:
        seed: The run's seed.
        flip: Which flips are allowed.
        changes: How strong the other changes may be.
    """

    seed: int
    flip: Flip = "none"
    changes: AugmentConfig = field(default_factory=AugmentConfig)


Draw = Callable[[str], NDArray[np.float64]]


@dataclass(frozen=True)
class Changes:
    """Operations on each image.

    Attributes:
        angle: Degrees, counter-clockwise. [N]
        scale: Factor of size. [N]
        shift: Right and down, as a share of the side. [N, 2]
        equalised: Whether its histogram is made flat. [N]
        brightness: Factor. [N]
        contrast: Factor of the distance from the mean. [N]
        gamma: Exponent. [N]
        blur: Standard deviation in pixels. [N]
        noise: Standard deviation on the scale 0 to 1. [N]
        noise_seed: What the noise is drawn from. [N]
        erased: Top, left, height and width as shares; no height: nothing is erased. [N, 4]
    """

    angle: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    equalised: NDArray[np.bool_]
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    gamma: NDArray[np.float64]
    blur: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_seed: NDArray[np.int64]
    erased: NDArray[np.float64]


def draw_changes(
    seed: int, epochs: NDArray[np.int64], keys: NDArray[np.uint64], asked: AugmentConfig
) -> Changes:
    """Draw what is done to images.

    Args:
        seed: The run's seed.
        epochs: How often each image was seen before. [N]
        keys: From `seeds.text_keys` of the image ids. [N]
        asked: How strong each change may be.
    """

    def draw(purpose: str) -> NDArray[np.float64]:
        return uniforms(seed, f"augment {purpose}", epochs, keys)

    def around(purpose: str) -> NDArray[np.float64]:
        return 2 * draw(purpose) - 1

    return Changes(
        angle=asked.rotate * around("rotate"),
        scale=(1 + asked.scale) ** around("scale"),
        shift=asked.translate * np.stack([around("shift right"), around("shift down")], axis=1),
        equalised=draw("equalise") < asked.equalise,
        brightness=1 + asked.brightness * around("brightness"),
        contrast=1 + asked.contrast * around("contrast"),
        gamma=(1 + asked.gamma) ** around("gamma"),
        blur=asked.blur * draw("blur"),
        noise=asked.noise * draw("noise"),
        noise_seed=(draw("noise pixels") * 2.0**53).astype(np.int64),
        erased=_draw_erased(draw, asked.erase),
    )


def draw_parts(
    seed: int, epochs: NDArray[np.int64], keys: NDArray[np.uint64], least: float
) -> NDArray[np.float64]:
    """Draw a part of each image: top, left, height and width as shares of the side. [N, 4]

    Args:
        seed: The run's seed.
        epochs: How often each image was seen before. [N]
        keys: From `seeds.text_keys` of the image ids. [N]
        least: Smallest share of the area.
    """

    def draw(purpose: str) -> NDArray[np.float64]:
        return uniforms(seed, f"augment part {purpose}", epochs, keys)

    return _rectangles(draw, least + (1 - least) * draw("area"), ASPECTS)


def cut_part(image: torch.Tensor, part: Sequence[float], size: ImageSize) -> torch.Tensor:
    """A part of an image, resized with anti-aliasing.

    Args:
        image: [C, H, W]
        part: Top, left, height and width as shares of the sides.
        size: Of the result.
    """
    top, left, height, width = _in_pixels(part, image)
    cut = _ops().crop(image, top, left, max(height, 1), max(width, 1))
    return _ops().resize(cut, [*height_width(size)], _bilinear(), antialias=True)


def change_images(images: torch.Tensor, changes: Changes) -> torch.Tensor:
    """Change each image as drawn.

    Args:
        images: Pixels of 0 to 1, [N, C, H, W].
        changes: From `draw_changes`. N of them.

    Returns:
        The same shape, 0 to 1.
    """
    return torch.stack([_changed(image, changes, i) for i, image in enumerate(images)])


def warp(image: torch.Tensor, angle: float, scale: float, shift: Sequence[float]) -> torch.Tensor:
    """Turn, resize and move about the middle; what comes in from outside is black.

    Args:
        image: [C, H, W]
        angle: Degrees, counter-clockwise.
        scale: Factor of size.
        shift: Right and down, as a share of the side.
    """
    move = [shift[0] * image.shape[2], shift[1] * image.shape[1]]
    return _ops().affine(image, -angle, move, scale, [0.0, 0.0], interpolation=_bilinear())


def equalise(image: torch.Tensor) -> torch.Tensor:
    """Make the histogram of each channel flat, at 256 levels."""
    return _ops().equalize((image * 255).round().to(torch.uint8)).to(torch.float32) / 255


def brighten(image: torch.Tensor, factor: float) -> torch.Tensor:
    """Multiply; over 1 is cut off."""
    return _ops().adjust_brightness(image, factor)


def change_contrast(image: torch.Tensor, factor: float) -> torch.Tensor:
    """Multiply the distance from the mean of the grey values."""
    return _ops().adjust_contrast(image, factor)


def change_gamma(image: torch.Tensor, gamma: float) -> torch.Tensor:
    """Raise to a power: over 1 is darker."""
    return _ops().adjust_gamma(image, gamma)


def blur(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """Blur by a Gaussian that is cut off at three standard deviations; edges are mirrored.

    Args:
        image: [C, H, W]
        deviation: In pixels.
    """
    reach = min(math.ceil(3 * deviation), min(image.shape[1:]) - 1)
    # a twentieth of a pixel reaches no neighbour, and its square may be no number
    return (
        image
        if reach < 1 or deviation < 0.05
        else _ops().gaussian_blur(image, [2 * reach + 1] * 2, [deviation] * 2)
    )


def add_noise(image: torch.Tensor, deviation: float, seed: int) -> torch.Tensor:
    """Add Gaussian noise of its own to each value, the same on every device; 0 to 1 is kept."""
    chance = torch.Generator().manual_seed(seed)
    noise = torch.randn(image.shape, generator=chance).to(image.device)
    return (image + deviation * noise).clamp(0, 1)


def erase(image: torch.Tensor, part: Sequence[float]) -> torch.Tensor:
    """Make a part black: top, left, height and width as shares of the sides."""
    top, left, height, width = _in_pixels(part, image)
    return _ops().erase(image, top, left, height, width, v=torch.zeros(1, device=image.device))


def _changed(image: torch.Tensor, by: Changes, i: int) -> torch.Tensor:
    """One image after all of its changes; what is drawn as nothing leaves every bit."""
    shift: list[float] = by.shift[i].tolist()
    if by.angle[i] or by.scale[i] != 1 or any(shift):
        image = warp(image, float(by.angle[i]), float(by.scale[i]), shift)
    if by.equalised[i]:
        image = equalise(image)
    if by.brightness[i] != 1:
        image = brighten(image, float(by.brightness[i]))
    if by.contrast[i] != 1:
        image = change_contrast(image, float(by.contrast[i]))
    if by.gamma[i] != 1:
        image = change_gamma(image, float(by.gamma[i]))
    if by.blur[i]:
        image = blur(image, float(by.blur[i]))
    if by.noise[i]:
        image = add_noise(image, float(by.noise[i]), int(by.noise_seed[i]))
    if by.erased[i, 2]:
        image = erase(image, by.erased[i].tolist())
    return image.clamp(0, 1)


def _draw_erased(draw: Draw, most: float) -> NDArray[np.float64]:
    """A rectangle for one image in two, of a share of the area up to `most`. [N, 4]"""
    least = min(SMALLEST_ERASED, most)
    area = least + (most - least) * draw("erase area")
    parts = _rectangles(lambda purpose: draw(f"erase {purpose}"), area, (0.3, 1 / 0.3))
    return np.where((draw("erase at all") < 0.5)[:, None] & (area > 0)[:, None], parts, 0.0)


def _rectangles(
    draw: Draw, area: NDArray[np.float64], aspects: tuple[float, float]
) -> NDArray[np.float64]:
    """Rectangles of given areas inside the unit square. [N, 4]"""
    low, high = np.log(aspects)
    aspect = np.exp(low + (high - low) * draw("aspect"))
    width = np.minimum(np.sqrt(area * aspect), 1.0)
    height = np.minimum(area / np.maximum(width, 1e-12), 1.0)
    return np.stack([(1 - height) * draw("top"), (1 - width) * draw("left"), height, width], axis=1)


def _in_pixels(part: Sequence[float], image: torch.Tensor) -> tuple[int, int, int, int]:
    """Top, left, height and width of a part, rounded to pixels and inside the image."""
    rows, columns = image.shape[1:]
    top, bottom = round(part[0] * rows), round((part[0] + part[2]) * rows)
    left, right = round(part[1] * columns), round((part[1] + part[3]) * columns)
    top, left = min(top, rows - 1), min(left, columns - 1)
    return top, left, max(bottom - top, 0), max(right - left, 0)


def resize_images(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images as squares of another side, bilinear with antialiasing. [N, C, side, side]"""
    return _ops().resize(images, [side, side], _bilinear(), antialias=True)
