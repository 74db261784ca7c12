"""Networks by timm; the only module that imports it."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import timm
import torch
from timm import models as timm_models
from timm.layers.norm_act import GroupNormAct
from timm.layers.std_conv import StdConv2d
from timm.models.resnetv2 import ResNetV2
from torch import nn

from medtransfer.errors import ConfigError, suggestion
from medtransfer.models.chance import seeded
from medtransfer.models.ladder import Architecture, Rung


def build_backbone(architecture: Architecture, seed: int, classes: int = 0) -> nn.Module:
    """A network with random weights.

    Args:
        architecture: What to build.
        seed: The weights are drawn from it.
        classes: Outputs of its own head; 0 leaves the pooled features.

    Returns:
        A module from images [N, 3, H, W] to features [N, width], or to logits [N, classes].

    Raises:
        ConfigError: timm knows no such model.
    """
    with seeded(seed, "initial weights"):
        if architecture.layers is not None:
            return _small_bit(architecture, classes)
        return _create(architecture.timm, classes)


def with_timm_facts(rung: Rung) -> Rung:
    """Fill in what only timm knows of an open-form rung: its input, size and width.

    Raises:
        ConfigError: timm knows no such model.
    """
    architecture = rung.architecture
    if architecture.width is not None:
        return rung
    with torch.device("meta"):
        network = _create(architecture.timm, 0)
    config: dict[str, Any] = cast("Any", network).pretrained_cfg
    facts = replace(
        architecture,
        parameters=sum(weight.numel() for weight in network.parameters()),
        width=int(cast("Any", network).num_features),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        input_size=int(config["input_size"][-1]),
        crop_share=float(config["crop_pct"]),
    )
    return replace(rung, architecture=facts)


def head_prefix(network: nn.Module) -> str:
    """The name under which a network keeps its own classification head, e.g. ``head.fc``."""
    config: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    return str(config.get("classifier") or "head.fc")


def layer_numbers(backbone: nn.Module, *, coarse: bool = False) -> tuple[dict[str, int], int]:
    """Which layer each weight is in, by timm's own grouping; 0 is the lowest.

    Args:
        backbone: A network of timm's, with or without its own head.
        coarse: Stages in place of blocks, where the network has stages.

    Returns:
        Layer of each weight by its name, and the number of a head on top of all layers. A norm
        after the last block is in the block's layer, or in the head's, as timm says.

    Raises:
        ConfigError: timm does not say how the network is grouped.
    """
    matcher = getattr(backbone, "group_matcher", None)
    if matcher is None:
        raise ConfigError(
            f"timm has no layers for a {type(backbone).__name__}: layer_decay below 1 and "
            "tuning.mode partial need another rung."
        )
    group = cast("Any", timm_models).group_parameters
    grouped = group(_Headed(backbone), matcher(coarse=coarse), reverse=True)
    numbers = cast("dict[str, int]", grouped)
    top = numbers.pop(_Headed.HEAD)
    return numbers, top


def undecayed(backbone: nn.Module) -> set[str]:
    """Weights besides biases and norms that the network wants no weight decay on."""
    named = getattr(backbone, "no_weight_decay", None)
    return set(named()) if named is not None else set()


class _Headed:
    """Gives timm the names of a backbone's weights to number, and one more for our head."""

    HEAD = "(head)"

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        yield from self._backbone.named_parameters()
        yield self.HEAD, None


def _create(name: str, classes: int) -> nn.Module:
    make = cast("Any", timm.create_model)
    if name.split(".", 1)[0] not in timm.list_models():
        near = suggestion(name, timm.list_models(pretrained=True))
        raise ConfigError(f"timm {timm.__version__} knows no model '{name}'. {near}".rstrip())
    return make(name, pretrained=False, num_classes=classes)


def _small_bit(architecture: Architecture, classes: int) -> nn.Module:
    """A member of the BiT family that timm does not name, made of the same parts."""
    convolution = partial(StdConv2d, eps=1e-8)
    network = ResNetV2(
        layers=list(architecture.layers or ()),
        num_classes=classes,
        width_factor=cast("Any", architecture.width_factor),
        stem_type="fixed",
        conv_layer=convolution,
        norm_layer=cast("Any", partial(GroupNormAct, num_groups=architecture.groups)),
    )
    if architecture.stem == "small":
        channels = cast("Any", network.stem).conv.out_channels
        first = convolution(3, channels, kernel_size=3, stride=2, padding=1, bias=False)
        network.stem = nn.Sequential(OrderedDict(conv=first))
    return cast("nn.Module", network)
