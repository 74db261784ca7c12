"""The ladder's facts are true, and its names are helpful."""

import pytest

from medtransfer.errors import ConfigError
from medtransfer.models.ladder import LADDER, find_rung
from medtransfer.models.rungs.architectures import ARCHITECTURES


@pytest.mark.parametrize(
    "architecture",
    [a for a in ARCHITECTURES.values() if a.timm and a.name != "mobilenetv2"],
    ids=lambda a: a.name,
)
def test_mean_std_and_interpolation_are_those_timm_publishes_with_the_weights(
    architecture,
) -> None:
    import timm

    tags = {"resnetv2": ".goog_in21k", "tf_efficientnet_b0": ".ns_jft_in1k"}
    tag = next((t for start, t in tags.items() if architecture.timm.startswith(start)), ".in1k")
    config = timm.get_pretrained_cfg(architecture.timm + tag)
    assert config is not None
    published = config.to_dict()
    assert architecture.mean == tuple(published["mean"])
    assert architecture.std == tuple(published["std"])
    assert architecture.interpolation == published["interpolation"]
    if architecture.name.startswith("effnet"):
        assert architecture.input_size == published["input_size"][-1]
        assert architecture.crop_share == pytest.approx(published["crop_pct"], abs=1e-3)


def test_mobilenets_input_is_what_torchvision_publishes_with_the_weights() -> None:
    from torchvision.models import MobileNet_V2_Weights

    weights = MobileNet_V2_Weights.IMAGENET1K_V1
    published, architecture = weights.transforms(), ARCHITECTURES["mobilenetv2"]
    assert list(architecture.mean) == published.mean
    assert list(architecture.std) == published.std
    assert architecture.interpolation == published.interpolation.value
    assert [architecture.input_size] == published.crop_size
    share = published.crop_size[0] / published.resize_size[0]
    assert architecture.crop_share == pytest.approx(share, abs=1e-3)
    digest = weights.url.removesuffix(".pth").rpartition("-")[2]
    assert LADDER["imagenet/mobilenetv2"].sha256.startswith(digest)


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
    [
        ("bit-m/r50x2", "bit-m/r50x1"),
        ("imagnet/effnet-lite0", "imagenet/effnet-lite0"),
        ("scratch/r50", "scratch/r50x"),
        ("file/r14x9", "file/r14x1"),
    ],
)
def test_a_wrong_name_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"rung '{name}' does not exist\. Did you mean .*{hint}"):
        find_rung(name)


@pytest.mark.parametrize("name", ["scratch/", "timm/", "file/", "scratch/timm:", "nothing"])
def test_half_a_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_rung(name)


def test_a_rung_of_ones_own_that_is_not_here_says_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigError, match=r"'own/nowhere' does not exist in rungs/ of the working"):
        find_rung("own/nowhere")
