"""Images decoded and resized once, then read at memory speed.

A cache is a folder with one memory-mapped array and the names of its rows, keyed by everything
that made it: the digests of the images in order, size, interpolation, decoder. It may be deleted
at any time; it is made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.decode import decode, decoders
from medtransfer.data.images import Interpolation, Pixels, resize_image
from medtransfer.data.scan import Progress, map_pictures, no_progress, refuse_images
from medtransfer.errors import ImageError, StudyError
from medtransfer.files import is_whole, make_folder, remove, replacing, seal_folder
from medtransfer.settings import digest
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW, write_frame

PIXELS = "pixels.npy"
NAMES = "images.parquet"


@dataclass(frozen=True)
class PixelRecipe:
    """How the images of a cache are made.

    Attributes:
        size: Side of the square they are resized to.
        interpolation: The rung's.
        pixel_limit: Most pixels an image may claim.
    """

    size: int
    interpolation: Interpolation
    pixel_limit: int


class PixelCache:
    """Read access to a cache; pixels stay on disk until they are asked for."""

    def __init__(self, folder: Path) -> None:
        if not is_whole(folder, verify=False):
            raise StudyError(
                f'The image cache "{folder.name}" is missing or damaged. Run the same command '
                "again: it is made anew."
            )
        self.pixels: NDArray[Any] = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
        names = pl.read_parquet(folder / NAMES)["image_id"].to_list()
        self._place: dict[str, int] = {name: place for place, name in enumerate(names)}

    def places(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Rows of `pixels` that hold some images. [N]"""
        return np.array([self._place[name] for name in image_ids], dtype=np.int64)


def prepare_cache(
    manifest: Manifest,
    indices: Sequence[int],
    facts: pl.DataFrame,
    recipe: PixelRecipe,
    *,
    parent: Path,
    progress: Progress = no_progress,
    verify: bool = False,
) -> Path:
    """Make a cache of some images, unless it is there already.

    Args:
        manifest: The images.
        indices: Positions in the manifest's frame, in the cache's order.
        facts: From `scan_images`.
        recipe: How to make them.
        parent: Folder that holds caches.
        progress: Called as images are done.
        verify: Compare a cache that is there with its SHA-256, not only its size.

    Returns:
        The cache's folder: ``[len(indices), size, size, channels]``, uint8, or uint16 if any
        image has 16 bits; one channel if all are grey.

    Raises:
        ImageError: Images are damaged; all of them are listed by row.
        StudyError: The disk is full.
    """
    chosen = facts[list(indices)]
    bits, channels = int(chosen["bits"].max() or 8), int(chosen["channels"].max() or 1)  # type: ignore[arg-type]
    key = digest(
        {
            "images": chosen["sha256"].to_list(),
            "names": chosen["image_id"].to_list(),
            "size": recipe.size,
            "interpolation": recipe.interpolation,
            "decoder": decoders(chosen["format"].unique()),
        }
    )
    folder = parent / key[:16]
    if is_whole(folder, verify=verify):
        return folder
    remove(folder)
    make_folder(folder)
    shape = (len(indices), recipe.size, recipe.size, channels)
    dtype = np.dtype(np.uint16 if bits == 16 else np.uint8)
    faults: list[tuple[int, str]] = []
    place = {index: number for number, index in enumerate(indices)}
    with replacing(folder / PIXELS) as temporary, temporary.open("wb") as stream:
        _write_header(stream, shape, dtype)
        start = stream.tell()
        found = map_pictures(
            manifest,
            indices,
            lambda data, frame: _make(data, frame, recipe, channels, dtype),
        )
        for done, (index, pixels) in enumerate(found, start=1):
            if isinstance(pixels, ImageError):
                faults.append((manifest.frame[ROW][index], str(pixels)))
            else:
                stream.seek(start + place[index] * pixels.nbytes)
                stream.write(pixels.tobytes())
            progress(done, len(indices))
    if faults:
        remove(folder)
    refuse_images(manifest, faults)
    write_frame(chosen.select("image_id"), folder / NAMES)
    seal_folder(folder)
    return folder


def _write_header(stream: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    np.lib.format.write_array_header_2_0(
        stream,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape},
    )


def _make(
    data: bytes, frame: int | None, recipe: PixelRecipe, channels: int, dtype: np.dtype[Any]
) -> Pixels:
    """Decode, resize, and bring to the cache's channels and bits."""
    pixels = decode(data, recipe.pixel_limit, frame)
    pixels = resize_image(pixels, recipe.size, recipe.interpolation)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], channels, axis=2)
    if dtype == np.uint16 and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(257)
    return pixels
