"""BiT written for the tests alone: file to logits by torch's functions, nothing of timm or of ours.

From the description of the official implementation (google-research/big_transfer, bit_pytorch):
names and shapes of a file's arrays, and a forward pass that reads them as they are. Each trap that
a port can fall into is an option, so that a test can show that the trap would be seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

OFFICIAL = {
    "r50x1": ((3, 4, 6, 3), 1),
    "r101x1": ((3, 4, 23, 3), 1),
    "r50x3": ((3, 4, 6, 3), 3),
    "r152x2": ((3, 8, 36, 3), 2),
    "r101x3": ((3, 4, 23, 3), 3),
    "r152x4": ((3, 8, 36, 3), 4),
}
"""Blocks per stage and width of the six published networks."""


@dataclass(frozen=True)
class Traps:
    """Mistakes of a port; all off is the official network."""

    pool_padded: bool = False  # max-pool with its own padding (minus infinity), not with zeros
    raw_shortcut: bool = False  # projection of the raw input, not of the pre-activated one
    no_standardisation: bool = False
    eps: float = 1e-10


def official_shapes(
    layers: tuple[int, ...], width: float, classes: int, channels: int = 3
) -> dict[str, tuple[int, ...]]:
    """Every array of an official file with its shape; kernels are HWIO."""
    stem = int(64 * width)
    shapes: dict[str, tuple[int, ...]] = {
        "resnet/root_block/standardized_conv2d/kernel": (7, 7, channels, stem)
    }
    enters = stem
    for block, units in enumerate(layers, start=1):
        leaves = int(256 * width) * 2 ** (block - 1)
        middle = leaves // 4
        for unit in range(1, units + 1):
            name = f"resnet/block{block}/unit{unit:02d}"
            kernels = {
                "a": (1, 1, enters, middle),
                "b": (3, 3, middle, middle),
                "c": (1, 1, middle, leaves),
            }
            for part, normed in (("a", enters), ("b", middle), ("c", middle)):
                shapes[f"{name}/{part}/standardized_conv2d/kernel"] = kernels[part]
                shapes[f"{name}/{part}/group_norm/gamma"] = (normed,)
                shapes[f"{name}/{part}/group_norm/beta"] = (normed,)
            if unit == 1:
                shapes[f"{name}/a/proj/standardized_conv2d/kernel"] = (1, 1, enters, leaves)
            enters = leaves
    return {
        **shapes,
        "resnet/group_norm/gamma": (enters,),
        "resnet/group_norm/beta": (enters,),
        "resnet/head/conv2d/kernel": (1, 1, enters, classes),
        "resnet/head/conv2d/bias": (classes,),
    }


def synthetic(
    layers: tuple[int, ...], width: float, classes: int, seed: int = 0, channels: int = 3
) -> dict[str, NDArray[np.float32]]:
    """A file of random arrays; nothing is zero or one, so that no branch of the network is dead."""
    rng = np.random.default_rng(seed)
    found: dict[str, NDArray[np.float32]] = {}
    for name, shape in official_shapes(layers, width, classes, channels).items():
        drawn = rng.standard_normal(shape, dtype=np.float32)
        match name.rsplit("/", 1)[1]:
            case "kernel":
                found[name] = drawn / np.float32(np.sqrt(np.prod(shape[:3])))
            case "gamma":
                found[name] = 1 + 0.2 * drawn
            case _:
                found[name] = 0.2 * drawn
    return found


def features_and_logits(
    arrays: Mapping[str, NDArray[np.float32]], images: torch.Tensor, traps: Traps | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled features and logits of images in -1 to 1. [N, C, H, W] -> [N, D], [N, K]"""
    traps = traps or Traps()

    def convolved(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
        kernel = torch.as_tensor(
            np.moveaxis(arrays[f"{name}/standardized_conv2d/kernel"], (3, 2), (0, 1)).copy()
        )
        if not traps.no_standardisation:
            mean = kernel.mean(dim=(1, 2, 3), keepdim=True)
            variance = ((kernel - mean) ** 2).mean(dim=(1, 2, 3), keepdim=True)
            kernel = (kernel - mean) / torch.sqrt(variance + traps.eps)
        return F.conv2d(x, kernel, None, stride, padding)

    def activated(x: torch.Tensor, name: str) -> torch.Tensor:
        gamma, beta = (torch.as_tensor(arrays[f"{name}/group_norm/{p}"]) for p in ("gamma", "beta"))
        groups = x.reshape(len(x), 32, -1)
        mean = groups.mean(dim=2, keepdim=True)
        variance = ((groups - mean) ** 2).mean(dim=2, keepdim=True)
        normed = ((groups - mean) / torch.sqrt(variance + 1e-5)).reshape(x.shape)
        return torch.relu(normed * gamma[:, None, None] + beta[:, None, None])

    x = convolved(images, "resnet/root_block", 2, 3)
    if traps.pool_padded:
        x = F.max_pool2d(x, 3, 2, padding=1)
    else:
        x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=0.0), 3, 2)
    block, unit = 1, 1
    while f"resnet/block{block}/unit01/a/standardized_conv2d/kernel" in arrays:
        name = f"resnet/block{block}/unit{unit:02d}"
        if f"{name}/a/standardized_conv2d/kernel" not in arrays:
            block, unit = block + 1, 1
            continue
        stride = 2 if unit == 1 and block > 1 else 1
        out = activated(x, f"{name}/a")
        shortcut = x
        if f"{name}/a/proj/standardized_conv2d/kernel" in arrays:
            shortcut = convolved(x if traps.raw_shortcut else out, f"{name}/a/proj", stride, 0)
        out = convolved(out, f"{name}/a", 1, 0)
        out = convolved(activated(out, f"{name}/b"), f"{name}/b", stride, 1)
        out = convolved(activated(out, f"{name}/c"), f"{name}/c", 1, 0)
        x, unit = shortcut + out, unit + 1
    features = activated(x, "resnet").mean(dim=(2, 3))
    head = torch.as_tensor(arrays["resnet/head/conv2d/kernel"][0, 0])
    return features, features @ head + torch.as_tensor(arrays["resnet/head/conv2d/bias"])
