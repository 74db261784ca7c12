"""PNG and JPEG files as arrays; the only module that decodes them.

`inspect_image` reads the header only and rejects files that must not be unpacked; `decode_image`
gives upright grey or RGB pixels of 8 or 16 bits. `decode` calls them for files that are not DICOM.
"""

import hashlib
import io
import os
import stat
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from medtransfer.errors import ImageError
from medtransfer.sizes.image_size import ImageSize, height_width

Interpolation = Literal["bilinear", "bicubic"]
Resampling = Literal["bilinear", "bicubic", "box"]
Pixels = NDArray[np.uint8 | np.uint16]
FORMATS = ("PNG", "JPEG")
DECODER = f"Pillow {Image.__version__}"
"""Part of every cache key: decoders are not bit-equal between versions."""

_WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GREY_MODES = ("1", "L", "LA", "La", *_WIDE_MODES)
_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Exceptions that Pillow raises on damaged files."""
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
}


@dataclass(frozen=True)
class ImageFacts:
    """Header facts of an image, and the digest of its file.

    Attributes:
        width: Pixels, after EXIF rotation.
        height: Pixels, after EXIF rotation.
        channels: 1 (grey) or 3 (RGB).
        bits: 8 or 16 a channel.
        sha256: Of the encoded bytes; of a frame if a DICOM file holds several.
        format: ``PNG``, ``JPEG`` or ``DICOM``.
        rule: How the stored values of a DICOM file become pixels, in a few words; else empty.
        syntax: Name of a DICOM file's transfer syntax; else empty.
        modality: Of a DICOM file, if it is one of the standard's; else empty.
        burned_in: ``YES``, ``NO`` or empty: a DICOM file's claim about text in its pixels.
    """

    width: int
    height: int
    channels: int
    bits: int
    sha256: str
    format: str
    rule: str = ""
    syntax: str = ""
    modality: str = ""
    burned_in: str = ""


def read_file(path: Path, root: Path, span: tuple[int, int] | None = None) -> bytes:
    """Read an image file that must be a regular file below `root`.

    Args:
        path: The file.
        root: The folder it must lie below.
        span: Offset and length, in bytes, of an image in a file that holds many.

    Raises:
        ImageError: Missing, not a regular file, outside the root by a link, or not readable. The
            message is a reason without the file's name.
    """
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_relative_to(root):
            raise ImageError("is a link that leaves the image folder (see data.image_root)")
        if resolved.is_dir():
            raise ImageError("is not a regular file")
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageError("is not a regular file")
            if span is None:
                return stream.read()
            stream.seek(span[0])
            return stream.read(span[1])
    except FileNotFoundError:
        raise ImageError("is missing") from None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise ImageError(f"cannot be opened ({type(error).__name__})") from None


def inspect_image(data: bytes, pixel_limit: int) -> ImageFacts:
    """Facts of an encoded image, from its header.

    Args:
        data: The file's content.
        pixel_limit: Most pixels allowed.

    Raises:
        ImageError: Empty, not PNG or JPEG, animated, or over the limit. The message is a reason.
    """
    with _open(data, pixel_limit) as image:
        width, height = image.size
        if _lies_on_its_side(image):
            width, height = height, width
        grey = image.mode in _GREY_MODES
        wide = image.mode in _WIDE_MODES
        digest = hashlib.sha256(data).hexdigest()
        return ImageFacts(
            width=width,
            height=height,
            channels=1 if grey else 3,
            bits=16 if wide else 8,
            sha256=digest,
            format=str(image.format),
        )


def decode_image(data: bytes, pixel_limit: int) -> Pixels:
    """Upright pixels of an encoded image.

    Grey stays grey; palette and CMYK become RGB; transparency is laid on black; 16-bit grey stays
    16-bit (Pillow gives 16-bit colour as 8-bit).

    Args:
        data: The file's content.
        pixel_limit: Most pixels allowed.

    Returns:
        uint8 or uint16, [height, width] for grey or [height, width, 3] for RGB.

    Raises:
        ImageError: As `inspect_image`, or truncated. The message is a reason.
    """
    with _open(data, pixel_limit) as image:
        try:
            with _quiet:
                upright = ImageOps.exif_transpose(image)
                return _to_array(upright)
        except _DAMAGE as error:
            raise ImageError("is truncated or damaged") from error


def resize_image(pixels: Pixels, size: ImageSize, interpolation: Interpolation) -> Pixels:
    """Resize without keeping the aspect ratio (as BiT does), with anti-aliasing.

    Args:
        pixels: From `decode_image`.
        size: Of the result.
        interpolation: The rung's.

    Returns:
        The same type, [height, width] or [height, width, 3].
    """
    return resample_image(pixels, height_width(size), interpolation)


def resample_image(pixels: Pixels, shape: tuple[int, int], resampling: Resampling) -> Pixels:
    """Resize to a height and a width.

    Args:
        pixels: [H, W], or [H, W, 3] of 8 bits.
        shape: Height and width of the result.
        resampling: Kernel.

    Returns:
        The same type at the new height and width.
    """
    if pixels.shape[:2] == shape:
        return pixels
    size, kernel = (shape[1], shape[0]), _RESAMPLING[resampling]
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize(size, kernel))
    floats = Image.fromarray(pixels.astype(np.float32)).resize(size, kernel)
    return np.clip(np.rint(np.asarray(floats)), 0, 65535).astype(np.uint16)


def encode_png(pixels: Pixels) -> bytes:
    """Pixels as a PNG file. [height, width] of 8 or 16 bits, or [height, width, 3] of 8"""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Pixels of 8 bits as a JPEG file, no chroma subsampling. [height, width] or [.., .., 3]"""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def decoder_facts() -> str:
    """Formats, decoder and the libraries it uses, for `medtransfer doctor`."""
    libraries = [
        f"{kind} {features.version(kind) or 'yes'}"
        for kind in ("jpg", "zlib")
        if features.check(kind)
    ]
    return f"{', '.join(FORMATS)} by {DECODER} ({', '.join(libraries)})"


