"""From stored pixels to the network's input; every draw is a pure function of its key.

The draw for an image depends only on (seed, epoch, image_id): not on the batch it is in, the
number of workers, the micro-batch or the point of resumption.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medtransfer.data.config import Flip
from medtransfer.data.images import Pixels
from medtransfer.data.inputs import InputSpec
from medtransfer.seeds import uniforms


@dataclass(frozen=True)
class Views:
    """Where each image is cropped and whether it is flipped.

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
    room = spec.resize - spec.crop + 1

    def draw(purpose: str) -> NDArray[np.float64]:
        return uniforms(seed, purpose, epochs, keys)

    never = np.zeros(len(keys), dtype=bool)
    return Views(
        top=(draw("crop top") * room).astype(np.int64),
        left=(draw("crop left") * room).astype(np.int64),
        mirrored=draw("mirror") < 0.5 if flip in ("horizontal", "both") else never,
        upended=draw("upend") < 0.5 if flip in ("vertical", "both") else never,
    )


def cut_views(pixels: Sequence[Pixels], views: Views, crop: int) -> torch.Tensor:
    """Cut each image's view.

    Args:
        pixels: N images of one type, [H, W, C] each.
        views: From `draw_views`. N of them.
        crop: Side of the view.

    Returns:
        The same pixels, [N, C, crop, crop], uint8 or int32.
    """
    cut = np.empty((len(pixels), crop, crop, pixels[0].shape[2]), dtype=pixels[0].dtype)
    for i, (top, left) in enumerate(zip(views.top.tolist(), views.left.tolist(), strict=True)):
        view = pixels[i][top : top + crop, left : left + crop]
        view = view[:, ::-1] if views.mirrored[i] else view
        cut[i] = view[::-1] if views.upended[i] else view
    return whole_images(cut)


def whole_images(pixels: Pixels) -> torch.Tensor:
    """Pixels as a tensor with channels first, [N, C, H, W], uint8 or int32.

    Pixels that may be written to are taken over, not copied.
    """
    if pixels.dtype == np.uint16:
        return torch.as_tensor(pixels.astype(np.int32)).permute(0, 3, 1, 2)
    own = pixels if pixels.flags.writeable else pixels.copy()
    return torch.as_tensor(own).permute(0, 3, 1, 2)


def normalise(pixels: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Scale to 0..1 and standardise by the rung's mean and std; grey is repeated to three.

    Args:
        pixels: uint8 (0 to 255) or int32 (0 to 65535), [N, 1 or 3, H, W].
        spec: Mean and std.

    Returns:
        float32, [N, 3, H, W], on the device of `pixels`.
    """
    top = 255.0 if pixels.dtype == torch.uint8 else 65535.0
    mean = torch.tensor(spec.mean, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(spec.std, device=pixels.device).view(1, 3, 1, 1)
    # in place where shapes allow: these are the largest arrays outside the network
    return pixels.to(torch.float32).div_(top).sub(mean).div_(std)
