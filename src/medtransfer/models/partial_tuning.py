"""Selection of the trained weights: all, those above some stage, or low-rank products."""

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from medtransfer.errors import ConfigError
from medtransfer.models.backbones import layer_numbers
from medtransfer.models.classifier import Classifier
from medtransfer.models.runtime import seeded

WEIGHT = "weight"


class LowRank(nn.Module):
    """Adds ``scale · B A`` to a weight; B starts at zero, so that nothing changes at first.

    LoRA (Hu et al. 2021, arXiv 2106.09685). A kernel is taken as a matrix from all that it looks
    at to its outputs.
    """

    def __init__(self, weight: torch.Tensor, rank: int, scale: float) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        self.scale = scale
        self.a = nn.Parameter(torch.empty(rank, inputs, dtype=weight.dtype))
        self.b = nn.Parameter(torch.zeros(outputs, rank, dtype=weight.dtype))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with the product added, in its own precision whatever is around it."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + self.scale * (self.b @ self.a).view_as(weight)


def lowest_weights(backbone: nn.Module, count: int) -> set[str]:
    """Names of the weights of the lowest groups of a backbone's layers.

    Args:
        backbone: A network of timm's.
        count: How many groups, from below.

    Raises:
        ConfigError: There are not so many groups.
    """
    numbers, top = layer_numbers(backbone, coarse=True)
    if count > top:
        raise ConfigError(
            f"tuning.frozen_stages is {count}; the backbone has {top} groups of layers (allowed: "
            f"1 to {top}, which leaves the head alone)."
        )
    return {name for name, number in numbers.items() if number < count}


class LowestStages:
    """The lowest groups of a backbone's layers, which can be frozen and trained again.

    Frozen, they keep their weights and their batch statistics.
    """

    def __init__(self, classifier: Classifier, count: int) -> None:
        """Find them.

        Args:
            classifier: It is left as it is.
            count: How many groups, from below; the stem is the first, then come timm's stages, or
                its blocks where a network has no stages.

        Raises:
            ConfigError: There are not so many groups.
        """
        names = lowest_weights(classifier.backbone, count)
        self._classifier = classifier
        self._weights = [w for n, w in classifier.backbone.named_parameters() if n in names]
        parts = _named_parts(classifier.backbone)
        self._parts = [part for name, part in parts if f"{name}.weight" in names]

    def freeze(self) -> None:
        """Keep them as they are from now on."""
        for weight in self._weights:
            weight.requires_grad = False
        self._classifier.freeze_batch_norm(self._parts)

    def train(self) -> None:
        """Train them from now on; no other batch normalisation may be frozen."""
        for weight in self._weights:
            weight.requires_grad = True
        self._classifier.train_batch_norm()


def add_low_rank(classifier: Classifier, rank: int, scale: float, seed: int) -> None:
    """Freeze the backbone and train thin products that are added to its weights.

    Linear layers and ungrouped convolutions get one; of a grouped convolution each output looks at
    few inputs already. Weight standardisation, where a network has it, acts on the sum.

    Args:
        classifier: On the CPU; changed in place.
        rank: Inner side of the products, at most the smaller side of the weight.
        scale: Factor of the products.
        seed: Draws A.
    """
    backbone = classifier.backbone
    backbone.requires_grad_(requires_grad=False)
    classifier.freeze_batch_norm(backbone.modules())
    for name, part in _named_parts(backbone):
        if isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.groups == 1):
            limit = min(rank, part.weight.shape[0], part.weight[0].numel())
            with seeded(seed, "low rank", name):
                product = LowRank(part.weight, limit, scale)
            parametrize.register_parametrization(part, WEIGHT, product)


def merge_low_rank(classifier: Classifier) -> None:
    """Make each weight with its product one plain weight again; others are left alone."""
    for part in list(classifier.modules()):
        if parametrize.is_parametrized(part, WEIGHT):
            parametrize.remove_parametrizations(part, WEIGHT, leave_parametrized=True)


@torch.no_grad()
def merged_state(classifier: nn.Module) -> dict[str, torch.Tensor]:
    """The state that a classifier has once its products are merged; it is left as it is."""
    state = dict(classifier.state_dict())
    for name, part in _named_parts(classifier):
        if parametrize.is_parametrized(part, WEIGHT):
            prefix = f"{name}.parametrizations.{WEIGHT}."
            state = {key: value for key, value in state.items() if not key.startswith(prefix)}
            state[f"{name}.{WEIGHT}"] = cast("Any", part).weight
    return state


def _named_parts(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(cast("Iterable[tuple[str, nn.Module]]", network.named_modules()))
