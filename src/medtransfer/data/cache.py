"""Images decoded and resized once, then read at memory speed.

A cache is a folder per recipe (size, interpolation, codec) in which every image lies once, found
by the digest of its file and the name of its decoder. Runs, label fractions and later cohorts
share it: what is there is not made again. It may be deleted at any time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.decode import DICOM, decode, decoders
from medtransfer.data.filling import fill_shards
from medtransfer.data.images import DECODER, Interpolation, Pixels, resize_image
from medtransfer.data.rows import PixelRows
from medtransfer.data.scan import Progress, no_progress, refuse_images
from medtransfer.data.shards import (
    INDEX,
    PIXELS,
    Codec,
    Kind,
    Shard,
    drop_shard,
    find_shards,
    widest,
)
from medtransfer.errors import ConfigError, StudyError, plural
from medtransfer.files import (
    make_folder,
    refuse_small_disk,
    sweep_temporaries,
    write_json,
)
from medtransfer.settings import digest
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW

STALE_SECONDS = 600.0
"""A half-written file that nobody has written to for so long is a killed process's."""
FORMAT = 1
"""Part of every recipe's key; raised when the same recipe gives other pixels."""
KEYS = ["content", "decoder"]


@dataclass(frozen=True)
class PixelRecipe:
    """How the images of a cache are made.

    Attributes:
        size: Side of the square they are resized to.
        interpolation: The rung's.
        pixel_limit: Most pixels an image may claim.
        codec: How they are kept.
    """

    size: int
    interpolation: Interpolation
    pixel_limit: int
    codec: Codec = field(default_factory=Codec)

    def about(self) -> dict[str, Any]:
        """Everything that makes pixels of a decoded image; the decoder is each image's own."""
        return {
            "format": FORMAT,
            "size": self.size,
            "interpolation": self.interpolation,
            "resized_by": DECODER,
            "coding": self.codec.coding,
            "quality": self.codec.quality,
        }

    def make(self, data: bytes, frame: int | None = None) -> Pixels:
        """Decode and resize one image.

        Args:
            data: The image's file.
            frame: Which picture of a file that holds several, from 1.

        Returns:
            [size, size, channels], uint8 or uint16.

        Raises:
            ImageError: It cannot be read.
        """
        pixels = decode(data, self.pixel_limit, frame)
        pixels = resize_image(pixels, self.size, self.interpolation)
        return pixels[:, :, None] if pixels.ndim == 2 else pixels

    def folder(self, parent: Path) -> Path:
        """Where the images of this recipe lie."""
        return parent / f"{self.size}px-{digest(self.about())[:12]}"


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Images that are in a cache.

    Attributes:
        folder: Of their recipe.
        recipe: How they were made.
        wanted: `image_id`, `content` and `decoder`, in the order asked for.
        kind: Which holds all of them.
    """

    folder: Path
    recipe: PixelRecipe
    wanted: pl.DataFrame
    kind: Kind


class PixelCache:
    """Read access to images of a cache; pixels stay on disk until they are asked for.

    Attributes:
        pixels: One row per image, in the order in which they were asked for.
    """

    def __init__(self, images: CachedImages) -> None:
        shards = find_shards(images.folder, images.recipe.size)
        at = images.wanted.join(_listing(shards), on=KEYS, how="left", maintain_order="left")
        if at["shard"].null_count():
            raise StudyError(
                f'The image cache "{images.folder.name}" is missing or damaged. Run the same '
                "command again: what is missing is made anew."
            )
        places = at.select("shard", "row").to_numpy()
        self.pixels = PixelRows(shards, images.recipe.codec, images.kind, places)
        names = images.wanted["image_id"].to_list()
        self._place: dict[str, int] = {name: place for place, name in enumerate(names)}

    def places(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Rows of `pixels` that hold some images. [N]"""
        return np.array([self._place[name] for name in image_ids], dtype=np.int64)


def prepare_cache(
    manifest: Manifest,
    indices: Sequence[int] | NDArray[np.int64],
    facts: pl.DataFrame,
    recipe: PixelRecipe,
    *,
    parent: Path,
    progress: Progress = no_progress,
    verify: bool = False,
) -> CachedImages:
    """Put some images into a cache, as far as they are not there already.

    Args:
        manifest: The images.
        indices: Positions in the manifest's frame, in the order they will be read by.
        facts: From `scan_images`.
        recipe: How to make them.
        parent: Folder that holds caches.
        progress: Called as images are done.
        verify: Compare what is there with its SHA-256, not only its size; what is damaged is made
            anew.

    Returns:
        The images, to be read by `PixelCache`: uint8, or uint16 if any of them has 16 bits; one
        channel if all are grey.

    Raises:
        ImageError: Images are damaged, or have changed since they were scanned; all of them are
            listed by row. What is sound is kept.
        StudyError: The disk is full, or has no room for what is missing.
    """
    wanted = _wanted(manifest, indices, facts)
    folder, kind = recipe.folder(parent), widest(_kinds(wanted, recipe), recipe.size)
    images = CachedImages(folder, recipe, wanted.select("image_id", *KEYS), kind)
    missing = _missing(wanted, _sound_shards(folder, recipe, verify=verify))
    if not missing.is_empty():
        _refuse_codec(recipe, missing)
        need = _raw_bytes(missing, recipe)
        what = f"Preparing {plural(len(missing), 'image')} at {recipe.size} px"
        refuse_small_disk(parent, need, what)
        make_folder(folder)
        sweep_temporaries(folder, STALE_SECONDS)
        write_json(folder / "recipe.json", recipe.about())
        faults = fill_shards(folder, missing, manifest, _kinds(missing, recipe), recipe.codec,
                             recipe.make, progress)  # fmt: skip
        refuse_images(manifest, _by_row(faults, wanted))
    return images


