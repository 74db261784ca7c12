"""Parts of networks as they are computed fastest, and right, here; timm's networks are given them.

On two threads of a CPU in bfloat16 a training step of R50x1 takes 0.92 to 0.95 of its time with
them (docs/explanation/speed.md).
"""

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from medtransfer.models.foreign.torch_compiler import late_compiler

with late_compiler():  # timm imports torchvision
    from timm.layers.std_conv import StdConv2d

MAX_PATCHES = 256
"""Of 14 px at 224 px."""


class StandardisedConv2d(StdConv2d):
    """A convolution whose weights are standardised per filter at each call (Qiao et al. 2019).

    Timm takes batch normalisation for it, over one case whose channels are the filters. This is
    layer normalisation over the filters as rows: the same quantity, (w - mean) / sqrt(variance +
    eps) with the biased variance, to rounding (some 1e-6), in two thirds of the time.
    """

    def standard_weight(self) -> torch.Tensor:
        """The standardised weights, in the shape of the weights."""
        rows = self.weight.reshape(self.out_channels, -1)
        return functional.layer_norm(rows, (rows.shape[1],), eps=self.eps).reshape_as(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As in torch. [N, C, H, W]"""
        return _convolution(x, self.standard_weight(), self)


class CheckedConv2d(nn.Conv2d):
    """A convolution whose gradient is right also where images are narrower than its stride."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 — torch's name
        """As in torch. [N, C, H, W]"""
        return _convolution(input, self.weight, self)


def _convolution(images: torch.Tensor, weight: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """A layer's convolution, in float32 where the gradient in bfloat16 would be wrong.

    For images narrower than the stride, torch 2.14 on a CPU with AVX-512 leaves the gradients of
    weights that meet padding alone unwritten in bfloat16: they are whatever was in memory. Networks
    meet it where small images end as one pixel (16 px in a ResNet).
    """
    narrow = images.device.type == "cpu" and images.shape[-1] < layer.stride[-1]
    if narrow and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return _plain(images.float(), weight.float(), layer).to(torch.bfloat16)
    return _plain(images, weight, layer)


def _plain(images: torch.Tensor, weight: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    return functional.conv2d(
        input=images,
        weight=weight,
        bias=layer.bias,
        stride=cast("Any", layer.stride),
        padding=cast("Any", layer.padding),
        dilation=cast("Any", layer.dilation),
        groups=layer.groups,
    )


class DetouredMaxPool2d(nn.MaxPool2d):
    """Max-pooling of channels-first images that goes by way of channels-last on a CPU.

    There torch has vector code for the one and not for the other. The result, and which of several
    equal values has the gradient, are the same to the bit.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 — torch's name
        """As in torch. [N, C, H, W]"""
        first = input.ndim == 4 and input.is_contiguous()
        if not first or input.device.type != "cpu" or self.ceil_mode or self.return_indices:
            return cast("torch.Tensor", super().forward(input))
        pair = [_pair(side) for side in (self.kernel_size, self.stride, self.padding)]
        return cast("Any", _Detour).apply(input, *pair, _pair(self.dilation))


class _Detour(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, *geometry: list[int]) -> torch.Tensor:
        last = images.contiguous(memory_format=torch.channels_last)
        pooled, where = torch.ops.aten.max_pool2d_with_indices(last, *geometry)
        ctx.save_for_backward(images, where.contiguous())
        ctx.geometry = geometry
        return pooled.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, where = ctx.saved_tensors
        back = torch.ops.aten.max_pool2d_with_indices_backward
        input_gradient = back(gradients[0].contiguous(), images, *ctx.geometry, False, where)
        return input_gradient, *(None for _ in ctx.geometry)


def use_fast_layers(network: nn.Module) -> nn.Module:
    """A network of timm's with its convolutions and max-pooling exchanged in place.

    Their tensors, names and settings are what they were: a part is given another class, for timm
    has no way to name one for the networks that it builds.
    """
    for module in cast("Any", network).modules():
        if type(module) is StdConv2d:
            module.__class__ = StandardisedConv2d
        elif type(module) is nn.Conv2d and module.padding_mode == "zeros":
            module.__class__ = CheckedConv2d
        elif type(module) is nn.MaxPool2d:
            module.__class__ = DetouredMaxPool2d
    return network


def use_plain_attention(network: nn.Module) -> None:
    """Have a vision transformer attend by two matrix products and a softmax, not by one kernel.

    Torch's kernel for attention on a CPU is slow in bfloat16, above all backwards: a step of ViT-S
    at 224 px takes 0.85 of its time without it, and its gradients differ by rounding. Networks of
    more than `MAX_PATCHES` patches keep it: what is kept for the way back grows with their square.
    """
    patches = getattr(getattr(network, "patch_embed", None), "num_patches", None)
    if patches is None or patches > MAX_PATCHES:
        return
    for module in cast("Any", network).modules():
        if getattr(module, "fused_attn", False):
            module.fused_attn = False


def _pair(side: Any) -> list[int]:
    return [int(side)] * 2 if isinstance(side, int) else [int(s) for s in side]
