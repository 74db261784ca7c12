"""Networks by timm; with `parts`, the only module that imports it."""

import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from medtransfer.errors import ConfigError, suggestion
from medtransfer.models.fast_layers import StandardisedConv2d, use_fast_layers
from medtransfer.models.foreign.torch_compiler import late_compiler
from medtransfer.models.ladder import Rung
from medtransfer.models.rungs.architectures import Architecture
from medtransfer.models.runtime import seeded
from medtransfer.sizes.image_size import ImageSize, height_width, size_words

with late_compiler():  # timm imports torchvision
    import timm
    from timm import models as timm_models
    from timm.layers.norm_act import BatchNormAct2d, GroupNormAct
    from timm.layers.std_conv import StdConv2d
    from timm.models import adapt_input_conv
    from timm.models.resnetv2 import ResNetV2

PretrainedCfg = dict[str, Any]  # of timm: open, every family adds keys


def build_backbone(
    architecture: Architecture, seed: int, classes: int = 0, input_size: ImageSize | None = None
) -> nn.Module:
    """A network with random weights.

    Args:
        architecture: What to build.
        seed: The weights are drawn from it.
        classes: Outputs of its own head; 0 leaves the pooled features.
        input_size: Of the images in pixels, which networks with position embeddings must
            know; None for the size that they were designed for.

    Returns:
        A module from images [N, 3, H, W] to features [N, width], or to logits [N, classes].

    Raises:
        ConfigError: timm knows no such model, or the model cannot take images of that size.
    """
    with seeded(seed, "initial weights"):
        if architecture.layers is not None:
            return use_fast_layers(_small_bit(architecture, classes))
        network = use_fast_layers(_create(architecture.timm, classes))
    facts: PretrainedCfg = cast("Any", network).pretrained_cfg
    if input_size in (None, facts["input_size"][-1]) or not facts.get("fixed_input_size"):
        return network
    if not hasattr(network, "set_input_size"):
        raise _wrong_size(architecture, facts, input_size, "its size is fixed")
    with seeded(seed, "initial weights"):
        return use_fast_layers(_sized(architecture, facts, classes, input_size))


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
    config: PretrainedCfg = cast("Any", network).pretrained_cfg
    facts = replace(
        architecture,
        parameters=sum(weight.numel() for weight in network.parameters()),
        width=int(cast("Any", network).num_features),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        input_size=int(config["input_size"][-1]),
        crop_share=float(config["crop_pct"]),
        cpu_precision="float32" if _has_batch_norm(network) else "bfloat16",
        channels_last=_has_batch_norm(network),
    )
    if (stated := rung.stated) is not None:
        mean, std = stated.mean or facts.mean, stated.std or facts.std
        facts = replace(facts, input_size=stated.size, mean=mean, std=std)
    licence = config.get("license") if rung.source == "hub" else None
    return replace(rung, architecture=facts, licence=str(licence or rung.licence))


def takes_any_size(network: nn.Module) -> bool:
    """True if a network takes images of other sizes than the one that it was built for."""
    config: PretrainedCfg = getattr(network, "pretrained_cfg", None) or {}
    return not config.get("fixed_input_size")


def head_prefix(network: nn.Module) -> str:
    """The name under which a network keeps its own classification head, e.g. ``head.fc``."""
    config: PretrainedCfg = getattr(network, "pretrained_cfg", None) or {}
    return str(config.get("classifier") or "head.fc")


def layer_numbers(backbone: nn.Module, *, coarse: bool = False) -> tuple[dict[str, int], int]:
    """Layer of each weight, by timm's own grouping; 0 is the lowest.

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


def weights_without_decay(backbone: nn.Module) -> set[str]:
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


def adapt_weights(
    network: nn.Module, state: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Weights of another input or of an older naming, changed by timm's own rules.

    Two things are changed. A first convolution of another number of channels is summed, repeated
    or cut, and scaled, by `timm.models.adapt_input_conv`. Where names or shapes still do not fit,
    the state goes through the filter that timm's own loader has for the family: it interpolates
    position embeddings (bicubic) and translates names.

    Args:
        network: That the weights are for.
        state: Tensors of a file by name.

    Returns:
        The tensors, whether they fit now or not, and by name what was done to those that changed.
    """
    network_state = cast("Mapping[str, torch.Tensor]", network.state_dict())
    adapted = dict(state)
    changes: dict[str, str] = {}
    for name in _first_convolutions(network):
        given, wanted = state.get(name), network_state.get(name)
        if given is None or wanted is None or given.ndim != 4 or wanted.ndim != 4:
            continue
        channels, needed = given.shape[1], wanted.shape[1]
        if channels != needed and given.shape[0] == wanted.shape[0]:
            adapted[name] = adapt_input_conv(needed, given, base_chans=channels)
            changes[name] = f"input channels from {channels} to {needed} by timm's rule"
    rule = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if rule is None or _fits(adapted, network_state, head_prefix(network)):
        return adapted, changes
    try:
        filtered = cast("dict[str, torch.Tensor]", rule(dict(adapted), network))
    except (AttributeError, KeyError, IndexError, RuntimeError, TypeError, ValueError):
        return adapted, changes  # no file of this family; its layers are named by the caller
    for name in filtered.keys() & adapted.keys():
        if filtered[name].shape != adapted[name].shape:
            changes[name] = "interpolated by timm's rule"
    return filtered, changes


