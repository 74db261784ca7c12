"""A network's weights in the layout of the official BiT files (facts/paper.md, section 3)."""

import re
from typing import Any

import numpy as np
import torch


def official_arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Names and axes as google-research/big_transfer publishes them: kernels are HWIO."""
    return {
        _name(key): value.numpy().transpose(2, 3, 1, 0) if value.ndim == 4 else value.numpy()
        for key, value in network.state_dict().items()
    }


def _name(key: str) -> str:
    fixed: dict[str, Any] = {
        "stem.conv.weight": "resnet/root_block/standardized_conv2d/kernel",
        "norm.weight": "resnet/group_norm/gamma",
        "norm.bias": "resnet/group_norm/beta",
        "head.fc.weight": "resnet/head/conv2d/kernel",
        "head.fc.bias": "resnet/head/conv2d/bias",
    }
    if key in fixed:
        return fixed[key]
    found = re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(\w+?)(\d?)\.(.+)", key)
    assert found is not None, key
    stage, block, part, number, leaf = found.groups()
    unit = f"resnet/block{int(stage) + 1}/unit{int(block) + 1:02d}"
    if part == "downsample":
        return f"{unit}/a/proj/standardized_conv2d/kernel"
    letter = "abc"[int(number) - 1]
    if part == "conv":
        return f"{unit}/{letter}/standardized_conv2d/kernel"
    return f"{unit}/{letter}/group_norm/{'gamma' if leaf == 'weight' else 'beta'}"
