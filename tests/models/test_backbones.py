"""Networks: those that the ladder describes, from the seed alone, with nothing of timm's chance."""

from typing import Any

import pytest
import torch
from torch import nn

from medtransfer.errors import ConfigError
from medtransfer.models.backbones import build_backbone, head_prefix, with_timm_facts
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.architectures import ARCHITECTURES


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda a: a.name)
def test_parameters_and_width_are_those_of_the_network(architecture) -> None:
    with torch.device("meta"):
        network = build_backbone(architecture, seed=0)
    assert sum(weight.numel() for weight in network.parameters()) == architecture.parameters
    assert network.num_features == architecture.width


def test_any_timm_model_is_a_rung_and_timm_gives_its_facts() -> None:
    rung = with_timm_facts(find_rung("scratch/timm:vit_tiny_patch16_224"))
    assert rung.architecture.width == 192
    assert rung.architecture.parameters == 5_524_416
    assert rung.architecture.mean == (0.5, 0.5, 0.5)
    assert rung.is_random
    pretrained = with_timm_facts(find_rung("timm/resnet18.a1_in1k"))
    assert pretrained.location == "timm/resnet18.a1_in1k"
    assert pretrained.architecture.mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("vit_tiny_patch16_224", "bfloat16"),
        ("test_convnext", "bfloat16"),
        ("resnetv2_50x1_bit", "bfloat16"),
        ("resnet18", "float32"),
        ("test_efficientnet", "float32"),
    ],
)
def test_networks_of_timm_without_batch_norm_train_in_bfloat16_on_a_cpu(model, precision) -> None:
    assert (
        with_timm_facts(find_rung(f"scratch/timm:{model}")).architecture.cpu_precision == precision
    )


def test_an_unknown_timm_model_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="timm .* knows no model 'resnet1888'. Did you mean"):
        with_timm_facts(find_rung("scratch/timm:resnet1888"))


def test_random_weights_depend_on_the_seed_alone() -> None:
    architecture = ARCHITECTURES["r14x0.5"]
    torch.manual_seed(1)
    first = build_backbone(architecture, seed=5).state_dict()
    torch.rand(3)
    second = build_backbone(architecture, seed=5).state_dict()
    other = build_backbone(architecture, seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    build_backbone(ARCHITECTURES["r14x0.5"], seed=5)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", ["r14x0.5", "r50x1", "effnet-lite0"])
def test_a_networks_own_head_stands_under_the_prefix(name: str) -> None:
    with torch.device("meta"):
        network = build_backbone(ARCHITECTURES[name], seed=0, classes=10)
    own = [key for key in network.state_dict() if key.startswith(head_prefix(network) + ".")]
    assert {key.rsplit(".", 1)[1] for key in own} == {"weight", "bias"}


@pytest.mark.parametrize("name", ["r14x0.5", "effnet-lite0"])
def test_without_classes_a_network_gives_pooled_features(name: str) -> None:
    architecture = ARCHITECTURES[name]
    network = build_backbone(architecture, seed=0).eval()
    images = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert network(images).shape == (2, architecture.width)
        assert build_backbone(architecture, seed=0, classes=7).eval()(images).shape == (2, 7)


def test_small_members_of_the_bit_family_are_made_of_the_same_parts() -> None:
    small = build_backbone(ARCHITECTURES["r14x0.5"], seed=0)
    large = build_backbone(ARCHITECTURES["r50x1"], seed=0)

    def kinds(network: nn.Module) -> set[str]:
        return {type(part).__name__ for part in network.modules()} - {"Identity"}

    assert kinds(small) == kinds(large)
    assert "GroupNormAct" in kinds(small)
    assert not any("BatchNorm" in kind for kind in kinds(small))
    deviations = {m.eps for m in small.modules() if type(m).__name__ == "StandardisedConv2d"}
    assert deviations == {
        m.eps for m in large.modules() if type(m).__name__ == "StandardisedConv2d"
    }


TWINS = [name for name in ARCHITECTURES if name.endswith("-bn")]


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_differs_in_its_normalisation_alone(name: str) -> None:
    with torch.device("meta"):
        twin = build_backbone(ARCHITECTURES[name], seed=0)
        group = build_backbone(ARCHITECTURES[name.removesuffix("-bn")], seed=0)
    shapes = {key: weight.shape for key, weight in twin.named_parameters()}
    assert shapes == {key: weight.shape for key, weight in group.named_parameters()}
    places = {key: type(part).__name__ for key, part in twin.named_modules()}
    changes = {
        (type(part).__name__, places[key])
        for key, part in group.named_modules()
        if type(part).__name__ != places[key]
    }
    assert changes == {("GroupNormAct", "BatchNormAct2d"), ("StandardisedConv2d", "CheckedConv2d")}
    images = torch.empty(2, 3, 64, 64, device="meta")
    both: list[Any] = [twin, group]
    with_batches, with_groups = (network.forward_features(images).shape for network in both)
    assert with_batches == with_groups


def test_the_twin_of_r50x1_is_the_network_that_timm_has_with_batch_normalisation() -> None:
    """But for the rounding up of its first pooling, which BiT does by padding."""
    with torch.device("meta"):
        twin = build_backbone(ARCHITECTURES["r50x1-bn"], seed=0)
        theirs = build_backbone(find_rung("scratch/timm:resnetv2_50").architecture, seed=0)
    kept = {key: value.shape for key, value in twin.state_dict().items()}
    assert kept == {key: value.shape for key, value in theirs.state_dict().items()}


def test_facts_that_are_known_are_left_alone() -> None:
    rung = find_rung("imagenet/effnet-lite0")
    assert with_timm_facts(rung) is rung
