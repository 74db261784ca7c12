"""Statistics of every image: a thumbnail, a digest of its pixels and a few facts of its border.

They are computed once from the image caches, in parts that are kept: an interrupted pass resumes
where it was. They hold no name; rows are in the manifest's order.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.hashing.perceptual_hash import SIDE
from medtransfer.data.images.cache import CachedImages, PixelCache
from medtransfer.data.images.decode import decoders
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.files import SEAL, is_whole, make_folder, remove, seal_folder
from medtransfer.settings import digest
from medtransfer.tables.schema import write_frame

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
VERSION = 2
"""Of the columns below; part of the folder's key."""
PART = 8_192
"""Images of one file."""
BATCH = 64
"""Images held at once."""
DARK, BRIGHT = 16.0, 239.0
"""On the scale 0 to 255: black and white, with room for compression noise."""
FEATURES = {
    "pixels": pl.String,
    "low": pl.Float32,
    "high": pl.Float32,
    "std": pl.Float32,
    "border_mean": pl.Float32,
    "border_dark": pl.Float32,
    "border_bright": pl.Float32,
    "corner_0": pl.Float32,
    "corner_1": pl.Float32,
    "corner_2": pl.Float32,
    "corner_3": pl.Float32,
    "writing": pl.Float32,
}
"""Digest of the cached pixels, grey levels (0 to 255), the outermost border (mean level, shares of
black and white), mean level of each corner, share of corner pixels that are edges of bright
strokes on black."""


@dataclass(frozen=True)
class ImageStats:
    """Thumbnails and features of all images.

    Attributes:
        thumbnails: Grey. [N, SIDE, SIDE]
        features: One row per image with the columns of `LOOKS`. [N rows]
    """

    thumbnails: NDArray[np.uint8]
    features: pl.DataFrame


@dataclass(frozen=True)
class CacheSource:
    """Some images and the cache that holds them.

    Attributes:
        indices: Positions in the manifest's frame.
        make: Returns them; makes those that the cache lacks.
    """

    indices: Sequence[int] | NDArray[np.int64]
    make: Callable[[], CachedImages]


