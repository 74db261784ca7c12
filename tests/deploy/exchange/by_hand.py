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
    pixels = region(pixels, facts["framing"]) if "framing" in facts else pixels
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


def region(pixels: Any, framing: dict[str, Any]) -> Any:
    """The box around the breast, or the image."""
    assert (framing["region"], framing["rules"]) == ("breast", 1)
    longer = max(pixels.shape[:2])
    k = -(-longer // 512)
    h, w = (side // k for side in pixels.shape[:2])
    blocks = np.atleast_3d(pixels)[: h * k, : w * k].reshape(h, k, w, k, -1).mean(axis=(1, 3))
    means = blocks[:, :, 0] if blocks.shape[2] == 1 else blocks @ [0.299, 0.587, 0.114]
    if means.max() == means.min():
        return pixels
    share = (means - means.min()) / (means.max() - means.min())
    levels = np.minimum(np.floor(256 * np.sqrt(share)), 255).astype(int)
    area = largest(opened(levels > threshold(levels), 2 * (max(h, w) // 100) + 1))
    if not 0.05 <= area.mean() <= 0.95:
        return pixels
    sides = []
    for axis, (side, blocks_of_side) in enumerate(zip(pixels.shape[:2], (h, w), strict=True)):
        places = np.flatnonzero(area.any(axis=1 - axis))
        start, end = places[0] * k - longer // 50, (places[-1] + 1) * k + longer // 50
        end = side if places[-1] + 1 == blocks_of_side else end
        sides.append(slice(max(0, start), min(side, end)))
        columns = places  # of the last axis
    tenth = max(1, (columns[-1] + 1 - columns[0]) // 10)
    a = area[:, columns[0] : columns[0] + tenth].sum()
    b = area[:, columns[-1] + 1 - tenth : columns[-1] + 1].sum()
    wall = "unclear" if abs(int(a) - int(b)) < 0.1 * (a + b) else "left" if a > b else "right"
    box = pixels[tuple(sides)]
    wanted = framing["chest_wall"]
    return box[:, ::-1] if {wanted, wall} == {"left", "right"} else box


def threshold(levels: Any) -> int:
    n, m = levels.size, levels.sum()
    spreads = []
    for t in range(255):
        n0 = (levels <= t).sum()
        m0 = levels[levels <= t].sum()
        spreads.append(float(n * m0 - n0 * m) ** 2 / (n0 * (n - n0)) if 0 < n0 < n else 0)
    return int(np.argmax(spreads))


def opened(foreground: Any, side: int) -> Any:
    kept = np.zeros_like(foreground)
    if min(foreground.shape) < side:
        return kept
    squares = np.lib.stride_tricks.sliding_window_view(foreground, (side, side)).all(axis=(2, 3))
    for row, column in np.argwhere(squares):
        kept[row : row + side, column : column + side] = True
    return kept


def largest(foreground: Any) -> Any:
    best, left = np.zeros_like(foreground), foreground.copy()
    while left.any():
        group = np.zeros_like(left)
        waiting = [tuple(np.argwhere(left)[0])]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < left.shape[0] and 0 <= x < left.shape[1] and left[y, x]:
                left[y, x], group[y, x] = False, True
                waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        best = group if group.sum() > best.sum() else best
    return best


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
