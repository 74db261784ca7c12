"""Parts that are computed faster give what timm's and torch's own give."""

import pytest
import timm
import torch
from timm.layers.std_conv import StdConv2d
from torch import nn

from medtransfer.models.backbones import build_backbone
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.fast_layers import (
    CheckedConv2d,
    DetouredMaxPool2d,
    StandardisedConv2d,
    use_fast_layers,
    use_plain_attention,
)
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.architectures import ARCHITECTURES


def gradient(values: torch.Tensor) -> torch.Tensor:
    assert values.grad is not None
    return values.grad


def answers(part: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The output, and the gradients of a sum whose terms weigh differently."""
    images = images.clone().requires_grad_()
    found = part(images)
    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).reshape(found.shape)
    (found * weights).sum().backward()
    return [found, gradient(images), *(gradient(weight) for weight in part.parameters())]


@pytest.mark.parametrize(("kernel", "stride", "bias"), [(1, 1, False), (3, 2, True), (7, 2, False)])
def test_a_standardised_convolution_is_timms(kernel: int, stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    theirs = StdConv2d(6, 10, kernel, stride=stride, bias=bias, eps=1e-8).double()
    ours = StandardisedConv2d(6, 10, kernel, stride=stride, bias=bias, eps=1e-8).double()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(4, 6, 9, 9, dtype=torch.float64)
    for ours_, theirs_ in zip(answers(ours, images), answers(theirs, images), strict=True):
        torch.testing.assert_close(ours_, theirs_, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("layer", [CheckedConv2d, StandardisedConv2d])
@pytest.mark.parametrize(("width", "stride"), [(1, 2), (2, 3), (3, 4)])
def test_gradients_of_images_narrower_than_the_stride_are_right(layer, width, stride) -> None:
    """Freed memory is filled first: a gradient that is not written shows what was there."""
    torch.manual_seed(0)
    part = layer(32, 32, 3, stride=stride, padding=1, bias=False)
    images = torch.randn(4, 32, width, width)
    right = answers(part, images)[-1].clone()
    for _ in range(4):
        part.zero_grad()
        torch.full((part.weight.numel(),), 1e30)
        with torch.autocast("cpu", torch.bfloat16):
            found = answers(part, images)[-1]
        torch.testing.assert_close(found, right, rtol=0.1, atol=0.1 * float(right.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("geometry", [(3, 2, 0), (3, 2, 1), (2, 2, 0), ((3, 1), (2, 1), (1, 0))])
def test_detoured_pooling_is_the_same_to_the_bit_among_ties(geometry, layout, dtype) -> None:
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(-2, 3, (3, 5, 17, 14), generator=draw).to(dtype)
    images = images.contiguous(memory_format=layout)
    plain, detoured = nn.MaxPool2d(*geometry), DetouredMaxPool2d(*geometry)
    for ours, theirs in zip(answers(detoured, images), answers(plain, images), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("option", [{"ceil_mode": True}, {"return_indices": True}])
def test_pooling_of_another_kind_is_left_to_torch(option: dict[str, bool]) -> None:
    images = torch.randn(2, 3, 8, 8)
    found = DetouredMaxPool2d(3, 2, **option)(images)
    expected = nn.MaxPool2d(3, 2, **option)(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_network_keeps_its_tensors_and_its_answers() -> None:
    plain = timm.create_model("resnetv2_50x1_bit", pretrained=False, num_classes=0)
    images = torch.randn(2, 3, 64, 64)
    before, state = plain(images), {name: id(tensor) for name, tensor in plain.named_parameters()}
    changed = use_fast_layers(plain)
    assert {name: id(tensor) for name, tensor in changed.named_parameters()} == state
    torch.testing.assert_close(changed(images), before, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "precision", "fused"),
    [(224, "bfloat16", False), (224, "float32", True), (384, "bfloat16", True)],
)
def test_small_transformers_attend_plainly_in_bfloat16(size, precision, fused) -> None:
    model = ModelConfig(rung="scratch/timm:vit_tiny_patch16_224")
    built = build_classifier(
        model, 1, seed=0, device=torch.device("cpu"), precision=precision, input_size=size
    )
    kinds = {m.fused_attn for m in built.classifier.backbone.modules() if hasattr(m, "fused_attn")}
    assert kinds == {fused}


def test_plain_attention_is_the_same_to_rounding() -> None:
    fused = build_backbone(find_rung("scratch/timm:vit_tiny_patch16_224").architecture, seed=0)
    plain = build_backbone(find_rung("scratch/timm:vit_tiny_patch16_224").architecture, seed=0)
    use_plain_attention(plain)
    images = torch.randn(2, 3, 224, 224)
    for ours, theirs in zip(answers(plain, images), answers(fused, images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["r14x0.5", "r26x0.25s", "r50x1"])
def test_every_member_of_the_family_has_them(name: str) -> None:
    network = build_backbone(ARCHITECTURES[name], seed=0)
    assert not any(type(module) in (StdConv2d, nn.MaxPool2d) for module in network.modules())
