"""Images of negative controls: what a network should not need is left, what it needs is taken away.

DeGrave et al. 2021 show chest networks that read the borders; Neyshabur et al. 2020 shuffle blocks.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from medtransfer.data.images.pictures import Pixels
from medtransfer.data.images.pixel_recipe import PixelRecipe, RecipeFacts
from medtransfer.models.rungs.start import ImageControl
from medtransfer.seeds import generator

BORDER = 0.1
"""Share of each side that `border-only` leaves."""
GRID = 8
"""Parts along each side that `patch-shuffled` puts in another order."""


@dataclass(frozen=True)
class ControlRecipe(PixelRecipe):
    """Recipe of the images of a negative control.

    Attributes:
        control: Which.
    """

    control: ImageControl = "border-only"

    def metadata(self) -> RecipeFacts:
        """Everything that turns a decoded image into pixels."""
        return {**super().metadata(), "control": self.control}

    def finished(self, region: Pixels, data: bytes, frame: int | None) -> Pixels:
        """Resize and change one image; the order of its patches is drawn from its file."""
        pixels = super().finished(region, data, frame)
        if self.control == "border-only":
            return border_alone(pixels)
        return shuffled_patches(pixels, hashlib.sha256(data).hexdigest())


def border_alone(pixels: Pixels) -> Pixels:
    """The image with its middle at the mean of its border. [H, W, C]"""
    is_border = np.ones(pixels.shape[:2], dtype=bool)
    high, wide = (max(1, round(BORDER * side)) for side in pixels.shape[:2])
    is_border[high:-high, wide:-wide] = False
    changed = pixels.copy()
    changed[~is_border] = pixels[is_border].mean(axis=0).astype(pixels.dtype)
    return changed


def shuffled_patches(pixels: Pixels, name: str) -> Pixels:
    """The parts of an 8 × 8 grid in an order drawn for the image; the rest of a side stays.

    Args:
        pixels: [H, W, C]
        name: Of the image; gives the order.
    """
    high, wide = (side // GRID for side in pixels.shape[:2])
    if not high or not wide:
        return pixels
    bottom, right = high * GRID, wide * GRID
    squares = pixels[:bottom, :right].reshape(GRID, high, GRID, wide, -1).swapaxes(1, 2)
    flat = squares.reshape(GRID * GRID, high, wide, -1)
    order = generator(0, "patches", name).permutation(len(flat))
    mixed = flat[order].reshape(GRID, GRID, high, wide, -1).swapaxes(1, 2)
    changed = pixels.copy()
    changed[:bottom, :right] = mixed.reshape(bottom, right, -1)
    return changed
