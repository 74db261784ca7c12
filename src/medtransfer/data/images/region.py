"""Region of a decoded image that a network sees: all of it, or the box around the breast.

The breast is the largest connected area above Otsu's threshold (Otsu 1979), so text and labels
beside it are left out. The rules are those of docs/reference/bundle.md, step 2: other programs
carry them out from there, so a change here raises `REGION_RULES`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.pictures import Pixels

Region = Literal["whole", "breast"]
ChestWall = Literal["either", "left", "right"]
FoundSide = Literal["left", "right", "unclear"]

REGION_RULES = 1
"""Part of the key of prepared images, and of bundles; raised when other pixels come out."""
LONGEST = 512
"""Longest side of the image in which the breast is looked for, in blocks of pixels."""
LEVELS = 256
"""Steps between the darkest and the brightest block."""
OPENING = 50
"""Part of the longer side (a fiftieth) that foreground must be thick: edges of a film and strokes
of text are thinner, and join nothing to the breast."""
MIN_SHARE, MAX_SHARE = 0.05, 0.95
"""Shares of the image between which foreground is taken for a breast. The films of MIAS have 0.13
to 0.59 (docs/how-to/mammograms.md)."""
MARGIN = 50
"""Part of the image's longer side (a fiftieth) around the breast on each side: the skin fades."""
CLEAR_SIDE = 0.1
"""Difference of the foreground at both ends of the box, as a share of their sum, from which the
side of the chest wall is clear. The films of MIAS have 0.37 to 0.93."""


@dataclass(frozen=True)
class FoundRegion:
    """The breast in an image.

    Attributes:
        top: First row.
        bottom: Row after the last.
        left: First column.
        right: Column after the last.
        chest_wall: Side that the chest wall lies on.
    """

    top: int
    bottom: int
    left: int
    right: int
    chest_wall: FoundSide


@dataclass(frozen=True, eq=False)
class FramedPixels:
    """Pixels of a region, and what was found.

    Attributes:
        pixels: [H, W] or [H, W, 3], uint8 or uint16
        found: ``whole`` where no breast was clear, else the side of the chest wall: ``left``,
            ``right``, ``unclear``. Empty where none was looked for.
    """

    pixels: Pixels
    found: str = ""


