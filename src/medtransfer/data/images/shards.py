"""Shards: files of equal-sized images, one after the other, each with an index written last.

A shard is two files of one name. `NAME.pixels` holds the images, raw or encoded; `NAME.parquet`
lists them with their offsets and is the seal: without it, or with another size, the shard does not
count. The name is the digest of what the index lists, so processes that make the same shard write
the same bytes under the same name, and an altered index is detected. `PixelRows` reads the images
of several shards as one array.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer import files
from medtransfer.data.images.pictures import Pixels, decode_image, encode_jpeg, encode_png
from medtransfer.errors import StudyError
from medtransfer.files import file_stamp, read_json, remove, replacing, write_json
from medtransfer.settings import digest
from medtransfer.sizes.image_size import ImageSize, height_width, pixel_count
from medtransfer.tables.schema import write_frame

PIXELS, INDEX = ".pixels", ".parquet"
VERIFIED = "verified.json"
"""Sizes, times and inodes of the shards whose content was compared with its SHA-256."""
SCHEMA = {
    "content": pl.String(),
    "decoder": pl.String(),
    "end": pl.Int64(),
    "sha256": pl.String(),
}
NOTES = {**SCHEMA, "found": pl.String()}
"""Columns of shards of a region: besides, what was found in each image."""
Coding = Literal["raw", "png", "jpeg"]
MAX_OPEN_SHARDS = 256
"""Most shards a reader keeps open; each takes a file handle."""


@dataclass(frozen=True)
class PixelFormat:
    """Size, channels and bits that all images of a shard have in common.

    Attributes:
        size: In pixels.
        channels: 1 (grey) or 3 (RGB).
        bits: 8 or 16 a channel.
    """

    size: ImageSize
    channels: int
    bits: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: [height, width, channels]."""
        return *height_width(self.size), self.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16, little-endian."""
        return np.dtype("<u2" if self.bits == 16 else "u1")

    @property
    def nbytes(self) -> int:
        """Bytes of one image, raw."""
        return pixel_count(self.size) * self.channels * self.dtype.itemsize


@dataclass(frozen=True)
class Codec:
    """Encoding of the images of a shard.

    Attributes:
        coding: ``raw``: as it stands, read at memory speed; ``png``: lossless, about half the
            size; ``jpeg``: lossy.
        quality: Of JPEG, 1 to 100; 0 for the others.
    """

    coding: Coding = "raw"
    quality: int = 0

    def encode(self, pixels: Pixels) -> bytes:
        """Bytes of one image, [height, width, channels]."""
        flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        match self.coding:
            case "raw":
                return np.ascontiguousarray(pixels).tobytes()
            case "png":
                return encode_png(flat)
            case "jpeg":
                return encode_jpeg(flat, self.quality)

    def decode(self, data: bytes, kind: PixelFormat) -> Pixels:
        """The image of some bytes of `encode`, [height, width, channels]."""
        if self.coding == "raw":
            return np.frombuffer(data, dtype=kind.dtype).reshape(kind.shape)
        return decode_image(data, pixel_count(kind.size)).reshape(kind.shape)


@dataclass(frozen=True, eq=False)
class Shard:
    """A complete shard.

    Attributes:
        path: Of its images' file.
        kind: Of its images.
        index: With the columns of `SCHEMA`, in the order of the images.
    """

    path: Path
    kind: PixelFormat
    index: pl.DataFrame

    def open(self, codec: Codec) -> Callable[[int], Pixels]:
        """A function from row to image; raw images stay on disk until they are read."""
        if codec.coding == "raw":
            shape = (len(self.index), *self.kind.shape)
            mapped = np.memmap(self.path, dtype=self.kind.dtype, mode="r", shape=shape)
            return mapped.view(np.ndarray).__getitem__
        data = np.memmap(self.path, dtype=np.uint8, mode="r").view(np.ndarray)
        ends: list[int] = self.index["end"].to_list()
        starts = [0, *ends[:-1]]
        return lambda row: codec.decode(data[starts[row] : ends[row]].tobytes(), self.kind)

    def is_intact(self) -> bool:
        """Compare its images with the SHA-256 they were written with."""
        try:
            with self.path.open("rb") as stream:
                pixels = hashlib.file_digest(stream, "sha256").digest()
        except OSError:
            return False
        return _sealed(pixels, self.index["end"]) == self.index["sha256"][0]


def shard_name(kind: PixelFormat, contents: pl.DataFrame) -> str:
    """Name of the shard that holds some contents in this order."""
    listed = digest([contents["content"].to_list(), contents["decoder"].to_list()])
    return f"{kind.channels}x{kind.bits}-{listed[:16]}"


def write_shard(
    folder: Path,
    kind: PixelFormat,
    codec: Codec,
    contents: pl.DataFrame,
    images: Iterable[Pixels],
    *,
    found: Sequence[str] | None = None,
) -> Shard:
    """Write a complete shard or nothing.

    Args:
        folder: Of the shards.
        kind: Of the images.
        codec: Their encoding.
        contents: `content` and `decoder` of each image; every pair once.
        images: As many as there are contents, [height, width, channels] each. An error they raise
            leaves no shard.
        found: What was found in each image, complete when the last of them was given; None to
            note nothing.

    Raises:
        StudyError: The disk is full.
    """
    name = shard_name(kind, contents)
    ends: list[int] = []
    hashed = hashlib.sha256()
    with replacing(folder / f"{name}{PIXELS}") as temporary, temporary.open("wb") as stream:
        for image in images:
            files.on_operation("write")
            data = codec.encode(image)
            hashed.update(data)
            stream.write(data)
            ends.append((ends[-1] if ends else 0) + len(data))
    index = contents.select("content", "decoder").with_columns(
        pl.Series("end", ends, dtype=pl.Int64)
    )
    index = index.with_columns(sha256=pl.lit(_sealed(hashed.digest(), index["end"])))
    if found is not None:
        index = index.with_columns(pl.Series("found", found, dtype=pl.String))
    write_frame(index, folder / f"{name}{INDEX}")
    return Shard(folder / f"{name}{PIXELS}", kind, index)


def find_shards(folder: Path, size: ImageSize) -> list[Shard]:
    """The shards of a folder, by name; half-written or altered ones are skipped."""
    shards = (_read_shard(path, size) for path in sorted(folder.glob(f"*{INDEX}")))
    return [shard for shard in shards if shard is not None]


def note_verified(folder: Path, shards: Iterable[Shard]) -> None:
    """Note the stamps of shards that are known to be intact, for `is_verified`."""
    stamps = {shard.path.name: list(file_stamp(shard.path)) for shard in shards}
    if stamps != _noted(folder):
        write_json(folder / VERIFIED, stamps)


def damaged_shards(folder: Path, shards: Iterable[Shard]) -> list[Shard]:
    """Shards that were altered; those whose stamp was noted are not read for that."""
    noted = _noted(folder)
    return [
        shard
        for shard in shards
        if noted.get(shard.path.name) != list(file_stamp(shard.path)) and not shard.is_intact()
    ]


def altered_shards(folder: Path, size: ImageSize, *, verify: bool = False) -> list[Path]:
    """Images' files that do not match their index, and those whose index cannot be used.

    Args:
        folder: Of a recipe.
        size: Of its images.
        verify: Read all of them, also those whose stamp was noted.
    """
    shards = find_shards(folder, size)
    usable = {shard.path for shard in shards}
    unusable = {path.with_suffix(PIXELS) for path in folder.glob(f"*{INDEX}")} - usable
    if verify:
        altered = [shard for shard in shards if not shard.is_intact()]
    else:
        altered = damaged_shards(folder, shards)
    return sorted(unusable | {shard.path for shard in altered})


def _noted(folder: Path) -> dict[str, list[int]]:
    """Noted stamps by the name of the images' file; empty where the notes cannot be read."""
    try:
        noted = read_json(folder / VERIFIED)
    except StudyError:
        return {}
    return cast("dict[str, list[int]]", noted) if isinstance(noted, dict) else {}


