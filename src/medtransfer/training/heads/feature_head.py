"""A classifier of feature vectors: what remains of a network whose features are fixed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medtransfer.models.classifier import zero_head
from medtransfer.training.linear_probe import ProbeCheck


@dataclass(frozen=True, eq=False)
class HeadOutputs:
    """Outputs of a head for some cases.

    Attributes:
        inner: Input of the last linear layer. [N, D']
        logits: [N, T]
    """

    inner: NDArray[np.float32]
    logits: NDArray[np.float32]


class FeatureHead(nn.Module):
    """Linear head on features as they are; the base of heads that do more before it.

    Attributes:
        last: The last linear layer.
        rows_at_once: Cases that outputs are computed of at once.
    """

    rows_at_once = 8192

    def __init__(self, width: int, targets: int) -> None:
        super().__init__()
        self.last = zero_head(width, targets)

    def inner(self, features: torch.Tensor) -> torch.Tensor:
        """Input of the last layer. [B, D] -> [B, D']"""
        return features

    def forward(self, inner: torch.Tensor) -> torch.Tensor:
        """Logits. [B, D'] -> [B, T]"""
        return cast("torch.Tensor", self.last(inner))

    def set_last(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """Set the last layer. [T, D'], [T]"""
        with torch.no_grad():
            self.last.weight.copy_(torch.as_tensor(weight))
            self.last.bias.copy_(torch.as_tensor(bias))

    @torch.inference_mode()
    def outputs(self, features: NDArray[np.float32]) -> HeadOutputs:
        """Outputs for cases, some at a time. [N, D]"""
        inner: list[NDArray[np.float32]] = []
        logits: list[NDArray[np.float32]] = []
        for start in range(0, len(features), self.rows_at_once):
            part = torch.as_tensor(features[start : start + self.rows_at_once])
            inner.append(self.inner(part).numpy())
            logits.append(self(torch.as_tensor(inner[-1])).float().numpy())
        if not inner:
            return HeadOutputs(
                np.empty((0, self.last.in_features), np.float32),
                np.empty((0, self.last.out_features), np.float32),
            )
        return HeadOutputs(np.concatenate(inner), np.concatenate(logits))


class StandardisedHead(FeatureHead):
    """A head on features of mean 0 and deviation 1 over the training cases."""

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, width: int, targets: int, inner_width: int | None = None) -> None:
        super().__init__(inner_width or width, targets)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def set_scale(self, features: NDArray[np.float32]) -> None:
        """Take mean and deviation from training cases. [N, D]"""
        mean, spread = scale_of(features)
        self.mean.copy_(torch.as_tensor(mean))
        self.spread.copy_(torch.as_tensor(spread))

    def standardised(self, features: torch.Tensor) -> torch.Tensor:
        """Features of mean 0 and deviation 1. [B, D]"""
        return (features - self.mean) / self.spread


def scale_of(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each feature, the deviation 1 where it is constant. [D], [D]"""
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1.0
    return mean, spread


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A fitted head and the settings that were tried.

    Attributes:
        head: Of the best setting on the tuning split.
        selected: Number of its check.
        checks: One per setting.
    """

    head: FeatureHead
    selected: int
    checks: Sequence[ProbeCheck] = field(default_factory=tuple[ProbeCheck, ...])