def bytes_missing(
    manifest: Manifest,
    indices: Sequence[int] | NDArray[np.int64],
    facts: pl.DataFrame,
    recipe: PixelRecipe,
    parent: Path,
) -> tuple[int, int]:
    """How many images a cache lacks, and the bytes they will take (encoded, at most)."""
    shards = find_shards(recipe.folder(parent), recipe.size)
    missing = _missing(_wanted(manifest, indices, facts), shards)
    return len(missing), _raw_bytes(missing, recipe)


def _wanted(
    manifest: Manifest, indices: Sequence[int] | NDArray[np.int64], facts: pl.DataFrame
) -> pl.DataFrame:
    """Images with what they are to a cache: content, decoder, kind, position and row."""
    where = np.asarray(indices, dtype=np.int64)
    chosen = facts[where].select("image_id", "channels", "bits", "format", content="sha256")
    decoder = pl.when(pl.col("format") == DICOM).then(pl.lit(decoders())).otherwise(pl.lit(DECODER))
    return chosen.with_columns(
        decoder.alias("decoder"),
        pl.Series("index", where),
        manifest.frame[ROW][where],
    )


def _missing(wanted: pl.DataFrame, shards: Sequence[Shard]) -> pl.DataFrame:
    """Images that are in no shard, each content once, in the order they are read best."""
    fresh = wanted.join(_listing(shards), on=KEYS, how="anti")
    return fresh.sort(ROW).unique(KEYS, keep="first", maintain_order=True)


def _listing(shards: Sequence[Shard]) -> pl.DataFrame:
    """Where every image lies: shard and row; the first of several places."""
    parts = [
        shard.index.select(KEYS).with_columns(
            pl.lit(number, dtype=pl.Int64).alias("shard"),
            pl.Series("row", np.arange(len(shard.index), dtype=np.int64)),
        )
        for number, shard in enumerate(shards)
    ]
    nothing = pl.DataFrame(
        schema={**dict.fromkeys(KEYS, pl.String), "shard": pl.Int64, "row": pl.Int64}
    )
    return pl.concat([nothing, *parts]).unique(KEYS, keep="first", maintain_order=True)


def _sound_shards(folder: Path, recipe: PixelRecipe, *, verify: bool) -> list[Shard]:
    """The shards that can be used; the rest is swept away, unless it is being written."""
    shards = find_shards(folder, recipe.size)
    damaged = [shard for shard in shards if verify and not shard.is_whole()]
    sound = [shard for shard in shards if shard not in damaged]
    names = {shard.path.stem for shard in sound}
    for path in (*folder.glob(f"*{INDEX}"), *folder.glob(f"*{PIXELS}")):
        if path.stem not in names and (path.suffix == INDEX or _is_stale(path)):
            drop_shard(path)
    return sound


def _is_stale(path: Path) -> bool:
    return path.is_file() and time.time() - path.stat().st_mtime > STALE_SECONDS


def _kinds(images: pl.DataFrame, recipe: PixelRecipe) -> list[Kind]:
    found = images.select("channels", "bits").unique().sort("channels", "bits")
    return [Kind(recipe.size, channels, bits) for channels, bits in found.iter_rows()]


def _raw_bytes(images: pl.DataFrame, recipe: PixelRecipe) -> int:
    counts = images.group_by("channels", "bits").len().iter_rows()
    return sum(Kind(recipe.size, c, bits).nbytes * count for c, bits, count in counts)


def _refuse_codec(recipe: PixelRecipe, images: pl.DataFrame) -> None:
    """Stop where a codec cannot hold what there is.

    Raises:
        ConfigError: JPEG and images of 16 bits.
    """
    wide = (images["bits"] == 16) & ((images["channels"] == 3) | (recipe.codec.coding == "jpeg"))
    if recipe.codec.coding != "raw" and wide.any():
        raise ConfigError(
            f"{plural(int(wide.sum()), 'image')} have 16 bits, which {recipe.codec.coding} does "
            "not hold (allowed: 8 bits; png holds 16-bit grey too). Keep the cache raw."
        )


def _by_row(faults: dict[str, str], wanted: pl.DataFrame) -> list[tuple[int, str]]:
    """Faults by the rows of all images that have them."""
    rows = wanted.filter(pl.col("content").is_in(list(faults))).select(ROW, "content")
    return [(row, faults[content]) for row, content in rows.iter_rows()]
