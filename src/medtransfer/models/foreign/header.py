"""The header of a weights file, compared with a network before anything is read or built."""

from pathlib import Path
from typing import Any, cast

import safetensors
import torch

from medtransfer.errors import WeightsError
from medtransfer.models.backbones import build_backbone, head_prefix
from medtransfer.models.load_weights import require_fitting
from medtransfer.models.rungs.architectures import Architecture

Shapes = dict[str, torch.Tensor]


def require_header(path: Path, architecture: Architecture) -> None:
    """Compare the names and shapes in the header of a ``.safetensors`` file with a network.

    Args:
        path: The file; nothing but its header is read.
        architecture: Of the network, which is built without memory for its weights.

    Raises:
        WeightsError: The file is damaged, or belongs to another network; the layers are named.
        ConfigError: There is no such network.
    """
    with torch.device("meta"):
        network = build_backbone(architecture, seed=0)
    require_fitting(network, _shapes(path), head_prefix(network), path.name)


def _shapes(path: Path) -> Shapes:
    """Tensors of a file without their numbers."""
    shapes: Shapes = {}
    try:
        with cast("Any", safetensors).safe_open(path, framework="pt") as content:
            for name in content.keys():  # noqa: SIM118 — not a mapping
                sides = cast("list[int]", content.get_slice(name).get_shape())
                shapes[name] = torch.empty(sides, device="meta")
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(
            f'The weights file "{path.name}" is damaged or holds more than tensors '
            f"({type(error).__name__})."
        ) from error
    return shapes
