"""Weights of other families, sizes and channels: what was changed, and by whose rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from tests.models.bit_reference import features_and_logits, synthetic
from timm.layers.pos_embed import resample_abs_pos_embed

from medtransfer.errors import ConfigError, WeightsError
from medtransfer.models.backbones import build_backbone, head_prefix
from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.load_weights import load_weights
from medtransfer.models.rungs.architectures import ARCHITECTURES
from medtransfer.sizes.image_size import ImageSize, size_words

CPU = torch.device("cpu")
SMALL = ARCHITECTURES["r14x0.5"]
VIT, CONVNEXT = "test_vit", "test_convnext"


def images(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def hub_file(name: str, path: Path, **options) -> Any:
    """A network of timm with random weights, saved as the hub keeps it: with its head."""
    torch.manual_seed(1)
    network = timm.create_model(name, pretrained=False, num_classes=11, **options).eval()
    save_file(network.state_dict(), path)
    return network


def pooled(network, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.forward_head(network.forward_features(x), pre_logits=True)


@pytest.mark.parametrize(("name", "head"), [(VIT, "head"), (CONVNEXT, "head.fc")])
def test_vision_transformers_and_convnext_go_the_same_road(name, head, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    theirs = hub_file(name, path)
    size = theirs.pretrained_cfg["input_size"][-1]
    model = ModelConfig(rung=f"file/timm:{name}", weights=path)
    built = build_classifier(model, 3, seed=0, device=CPU, precision="float32", input_size=size)
    assert built.weights_report is not None
    assert built.weights_report.left_out == (f"{head}.bias", f"{head}.weight")
    assert built.weights_report.adapted == ()
    assert built.weights_report.loaded == len(theirs.state_dict()) - 2
    found = built.classifier.eval().features(images(size), torch.arange(2), 2)
    assert torch.allclose(found, pooled(theirs, images(size)), atol=1e-6)


def test_position_embeddings_are_interpolated_to_the_images_by_timms_function(tmp_path) -> None:
    path = tmp_path / "model.safetensors"
    theirs = hub_file(VIT, path)
    model = ModelConfig(rung=f"file/timm:{VIT}", weights=path)
    built = build_classifier(model, 2, seed=0, device=CPU, precision="float32", input_size=96)
    assert built.weights_report is not None
    assert built.weights_report.adapted == (
        "pos_embed: 1×101×64 to 1×37×64, interpolated by timm's rule",
    )
    expected = resample_abs_pos_embed(theirs.pos_embed, [6, 6], num_prefix_tokens=1)
    assert torch.allclose(built.classifier.get_parameter("backbone.pos_embed"), expected, atol=1e-6)
    theirs.set_input_size(img_size=(96, 96))
    found = built.classifier.eval().features(images(96), torch.arange(2), 2)
    assert torch.allclose(found, pooled(theirs, images(96)), atol=1e-6)


def test_position_embeddings_follow_height_and_width(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    theirs = hub_file(VIT, path)
    model = ModelConfig(rung=f"file/timm:{VIT}", weights=path)
    tall = build_classifier(model, 2, seed=0, device=CPU, precision="float32", input_size=(96, 64))
    expected = resample_abs_pos_embed(theirs.pos_embed, [6, 4], num_prefix_tokens=1)
    assert torch.allclose(tall.classifier.get_parameter("backbone.pos_embed"), expected, atol=1e-6)
    theirs.set_input_size(img_size=(96, 64))
    pictures = images(96)[:, :, :, :64]
    found = tall.classifier.eval().features(pictures, torch.arange(2), 2)
    assert torch.allclose(found, pooled(theirs, pictures), atol=1e-6)


def test_a_file_of_another_input_size_is_interpolated_once_not_twice(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    theirs = hub_file(VIT, path, img_size=64)
    model = ModelConfig(rung=f"file/timm:{VIT}", weights=path)
    same = build_classifier(model, 2, seed=0, device=CPU, precision="float32", input_size=64)
    assert same.weights_report is not None
    assert same.weights_report.adapted == ()
    assert torch.equal(same.classifier.get_parameter("backbone.pos_embed"), theirs.pos_embed)


@pytest.mark.filterwarnings("ignore::UserWarning:timm")
def test_windows_of_a_swin_network_follow_the_images_too(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    small = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    torch.manual_seed(1)
    theirs = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, **small)
    name = "relative_position_bias_table"
    own = [key for key in theirs.state_dict() if name in key]
    assert own, "timm keeps these tables under another name now"
    save_file(theirs.state_dict(), path)
    other = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=0, img_size=96, window_size=3, **small
    )
    fit = load_weights(other, path, head_prefix(other))
    assert {entry.split(":")[0] for entry in fit.adapted} == set(own)
    assert other.eval()(images(96)).shape == (2, 128)


@pytest.mark.parametrize(
    ("rung", "size", "why"),
    [
        ("scratch/timm:test_vit", 100, "its patches have 16 px"),
        ("scratch/timm:test_vit", (64, 40), "its patches have 16 px"),
        ("scratch/timm:mixer_s32_224", 96, "its size is fixed"),
        ("scratch/timm:mixer_s32_224", (96, 64), "its size is fixed"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused_with_one_that_it_can(
    rung: str, size: ImageSize, why: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"cannot take images of {size_words(size)}: {why}"
    ) as caught:
        build_backbone(find_rung(rung).architecture, seed=0, input_size=size)
    assert "under data.image, for example {resize: " in str(caught.value)


def test_a_network_without_positions_takes_any_size_and_the_same_weights() -> None:
    plain = build_backbone(find_rung("scratch/timm:test_convnext").architecture, seed=0)
    sized = build_backbone(
        find_rung("scratch/timm:test_convnext").architecture, seed=0, input_size=96
    )
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), sized.parameters(), strict=True)
    )


def test_older_names_of_a_family_are_read_as_timm_reads_them(tmp_path: Path) -> None:
    """ConvNeXt as its authors publish it: downsample_layers, dwconv, pwconv1 and so on."""
    path = tmp_path / "model.safetensors"
    theirs = hub_file(CONVNEXT, path)
    as_published = {}
    for name, value in theirs.state_dict().items():
        new = name.replace("stem.", "downsample_layers.0.").replace(".blocks.", ".")
        new = new.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        new = new.replace("head.norm", "norm").replace("head.fc", "head")
        if ".downsample." in new:
            stage = new.split(".")[1]
            new = new.replace(f"stages.{stage}.downsample", f"downsample_layers.{stage}")
        as_published[new] = value
    torch.save({"model": as_published}, tmp_path / "convnext.pth")
    built = build_backbone(find_rung(f"scratch/timm:{CONVNEXT}").architecture, seed=5).eval()
    load_weights(built, tmp_path / "convnext.pth", head_prefix(built))
    with torch.inference_mode():
        assert torch.allclose(built(images(64)), pooled(theirs, images(64)), atol=1e-6)


def test_a_file_for_grey_images_sees_repeated_grey_as_it_saw_grey(tmp_path: Path) -> None:
    """Our images have three equal channels for a film's one; BiT is blind to the stem's scale."""
    arrays = synthetic((1, 1, 1, 1), 0.5, classes=5, channels=1)
    np.savez(tmp_path / "grey.npz", allow_pickle=False, **arrays)
    network = build_backbone(SMALL, seed=0).eval()
    fit = load_weights(network, tmp_path / "grey.npz", "head.fc")
    (entry,) = fit.adapted
    assert entry == (
        "stem.conv.weight: 32×1×7×7 to 32×3×7×7, input channels from 1 to 3 by timm's rule"
    )
    grey = images(32)[:, :1]
    known, _ = features_and_logits(arrays, grey)
    with torch.inference_mode():
        assert torch.allclose(network(grey.repeat(1, 3, 1, 1)), known, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_other_numbers_of_channels_are_fitted_by_timms_rule(channels, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    theirs = hub_file("test_resnet", path, in_chans=channels)
    network = build_backbone(find_rung("scratch/timm:test_resnet").architecture, seed=0)
    fit = load_weights(network, path, head_prefix(network))
    assert f"input channels from {channels} to 3 by timm's rule" in fit.adapted[0]
    name = f"{theirs.pretrained_cfg['first_conv']}.weight"
    given, found = theirs.state_dict()[name], network.state_dict()[name]
    first = given[:, :1] * channels / 3
    assert torch.allclose(found[:, :1], first)


def test_another_transformer_is_named_not_interpolated(tmp_path: Path) -> None:
    hub_file(VIT, tmp_path / "model.safetensors")
    network = build_backbone(find_rung("scratch/timm:test_vit2").architecture, seed=0)
    with pytest.raises(WeightsError, match="belong to another network") as caught:
        load_weights(network, tmp_path / "model.safetensors", head_prefix(network))
    assert "not in the file: reg_token, blocks.0.ls1.gamma" in str(caught.value)
    assert "not in the network: cls_token" in str(caught.value)
