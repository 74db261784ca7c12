"""Backbones that start from a part of their pre-trained weights."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn

from medtransfer.errors import ConfigError
from medtransfer.models.backbones import layer_numbers
from medtransfer.models.rungs.start import Start
from medtransfer.models.runtime import seeded

StartWeights = dict[str, torch.Tensor]
BATCH_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def copy_of(backbone: nn.Module) -> StartWeights:
    """All weights and buffers of a backbone, apart from it."""
    state = cast("Mapping[str, torch.Tensor]", backbone.state_dict())
    return {name: value.detach().clone() for name, value in state.items()}


def apply_start(backbone: nn.Module, start: Start, random: StartWeights, seed: int) -> None:
    """Leave a part of the pre-trained weights in a backbone.

    Args:
        backbone: With its pre-trained weights; changed in place.
        start: The part.
        random: What it had before they were loaded.
        seed: Of the run; draws the weights of `mean-variance`.

    Raises:
        ConfigError: The backbone has fewer groups of layers.
    """
    if start.stages is None:
        _draw_alike(backbone, random, seed)
    else:
        _keep_lowest(backbone, start.stages, random)


def _keep_lowest(backbone: nn.Module, stages: int, random: StartWeights) -> None:
    numbers, top = layer_numbers(backbone, coarse=True)
    if stages >= top:
        raise ConfigError(
            f"the rung ends in @stages{stages}; the backbone has {top} groups of layers (allowed: "
            f"1 to {top - 1}, all of them are the rung without @)."
        )
    modules = {name.rpartition(".")[0]: number for name, number in numbers.items()}
    state = cast("Mapping[str, torch.Tensor]", backbone.state_dict())
    with torch.no_grad():
        for name, value in state.items():
            number = numbers.get(name, modules.get(name.rpartition(".")[0], top))
            if number >= stages:
                value.copy_(random[name])


def _draw_alike(backbone: nn.Module, random: StartWeights, seed: int) -> None:
    """Normal weights with the mean and deviation of each pre-trained tensor."""
    state = cast("Mapping[str, torch.Tensor]", backbone.state_dict())
    with torch.no_grad(), seeded(seed, "mean-variance"):
        for name, value in state.items():
            if name.endswith(BATCH_STATISTICS) or not value.is_floating_point():
                value.copy_(random[name])
            else:
                deviation = float(value.std()) if value.numel() > 1 else 0.0
                value.copy_(torch.empty_like(value).normal_(float(value.mean()), deviation))
