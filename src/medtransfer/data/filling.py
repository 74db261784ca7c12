"""Filling a cache: pictures decoded and resized several at a time, written shard by shard."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.decode import digests
from medtransfer.data.images import Pixels
from medtransfer.data.scan import Progress, map_pictures
from medtransfer.data.shards import Codec, Kind, write_shard
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest

SHARD_BYTES = 256 * 2**20
"""Most raw bytes of a shard: what a kill can cost, and how many files a large cache has."""


def fill_shards(
    folder: Path,
    missing: pl.DataFrame,
    manifest: Manifest,
    kinds: Sequence[Kind],
    codec: Codec,
    make: Callable[[bytes, int | None], Pixels],
    progress: Progress,
) -> dict[str, str]:
    """Write shards of images.

    Which images share a shard depends on their order alone, so a filling that was killed and goes
    on writes the same shards.

    Args:
        folder: Of the shards.
        missing: `content`, `decoder`, `channels`, `bits` and `index` (the position in the
            manifest) of each image; in the order of the file.
        manifest: The images.
        kinds: Of the images, one after the other.
        codec: How they are kept.
        make: From the bytes of a file and the number of the frame to pixels.
        progress: Called as images are done.

    Returns:
        What is wrong with some images, by their content; such a one keeps its whole shard from
        being written.

    Raises:
        StudyError: The disk is full.
    """
    filling = _Filling(manifest, make, progress, len(missing))
    for kind in kinds:
        own = missing.filter(channels=kind.channels, bits=kind.bits)
        for part in own.iter_slices(max(1, SHARD_BYTES // kind.nbytes)):
            with contextlib.suppress(_HasFaults):
                write_shard(folder, kind, codec, part, filling.pictures(part, kind))
    return filling.faults


class _HasFaults(Exception):  # noqa: N818
    """Some pictures of a shard cannot be used."""


@dataclass(frozen=True)
class _Made:
    """A picture, and the digests that name what it was made of."""

    contents: tuple[str, ...]
    pixels: Pixels


class _Filling:
    """One go at the images that a cache lacks."""

    def __init__(
        self,
        manifest: Manifest,
        make: Callable[[bytes, int | None], Pixels],
        progress: Progress,
        total: int,
    ) -> None:
        self._manifest, self._make = manifest, make
        self._progress, self._total, self._done = progress, total, 0
        self.faults: dict[str, str] = {}

    def pictures(self, part: pl.DataFrame, kind: Kind) -> Iterator[Pixels]:
        """The pictures of a shard; if any is damaged, an error after the last."""
        contents = dict(part.select("index", "content").iter_rows())
        sound = True
        for index, made in map_pictures(self._manifest, list(contents), self._read):
            self._done += 1
            self._progress(self._done, self._total)
            fault = _fault_of(made, contents[index], kind)
            if fault is None and isinstance(made, _Made):
                yield made.pixels
            else:
                self.faults[contents[index]] = fault or ""
                sound = False
        if not sound:
            raise _HasFaults

    def _read(self, data: bytes, frame: int | None) -> _Made:
        return _Made(digests(data, frame), self._make(data, frame))


def _fault_of(made: _Made | ImageError, content: str, kind: Kind) -> str | None:
    if isinstance(made, ImageError):
        return str(made)
    if content not in made.contents:
        return "has changed since it was scanned (run the same command again)"
    if made.pixels.shape != kind.shape or made.pixels.dtype != kind.dtype:
        return "does not unpack to what its header says"
    return None
