"""From a file to a network's input by docs/reference/bundle.md alone: numpy, Pillow to unpack.

Nothing of medtransfer is imported, and Pillow does not resize.
"""

import io
from typing import Any

import numpy as np
import pydicom
from PIL import Image, ImageOps


def network_input(content: bytes, facts: dict[str, Any]) -> Any:
    """Input of the network. [3, height, width]

    Args:
        content: Of a file: PNG, JPEG, or uncompressed grey DICOM with a window.
        facts: `input` of ``bundle.json``.
    """
    pixels = film(content) if content[128:132] == b"DICM" else picture(content)
    top = 255 if pixels.dtype == np.uint8 else 65535
    pixels = np.atleast_3d(pixels).astype(float)
    crop = facts["crop"]
    height, width = crop if isinstance(crop, list) else (crop, crop)
    for axis, size in ((1, width), (0, height)):
        pixels = resized(pixels, axis, size, facts["interpolation"])
        pixels = np.clip(np.rint(pixels), 0, 255) if top == 255 else pixels
    pixels = np.clip(np.rint(pixels), 0, top)
    if facts["coding"] == "jpeg":
        file = io.BytesIO()
        image = Image.fromarray(pixels.astype(np.uint8).squeeze())
        image.save(file, "JPEG", quality=facts["quality"], subsampling=0)
        pixels = np.atleast_3d(np.asarray(Image.open(file)))
    scaled = np.broadcast_to(pixels / top, (*pixels.shape[:2], 3))
    return ((scaled - facts["mean"]) / facts["std"]).transpose(2, 0, 1)


def picture(content: bytes) -> Any:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    grey = image.mode in ("1", "L", "LA")
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    laid = np.rint(rgba[:, :, :3] * rgba[:, :, 3:] / 255).astype(np.uint8)
    return laid[:, :, 0] if grey else laid


def film(content: bytes) -> Any:
    header = pydicom.dcmread(io.BytesIO(content))
    values = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    centre, width = float(header.WindowCenter), float(header.WindowWidth)
    shade = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    shade = 1 - shade if header.PhotometricInterpretation == "MONOCHROME1" else shade
    return np.rint(shade * 65535).astype(np.uint16)


def resized(pixels: Any, axis: int, size: int, interpolation: str) -> Any:
    count = pixels.shape[axis]
    if count == size:
        return pixels
    scale, reach = max(1, count / size), {"bilinear": 1, "bicubic": 2}[interpolation]
    centre = (np.arange(size)[:, None] + 0.5) * count / size
    place = np.arange(count)[None]
    x = np.abs(place + 0.5 - centre) / scale
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    cubic = np.where(x < 1, inner, np.where(x < 2, outer, 0))
    weights = np.maximum(0, 1 - x) if interpolation == "bilinear" else cubic
    first = np.floor(centre - reach * scale + 0.5)
    last = np.floor(centre + reach * scale + 0.5)
    weights = np.where((place >= first) & (place < last), weights, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
