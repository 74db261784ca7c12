"""Weights files into networks, nothing half loaded.

Three formats: safetensors, the official BiT ``.npz``, and a foreign ``.pth`` that holds tensors
only. Whatever does not fit is named layer by layer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from torch import nn

from medtransfer.errors import WeightsError, fault_list, listed
from medtransfer.models.backbones import adapt_weights
from medtransfer.models.foreign.hugging_face import (
    Translation,
    from_hugging_face,
    is_hugging_face,
)
from medtransfer.models.foreign.torchvision import from_torchvision, is_torchvision
from medtransfer.sizes.archives import require_array_sizes, require_member_sizes

State = dict[str, torch.Tensor]
BIT_ROOT = "resnet/root_block/standardized_conv2d/kernel"
LITE_STEM = "_conv_stem.weight"


@dataclass(frozen=True)
class WeightsReport:
    """Outcome of loading a weights file.

    Attributes:
        loaded: How many tensors the network took.
        left_out: Tensors of the file that the network has no use for: those of the file's own
            head, and buffers that timm makes itself.
        adapted: Tensors that were changed to fit another input, each with what was done.
    """

    loaded: int
    left_out: tuple[str, ...]
    adapted: tuple[str, ...] = ()


def load_weights(network: nn.Module, path: Path, head: str) -> WeightsReport:
    """Load a weights file into a network.

    Args:
        network: With or without its own head.
        path: ``.safetensors``, ``.npz`` or ``.pth``.
        head: Name under which such a network keeps its head; only that may be left over.

    Raises:
        WeightsError: The file is damaged, or belongs to another network; the layers are named.
    """
    return load_state(network, read_weights(path), head, path.name)


def load_state(network: nn.Module, state: State, head: str, file: str) -> WeightsReport:
    """Load the tensors of a weights file into a network, as `load_weights` does.

    Args:
        network: With or without its own head.
        state: Tensors under the names that the file has for them; BiT's kernels are HWIO.
        head: Name under which such a network keeps its head; only that may be left over.
        file: Name of the file, for errors.

    Raises:
        WeightsError: The tensors belong to another network; the layers are named.
    """
    plan = _fitted(network, state, head, file)
    network.load_state_dict(plan.tensors, strict=False)
    return plan.report


def require_fitting(network: nn.Module, state: State, head: str, file: str) -> None:
    """Compare the names and shapes of tensors with a network; nothing is loaded.

    Args:
        network: On the meta device, with or without its own head.
        state: Tensors of a file, on the meta device too.
        head: As for `load_weights`.
        file: Name of the file, for errors.

    Raises:
        WeightsError: The tensors belong to another network; the layers are named.
    """
    _fitted(network, state, head, file)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Tensors that a network takes, and what became of the others."""

    tensors: State
    report: WeightsReport


def _fitted(network: nn.Module, state: State, head: str, file: str) -> _Fitted:
    """The tensors of a file under the names and in the shapes of a network."""
    translation = _translate(state, network)
    given = translation.tensors
    state, changed = adapt_weights(network, given)
    network_state = cast("Mapping[str, torch.Tensor]", network.state_dict())
    unknown = [
        name for name in state if name not in network_state and not name.startswith(f"{head}.")
    ]
    wrong = [
        f"{name} is {_shape(state[name])} in the file, {_shape(network_state[name])} in the network"
        for name in network_state
        if name in state and state[name].shape != network_state[name].shape
    ]
    missing = [
        name
        for name in network_state
        if name not in state and not name.endswith("num_batches_tracked")
    ]
    faults = [f"not in the file: {listed(missing)}"] if missing else []
    faults += [f"not in the network: {listed(sorted(unknown))}"] if unknown else []
    faults += wrong
    if faults:
        title = f'The weights in "{file}" belong to another network'
        raise WeightsError(fault_list(title, faults, "Check the rung's architecture."))
    fitting = {name: state[name] for name in network_state if name in state}
    unused = {name for name in (*given, *state) if name not in network_state}
    report = WeightsReport(
        len(fitting),
        tuple(sorted({*unused, *translation.left_out})),
        tuple(
            f"{name}: {_shape(given[name])} to {_shape(network_state[name])}, {what}"
            for name, what in sorted(changed.items())
        ),
    )
    return _Fitted(fitting, report)