def drop_shard(path: Path) -> None:
    """Delete a shard by the path of either file; index first, so that nobody reads half of it."""
    remove(path.with_suffix(INDEX))
    remove(path.with_suffix(PIXELS))


def _sealed(pixels: bytes, ends: pl.Series) -> str:
    """SHA-256 of the images' SHA-256 and of the offsets at which they end."""
    return hashlib.sha256(pixels + ends.to_numpy().astype("<i8").tobytes()).hexdigest()


def _read_shard(path: Path, size: ImageSize) -> Shard | None:
    """A shard from its index; None if anything differs from what was written."""
    try:
        index = pl.read_parquet(io.BytesIO(path.read_bytes()))
        channels, bits = (int(part) for part in path.stem.split("-")[0].split("x"))
        kind, pixels = PixelFormat(size, channels, bits), path.with_suffix(PIXELS)
        if (
            dict(index.schema) not in (SCHEMA, NOTES)
            or shard_name(kind, index) != path.stem
            or pixels.stat().st_size != index["end"][-1]
        ):
            return None
    except (
        OSError,
        ValueError,
        IndexError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,  # of polars itself, on a length that a flipped bit changed
    ):
        return None
    return Shard(pixels, kind, index)


def widen(image: Pixels, kind: PixelFormat) -> Pixels:
    """An image at more channels or bits: grey is repeated, 255 becomes 65,535."""
    if image.dtype == np.uint8 and kind.bits == 16:
        image = image.astype(np.uint16) * np.uint16(257)
    if image.shape[2] < kind.channels:
        image = np.broadcast_to(image, kind.shape)
    return image