class _Quiet:
    """No warnings inside, from several threads at once.

    Filters belong to the process: the first thread in sets them, the last one out restores them.
    `warnings.catch_warnings` in each thread would leave them changed for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()


def _open(data: bytes, pixel_limit: int) -> Image.Image:
    if not data:
        raise ImageError("is empty (0 bytes)")
    if data[:512].lstrip()[:1] == b"<" and b"<html" in data[:2048].lower():
        raise ImageError("is an HTML page, not an image (did the download fail?)")
    try:
        with _quiet:  # our own limit below is an error; Pillow's warning depends on a global
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"is not a {', '.join(FORMATS)} or DICOM image") from None
    except Image.DecompressionBombError:
        raise ImageError(f"claims more than {pixel_limit:,} pixels (data.pixel_limit)") from None
    except _DAMAGE as error:
        raise ImageError(f"has a header that cannot be read ({type(error).__name__})") from None
    width, height = image.size
    if width * height > pixel_limit:
        raise ImageError(
            f"claims {width:,} × {height:,} pixels (allowed: {pixel_limit:,}, data.pixel_limit)"
        )
    if getattr(image, "n_frames", 1) > 1 and image.format == "PNG":
        raise ImageError("is animated (allowed: one image per row)")
    return image


def _lies_on_its_side(image: Image.Image) -> bool:
    """Read from EXIF before the pixels that the image is turned by 90°."""
    try:
        with _quiet:
            # a PNG's own method would unpack all pixels to look for EXIF behind them
            return Image.Image.getexif(image).get(0x0112, 1) in (5, 6, 7, 8)
    except _DAMAGE as error:
        raise ImageError("has EXIF data that cannot be read") from error


def _to_array(image: Image.Image) -> Pixels:
    if image.mode in _WIDE_MODES:
        return np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
    grey = image.mode in _GREY_MODES
    if image.has_transparency_data:
        return _on_black(image)[:, :, 0] if grey else _on_black(image)
    return np.asarray(image.convert("L" if grey else "RGB"))


def _on_black(image: Image.Image) -> NDArray[np.uint8]:
    canvas = Image.new("RGBA", image.size, (0, 0, 0, 255))
    canvas.alpha_composite(image.convert("RGBA"))
    return np.asarray(canvas.convert("RGB"))
