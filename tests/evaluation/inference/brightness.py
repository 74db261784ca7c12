"""A classifier of brightness and five cases of one to three plain images."""

from typing import cast

import numpy as np
import torch
from torch import nn

from medtransfer.data.cases import Cases
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.loader import CaseImages
from medtransfer.models.classifier import CasePool, Classifier

SPEC = InputSpec(4, 4, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")
VIEWS = (1, 3, 2, 1, 2)


class Brightness(nn.Module):
    """Mean of each channel; dropout, so that it matters in which mode it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dropout(images.mean(dim=(2, 3)))


class Shelf:
    """Pixels of nine images, each of one brightness."""

    pixels = np.repeat(np.arange(9, dtype=np.uint8), 48).reshape(9, 4, 4, 3) * 20

    def positions(self, image_ids: list[str]) -> np.ndarray:
        return np.array([int(name) for name in image_ids])


def cases() -> Cases:
    ends = np.cumsum(VIEWS)
    images = [tuple(str(i) for i in range(e - n, e)) for e, n in zip(ends, VIEWS, strict=True)]
    names = np.array([f"c{i}" for i in range(5)])
    targets = np.array([[1, 0], [0, np.nan], [0.5, 1], [np.nan, np.nan], [0, 1]])
    splits = np.array(["tune", "test", "test", "tune", "test"])
    patients, cohorts = np.array([f"p{i}" for i in range(5)]), np.array(["a"] * 5)
    return Cases(names, patients, cohorts, splits, targets, tuple(images))


def case_images() -> CaseImages:
    return CaseImages(cases(), cast("PixelCache", Shelf()), SPEC)


def classifier() -> Classifier:
    head = nn.Linear(3, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, -2.0, 0.0]]))
        head.bias.copy_(torch.tensor([0.0, 1.0]))
    return Classifier(Brightness(), CasePool("mean", 3, 0), head, "float32")
