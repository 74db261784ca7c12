"""Image cache: images decoded and resized once, then read at memory speed.

A cache is a folder per recipe (size, interpolation, codec) that holds every image once, keyed by
the digest of its file and the name of its decoder. Runs, label fractions and later cohorts share
it: a cached image is not made again. It may be deleted at any time.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.images.decode import DICOM, decoders, digests
from medtransfer.data.images.pictures import DECODER, Pixels
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.scan import Progress, check_images, map_images, no_progress
from medtransfer.data.images.shards import (
    INDEX,
    PIXELS,
    PixelFormat,
    PixelRows,
    Shard,
    damaged_shards,
    drop_shard,
    find_shards,
    note_verified,
    widest_format,
    write_shard,
)
from medtransfer.disk import require_disk
from medtransfer.errors import ConfigError, ImageError, StudyError, plural
from medtransfer.files import (
    make_folder,
    sweep_temporaries,
    write_json,
)
from medtransfer.sizes.image_size import size_words
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW

SHARD_BYTES = 256 * 2**20
"""Most raw bytes of a shard: the work a kill can lose, and the number of files of a large cache."""
STALE_SECONDS = 600.0
"""A half-written file untouched for this long was left by a killed process."""
KEYS = ["content", "decoder"]


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Images that are in a cache.

    Attributes:
        folder: Of their recipe.
        recipe: How they were made.
        wanted: `image_id`, `content`, `decoder`, `channels` and `bits`, in the order asked for.
    """

    folder: Path
    recipe: PixelRecipe
    wanted: pl.DataFrame

    @property
    def kind(self) -> PixelFormat:
        """Pixel format that can hold all of them, and no more."""
        return widest_format(_formats(self.wanted, self.recipe), self.recipe.size)

    def beside(self, other: "CachedImages") -> "CachedImages":
        """These images and others of the same recipe."""
        return replace(self, wanted=pl.concat([self.wanted, other.wanted]))


