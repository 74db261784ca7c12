"""Pictures of a gallery: an image as it is looked at, and a heat map laid over it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import Pixels, encode_png, resize_image
from medtransfer.data.images.region import Framing
from medtransfer.data.images.scan import image_readers
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest

SIDE = 320
"""Pixels of a side; the page gives the picture its proportions back."""
OPACITY = 0.45
WHOLE = Framing()
RAMP = np.array(
    [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], dtype=np.float64
)
"""Inferno, at five places."""


@dataclass(frozen=True)
class CasePicture:
    """A picture of a page.

    Attributes:
        png: The file.
        ratio: Width over height of the image.
    """

    png: bytes
    ratio: float


def shown_pixels(
    content: bytes, pixel_limit: int, frame: int | None, framing: Framing = WHOLE
) -> tuple[Pixels, float]:
    """An image or its region at the size of a page, 8 bits, and its proportions.

    Args:
        content: A file's content.
        pixel_limit: Most pixels.
        frame: Number of the frame in a file with several.
        framing: Region that is shown.

    Raises:
        ImageError: It cannot be read.
    """
    pixels = framing.apply(decode(content, pixel_limit, frame)).pixels
    ratio = pixels.shape[1] / pixels.shape[0]
    small = resize_image(pixels, SIDE, "bilinear")
    return (small >> 8).astype(np.uint8) if small.dtype == np.uint16 else small, ratio


def picture(pixels: Pixels, ratio: float, heat: NDArray[np.float64] | None = None) -> CasePicture:
    """A picture, with a heat map over it if there is one.

    Args:
        pixels: From `shown_pixels`.
        ratio: Width over height.
        heat: Not negative; the largest value is the brightest. [h, w]
    """
    if heat is None:
        return CasePicture(encode_png(pixels), ratio)
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    levels = (255 * heat / max(float(heat.max()), 1e-12)).astype(np.uint8)
    shown = resize_image(levels, SIDE, "bilinear").astype(np.float64) / 255
    places = np.linspace(0, 1, len(RAMP))
    colours = np.stack([np.interp(shown, places, RAMP[:, c]) for c in range(3)], axis=2)
    mixed = (1 - OPACITY) * grey[:, :, None] + OPACITY * colours
    return CasePicture(encode_png(mixed.round().astype(np.uint8)), ratio)


def image_contents(manifest: Manifest, rows: Sequence[int]) -> dict[int, tuple[bytes, int | None]]:
    """Contents of a manifest's images with their frame, by row; one that is unreadable is empty.

    Args:
        manifest: The images.
        rows: Their places in it.
    """
    frames = manifest.frame["frame"] if "frame" in manifest.frame.columns else None
    contents: dict[int, tuple[bytes, int | None]] = {}
    for row, read in image_readers(manifest, sorted(set(rows))):
        try:
            content = read()
        except (ImageError, OSError):
            content = b""
        contents[row] = content, None if frames is None else frames[row]
    return contents
