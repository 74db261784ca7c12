"""Images of negative controls: what a network should not need is left, what it needs is taken away.

DeGrave et al. 2021 show chest networks that read the borders; Neyshabur et al. 2020 shuffle blocks.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from medtransfer.data.images.pictures import Pixels
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.models.rungs.start import ImageControl
from medtransfer.seeds import generator

BORDER = 0.1
"""Share of each side that `border-only` leaves."""
GRID = 8
"""Squares along each side that `patch-shuffled` puts in another order."""


@dataclass(frozen=True)
class ControlRecipe(PixelRecipe):
    """Recipe of the images of a negative control.

    Attributes:
        control: Which.
    """

    control: ImageControl = "border-only"

    def metadata(self) -> dict[str, str | int]:
        """Everything that turns a decoded image into pixels."""
        return {**super().metadata(), "control": self.control}

    def make(self, data: bytes, frame: int | None = None) -> Pixels:
        """Decode, resize and change one image; the order of its patches is drawn from its file."""
        pixels = super().make(data, frame)
        if self.control == "border-only":
            return border_alone(pixels)
        return shuffled_patches(pixels, hashlib.sha256(data).hexdigest())


def border_alone(pixels: Pixels) -> Pixels:
    """The image with its middle at the mean of its border. [S, S, C]"""
    side = len(pixels)
    width = max(1, round(BORDER * side))
    is_border = np.ones((side, side), dtype=bool)
    is_border[width : side - width, width : side - width] = False
    changed = pixels.copy()
    changed[~is_border] = pixels[is_border].mean(axis=0).astype(pixels.dtype)
    return changed


def shuffled_patches(pixels: Pixels, name: str) -> Pixels:
    """The squares of an 8 × 8 grid in an order drawn for the image; the rest of a side stays.

    Args:
        pixels: [S, S, C]
        name: Of the image; gives the order.
    """
    patch = len(pixels) // GRID
    if not patch:
        return pixels
    end = patch * GRID
    squares = pixels[:end, :end].reshape(GRID, patch, GRID, patch, -1).swapaxes(1, 2)
    flat = squares.reshape(GRID * GRID, patch, patch, -1)
    order = generator(0, "patches", name).permutation(len(flat))
    mixed = flat[order].reshape(GRID, GRID, patch, patch, -1).swapaxes(1, 2)
    changed = pixels.copy()
    changed[:end, :end] = mixed.reshape(end, end, -1)
    return changed
