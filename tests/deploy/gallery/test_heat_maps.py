"""Heat maps point at what the output depends on, and the check tells maps that do not."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from medtransfer.data.images.input_spec import InputSpec
from medtransfer.deploy.gallery.heat_maps import (
    HeatMap,
    HeatMaps,
    correlation_words,
    mean_correlation,
    rank_correlation,
)
from medtransfer.models.classifier import CasePool, Classifier, zero_head

SPEC = InputSpec(48, 48, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")


class Corner(nn.Module):
    """Brightness of the upper left quarter alone."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1, :24, :24].mean(dim=(2, 3))


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def classifier(backbone: nn.Module, width: int) -> Classifier:
    head = zero_head(width, 2)
    with torch.no_grad():
        head.weight += torch.linspace(0.5, 1.5, 2 * width).reshape(2, width)
    made = Classifier(backbone, CasePool("mean", width, 0), head, "float32").eval()
    return made.requires_grad_(requires_grad=False)


def image(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(128, 255, (48, 48, 3)).astype(np.uint8)


def test_occlusion_finds_the_corner_that_the_output_depends_on() -> None:
    maps = HeatMaps(classifier(Corner(), 1), SPEC)
    assert maps.method == "occlusion"  # there are no feature maps
    heat = maps.of_image(image(), 1).heat
    assert heat.shape == (12, 12)
    assert (heat[:6, :6] > 0).all()
    assert_allclose(heat[6:], 0, atol=1e-6)
    assert_allclose(heat[:, 6:], 0, atol=1e-6)


def test_grad_cam_is_that_of_another_library() -> None:
    attr = pytest.importorskip("captum.attr", reason="captum is absent: it is the oracle")
    network = classifier(convolutions(), 4)
    maps = HeatMaps(network, SPEC)
    assert maps.method == "grad-cam"
    heat = maps.of_image(image(), 1).heat
    from medtransfer.data.transforms import normalise, whole_images

    batch = normalise(whole_images(image()[None]), SPEC).requires_grad_()
    layer = network.backbone[3]  # type: ignore[index] — a sequence
    cam = attr.LayerGradCam(lambda images: network(images, torch.arange(1), 1), layer)
    expected = cam.attribute(batch, target=1, relu_attributions=True)[0, 0].detach().numpy()
    assert heat.shape == (12, 12)
    assert_allclose(heat, expected, rtol=1e-4, atol=1e-7)


def test_the_network_itself_is_left_as_it_was() -> None:
    network = classifier(convolutions(), 4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    HeatMaps(network, SPEC).of_image(image(), 0)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(hook for module in network.modules() for hook in module._forward_hooks)


def test_maps_that_do_not_depend_on_the_weights_are_told() -> None:
    heat = np.arange(16.0).reshape(4, 4)
    assert rank_correlation(heat, heat**2) == pytest.approx(1)
    assert np.isnan(rank_correlation(heat, np.ones((4, 4))))
    alike = [HeatMap(heat, 0.9), HeatMap(heat, 0.8), HeatMap(heat, float("nan"))]
    assert mean_correlation(alike) == pytest.approx(0.85)
    assert "do not explain by them" in correlation_words(0.85)
    assert "do not explain" not in correlation_words(0.2)
    assert correlation_words(mean_correlation([])) == "The heat maps are flat: they show nothing."
    # a corner that no weight decides: the random twin shows the same
    assert HeatMaps(classifier(Corner(), 1), SPEC).of_image(image(), 1).randomised > 0.7
