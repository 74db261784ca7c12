"""Drawn mammograms whose breast is known to the pixel: labels, film edges and a pectoral wedge."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Box = tuple[int, int, int, int]
"""Top, bottom, left, right; the ends are those after the last."""


@dataclass(frozen=True)
class Film:
    """A drawn film.

    Attributes:
        height: Of the image.
        width: Of the image.
        wall: Side of the chest wall.
        reach: How far the breast reaches from there, as a share of the width.
        text: True for a label in the corner beside the breast, and a marker below it.
        edge: True for a bright edge of the film that joins breast and label.
        seed: Of the tissue and the noise.
    """

    height: int = 240
    width: int = 190
    wall: Literal["left", "right"] = "left"
    reach: float = 0.6
    text: bool = True
    edge: bool = False
    seed: int = 0


def drawn_mammogram(film: Film) -> tuple[NDArray[np.uint8], Box]:
    """A mediolateral oblique view, and the box of its breast. [H, W]"""
    rng = np.random.default_rng(film.seed)
    h, w = film.height, film.width
    y, x = np.mgrid[:h, :w].astype(float)
    centre, half = rng.uniform(0.5, 0.6) * h, rng.uniform(0.3, 0.36) * h
    reach = film.reach * w
    # tall at the wall, where it ends in straight skin folds; round at the nipple
    across = 1 - ((y - centre) / half) ** 2
    skin = reach * np.sqrt(np.clip(across, 0, None))
    breast = x < skin
    wedge = (y < 0.55 * h) & (x < 0.3 * w * (1 - y / (0.55 * h)))
    body = breast | wedge
    shade = np.zeros((h, w))
    depth = np.clip((skin - x) / (0.12 * w), 0, 1)  # thin skin is dark
    tissue = 60 + 90 * np.exp(-(((x - 0.4 * reach) / (0.3 * w)) ** 2) - ((y - centre) / half) ** 2)
    shade[breast] = (30 + (tissue - 30) * depth)[breast]
    shade[wedge] = 190
    shade += rng.normal(0, 3, (h, w)) * body + rng.normal(4, 1.5, (h, w))
    picture = Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8))
    pen: Any = ImageDraw.Draw(picture)
    if film.text:
        pen.rectangle((0.74 * w, 0.03 * h, 0.97 * w, 0.12 * h), fill=235)
        pen.text((0.77 * w, 0.05 * h), "R MLO", fill=0)
        pen.text((0.72 * w, 0.93 * h), "12.3.88", fill=255)
    if film.edge:
        pen.rectangle((0, h - max(1, h // 120), w, h), fill=250)
        pen.rectangle((w - max(1, w // 120), 0, w, h), fill=250)
    pixels = np.asarray(picture)
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    box = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    if film.wall == "right":
        top, bottom, left, right = box
        pixels, box = np.ascontiguousarray(pixels[:, ::-1]), (top, bottom, w - right, w - left)
    return pixels, box