def standardised_convolution(module: nn.Module) -> nn.Conv2d | None:
    """A convolution with its standardised weights, of one that standardises them at each call.

    Args:
        module: Any part of a network.

    Returns:
        A plain convolution with the same output to the bit, which shares no tensor with `module`;
        None where `module` does not standardise, or its weights are not all here (sharded).
    """
    if not isinstance(module, StandardisedConv2d) or type(module.weight.data) is not torch.Tensor:
        return None
    with torch.no_grad():
        weight = module.standard_weight()
    plain = nn.Conv2d(
        in_channels=module.in_channels,
        out_channels=module.out_channels,
        kernel_size=cast("Any", module.kernel_size),
        stride=cast("Any", module.stride),
        padding=cast("Any", module.padding),
        dilation=cast("Any", module.dilation),
        groups=module.groups,
        bias=False,
        device="meta",
    )
    plain.weight = nn.Parameter(weight, requires_grad=False)
    if module.bias is not None:
        plain.bias = nn.Parameter(module.bias.detach().clone(), requires_grad=False)
    return plain


def _has_batch_norm(network: nn.Module) -> bool:
    """Transformers, ConvNeXt and BiT have none (docs/explanation/speed.md says what it means)."""
    return any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in network.modules())


def _fits(
    state: Mapping[str, torch.Tensor], network_state: Mapping[str, torch.Tensor], head: str
) -> bool:
    body = {name for name in state if not name.startswith(f"{head}.")}
    wanted = {name for name in network_state if not name.startswith(f"{head}.")}
    return body == wanted and all(state[name].shape == network_state[name].shape for name in body)


def _first_convolutions(network: nn.Module) -> list[str]:
    """Names of the weights that see the image's channels."""
    config: PretrainedCfg = getattr(network, "pretrained_cfg", None) or {}
    named = config.get("first_conv") or "stem.conv"
    return [f"{name}.weight" for name in ((named,) if isinstance(named, str) else named)]


def _sized(
    architecture: Architecture, facts: PretrainedCfg, classes: int, size: ImageSize
) -> nn.Module:
    try:
        network = _create(architecture.timm, classes, img_size=size)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _wrong_size(architecture, facts, size, str(error)) from error
    patches: Any = getattr(cast("Any", network).patch_embed, "patch_size", (1,))
    if any(side % int(patches[0]) for side in height_width(size)):
        raise _wrong_size(architecture, facts, size, f"its patches have {patches[0]} px")
    return network


def _wrong_size(
    architecture: Architecture, facts: PretrainedCfg, size: ImageSize, why: str
) -> ConfigError:
    native_size = facts["input_size"][-1]
    example = f"{{resize: {round(native_size * 8 / 7)}, crop: {native_size}}}"
    return ConfigError(
        f"Network '{architecture.name}' cannot take images of {size_words(size)}: {why}. Set a "
        f"supported size under data.image, for example {example}."
    )


def _create(name: str, classes: int, **options: Any) -> nn.Module:
    make = cast("Any", timm.create_model)
    if name.split(".", 1)[0] not in timm.list_models():
        near = suggestion(name, timm.list_models(pretrained=True))
        raise ConfigError(f"timm {timm.__version__} knows no model '{name}'. {near}".rstrip())
    return make(name, pretrained=False, num_classes=classes, **options)


def _small_bit(architecture: Architecture, classes: int) -> nn.Module:
    """A member of the BiT family that timm does not name, made of the same parts."""
    plain: Any = cast("Any", timm).layers.create_conv2d
    convolution: Any = partial(StdConv2d, eps=1e-8) if architecture.groups else plain
    group_norm = partial(GroupNormAct, num_groups=architecture.groups)
    network = ResNetV2(
        layers=list(architecture.layers or ()),
        num_classes=classes,
        width_factor=cast("Any", architecture.width_factor),
        stem_type="fixed",
        conv_layer=convolution,
        norm_layer=cast("Any", group_norm if architecture.groups else BatchNormAct2d),
    )
    if architecture.stem == "small":
        channels = cast("Any", network.stem).conv.out_channels
        first = convolution(3, channels, kernel_size=3, stride=2, padding=1, bias=False)
        network.stem = nn.Sequential(OrderedDict(conv=first))
    return cast("nn.Module", network)
