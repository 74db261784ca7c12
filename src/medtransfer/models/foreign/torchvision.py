"""Weights in the naming of torchvision, for timm's networks.

Its ResNets and DenseNets have timm's names already.
"""

import re
from collections.abc import Mapping

import torch

Tensors = dict[str, torch.Tensor]
MOBILENET = ("features.0.0.weight", "features.18.0.weight", "classifier.1.weight")
EFFICIENTNET = ("features.0.0.weight", "features.1.0.block.0.0.weight", "classifier.1.weight")
TRANSFORMER = ("class_token", "conv_proj.weight", "encoder.pos_embedding")
RULES = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(linear_1|0)\.", ".mlp.fc1."),
    (r"\.mlp\.(linear_2|3)\.", ".mlp.fc2."),
    (r"^heads\.head\.", "head."),
)


def is_torchvision(names: Mapping[str, object]) -> bool:
    """True if the names are those of a network of torchvision that timm names otherwise."""
    return any(
        all(name in names for name in kind) for kind in (MOBILENET, EFFICIENTNET, TRANSFORMER)
    )


def from_torchvision(
    state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> Tensors:
    """Rename the tensors of a file.

    MobileNetV2 and EfficientNet list the same tensors in the same order as timm's. Names of another
    network are left as they are, for the caller to name.

    Args:
        state: Tensors of the file; safetensors files hold them in the order of their names.
        wanted: State of the network that they are for.
    """
    if all(name in state for name in TRANSFORMER):
        return {_renamed(name): value for name, value in state.items()}
    body = sorted((n for n in state if not n.startswith("classifier.1.")), key=_place)
    places = [name for name in wanted if not name.startswith("classifier.")]
    if [state[name].shape for name in body] != [wanted[name].shape for name in places]:
        return dict(state)
    heads = (name for name in state if name.startswith("classifier.1."))
    return {
        **{new: state[old] for old, new in zip(body, places, strict=True)},
        **{name.replace("classifier.1.", "classifier."): state[name] for name in heads},
    }


LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _place(name: str) -> tuple[tuple[int, str], ...]:
    """Position of a tensor in a network whose modules are numbered."""
    *modules, leaf = name.split(".")
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in modules]
    return (*parts, (LEAVES.index(leaf) if leaf in LEAVES else len(LEAVES), leaf))


def _renamed(name: str) -> str:
    for pattern, replacement in RULES:
        name = re.sub(pattern, replacement, name)
    return name
