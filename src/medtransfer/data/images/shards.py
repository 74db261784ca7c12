"""Shards: files of equal-sized pictures, one after the other, each with an index written last.

A shard is two files of one name. `NAME.pixels` holds the pictures, raw or encoded; `NAME.parquet`
says which picture lies where, and is the seal: without it, or with another size, the shard is not
there. The name is the digest of what the index lists, so processes that make the same shard write
the same bytes under the same name, and an altered index is found out.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer import files
from medtransfer.data.images.pictures import Pixels, decode_image, encode_jpeg, encode_png
from medtransfer.files import remove, replacing
from medtransfer.settings import digest
from medtransfer.tables.schema import write_frame

PIXELS, INDEX = ".pixels", ".parquet"
SCHEMA = {
    "content": pl.String(),
    "decoder": pl.String(),
    "end": pl.Int64(),
    "sha256": pl.String(),
}
Coding = Literal["raw", "png", "jpeg"]


@dataclass(frozen=True)
class Kind:
    """What all pictures of a shard have in common.

    Attributes:
        size: Side of the square, in pixels.
        channels: 1 (grey) or 3 (RGB).
        bits: 8 or 16 a channel.
    """

    size: int
    channels: int
    bits: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture: [size, size, channels]."""
        return self.size, self.size, self.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16, little-endian."""
        return np.dtype("<u2" if self.bits == 16 else "u1")

    @property
    def nbytes(self) -> int:
        """Bytes of one picture, raw."""
        return self.size * self.size * self.channels * self.dtype.itemsize


@dataclass(frozen=True)
class Codec:
    """How a picture is kept.

    Attributes:
        coding: ``raw``: as it stands, read at memory speed; ``png``: lossless, about half the
            size; ``jpeg``: lossy.
        quality: Of JPEG, 1 to 100; 0 for the others.
    """

    coding: Coding = "raw"
    quality: int = 0

    def encode(self, pixels: Pixels) -> bytes:
        """Bytes of one picture, [size, size, channels]."""
        flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        match self.coding:
            case "raw":
                return np.ascontiguousarray(pixels).tobytes()
            case "png":
                return encode_png(flat)
            case "jpeg":
                return encode_jpeg(flat, self.quality)

    def decode(self, data: bytes, kind: Kind) -> Pixels:
        """The picture of some bytes of `encode`, [size, size, channels]."""
        if self.coding == "raw":
            return np.frombuffer(data, dtype=kind.dtype).reshape(kind.shape)
        return decode_image(data, kind.size**2).reshape(kind.shape)


@dataclass(frozen=True, eq=False)
class Shard:
    """A shard that is there.

    Attributes:
        path: Of its pictures' file.
        kind: Of its pictures.
        index: With the columns of `SCHEMA`, in the order of the pictures.
    """

    path: Path
    kind: Kind
    index: pl.DataFrame

    def open(self, codec: Codec) -> Callable[[int], Pixels]:
        """A function that gives the picture of a row; raw ones stay on disk until looked at."""
        if codec.coding == "raw":
            shape = (len(self.index), *self.kind.shape)
            mapped = np.memmap(self.path, dtype=self.kind.dtype, mode="r", shape=shape)
            return mapped.view(np.ndarray).__getitem__
        data = np.memmap(self.path, dtype=np.uint8, mode="r").view(np.ndarray)
        ends: list[int] = self.index["end"].to_list()
        starts = [0, *ends[:-1]]
        return lambda row: codec.decode(data[starts[row] : ends[row]].tobytes(), self.kind)

    def is_whole(self) -> bool:
        """Whether its pictures are what was written, by SHA-256."""
        with self.path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").digest()
        return _sealed(found, self.index["end"]) == self.index["sha256"][0]


def shard_name(kind: Kind, contents: pl.DataFrame) -> str:
    """Name of the shard that holds some contents in this order."""
    listed = digest([contents["content"].to_list(), contents["decoder"].to_list()])
    return f"{kind.channels}x{kind.bits}-{listed[:16]}"


def write_shard(
    folder: Path, kind: Kind, codec: Codec, contents: pl.DataFrame, pictures: Iterable[Pixels]
) -> None:
    """Write a shard, whole or not at all.

    Args:
        folder: Of the shards.
        kind: Of the pictures.
        codec: How they are kept.
        contents: `content` and `decoder` of each picture; every pair once.
        pictures: As many as there are contents, [size, size, channels] each. An error they raise
            leaves no shard.

    Raises:
        StudyError: The disk is full.
    """
    name = shard_name(kind, contents)
    ends: list[int] = []
    hashed = hashlib.sha256()
    with replacing(folder / f"{name}{PIXELS}") as temporary, temporary.open("wb") as stream:
        for picture in pictures:
            files.on_operation("write")
            data = codec.encode(picture)
            hashed.update(data)
            stream.write(data)
            ends.append((ends[-1] if ends else 0) + len(data))
    index = contents.select("content", "decoder").with_columns(
        pl.Series("end", ends, dtype=pl.Int64)
    )
    index = index.with_columns(sha256=pl.lit(_sealed(hashed.digest(), index["end"])))
    write_frame(index, folder / f"{name}{INDEX}")


def find_shards(folder: Path, size: int) -> list[Shard]:
    """The shards of a folder, by name; what is half written or altered is passed over."""
    found = (_read_shard(path, size) for path in sorted(folder.glob(f"*{INDEX}")))
    return [shard for shard in found if shard is not None]


def drop_shard(path: Path) -> None:
    """Delete a shard by the path of either file; the index goes first, so nothing reads a half."""
    remove(path.with_suffix(INDEX))
    remove(path.with_suffix(PIXELS))


def _sealed(pixels: bytes, ends: pl.Series) -> str:
    """SHA-256 of the pictures' SHA-256 and of where each picture ends."""
    return hashlib.sha256(pixels + ends.to_numpy().astype("<i8").tobytes()).hexdigest()