def image_stats(
    facts: pl.DataFrame,
    caches: Sequence[CacheSource],
    recipe: PixelRecipe,
    parent: Path,
    progress: Progress = lambda _done, _total: None,
) -> ImageStats:
    """Compute the statistics of every image of a manifest, unless they are kept already.

    Args:
        facts: From `scan_images`.
        caches: Hold every image once, all made by one recipe.
        recipe: That recipe.
        parent: Folder that holds the folder of the statistics.
        progress: Called with (done, total) images.

    Raises:
        ImageError: Images are damaged; all of them are listed by row.
        StudyError: The disk is full.
    """
    folder = stats_folder(facts, recipe, parent)
    parts = [folder / f"part-{n:05d}.parquet" for n in range(-(-len(facts) // PART))]
    if not is_whole(folder):
        if (folder / SEAL).exists():  # it was whole once: what is damaged cannot be told apart
            remove(folder)
        make_folder(folder)
        missing = [number for number, part in enumerate(parts) if not part.is_file()]
        if missing:
            source = _Source(facts, caches)
            for number in missing:
                rows = range(number * PART, min((number + 1) * PART, len(facts)))
                write_frame(source.compute(rows, progress), parts[number])
        seal_folder(folder)
    table = pl.concat([pl.read_parquet(part) for part in parts])
    thumbnails = table["thumb"].to_numpy().reshape(-1, SIDE, SIDE)
    return ImageStats(thumbnails, table.drop("thumb"))


def stats_folder(facts: pl.DataFrame, recipe: PixelRecipe, parent: Path) -> Path:
    """Folder of the statistics of these images; its name depends on everything that makes them."""
    decoder = decoders(facts["format"].unique())
    key = [recipe.metadata()["size"], recipe.interpolation, decoder, VERSION]
    key += recipe.framing.metadata().values()
    return parent / f"sketch-{digest([facts['sha256'].to_list(), *key])[:16]}"


class _Source:
    """Pixels of any image, by its position in the manifest."""

    def __init__(self, facts: pl.DataFrame, caches: Sequence[CacheSource]) -> None:
        self.total = len(facts)
        self.cache = np.full(len(facts), -1)
        self.positions = np.zeros(len(facts), dtype=np.int64)
        self.open: list[PixelCache] = []
        for number, cached in enumerate(caches):
            rows = np.asarray(cached.indices, dtype=np.int64)
            self.open.append(PixelCache(cached.make()))
            self.cache[rows] = number
            self.positions[rows] = self.open[-1].positions(facts["image_id"][rows].to_list())

    def compute(self, rows: range, progress: Progress) -> pl.DataFrame:
        """Thumbnails and facts of some images."""
        thumbnails = np.empty((len(rows), SIDE * SIDE), dtype=np.uint8)
        features = np.empty((len(rows), len(FEATURES) - 1), dtype=np.float32)
        digests = [""] * len(rows)
        done = 0
        for number, cache in enumerate(self.open):
            of_cache = np.flatnonzero(self.cache[rows.start : rows.stop] == number)
            for start in range(0, len(of_cache), BATCH):
                batch = of_cache[start : start + BATCH]
                pixels = np.asarray(cache.pixels[self.positions[rows.start + batch]])
                thumbnails[batch], features[batch] = _stats_of(pixels)
                for position, image in zip(batch.tolist(), pixels, strict=True):
                    digests[position] = pixel_digest(image)
                done += len(batch)
                progress(rows.start + done, self.total)
        columns = dict(zip(list(FEATURES)[1:], features.T, strict=True))
        table = {"pixels": digests, **columns, "thumb": thumbnails}
        schema = {**FEATURES, "thumb": pl.Array(pl.UInt8, SIDE * SIDE)}
        return pl.DataFrame(table, schema=schema)


def pixel_digest(pixels: NDArray[Any]) -> str:
    """Digest of an image's content: the same for grey stored as colour, and 8 bits as 16.

    Args:
        pixels: uint8 or uint16, [height, width] or [height, width, channels].
    """
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.uint16 and not (pixels % 257).any():
        pixels = (pixels // 257).astype(np.uint8)
    hashed = hashlib.blake2b(repr((pixels.shape, pixels.dtype.str)).encode(), digest_size=16)
    hashed.update(np.ascontiguousarray(pixels).data)
    return hashed.hexdigest()


def _stats_of(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], Floats]:
    """Thumbnails [B, SIDE²] and facts [B, F] of cached pixels [B, H, W, channels]."""
    grey = _grey(pixels)
    high, wide = grey.shape[1:]
    thumbnails = np.clip(np.rint(_means(high) @ grey @ _means(wide).T), 0, 255)
    down, across = (max(1, side // 64) for side in (high, wide))
    inside = (slice(None), slice(down, high - down), slice(across, wide - across))
    count = high * wide - (high - 2 * down) * (wide - 2 * across)

    def of_border(values: NDArray[Any]) -> Floats:
        return (values.sum(axis=(1, 2)) - values[inside].sum(axis=(1, 2))) / np.float32(count)

    corners = [thumbnails[:, rows, columns].mean(axis=(1, 2)) for rows, columns in _CORNERS]
    facts = [
        grey.min(axis=(1, 2)),
        grey.max(axis=(1, 2)),
        grey.std(axis=(1, 2)),
        of_border(grey),
        of_border(grey < DARK),
        of_border(grey > BRIGHT),
        *corners,
        _writing(grey),
    ]
    return thumbnails.astype(np.uint8).reshape(len(thumbnails), -1), np.stack(facts, axis=1)


_EDGES = (slice(0, 4), slice(SIDE - 4, SIDE))
_CORNERS = tuple((down, across) for down in _EDGES for across in _EDGES)


def _grey(pixels: NDArray[Any]) -> Floats:
    """Luminance on the scale 0 to 255. [B, H, W]"""
    scale = np.float32(1 / 257 if pixels.dtype == np.uint16 else 1)
    if pixels.shape[3] == 1:
        return pixels[:, :, :, 0].astype(np.float32) * scale
    shares = np.array([0.299, 0.587, 0.114], dtype=np.float32) * scale
    return sum(pixels[:, :, :, c] * shares[c] for c in range(3))  # type: ignore[return-value]


def _means(side: int) -> Floats:
    """Weights that average `side` pixels into `SIDE`, with shares where a border cuts a pixel."""
    edges = np.linspace(0, side, SIDE + 1)
    pixels = np.arange(side)
    low, high = edges[:-1, None], edges[1:, None]
    covered = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    return (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)


def _writing(grey: Floats) -> Floats:
    """Share of the corners' pixels that are left or right edges of thin bright strokes on black.

    A corner counts if at least half of it is black; strokes are up to a 40th of the width wide.
    """
    high, wide = grey.shape[1:]
    if min(high, wide) < 64:
        return np.zeros(len(grey), dtype=np.float32)
    reach = max(2, wide // 40)
    down, across = high // 6, wide // 3
    largest = np.zeros(len(grey), dtype=np.float32)
    for rows in (slice(0, down), slice(high - down, high)):
        for columns in (slice(0, across), slice(wide - across, wide)):
            box = grey[:, rows, columns]
            middle = box[:, :, reach:-reach]
            thin = np.maximum(box[:, :, : -2 * reach], box[:, :, 2 * reach :])
            strokes = ((middle > 160) & (thin < 64)).mean(axis=(1, 2))
            black = (box < 48).mean(axis=(1, 2)) >= 0.5
            largest = np.maximum(largest, np.where(black, strokes, 0)).astype(np.float32)
    return largest