def read_weights(path: Path) -> State:
    """Read the tensors of a weights file under their own names.

    Raises:
        WeightsError: The file is damaged, too large, or holds more than tensors.
    """
    what = f'The weights file "{path.name}"'
    try:
        match path.suffix:
            case ".safetensors":
                return cast("State", cast("Any", safetensors.torch).load_file(path))
            case ".npz":
                require_array_sizes(path, what, WeightsError)
                with np.load(path, allow_pickle=False) as arrays:
                    return {name: torch.as_tensor(arrays[name]) for name in arrays.files}
            case ".pth" | ".pt" | ".th":
                require_member_sizes(path, what, WeightsError)
                return _plain(torch.load(path, map_location="cpu", weights_only=True))
            case other:
                raise WeightsError(
                    f"\"{path.name}\" ends in '{other}'; allowed: .safetensors, .npz, .pth."
                )
    except WeightsError:
        raise
    except Exception as error:
        # each format has its own zoo of exceptions; to the user all of them mean the same
        raise WeightsError(
            f"{what} is damaged or holds more than tensors ({type(error).__name__})."
        ) from error


def _plain(content: Any) -> State:
    """The tensors of a ``.pth``, unwrapped from ``state_dict`` or ``model``, and ``module.``."""
    for wrapping in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(
            cast("dict[str, Any]", content).get(wrapping), dict
        ):
            content = cast("dict[str, Any]", content)[wrapping]
    if not isinstance(content, dict):
        raise WeightsError("A .pth file must hold a dictionary of tensors.")
    named = cast("dict[str, Any]", content)
    return {
        name.removeprefix("module."): value
        for name, value in named.items()
        if isinstance(value, torch.Tensor)
    }


def _translate(state: State, network: nn.Module) -> Translation:
    """From the file's naming to timm's."""
    wanted = cast("Mapping[str, torch.Tensor]", network.state_dict())
    if BIT_ROOT in state:
        return Translation(dict(_from_bit(key, array) for key, array in state.items()))
    if LITE_STEM in state:
        return Translation(_from_lite(state, network))
    if is_torchvision(state):
        return Translation(from_torchvision(state, wanted))
    if is_hugging_face(list(state)):
        return from_hugging_face(state, wanted)
    return Translation(state)


def _from_bit(key: str, array: torch.Tensor) -> tuple[str, torch.Tensor]:
    """One array of the official BiT layout; kernels go from HWIO to OIHW."""
    value = array.permute(3, 2, 0, 1) if array.ndim == 4 else array
    name = key.removeprefix("resnet/")
    unit = re.fullmatch(r"block(\d)/unit(\d\d)/([abc])/(.+)", name)
    if unit is None:
        fixed = {
            "root_block/standardized_conv2d/kernel": "stem.conv.weight",
            "group_norm/gamma": "norm.weight",
            "group_norm/beta": "norm.bias",
            "head/conv2d/kernel": "head.fc.weight",
            "head/conv2d/bias": "head.fc.bias",
        }
        return fixed.get(name, key), value
    block, number, part, rest = unit.groups()
    prefix = f"stages.{int(block) - 1}.blocks.{int(number) - 1}."
    position = "abc".index(part) + 1
    leaf = {
        "standardized_conv2d/kernel": f"conv{position}.weight",
        "proj/standardized_conv2d/kernel": "downsample.conv.weight",
        "group_norm/gamma": f"norm{position}.weight",
        "group_norm/beta": f"norm{position}.bias",
    }
    return prefix + leaf.get(rest, rest), value


def _from_lite(state: State, network: nn.Module) -> State:
    """efficientnet_pytorch's flat blocks to timm's stages, for the Lite networks."""
    stages: Any = network.blocks
    flat = [(s, b) for s, stage in enumerate(stages) for b in range(len(stage))]
    separable = {
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn1",
        "_project_conv": "conv_pw",
        "_bn2": "bn2",
    }
    inverted = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    top = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    out: State = {}
    for key, value in state.items():
        if not key.startswith("_blocks."):
            part, leaf = key.split(".", 1)
            out[f"{top.get(part, part)}.{leaf}"] = value
            continue
        _, number, part, leaf = key.split(".", 3)
        if int(number) >= len(flat):
            out[key] = value
            continue
        stage, block = flat[int(number)]
        names = inverted if hasattr(stages[stage][block], "conv_pwl") else separable
        out[f"blocks.{stage}.{block}.{names.get(part, part)}.{leaf}"] = value
    return out


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "a number"
