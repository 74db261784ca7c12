"""A backbone as it predicts fastest: what does not depend on the image is done once.

- Weight standardisation is carried out once (BiT): the same bits.
- Batch normalisation is folded into the convolution before it (EfficientNet, MobileNet, ResNet), in
  float32 alone: the same numbers to rounding.
- Under bfloat16 autocast, convolutions are cast once and not at each call: the same bits.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from medtransfer.models.backbones import standardised_convolution
from medtransfer.models.rungs.architectures import Precision

CONVOLUTION_THEN_NORM = {
    "efficientnet.EfficientNet": (("conv_stem", "bn1"), ("conv_head", "bn2")),
    "_efficientnet_blocks.ConvBnAct": (("conv", "bn1"),),
    "_efficientnet_blocks.DepthwiseSeparableConv": (("conv_dw", "bn1"), ("conv_pw", "bn2")),
    "_efficientnet_blocks.EdgeResidual": (("conv_exp", "bn1"), ("conv_pwl", "bn2")),
    "_efficientnet_blocks.InvertedResidual": (
        ("conv_pw", "bn1"),
        ("conv_dw", "bn2"),
        ("conv_pwl", "bn3"),
    ),
    "resnet.ResNet": (("conv1", "bn1"),),
    "resnet.BasicBlock": (("conv1", "bn1"), ("conv2", "bn2")),
    "resnet.Bottleneck": (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
}
"""Parts of timm in which the output of a convolution goes to a normalisation and nowhere else."""


@contextmanager
def folded(backbone: nn.Module, precision: Precision) -> Generator[None]:
    """Inside, a backbone in evaluation mode predicts faster; afterwards it is as it was.

    Its parts are exchanged, not copied: what is added to the memory is one set of convolutions.

    Args:
        backbone: In evaluation mode, on the device it runs on.
        precision: That it is called with.
    """
    modules = cast("Iterator[tuple[str, nn.Module]]", backbone.named_modules())
    parts = {
        part: new
        for name, module in modules
        for part, new in _replacements(name, module, precision)
    }
    before = {name: backbone.get_submodule(name) for name in parts}
    try:
        for name, module in parts.items():
            _put(backbone, name, module)
        yield
    finally:
        for name, module in before.items():
            _put(backbone, name, module)


def _replacements(
    name: str, module: nn.Module, precision: Precision
) -> Iterator[tuple[str, nn.Module]]:
    """Replacement of a part of a network, and of parts of that part."""
    plain = standardised_convolution(module)
    if plain is not None:
        yield name, plain.to(torch.bfloat16) if precision == "bfloat16" else plain
    if precision != "float32":
        return
    kind = f"{type(module).__module__.removeprefix('timm.models.')}.{type(module).__name__}"
    for first, second in CONVOLUTION_THEN_NORM.get(kind, ()):
        convolution, norm = getattr(module, first, None), getattr(module, second, None)
        if _is_plain_convolution(convolution) and _is_plain_norm(norm):
            prefix = f"{name}." if name else ""
            yield (
                prefix + first,
                _fused(cast("nn.Conv2d", convolution), cast("nn.BatchNorm2d", norm)),
            )
            yield prefix + second, _rest(cast("nn.BatchNorm2d", norm))


def _is_plain_convolution(module: Any) -> bool:
    """False for one whose weights are a sum in training (low-rank tuning): it is left as it is."""
    return isinstance(module, nn.Conv2d) and not parametrize.is_parametrized(module)


def _is_plain_norm(norm: Any) -> bool:
    return (
        isinstance(norm, nn.BatchNorm2d)
        and norm.track_running_stats
        and not norm.training
        and type(norm.running_mean) is torch.Tensor
    )


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Module:
    """A convolution and the normalisation after it, which is affine in evaluation mode, as one."""
    with torch.no_grad():
        fused = fuse_conv_bn_eval(convolution, norm)
    return fused.requires_grad_(requires_grad=False)


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """Activation and dropout that a normalisation layer of timm applies after normalising."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _put(backbone: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(backbone.get_submodule(parent), child, module)