def found_regions(images: CachedImages) -> pl.DataFrame:
    """Region found in each image of a cache: `image_id` and `found`.

    Args:
        images: From `prepare_cache`; their recipe has a region.

    Returns:
        In the order asked for; null for an image whose shard is gone.
    """
    shards = find_shards(images.folder, images.recipe.size)
    notes = [shard.index.select(*KEYS, "found") for shard in shards]
    nothing = pl.DataFrame(schema=dict.fromkeys([*KEYS, "found"], pl.String))
    noted = pl.concat([nothing, *notes]).unique(KEYS, keep="first", maintain_order=True)
    wanted = images.wanted.join(noted, on=KEYS, how="left", maintain_order="left")
    return wanted.select("image_id", "found")


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
                "command again to rebuild it."
            )
        positions = at.select("shard", "row").to_numpy()
        self.pixels = PixelRows(shards, images.recipe.codec, images.kind, positions)
        names = images.wanted["image_id"].to_list()
        self._positions: dict[str, int] = {name: position for position, name in enumerate(names)}

    def positions(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Rows of `pixels` that hold some images. [N]"""
        return np.array([self._positions[name] for name in image_ids], dtype=np.int64)


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
    """Add the images that a cache lacks.

    Args:
        manifest: The images.
        indices: Positions in the manifest's frame, in the order they will be read by.
        facts: From `scan_images`.
        recipe: How to make them.
        parent: Folder that holds caches.
        progress: Called as images are done.
        verify: Compare cached files with their SHA-256, not only their size; damaged ones are
            made again.

    Returns:
        The images, to be read by `PixelCache`: uint8, or uint16 if any of them has 16 bits; one
        channel if all are grey.

    Raises:
        ImageError: Images are damaged, or have changed since they were scanned; all of them are
            listed by row. Sound images are kept.
        StudyError: The disk is full, or has no room for the missing images.
    """
    wanted = _wanted(manifest, indices, facts)
    folder = recipe.folder(parent)
    images = CachedImages(folder, recipe, wanted.select("image_id", *KEYS, "channels", "bits"))
    sound = _sound_shards(folder, recipe, verify=verify)
    missing = _missing(wanted, sound)
    if verify and sound:
        note_verified(folder, sound)
    if not missing.is_empty():
        _check_codec(recipe, missing)
        need = _raw_bytes(missing, recipe)
        what = f"Preparing {plural(len(missing), 'image')} at {size_words(recipe.size)}"
        require_disk(parent, need, what)
        make_folder(folder)
        sweep_temporaries(folder, STALE_SECONDS)
        write_json(folder / "recipe.json", recipe.metadata())
        filling = _ShardFilling(manifest, recipe, progress, len(missing))
        filling.write(folder, missing)
        note_verified(folder, [*sound, *filling.made])
        check_images(manifest, _by_row(filling.faults, wanted))
    return images


def require_intact(images: Sequence[CachedImages]) -> None:
    """Compare the shards that images lie in with their SHA-256, unless their stamps are noted.

    Raises:
        StudyError: Some were altered since they were made.
    """
    for cached in images:
        shards = find_shards(cached.folder, cached.recipe.size)
        at = cached.wanted.join(_listing(shards), on=KEYS, how="left")["shard"]
        numbers: list[int] = at.drop_nulls().unique().to_list()
        used = [shards[number] for number in numbers]
        if at.null_count() or damaged_shards(cached.folder, used):
            raise StudyError(
                f'The image cache "{cached.folder.name}" was damaged while a run read it. Run the '
                "same command again: the images are prepared anew, and the run starts over."
            )


def bytes_missing(
    manifest: Manifest,
    indices: Sequence[int] | NDArray[np.int64],
    facts: pl.DataFrame,
    recipe: PixelRecipe,
    parent: Path,
) -> tuple[int, int]:
    """Number of images that a cache lacks, and the bytes they will take (encoded, at most)."""
    shards = find_shards(recipe.folder(parent), recipe.size)
    missing = _missing(_wanted(manifest, indices, facts), shards)
    return len(missing), _raw_bytes(missing, recipe)


class _HasFaults(Exception):  # noqa: N818 — it ends the writing of a shard and reaches no user
    """Some images of a shard cannot be used."""


@dataclass(frozen=True)
class _PreparedImage:
    """An image at the cache's size, the digests of its file, and what was found in it."""

    contents: tuple[str, ...]
    pixels: Pixels
    found: str


class _ShardFilling:
    """One pass over the images that a cache lacks.

    Attributes:
        faults: Reasons why images cannot be used, by their content. An unusable image keeps its
            whole shard from being written.
        made: The shards that were written.
    """

    def __init__(
        self, manifest: Manifest, recipe: PixelRecipe, progress: Progress, total: int
    ) -> None:
        self._manifest, self._recipe = manifest, recipe
        self._progress, self._total, self._done = progress, total, 0
        self.faults: dict[str, str] = {}
        self.made: list[Shard] = []

    def write(self, folder: Path, missing: pl.DataFrame) -> None:
        """Write shards of images.

        The order of the images alone decides which share a shard, so a filling that was killed
        and resumed writes the same shards.

        Args:
            folder: Of the shards.
            missing: `content`, `decoder`, `channels`, `bits` and `index` (the position in the
                manifest) of each image; in the order of the file.

        Raises:
            StudyError: The disk is full.
        """
        for kind in _formats(missing, self._recipe):
            rows = missing.filter(channels=kind.channels, bits=kind.bits)
            for part in rows.iter_slices(max(1, SHARD_BYTES // kind.nbytes)):
                with contextlib.suppress(_HasFaults):
                    regions: list[str] = []
                    images = self._images(part, kind, regions)
                    is_whole = self._recipe.framing.is_whole
                    self.made.append(
                        write_shard(
                            folder,
                            kind,
                            self._recipe.codec,
                            part,
                            images,
                            found=None if is_whole else regions,
                        )
                    )

    def _images(
        self, part: pl.DataFrame, kind: PixelFormat, regions: list[str]
    ) -> Iterator[Pixels]:
        """The images of a shard, noting their regions; if any is damaged, an error after all."""
        contents = dict(part.select("index", "content").iter_rows())
        sound = True
        for index, image in map_images(self._manifest, list(contents), self._read):
            self._done += 1
            self._progress(self._done, self._total)
            fault = _fault_of(image, contents[index], kind)
            if fault is None and isinstance(image, _PreparedImage):
                regions.append(image.found)
                yield image.pixels
            else:
                self.faults[contents[index]] = fault or ""
                sound = False
        if not sound:
            raise _HasFaults

    def _read(self, data: bytes, frame: int | None) -> _PreparedImage:
        region = self._recipe.framed(data, frame)
        pixels = self._recipe.finished(region.pixels, data, frame)
        return _PreparedImage(digests(data, frame), pixels, region.found)


def _fault_of(image: _PreparedImage | ImageError, content: str, kind: PixelFormat) -> str | None:
    if isinstance(image, ImageError):
        return str(image)
    if content not in image.contents:
        return "has changed since it was scanned (run the same command again)"
    if image.pixels.shape != kind.shape or image.pixels.dtype != kind.dtype:
        return "does not unpack to what its header says"
    return None


def _wanted(
    manifest: Manifest, indices: Sequence[int] | NDArray[np.int64], facts: pl.DataFrame
) -> pl.DataFrame:
    """Images by a cache's terms: content, decoder, channels, bits, position and row."""
    positions = np.asarray(indices, dtype=np.int64)
    chosen = facts[positions].select("image_id", "channels", "bits", "format", content="sha256")
    decoder = pl.when(pl.col("format") == DICOM).then(pl.lit(decoders())).otherwise(pl.lit(DECODER))
    return chosen.with_columns(
        decoder.alias("decoder"),
        pl.Series("index", positions),
        manifest.frame[ROW][positions],
    )


def _missing(wanted: pl.DataFrame, shards: Sequence[Shard]) -> pl.DataFrame:
    """Images that are in no shard, each content once, in the order that reads fastest."""
    fresh = wanted.join(_listing(shards), on=KEYS, how="anti")
    return fresh.sort(ROW).unique(KEYS, keep="first", maintain_order=True)


def _listing(shards: Sequence[Shard]) -> pl.DataFrame:
    """Shard and row of every image; the first of several."""
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
    """The usable shards; all others are deleted, unless they are being written."""
    # listed first: what another process finishes meanwhile is not in the list, and stays
    listed = {
        path: _written_at(path) for path in (*folder.glob(f"*{INDEX}"), *folder.glob(f"*{PIXELS}"))
    }
    shards = find_shards(folder, recipe.size)
    damaged = [shard for shard in shards if verify and not shard.is_intact()]
    sound = [shard for shard in shards if shard not in damaged]
    names = {shard.path.stem for shard in sound}
    for path, written_at in listed.items():
        is_stale = path.suffix == INDEX or time.time() - written_at * 1e-9 > STALE_SECONDS
        if path.stem not in names and is_stale and written_at == _written_at(path):
            drop_shard(path)
    return sound


def _written_at(path: Path) -> int:
    """Modification time of a file in nanoseconds; now if it is gone."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return time.time_ns()


def _formats(images: pl.DataFrame, recipe: PixelRecipe) -> list[PixelFormat]:
    formats = images.select("channels", "bits").unique().sort("channels", "bits")
    return [PixelFormat(recipe.size, channels, bits) for channels, bits in formats.iter_rows()]


def _raw_bytes(images: pl.DataFrame, recipe: PixelRecipe) -> int:
    counts = images.group_by("channels", "bits").len().iter_rows()
    return sum(PixelFormat(recipe.size, c, bits).nbytes * count for c, bits, count in counts)


def _check_codec(recipe: PixelRecipe, images: pl.DataFrame) -> None:
    """Check that the codec can hold the images.

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
    """Faults by manifest row, for every image with a faulty content."""
    rows = wanted.filter(pl.col("content").is_in(list(faults))).select(ROW, "content")
    return [(row, faults[content]) for row, content in rows.iter_rows()]
