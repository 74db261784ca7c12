"""A folded network predicts the same, is the same afterwards, and leaves no trace."""

import pytest
import timm
import torch
from torch import nn

from medtransfer.models.backbones import build_backbone
from medtransfer.models.fast_layers import StandardisedConv2d
from medtransfer.models.folding import folded
from medtransfer.models.rungs.architectures import ARCHITECTURES, Precision


def images(size: int = 64) -> torch.Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))


def outputs(network: nn.Module, precision: str) -> torch.Tensor:
    half = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        return network(images())


def lived_in(network: nn.Module) -> nn.Module:
    """With weights and running statistics as after training, in evaluation mode."""
    draw = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
            module.weight.data.uniform_(0.5, 1.5, generator=draw)
            module.bias.data.normal_(0, 0.2, generator=draw)
        if isinstance(module, StandardisedConv2d):
            module.weight.data.normal_(0, 0.05, generator=draw)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bit_with_its_weights_standardised_once_gives_the_same_bits(precision: Precision) -> None:
    network = lived_in(build_backbone(ARCHITECTURES["r14x0.5"], seed=0))
    expected = outputs(network, precision)
    with folded(network, precision):
        assert not any(
            type(module).__name__ == "StandardisedConv2d" for module in network.modules()
        )
        found = outputs(network, precision)
    assert float(expected.std()) > 0.01
    assert torch.equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("tf_efficientnet_lite0", 0),
        ("mobilenetv2_100", 0),
        ("test_efficientnet", 0),
        ("resnet18", 3),
        ("resnet26", 4),
    ],
)
def test_folded_batch_norm_gives_the_same_numbers_to_rounding(name, left, layout) -> None:
    """What is left in a ResNet are the normalisations of its shortcuts."""
    torch.manual_seed(0)
    network = lived_in(timm.create_model(name, num_classes=0)).to(memory_format=layout)
    expected = outputs(network, "float32")
    with folded(network, "float32"):
        assert norms(network) == left
        found = outputs(network, "float32")
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_in_bfloat16_batch_norm_stays_where_its_rounding_is() -> None:
    network = lived_in(timm.create_model("test_efficientnet", num_classes=0))
    before, expected = norms(network), outputs(network, "bfloat16")
    with folded(network, "bfloat16"):
        assert norms(network) == before
        assert torch.equal(outputs(network, "bfloat16"), expected)


@pytest.mark.parametrize("name", ["resnetv2_50", "densenet121", "test_vit", "test_convnext"])
def test_networks_of_other_kinds_are_left_alone(name: str) -> None:
    network = lived_in(timm.create_model(name, num_classes=0))
    parts = dict(network.named_modules())
    with folded(network, "float32"):
        assert dict(network.named_modules()) == parts


@pytest.mark.parametrize("name", ["r14x0.5", "effnet-lite0"])
def test_afterwards_a_network_is_what_it_was_even_after_an_error(name: str) -> None:
    network = build_backbone(ARCHITECTURES[name], seed=0).eval()
    parts = dict(network.named_modules())
    state = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(1)
    with pytest.raises(ZeroDivisionError), folded(network, "float32"):
        raise ZeroDivisionError
    assert torch.initial_seed() == 1
    assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(1)))
    assert dict(network.named_modules()) == parts
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    network.train()(images()).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


class Shard(torch.Tensor):
    """Stands for a tensor of which this process has a part."""


def test_weights_that_are_not_all_here_are_left_to_the_network() -> None:
    network = build_backbone(ARCHITECTURES["r14x0.5"], seed=0).eval()
    for module in network.modules():
        if isinstance(module, StandardisedConv2d):
            module.weight = nn.Parameter(module.weight.data.as_subclass(Shard))
    with folded(network, "float32"):
        assert any(type(module).__name__ == "StandardisedConv2d" for module in network.modules())
