"""Weights files go into networks whole, or not at all."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.models.bit_npz import official_arrays
from timm.models.resnetv2 import ResNetV2

from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pictures import Interpolation, Pixels, decode_image, resize_image
from medtransfer.data.transforms import normalise, whole_images
from medtransfer.errors import WeightsError
from medtransfer.models.backbones import build_backbone, head_prefix
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.load_weights import load_weights, read_weights
from medtransfer.models.rungs.architectures import ARCHITECTURES
from medtransfer.models.weight_files import find_weights, is_available

SMALL = ARCHITECTURES["r14x0.5"]


@pytest.fixture
def network() -> torch.nn.Module:
    return build_backbone(SMALL, seed=1)


def images(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_safetensors_round_trip_gives_the_same_features(network, tmp_path: Path) -> None:
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    other = build_backbone(SMALL, seed=2)
    fit = load_weights(other, tmp_path / "w.safetensors", "head.fc")
    assert fit.loaded == len(network.state_dict())
    assert torch.equal(other.eval()(images()), network.eval()(images()))


def test_the_files_own_head_is_left_out_and_named(tmp_path: Path) -> None:
    full = build_backbone(SMALL, seed=1, classes=21)
    save_file(full.state_dict(), tmp_path / "w.safetensors")
    fit = load_weights(build_backbone(SMALL, seed=2), tmp_path / "w.safetensors", "head.fc")
    assert fit.left_out == ("head.fc.bias", "head.fc.weight")


def test_a_bit_npz_in_the_official_layout_gives_the_same_logits(tmp_path: Path) -> None:
    full = build_backbone(SMALL, seed=1, classes=21)
    np.savez(tmp_path / "BiT.npz", allow_pickle=False, **official_arrays(full))
    other = build_backbone(SMALL, seed=2, classes=21)
    fit = load_weights(other, tmp_path / "BiT.npz", "head.fc")
    assert fit.left_out == ()
    assert torch.equal(other.eval()(images()), full.eval()(images()))


def test_timms_own_loader_of_bit_files_agrees(tmp_path: Path) -> None:
    full = build_backbone(SMALL, seed=1, classes=21)
    np.savez(tmp_path / "BiT.npz", allow_pickle=False, **official_arrays(full))
    ours = build_backbone(SMALL, seed=2, classes=21)
    load_weights(ours, tmp_path / "BiT.npz", "head.fc")
    theirs = build_backbone(SMALL, seed=3, classes=21)
    assert isinstance(theirs, ResNetV2)
    theirs.load_pretrained(str(tmp_path / "BiT.npz"))
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_weights_of_another_network_are_named_layer_by_layer(tmp_path: Path) -> None:
    save_file(
        build_backbone(ARCHITECTURES["r14x1"], seed=1).state_dict(), tmp_path / "w.safetensors"
    )
    with pytest.raises(WeightsError, match="belong to another network") as caught:
        load_weights(build_backbone(SMALL, seed=2), tmp_path / "w.safetensors", "head.fc")
    assert "stem.conv.weight is 64×3×7×7 in the file, 32×3×7×7 in the network" in str(caught.value)


def test_missing_and_foreign_layers_are_both_named(network, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    del state["norm.weight"]
    state["fc2.weight"] = torch.zeros(2)
    save_file(state, tmp_path / "w.safetensors")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(network, tmp_path / "w.safetensors", "head.fc")
    assert "not in the file: norm.weight" in str(caught.value)
    assert "not in the network: fc2.weight" in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth"])
def test_a_damaged_file_is_called_damaged(network, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"\x00\x01garbage" * 10)
    with pytest.raises(WeightsError, match="is damaged or holds more than tensors"):
        load_weights(network, path, "head.fc")


class Canary:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(network, tmp_path: Path) -> None:
    torch.save({"state_dict": Canary(tmp_path / "canary")}, tmp_path / "w.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    for name in ("w.pth", "raw.pth"):
        with pytest.raises(WeightsError, match="more than tensors"):
            load_weights(network, tmp_path / name, "head.fc")
    assert not (tmp_path / "canary").exists()


def test_an_npz_of_objects_is_refused(network, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(WeightsError, match="more than tensors"):
        load_weights(network, tmp_path / "w.npz", "head.fc")


def test_an_unknown_ending_is_refused(network, tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"ends in '.h5'; allowed: .safetensors, .npz, .pth"):
        load_weights(network, tmp_path / "w.h5", "head.fc")


def test_wrappings_of_foreign_checkpoints_are_taken_off(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.a": torch.ones(2)}, "epoch": 3}, tmp_path / "w.th")
    assert list(read_weights(tmp_path / "w.th")) == ["a"]


def centre_crop(pixels: Pixels, size: int, interpolation: Interpolation, share: float) -> Pixels:
    """The evaluation transform that ImageNet networks are published with."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * share))
    top, left = (height - side) // 2, (width - side) // 2
    return resize_image(pixels[top : top + side, left : left + side], size, interpolation)


def named_rightly(shared: Path, rung_name: str, mean, std) -> float:
    """Share of 100 ImageNet pictures that a rung's own head names rightly."""
    import polars as pl

    rung = find_rung(rung_name)
    architecture = rung.architecture
    network = build_backbone(architecture, seed=0, classes=1000).eval()
    if not is_available(rung):
        pytest.skip(f"the weights of {rung_name} are not installed")
    path = find_weights(ModelConfig(rung=rung_name))
    assert path is not None
    load_weights(network, path, head_prefix(network))
    table = pl.read_parquet(shared / "natural_imagenet_check.parquet")
    side = architecture.input_size
    spec = InputSpec(side, side, mean, std, architecture.interpolation)
    pixels = [
        centre_crop(decode_image(data, 10**8), side, spec.interpolation, architecture.crop_share)
        for data in table["image"]
    ]
    with torch.inference_mode():
        logits = network(normalise(whole_images(np.stack(pixels)), spec))
    return float((logits.argmax(1).numpy() == table["label_id"].to_numpy()).mean())


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("rung", "share"),
    [
        ("imagenet/effnet-lite0", 0.85),
        pytest.param("imagenet/effnet-lite1", 0.87, marks=pytest.mark.slow),
        pytest.param("imagenet/effnet-lite2", 0.89, marks=pytest.mark.slow),
        ("imagenet/mobilenetv2", 0.83),
    ],
)
def test_imagenet_weights_name_imagenet_pictures(shared: Path, rung: str, share: float) -> None:
    architecture = find_rung(rung).architecture
    found = named_rightly(shared, rung, architecture.mean, architecture.std)
    assert found == pytest.approx(share, abs=0.011)


def test_torchvisions_mobilenet_answers_as_it_does_there(tmp_path: Path) -> None:
    """An independent implementation of the network, its weights in its own names."""
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    theirs = mobilenet_v2(weights=None, num_classes=7)
    theirs(torch.randn(4, 3, 64, 64))  # running statistics that are not all 0 and 1
    torch.save(theirs.eval().state_dict(), tmp_path / "mobilenet.pth")
    ours = build_backbone(find_rung("imagenet/mobilenetv2").architecture, seed=1, classes=7).eval()
    fit = load_weights(ours, tmp_path / "mobilenet.pth", head_prefix(ours))
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-5)
    assert fit.left_out == ()
    assert fit.loaded == len(theirs.state_dict())


@pytest.mark.slow
@pytest.mark.shared
def test_another_networks_mean_and_std_would_cost_several_points(shared: Path) -> None:
    rung = "imagenet/effnet-lite2"
    wrong = named_rightly(shared, rung, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert wrong <= 0.84
