"""From stored pixels to the network's input; every draw is a pure function of its key.

The draw for an image depends only on (seed, epoch, image_id): not on the batch it is in, the
number of workers, the micro-batch or the point of resumption.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.augment import (
    Augmentation,
    change_images,
    cut_part,
    draw_changes,
    draw_parts,
)
from medtransfer.data.config import Flip
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pictures import Pixels
from medtransfer.seeds import uniforms
from medtransfer.sizes.image_size import ImageSize, height_width


@dataclass(frozen=True)
class Views:
    """Crop position and flips of each image.

    Attributes:
        top: First row of the crop. [N]
        left: First column of the crop. [N]
        mirrored: Flipped left to right. [N]
        upended: Flipped top to bottom. [N]
    """

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    upended: NDArray[np.bool_]


def draw_views(
    seed: int, epochs: NDArray[np.int64], keys: NDArray[np.uint64], spec: InputSpec, flip: Flip
) -> Views:
    """Draw crops and flips.

    Args:
        seed: The run's seed.
        epochs: How often each image was seen before. [N]
        keys: From `seeds.text_keys` of the image ids. [N]
        spec: Sizes.
        flip: Which flips are allowed.
    """
    (high, wide), (height, width) = height_width(spec.resize), height_width(spec.crop)

    def draw(purpose: str) -> NDArray[np.float64]:
        return uniforms(seed, purpose, epochs, keys)

    never = np.zeros(len(keys), dtype=bool)
    return Views(
        top=(draw("crop top") * (high - height + 1)).astype(np.int64),
        left=(draw("crop left") * (wide - width + 1)).astype(np.int64),
        mirrored=draw("mirror") < 0.5 if flip in ("horizontal", "both") else never,
        upended=draw("upend") < 0.5 if flip in ("vertical", "both") else never,
    )


def training_images(
    pictures: Sequence[Pixels],
    epochs: NDArray[np.int64],
    keys: NDArray[np.uint64],
    augmentation: Augmentation,
    spec: InputSpec,
    device: torch.device,
) -> torch.Tensor:
    """Stored pictures as a network in training sees them: cropped, flipped, changed, standardised.

    Args:
        pictures: N images of one type, [H, W, C] each.
        epochs: How often each image was seen before. [N]
        keys: From `seeds.text_keys` of the image ids. [N]
        augmentation: What may be done to them.
        spec: Sizes, mean and std.
        device: Where the result is made.

    Returns:
        float32, [N, 3, H, W] of the crop.
    """
    seed, asked = augmentation.seed, augmentation.changes
    views = draw_views(seed, epochs, keys, spec, augmentation.flip)
    if not asked.changes_images:
        return normalise(cut_views(pictures, views, spec.crop).to(device), spec)
    if asked.crop_area:
        parts = draw_parts(seed, epochs, keys, asked.crop_area)
        images = _cut_parts(pictures, parts, views, spec.crop, device)
    else:
        images = unit(cut_views(pictures, views, spec.crop).to(device))
    changes = draw_changes(seed, epochs, keys, asked)
    return standardise(change_images(images, changes), spec)


def _cut_parts(
    pictures: Sequence[Pixels],
    parts: NDArray[np.float64],
    views: Views,
    crop: ImageSize,
    device: torch.device,
) -> torch.Tensor:
    """A part of each picture resized to the crop, and flipped. [N, C, H, W]"""
    cut: list[torch.Tensor] = []
    for i, picture in enumerate(pictures):
        image = cut_part(unit(whole_images(picture[None]).to(device))[0], parts[i].tolist(), crop)
        turned = [2] * bool(views.mirrored[i]) + [1] * bool(views.upended[i])
        cut.append(image.flip(turned) if turned else image)
    return torch.stack(cut)


def cut_views(pixels: Sequence[Pixels], views: Views, crop: ImageSize) -> torch.Tensor:
    """Cut each image's view.

    Args:
        pixels: N images of one type, [H, W, C] each.
        views: From `draw_views`. N of them.
        crop: Size of the view.

    Returns:
        The same pixels, [N, C, height, width], uint8 or int32.
    """
    height, width = height_width(crop)
    cut = np.empty((len(pixels), height, width, pixels[0].shape[2]), dtype=pixels[0].dtype)
    for i, (top, left) in enumerate(zip(views.top.tolist(), views.left.tolist(), strict=True)):
        view = pixels[i][top : top + height, left : left + width]
        view = view[:, ::-1] if views.mirrored[i] else view
        cut[i] = view[::-1] if views.upended[i] else view
    return whole_images(cut)


def whole_images(pixels: Pixels) -> torch.Tensor:
    """Pixels as a tensor with channels first, [N, C, H, W], uint8 or int32.

    Pixels that may be written to are taken over, not copied.
    """
    if pixels.dtype == np.uint16:
        return torch.as_tensor(pixels.astype(np.int32)).permute(0, 3, 1, 2)
    writable = pixels if pixels.flags.writeable else pixels.copy()
    return torch.as_tensor(writable).permute(0, 3, 1, 2)


def normalise(pixels: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Scale to 0..1 and standardise by the rung's mean and std; grey is repeated to three.

    Args:
        pixels: uint8 (0 to 255) or int32 (0 to 65535), [N, 1 or 3, H, W].
        spec: Mean and std.

    Returns:
        float32, [N, 3, H, W], on the device of `pixels`.
    """
    return standardise(unit(pixels), spec)


def unit(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels as float32 of 0 to 1: uint8 by 255, int32 by 65535."""
    top = 255.0 if pixels.dtype == torch.uint8 else 65535.0
    return pixels.to(torch.float32).div_(top)


def standardise(images: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Subtract the rung's mean and divide by its std; grey is repeated to three. [N, 3, H, W]"""
    mean = torch.tensor(spec.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(1, 3, 1, 1)
    return images.sub(mean).div_(std)  # in place: no array outside the network is larger