@dataclass(frozen=True)
class Framing:
    """Region of an image, and the side that the chest wall is brought to.

    Attributes:
        region: `whole` or `breast`.
        chest_wall: `either` leaves images as they are; else those with the chest wall on the other
            side are mirrored.
        rules: Version of the rules that find the region.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # as the rest of bundle.json

    region: Region = "whole"
    chest_wall: ChestWall = "either"
    rules: Literal[1] = REGION_RULES

    @property
    def is_whole(self) -> bool:
        """True if images are left as they are."""
        return self.region == "whole"

    def metadata(self) -> dict[str, str]:
        """Everything that it does to an image; empty if nothing."""
        if self.is_whole:
            return {}
        return {"region": f"{self.region}, {self.rules}", "chest_wall": self.chest_wall}

    def words(self) -> str:
        """The framing for a reader; empty if there is none."""
        if self.is_whole:
            return ""
        side = self.chest_wall
        return f"box around the {self.region}" + (
            "" if side == "either" else f", chest wall to the {side}"
        )

    def apply(self, pixels: Pixels) -> FramedPixels:
        """Cut the region out of a decoded image; one without a clear breast is left whole.

        Args:
            pixels: [H, W] or [H, W, 3], uint8 or uint16
        """
        if self.is_whole:
            return FramedPixels(pixels)
        breast = find_breast(pixels)
        if breast is None:
            return FramedPixels(pixels, "whole")
        cut = pixels[breast.top : breast.bottom, breast.left : breast.right]
        if self.chest_wall != "either" and breast.chest_wall not in (self.chest_wall, "unclear"):
            cut = cut[:, ::-1]
        return FramedPixels(np.ascontiguousarray(cut), breast.chest_wall)


def find_breast(pixels: Pixels) -> FoundRegion | None:
    """The breast in a decoded image; None where there is no clear foreground.

    Args:
        pixels: [H, W] or [H, W, 3], uint8 or uint16; black is 0.
    """
    height, width = pixels.shape[:2]
    block = max(1, -(-max(height, width) // LONGEST))
    if min(height, width) < block:
        return None
    mask = _largest_area(_foreground(_block_means(pixels, block)))
    if mask is None or not MIN_SHARE <= mask.mean() <= MAX_SHARE:
        return None
    (top, bottom), (left, right) = _extent(mask.sum(axis=1)), _extent(mask.sum(axis=0))
    side = _chest_wall(mask[:, left:right])
    margin = max(height, width) // MARGIN
    rows, columns = mask.shape
    return FoundRegion(
        top=max(0, top * block - margin),
        bottom=min(height, height if bottom == rows else bottom * block + margin),
        left=max(0, left * block - margin),
        right=min(width, width if right == columns else right * block + margin),
        chest_wall=side,
    )


def _block_means(pixels: Pixels, block: int) -> NDArray[np.float64]:
    """Mean grey value of square blocks; rows and columns that fill no block are left out. [h, w]"""
    rows, columns = (side // block for side in pixels.shape[:2])
    whole = pixels[: rows * block, : columns * block]
    # sums of whole numbers: the same to the bit in any order
    sums = whole.reshape(rows, block, columns * block, -1).sum(axis=1, dtype=np.uint64)
    sums = sums.reshape(rows, columns, block, -1).sum(axis=2)
    means = sums.astype(np.float64) / block**2
    return means[:, :, 0] if means.shape[2] == 1 else means @ np.array([0.299, 0.587, 0.114])


def _foreground(means: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Blocks above Otsu's threshold of the square root: the skin is far darker than the gland."""
    low, high = means.min(), means.max()
    if low == high:
        return np.zeros(means.shape, dtype=bool)
    shades = np.sqrt((means - low) / (high - low))
    levels = np.minimum((shades * LEVELS).astype(np.int64), LEVELS - 1)
    return levels > otsu_level(np.bincount(levels.ravel(), minlength=LEVELS))


def otsu_level(counts: NDArray[np.int64]) -> int:
    """Level up to which values are background: the variance between both sides is largest.

    Otsu 1979. The first of several.

    Args:
        counts: Of each level; at least two levels have some. [L]
    """
    below = np.cumsum(counts)[:-1].astype(np.float64)
    moment = np.cumsum(counts * np.arange(len(counts)))
    total, whole = float(counts.sum()), float(moment[-1])
    sides = below * (total - below)
    gap = whole * below - total * moment[:-1]
    between = np.divide(gap**2, sides, out=np.zeros_like(gap), where=sides > 0)
    return int(between.argmax())


def _largest_area(foreground: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The largest area of neighbours in rows and columns after opening; None if none is left."""
    from scipy import ndimage  # slow, and most studies need none

    side = 2 * (max(foreground.shape) // (2 * OPENING)) + 1
    inside: NDArray[np.uint8] = ndimage.minimum_filter(
        foreground.astype(np.uint8), side, mode="constant", cval=0
    )
    opened = ndimage.maximum_filter(inside, side, mode="constant", cval=0)
    labels, count = ndimage.label(opened)
    if not count:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(sizes.argmax())


def _extent(counts: NDArray[np.int64]) -> tuple[int, int]:
    """First place that has some, and the place after the last."""
    places = np.flatnonzero(counts)
    return int(places[0]), int(places[-1]) + 1


def _chest_wall(mask: NDArray[np.bool_]) -> FoundSide:
    """Side of the chest wall: the breast is tall there and narrows to the nipple.

    Args:
        mask: Columns of the breast. [h, w]
    """
    tenth = max(1, mask.shape[1] // 10)
    left, right = int(mask[:, :tenth].sum()), int(mask[:, -tenth:].sum())
    if abs(left - right) < CLEAR_SIDE * (left + right):
        return "unclear"
    return "left" if left > right else "right"
