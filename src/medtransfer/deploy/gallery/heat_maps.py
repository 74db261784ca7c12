"""Heat maps of what a network's output depends on, and a check that they depend on its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pictures import Pixels
from medtransfer.data.transforms import normalise, whole_images
from medtransfer.models.classifier import Classifier
from medtransfer.models.runtime import seeded
from medtransfer.sizes.image_size import height_width

Method = Literal["auto", "grad-cam", "occlusion"]
GRID = 12
"""Places in a row at which a patch is laid over the image."""
PATCH = 2
"""Side of the patch, in such places."""
BATCH = 36
MIN_MAP = 4
"""Side of the last feature maps from which Grad-CAM can point at a place."""
DEPENDS = 0.7
"""Mean rank correlation with random weights from which a page warns."""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A heat map, and the same of a network with random weights.

    Attributes:
        heat: Not negative. [h, w]
        randomised: Rank correlation with the map of the same network with random weights: near 1
            the map shows the image and not what was learned. NaN if either is flat.
    """

    heat: NDArray[np.float64]
    randomised: float

    def words(self) -> str:
        """Its check, for a card."""
        if not np.isfinite(self.randomised):
            return "heat map: flat"
        return f"heat map: rank correlation {self.randomised:.2f} with random weights"


class HeatMaps:
    """Heat maps of one network."""

    def __init__(self, classifier: Classifier, spec: InputSpec, method: Method = "auto") -> None:
        """Keep the network, and a twin with random weights.

        Args:
            classifier: In evaluation mode.
            spec: Its input.
            method: `grad-cam` for networks with feature maps, else `occlusion`; `auto` takes the
                first that can be used.
        """
        self._classifier, self._spec = classifier, spec
        self._twin = _randomised(classifier)
        probe = torch.zeros((1, 3, *height_width(spec.crop)))
        has_maps = _last_map(classifier, probe) is not None
        self.method: Method = "occlusion" if method == "auto" and not has_maps else method
        if method == "auto" and has_maps:
            self.method = "grad-cam"

    def of_image(self, pixels: Pixels, output: int) -> HeatMap:
        """Heat map of an image.

        Args:
            pixels: At the network's size, from its recipe. [height, width, 1 or 3]
            output: Number of the output whose logit is explained.
        """
        image = normalise(whole_images(pixels[None]), self._spec)
        make = _grad_cam if self.method == "grad-cam" else _occlusion
        heat, random = (make(network, image, output) for network in (self._classifier, self._twin))
        return HeatMap(heat, rank_correlation(heat, random))


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's correlation of two maps of one size; NaN if either is flat."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.asarray(spearmanr(one.ravel(), other.ravel()).statistic))


def _logit(network: Classifier, images: torch.Tensor, output: int) -> torch.Tensor:
    """Logit of each image as a case of its own. [M]"""
    owner = torch.arange(len(images), device=images.device)
    return network(images, owner, len(images))[:, output]


def _occlusion(network: Classifier, image: torch.Tensor, output: int) -> NDArray[np.float64]:
    """Fall of the logit when a grey patch covers a place (Zeiler and Fergus 2014). [GRID, GRID]"""
    rows, columns = (np.linspace(0, side, GRID + 1).round().astype(int) for side in image.shape[2:])
    with torch.inference_mode():
        whole = float(_logit(network, image, output)[0])
        falls: list[NDArray[np.float64]] = []
        places = [(row, column) for row in range(GRID) for column in range(GRID)]
        for start in range(0, len(places), BATCH):
            covered = image.repeat(len(places[start : start + BATCH]), 1, 1, 1)
            for place, (row, column) in enumerate(places[start : start + BATCH]):
                bottom, right = min(row + PATCH, GRID), min(column + PATCH, GRID)
                covered[place, :, rows[row] : rows[bottom], columns[column] : columns[right]] = 0
            falls.append(whole - _logit(network, covered, output).double().cpu().numpy())
    return np.maximum(np.concatenate(falls).reshape(GRID, GRID), 0.0)


def _grad_cam(network: Classifier, image: torch.Tensor, output: int) -> NDArray[np.float64]:
    """Last feature maps, weighted by the mean gradient of the logit (Selvaraju et al. 2017)."""
    layer = _last_map(network, image[:1] * 0)
    if layer is None:
        return np.zeros((1, 1))
    maps: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: object, result: torch.Tensor) -> None:
        result.retain_grad()
        maps.append(result)

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logit = _logit(network, image.clone().requires_grad_(), output)[0]
            torch.autograd.backward([logit])
    finally:
        handle.remove()
    gradient = maps[-1].grad
    if gradient is None:
        return np.zeros((1, 1))
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    heat = (weights * maps[-1].detach()).sum(dim=1)[0].clamp(min=0)
    return heat.float().cpu().numpy().astype(np.float64)


def _last_map(network: Classifier, probe: torch.Tensor) -> nn.Module | None:
    """The last layer of the backbone whose output is feature maps; None if they are too small."""
    layers: list[tuple[nn.Module, int]] = []

    def keep(module: nn.Module, _inputs: object, result: object) -> None:
        if isinstance(result, torch.Tensor) and result.ndim == 4 and result.shape[2] > 1:
            layers.append((module, result.shape[2]))

    leaves = [m for m in network.backbone.modules() if not list(m.children())]
    handles = [leaf.register_forward_hook(keep) for leaf in leaves]
    try:
        with torch.inference_mode():
            _logit(network, probe, 0)
    finally:
        for handle in handles:
            handle.remove()
    return layers[-1][0] if layers and layers[-1][1] >= MIN_MAP else None


def _randomised(classifier: Classifier) -> Classifier:
    """The same network with random weights of the same spread (Adebayo et al. 2018)."""
    import copy

    twin = copy.deepcopy(classifier)
    with seeded(0, "randomised weights"), torch.no_grad():
        for parameter in twin.parameters():
            spread = float(parameter.float().std()) if parameter.numel() > 1 else 0.0
            parameter.copy_(parameter.float().mean() + spread * torch.randn(parameter.shape))
    return twin


def mean_correlation(maps: Sequence[HeatMap]) -> float | None:
    """Mean rank correlation with random weights; None if no map has one."""
    values = [m.randomised for m in maps if np.isfinite(m.randomised)]
    return float(np.mean(values)) if values else None


def correlation_words(value: float | None) -> str:
    """The check of heat maps in words (Adebayo et al. 2018).

    Args:
        value: Mean rank correlation with maps of random weights.
    """
    if value is None:
        return "The heat maps are flat: they show nothing."
    text = (
        f"Mean rank correlation with the maps of the same network with random weights: {value:.2f}"
    )
    if value >= DEPENDS:
        return f"{text}. They show the image rather than what was learned: do not explain by them."
    return f"{text} (1: the maps do not depend on what was learned)."
