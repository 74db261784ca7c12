"""The ladder's facts are true, and its names are helpful."""

import pytest
import torch

from medtransfer.errors import ConfigError
from medtransfer.models.backbones import build_backbone, head_prefix, with_timm_facts
from medtransfer.models.ladder import ARCHITECTURES, LADDER, find_rung


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda a: a.name)
def test_parameters_and_width_are_those_of_the_network(architecture) -> None:
    with torch.device("meta"):
        network = build_backbone(architecture, seed=0)
    assert sum(weight.numel() for weight in network.parameters()) == architecture.parameters
    assert network.num_features == architecture.width


@pytest.mark.parametrize(
    "architecture", [a for a in ARCHITECTURES.values() if a.timm], ids=lambda a: a.name
)
def test_mean_std_and_interpolation_are_those_timm_publishes_with_the_weights(
    architecture,
) -> None:
    import timm

    tags = {"resnetv2": ".goog_in21k", "tf_efficientnet_b0": ".ns_jft_in1k"}
    tag = next((t for start, t in tags.items() if architecture.timm.startswith(start)), ".in1k")
    published = timm.get_pretrained_cfg(architecture.timm + tag).to_dict()
    assert architecture.mean == tuple(published["mean"])
    assert architecture.std == tuple(published["std"])
    assert architecture.interpolation == published["interpolation"]
    if architecture.name.startswith("effnet"):
        assert architecture.input_size == published["input_size"][-1]
        assert architecture.crop_share == pytest.approx(published["crop_pct"], abs=1e-3)


def test_every_hub_rung_names_a_model_timm_publishes() -> None:
    import timm

    published = set(timm.list_pretrained())
    for rung in LADDER.values():
        if rung.source == "hub":
            assert rung.location.removeprefix("timm/") in published


def test_every_rung_states_where_its_weights_come_from() -> None:
    for rung in LADDER.values():
        if rung.is_random:
            assert rung.init == "scratch"
            assert rung.images == 0
        else:
            assert rung.location
            assert rung.licence
            assert rung.images
        if rung.source == "package":
            assert len(rung.sha256) == 64


def test_a_stand_in_is_called_one() -> None:
    assert "tand-in" in find_rung("noisy-student/effnet-b0").note
    assert not any(name.startswith("bit-l") for name in LADDER)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("bit-m/r50x2", "bit-m/r50x1"), ("imagnet/effnet-lite0", "imagenet/effnet-lite0"),
     ("scratch/r50", "scratch/r50x1"), ("file/r14x9", "file/r14x1")],
)  # fmt: skip
def test_a_wrong_name_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"rung '{name}' does not exist\. Did you mean .*{hint}"):
        find_rung(name)


@pytest.mark.parametrize("name", ["scratch/", "timm/", "file/", "scratch/timm:", "nothing"])
def test_half_a_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_rung(name)


def test_any_timm_model_is_a_rung_and_timm_gives_its_facts() -> None:
    rung = with_timm_facts(find_rung("scratch/timm:vit_tiny_patch16_224"))
    assert rung.architecture.width == 192
    assert rung.architecture.parameters == 5_524_416
    assert rung.architecture.mean == (0.5, 0.5, 0.5)
    assert rung.is_random
    pretrained = with_timm_facts(find_rung("timm/resnet18.a1_in1k"))
    assert pretrained.location == "timm/resnet18.a1_in1k"
    assert pretrained.architecture.mean == pytest.approx((0.485, 0.456, 0.406))


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