def widest_format(formats: Sequence[PixelFormat], size: ImageSize) -> PixelFormat:
    """The format that can hold images of all given formats; 8-bit grey if none is given."""
    channels = max((item.channels for item in formats), default=1)
    return PixelFormat(size, channels, bits=max((item.bits for item in formats), default=8))


class PixelRows:
    """Images of a cache as an array that is read on demand. [N, height, width, channels]

    ``rows[i]`` is one image, read-only and not copied unless it must be; ``rows[[i, j]]``
    and ``rows[i:j]`` are copies. Images of fewer channels or bits are widened.
    """

    def __init__(
        self, shards: Sequence[Shard], codec: Codec, kind: PixelFormat, positions: NDArray[np.int64]
    ) -> None:
        """Define the images.

        Args:
            shards: Shards that hold them.
            codec: Their encoding.
            kind: Format they are widened to.
            positions: Number of the shard, and row in it, of every image. [N, 2]
        """
        self._shards, self._codec, self._kind = shards, codec, kind
        self._positions = positions
        self._open: dict[int, Callable[[int], Pixels]] = {}
        self.shape = (len(positions), *kind.shape)
        self.dtype = kind.dtype

    def __len__(self) -> int:
        """Number of images."""
        return len(self._positions)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Pixels: ...
    def __getitem__(self, key: Any) -> Pixels:
        """One image, or several as a new array."""
        if isinstance(key, (int, np.integer)):
            return self._image(*self._positions[key].tolist())
        positions = self._positions[key].tolist()
        images = np.empty((len(positions), *self.shape[1:]), dtype=self.dtype)
        for number, (shard, row) in enumerate(positions):
            images[number] = self._image(shard, row)
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """All images in memory."""
        del copy
        return self[:].astype(dtype or self.dtype, copy=False)

    def _image(self, shard: int, row: int) -> Pixels:
        read = self._open.get(shard)
        if read is None:
            if len(self._open) >= MAX_OPEN_SHARDS:
                del self._open[next(iter(self._open))]
            read = self._open[shard] = self._shards[shard].open(self._codec)
        image = read(row)
        return image if self._shards[shard].kind == self._kind else widen(image, self._kind)
