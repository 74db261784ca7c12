"""Official BiT files: every network's arrays, and the same numbers as an independent network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.bit_reference import (
    OFFICIAL,
    Traps,
    features_and_logits,
    official_shapes,
    synthetic,
)
from timm.models.resnetv2 import ResNetV2

from medtransfer.models.backbones import build_backbone, head_prefix
from medtransfer.models.load_weights import load_state, load_weights
from medtransfer.models.rungs.architectures import ARCHITECTURES

SMALL = ("r26x1", (2, 2, 2, 2), 1.0)


def images(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def ours(name: str, arrays, tmp_path: Path, classes: int, x: torch.Tensor):
    """Features and logits of a network that loaded a file, and what the loader said."""
    np.savez(tmp_path / "BiT.npz", **arrays)
    with_head = build_backbone(ARCHITECTURES[name], seed=1, classes=classes).eval()
    bare = build_backbone(ARCHITECTURES[name], seed=2).eval()
    whole = load_weights(with_head, tmp_path / "BiT.npz", head_prefix(with_head))
    part = load_weights(bare, tmp_path / "BiT.npz", head_prefix(bare))
    assert whole.loaded == len(arrays)
    assert whole.left_out == whole.adapted == ()
    assert part.left_out == ("head.fc.bias", "head.fc.weight")
    with torch.inference_mode():
        return bare(x), with_head(x)


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 49])
def test_features_and_logits_are_those_of_an_independent_network(size: int, tmp_path) -> None:
    name, layers, width = SMALL
    arrays = synthetic(layers, width, classes=7)
    features, logits = ours(name, arrays, tmp_path, 7, images(size))
    known_features, known_logits = features_and_logits(arrays, images(size))
    assert float(known_logits.std()) > 0.1
    assert torch.allclose(features, known_features, atol=1e-4)
    assert torch.allclose(logits, known_logits, atol=1e-4)


@pytest.mark.slow
def test_r50x1_with_its_thousand_classes_agrees_and_so_does_timms_own_loader(tmp_path) -> None:
    layers, width = OFFICIAL["r50x1"]
    arrays = synthetic(layers, width, classes=1000)
    features, logits = ours("r50x1", arrays, tmp_path, 1000, images(64))
    known_features, known_logits = features_and_logits(arrays, images(64))
    assert torch.allclose(features, known_features, atol=1e-4)
    assert torch.allclose(logits, known_logits, atol=1e-4)
    theirs = build_backbone(ARCHITECTURES["r50x1"], seed=3, classes=1000).eval()
    assert isinstance(theirs, ResNetV2)
    theirs.load_pretrained(str(tmp_path / "BiT.npz"))
    with torch.inference_mode():
        assert torch.equal(theirs(images(64)), logits)


@pytest.mark.parametrize(
    ("name", "classes"),
    [*((name, 21_843) for name in OFFICIAL), ("r50x1", 1000), ("r50x1", 5), ("r50x1", 2)],
)
def test_every_published_networks_arrays_find_their_place(name: str, classes: int) -> None:
    """S has 1,000 outputs, M 21,843, its fine-tuned variants 1,000 or those of a VTAB task."""
    layers, width = OFFICIAL[name]
    with torch.device("meta"):
        network = build_backbone(ARCHITECTURES[name], seed=0)
        state = {
            key: torch.empty(shape)
            for key, shape in official_shapes(layers, width, classes).items()
        }
    fit = load_state(network, state, head_prefix(network), "BiT.npz")
    assert fit.loaded == len(state) - 2 == len(network.state_dict())
    assert fit.left_out == ("head.fc.bias", "head.fc.weight")
    assert fit.adapted == ()


@pytest.mark.parametrize(
    "trap",
    [Traps(pool_padded=True), Traps(raw_shortcut=True), Traps(no_standardisation=True)],
    ids=["padded pool", "shortcut of the raw input", "plain convolutions"],
)
def test_each_trap_would_be_seen(trap: Traps, tmp_path: Path) -> None:
    arrays = synthetic((1, 1, 1, 1), 0.5, classes=5)
    _, logits = ours("r14x0.5", arrays, tmp_path, 5, images(32))
    _, right = features_and_logits(arrays, images(32))
    _, wrong = features_and_logits(arrays, images(32), trap)
    assert torch.allclose(logits, right, atol=1e-4)
    assert float((wrong - right).abs().max()) > 20 * 1e-4


def test_height_width_input_and_output_of_a_kernel_each_keep_their_place() -> None:
    network = build_backbone(ARCHITECTURES["r14x0.5"], seed=0)
    state = {k: torch.as_tensor(v) for k, v in synthetic((1, 1, 1, 1), 0.5, 2).items()}
    kernel = torch.zeros(3, 3, 32, 32)
    kernel[0, 2, 5, 7] = 1  # first row, last column, from channel 5 to channel 7
    state["resnet/block1/unit01/b/standardized_conv2d/kernel"] = kernel
    load_state(network, state, "head.fc", "BiT.npz")
    weight = network.state_dict()["stages.0.blocks.0.conv2.weight"]
    assert weight[7, 5, 0, 2] == 1
    assert float(weight.sum()) == 1


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.01])
def test_timms_larger_eps_moves_logits_by_no_more_than_half_of_it_over_the_variance(
    scale: float,
) -> None:
    """1e-8 where the official network has 1e-10 shrinks a weight by 1e-8 / (2 variance) of it.

    So kernels whose variance is above 5e-5 move no logit by more than 1e-4 of the largest.
    """
    arrays = synthetic((1, 1, 1, 1), 0.5, classes=5)
    kernels = {k: v * np.float32(scale) for k, v in arrays.items() if "standardized" in k}
    least = min(float(v.var(axis=(0, 1, 2)).min()) for v in kernels.values())
    arrays |= kernels
    network = build_backbone(ARCHITECTURES["r14x0.5"], seed=0, classes=5).eval()
    load_state(network, {k: torch.as_tensor(v) for k, v in arrays.items()}, "head.fc", "BiT.npz")
    _, right = features_and_logits(arrays, images(32))
    with torch.inference_mode():
        gap = float((network(images(32)) - right).abs().max() / right.abs().max())
    assert gap <= 1e-8 / (2 * least) + 1e-5
    assert scale > 0.01 or gap > 1e-3  # it is there, and it shows where kernels are tiny
