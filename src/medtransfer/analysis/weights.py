"""Weights of a network before and after training, stage by stage."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from medtransfer.analysis.stages import Stage

StageState = Mapping[str, torch.Tensor]


def state_of(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all weights and buffers, on the CPU."""
    state = cast("StageState", backbone.state_dict())
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def relative_distance(before: StageState, after: StageState, stage: Stage) -> float:
    """Length of the change of a stage's weights over their length before; NaN if that is 0.

    Buffers, such as the statistics of batch normalisation, are left out.
    """
    change = length = 0.0
    for name in stage.weights:
        if name in before and before[name].is_floating_point() and "running_" not in name:
            first, second = before[name].double(), after[name].double()
            change += float(((second - first) ** 2).sum())
            length += float((first**2).sum())
    return (change / length) ** 0.5 if length else float("nan")


@contextmanager
def stage_reset(backbone: nn.Module, stage: Stage, before: StageState) -> Generator[None]:
    """While inside, a stage has the weights and buffers that it had before training."""
    state = cast("StageState", backbone.state_dict())
    kept = {name: state[name].detach().clone() for name in stage.weights if name in state}
    try:
        with torch.no_grad():
            for name in kept:
                state[name].copy_(before[name])
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                state[name].copy_(value)