def _read_shard(path: Path, size: int) -> Shard | None:
    """A shard from its index; None where anything is not as it was written."""
    try:
        index = pl.read_parquet(io.BytesIO(path.read_bytes()))
        channels, bits = (int(part) for part in path.stem.split("-")[0].split("x"))
        kind, pixels = Kind(size, channels, bits), path.with_suffix(PIXELS)
        if (
            dict(index.schema) != SCHEMA
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


def widen(picture: Pixels, kind: Kind) -> Pixels:
    """A picture at more channels or bits: grey is repeated, 255 becomes 65,535."""
    if picture.dtype == np.uint8 and kind.bits == 16:
        picture = picture.astype(np.uint16) * np.uint16(257)
    if picture.shape[2] < kind.channels:
        picture = np.broadcast_to(picture, kind.shape)
    return picture


def widest(kinds: Sequence[Kind], size: int) -> Kind:
    """The kind that can hold pictures of some kinds; grey of 8 bits if there are none."""
    return Kind(
        size, max((k.channels for k in kinds), default=1), max((k.bits for k in kinds), default=8)
    )


OPEN_SHARDS = 256
"""Most shards a reader keeps open; every one takes a file handle."""


class PixelRows:
    """Pictures of a cache as an array that is read on demand. [N, size, size, channels]

    ``rows[i]`` is one picture, read-only and not copied where it can be helped; ``rows[[i, j]]``
    and ``rows[i:j]`` are copies. Pictures of fewer channels or bits are widened.
    """

    def __init__(
        self, shards: Sequence[Shard], codec: Codec, kind: Kind, places: NDArray[np.int64]
    ) -> None:
        """Say which pictures there are.

        Args:
            shards: Where they lie.
            codec: How they are kept.
            kind: What they are widened to.
            places: Number of the shard, and row in it, of every picture. [N, 2]
        """
        self._shards, self._codec, self._kind = shards, codec, kind
        self._places = places
        self._open: dict[int, Callable[[int], Pixels]] = {}
        self.shape = (len(places), *kind.shape)
        self.dtype = kind.dtype

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._places)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Pixels: ...
    def __getitem__(self, key: Any) -> Pixels:
        """One picture, or several as a new array."""
        if isinstance(key, (int, np.integer)):
            return self._picture(*self._places[key].tolist())
        places = self._places[key].tolist()
        found = np.empty((len(places), *self.shape[1:]), dtype=self.dtype)
        for number, (shard, row) in enumerate(places):
            found[number] = self._picture(shard, row)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """All pictures in memory."""
        del copy
        return self[:].astype(dtype or self.dtype, copy=False)

    def _picture(self, shard: int, row: int) -> Pixels:
        read = self._open.get(shard)
        if read is None:
            if len(self._open) >= OPEN_SHARDS:
                del self._open[next(iter(self._open))]
            read = self._open[shard] = self._shards[shard].open(self._codec)
        picture = read(row)
        return picture if self._shards[shard].kind == self._kind else widen(picture, self._kind)
