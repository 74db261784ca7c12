"""A sketch of every image: a thumbnail, a digest of its pixels and a few facts of its frame.

Made once from the image caches, in parts that are kept: an interrupted pass goes on where it was.
A sketch holds no name; rows are in the manifest's order.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.perceptual_hash import SIDE
from medtransfer.data.images.cache import CachedImages, PixelCache, PixelRecipe
from medtransfer.data.images.decode import decoders
from medtransfer.files import is_whole, make_folder, seal_folder
from medtransfer.settings import digest
from medtransfer.tables.schema import write_frame

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
VERSION = 1
"""Of what is in a sketch; part of its key."""
PART = 8_192
"""Images of one file."""
BATCH = 64
"""Images held at once."""
DARK, BRIGHT = 16.0, 239.0
"""On the scale 0 to 255: black and white, with room for compression noise."""
LOOKS = {
    "pixels": pl.String,
    "low": pl.Float32,
    "high": pl.Float32,
    "std": pl.Float32,
    "frame_mean": pl.Float32,
    "frame_dark": pl.Float32,
    "frame_bright": pl.Float32,
    "corner_0": pl.Float32,
    "corner_1": pl.Float32,
    "corner_2": pl.Float32,
    "corner_3": pl.Float32,
    "writing": pl.Float32,
}
"""Digest of the cached pixels, grey levels (0 to 255), the outermost frame (mean level, shares of
black and white), mean level of each corner, share of corner pixels that are edges of bright
strokes on black."""


@dataclass(frozen=True)
class Sketches:
    """What is known of the images beside their files.

    Attributes:
        thumbs: Grey thumbnails. [N, SIDE, SIDE]
        looks: One row per image with the columns of `LOOKS`. [N rows]
    """

    thumbs: NDArray[np.uint8]
    looks: pl.DataFrame


@dataclass(frozen=True)
class Cached:
    """Some images and the cache that holds them.

    Attributes:
        indices: Positions in the manifest's frame.
        make: Gives them, making what is not there.
    """

    indices: Sequence[int] | NDArray[np.int64]
    make: Callable[[], CachedImages]


def sketch_images(
    facts: pl.DataFrame,
    caches: Sequence[Cached],
    recipe: PixelRecipe,
    parent: Path,
    progress: Progress = lambda _done, _total: None,
) -> Sketches:
    """Sketch every image of a manifest, unless it is done already.

    Args:
        facts: From `scan_images`.
        caches: Hold every image once, all made by one recipe.
        recipe: Theirs.
        parent: Folder for the sketch's own folder.
        progress: Called with (done, total) images.

    Raises:
        ImageError: Images are damaged; all of them are listed by row.
        StudyError: The disk is full.
    """
    folder = sketch_folder(facts, recipe, parent)
    parts = [folder / f"part-{n:05d}.parquet" for n in range(-(-len(facts) // PART))]
    if not is_whole(folder, verify=False):
        make_folder(folder)
        missing = [number for number, part in enumerate(parts) if not part.is_file()]
        if missing:
            source = _Source(facts, caches)
            for number in missing:
                rows = range(number * PART, min((number + 1) * PART, len(facts)))
                write_frame(source.sketch(rows, progress), parts[number])
        seal_folder(folder)
    table = pl.concat([pl.read_parquet(part) for part in parts])
    thumbs = table["thumb"].to_numpy().reshape(-1, SIDE, SIDE)
    return Sketches(thumbs, table.drop("thumb"))


def sketch_folder(facts: pl.DataFrame, recipe: PixelRecipe, parent: Path) -> Path:
    """Folder of the sketches of these images, by everything that makes them."""
    decoder = decoders(facts["format"].unique())
    about = [recipe.size, recipe.interpolation, decoder, VERSION]
    return parent / f"sketch-{digest([facts['sha256'].to_list(), *about])[:16]}"


class _Source:
    """Pixels of any image, by its position in the manifest."""

    def __init__(self, facts: pl.DataFrame, caches: Sequence[Cached]) -> None:
        self.total = len(facts)
        self.cache = np.full(len(facts), -1)
        self.place = np.zeros(len(facts), dtype=np.int64)
        self.open: list[PixelCache] = []
        for number, cached in enumerate(caches):
            rows = np.asarray(cached.indices, dtype=np.int64)
            self.open.append(PixelCache(cached.make()))
            self.cache[rows] = number
            self.place[rows] = self.open[-1].positions(facts["image_id"][rows].to_list())

    def sketch(self, rows: range, progress: Progress) -> pl.DataFrame:
        """Thumbnails and facts of some images."""
        thumbs = np.empty((len(rows), SIDE * SIDE), dtype=np.uint8)
        looks = np.empty((len(rows), len(LOOKS) - 1), dtype=np.float32)
        digests = [""] * len(rows)
        done = 0
        for number, cache in enumerate(self.open):
            mine = np.flatnonzero(self.cache[rows.start : rows.stop] == number)
            for start in range(0, len(mine), BATCH):
                some = mine[start : start + BATCH]
                pixels = np.asarray(cache.pixels[self.place[rows.start + some]])
                thumbs[some], looks[some] = _looks_of(pixels)
                for place, image in zip(some.tolist(), pixels, strict=True):
                    digests[place] = pixel_digest(image)
                done += len(some)
                progress(rows.start + done, self.total)
        columns = dict(zip(list(LOOKS)[1:], looks.T, strict=True))
        about = {"pixels": digests, **columns, "thumb": thumbs}
        kinds = {**LOOKS, "thumb": pl.Array(pl.UInt8, SIDE * SIDE)}
        return pl.DataFrame(about, schema=kinds)


def pixel_digest(pixels: NDArray[Any]) -> str:
    """Digest of what an image shows: the same for grey stored as colour, and 8 bits as 16.

    Args:
        pixels: uint8 or uint16, [height, width] or [height, width, channels].
    """
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.uint16 and not (pixels % 257).any():
        pixels = (pixels // 257).astype(np.uint8)
    about = hashlib.blake2b(repr((pixels.shape, pixels.dtype.str)).encode(), digest_size=16)
    about.update(np.ascontiguousarray(pixels).data)
    return about.hexdigest()


def _looks_of(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], Floats]:
    """Thumbnails [B, SIDE²] and facts [B, F] of cached pixels [B, side, side, channels]."""
    grey = _grey(pixels)
    side = grey.shape[1]
    weights = _means(side)
    thumbs = np.clip(np.rint(weights @ grey @ weights.T), 0, 255)
    width = max(1, side // 64)
    inside = (slice(None), slice(width, side - width), slice(width, side - width))
    count = side * side - (side - 2 * width) ** 2

    def of_frame(values: NDArray[Any]) -> Floats:
        return (values.sum(axis=(1, 2)) - values[inside].sum(axis=(1, 2))) / np.float32(count)

    corners = [thumbs[:, down, across].mean(axis=(1, 2)) for down, across in _CORNERS]
    facts = [
        grey.min(axis=(1, 2)),
        grey.max(axis=(1, 2)),
        grey.std(axis=(1, 2)),
        of_frame(grey),
        of_frame(grey < DARK),
        of_frame(grey > BRIGHT),
        *corners,
        _writing(grey),
    ]
    return thumbs.astype(np.uint8).reshape(len(thumbs), -1), np.stack(facts, axis=1)


_EDGES = (slice(0, 4), slice(SIDE - 4, SIDE))
_CORNERS = tuple((down, across) for down in _EDGES for across in _EDGES)


def _grey(pixels: NDArray[Any]) -> Floats:
    """Luminance on the scale 0 to 255. [B, side, side]"""
    scale = np.float32(1 / 257 if pixels.dtype == np.uint16 else 1)
    if pixels.shape[3] == 1:
        return pixels[:, :, :, 0].astype(np.float32) * scale
    shares = np.array([0.299, 0.587, 0.114], dtype=np.float32) * scale
    return sum(pixels[:, :, :, c] * shares[c] for c in range(3))  # type: ignore[return-value]


def _means(side: int) -> Floats:
    """Weights that average `side` pixels into `SIDE`, with shares where a border cuts a pixel."""
    edges = np.linspace(0, side, SIDE + 1)
    places = np.arange(side)
    low, high = edges[:-1, None], edges[1:, None]
    covered = np.clip(np.minimum(high, places + 1) - np.maximum(low, places), 0, None)
    return (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)


def _writing(grey: Floats) -> Floats:
    """Share of the corners' pixels that are left or right edges of thin bright strokes on black.

    A corner counts where at least half of it is black; strokes are up to a 40th of a side wide.
    """
    side = grey.shape[1]
    if side < 64:
        return np.zeros(len(grey), dtype=np.float32)
    reach = max(2, side // 40)
    down, across = side // 6, side // 3
    most = np.zeros(len(grey), dtype=np.float32)
    for rows in (slice(0, down), slice(side - down, side)):
        for columns in (slice(0, across), slice(side - across, side)):
            box = grey[:, rows, columns]
            middle = box[:, :, reach:-reach]
            thin = np.maximum(box[:, :, : -2 * reach], box[:, :, 2 * reach :])
            strokes = ((middle > 160) & (thin < 64)).mean(axis=(1, 2))
            black = (box < 48).mean(axis=(1, 2)) >= 0.5
            most = np.maximum(most, np.where(black, strokes, 0)).astype(np.float32)
    return most
