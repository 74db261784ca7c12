"""Odd images, made by code, with the pixels each must become.

Expected pixels are worked out with numpy from how a file was made, never with the decoder: PNG
files are put together from chunks here, JPEG files are compared with what went in.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import write_frame

Pixels = NDArray[np.uint8 | np.uint16]
LIMIT = 1_000_000
"""Pixel limit that every good image keeps."""
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}
"""EXIF orientation → how stored pixels are turned upright (CIPA DC-008, 4.6.5.1.6)."""


@dataclass(frozen=True)
class Good:
    """An image that must be read.

    Attributes:
        data: The file.
        pixels: What it must become.
        tolerance: Largest difference allowed, for JPEG.
    """

    data: bytes
    pixels: Pixels
    tolerance: int = 0


def chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(samples: Pixels, kind: int, bits: int = 8, extra: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG file from samples, [height, width] or [height, width, channels].

    Args:
        samples: Grey values, palette places or colours.
        kind: PNG colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        bits: Bits a sample; below 8 for [height, width] only.
        extra: Chunks in front of the pixels.
        after: Chunks behind the pixels.
    """
    height, width = samples.shape[:2]
    if bits < 8:
        spread = (samples[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
        packed = np.packbits(spread.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        packed = samples.reshape(height, -1).astype(f">u{bits // 8}").view(np.uint8)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), packed], axis=1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
        + extra
        + chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + after
        + chunk(b"IEND", b"")
    )


def jpeg(pixels: Pixels, mode: str, **options: object) -> bytes:
    """A JPEG file of good quality."""
    stream = io.BytesIO()
    Image.fromarray(pixels, mode).save(stream, "JPEG", quality=97, subsampling=0, **options)
    return stream.getvalue()


def exif(orientation: int) -> bytes:
    """EXIF data that hold an orientation and nothing else."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\x00*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)


def grey(height: int = 7, width: int = 11) -> NDArray[np.uint8]:
    """A pattern without any symmetry."""
    return np.random.default_rng(1).integers(0, 256, (height, width), dtype=np.uint8)


def colour(height: int = 7, width: int = 11) -> NDArray[np.uint8]:
    """The same in three channels."""
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(channels: int, height: int = 16, width: int = 24) -> NDArray[np.uint8]:
    """A slope that JPEG keeps, another one in each channel."""
    y, x = np.mgrid[0:height, 0:width]
    slopes = [20 + 5 * y + 3 * x, 230 - 6 * y - 4 * x, 40 + 4 * x, 10 + 3 * y]
    return np.stack(slopes[:channels], axis=2).astype(np.uint8)


def on_black(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours laid on black, by the definition of alpha."""
    return np.rint(colours * (alpha[:, :, None] / 255.0)).astype(np.uint8)


def good_images() -> dict[str, Good]:
    """Every kind of image that must be read, by name."""
    g, c = grey(), colour()
    alpha = grey()[::-1]
    wide = np.random.default_rng(3).integers(0, 65536, g.shape, dtype=np.uint16)
    palette = colour(1, 16)[0]
    places = g % 16
    table = chunk(b"PLTE", palette.tobytes())
    clear = np.arange(16, dtype=np.uint8) * 17
    key = c[2, 3]
    unkeyed = np.where((c == key).all(axis=2)[:, :, None], 0, c).astype(np.uint8)
    ink = smooth(4)
    light = 255 - ink.astype(float)
    printed = np.rint(light[:, :, :3] * light[:, :, 3:] / 255).astype(np.uint8)
    rgb = smooth(3)
    flat = smooth(1)[:, :, 0]
    return {
        "grey 8 bit": Good(png(g, 0), g),
        "grey 16 bit": Good(png(wide, 0, 16), wide),
        "grey 4 bit": Good(png(places, 0, 4), (places * 17).astype(np.uint8)),
        "grey 1 bit": Good(png(g % 2, 0, 1), (g % 2 * 255).astype(np.uint8)),
        "grey with a clear value": Good(
            png(g, 0, extra=chunk(b"tRNS", struct.pack(">H", g[1, 1]))),
            np.where(g == g[1, 1], 0, g).astype(np.uint8),
        ),
        "RGB": Good(png(c, 2), c),
        "RGB 16 bit": Good(png(c.astype(np.uint16) * 257, 2, 16), c),
        "RGB with a clear colour": Good(
            png(c, 2, extra=chunk(b"tRNS", struct.pack(">HHH", *key))), unkeyed
        ),
        "RGBA": Good(png(np.dstack([c, alpha]), 6), on_black(c, alpha), 1),
        "grey and alpha": Good(
            png(np.dstack([g, alpha]), 4), on_black(g[:, :, None], alpha)[:, :, 0], 1
        ),
        "palette": Good(png(places, 3, 4, table), palette[places]),
        "palette with alpha": Good(
            png(places, 3, 4, table + chunk(b"tRNS", clear.tobytes())),
            on_black(palette[places], clear[places]),
            1,
        ),
        "one pixel": Good(png(g[:1, :1], 0), g[:1, :1]),
        "JPEG grey": Good(jpeg(flat, "L"), flat, 3),
        "JPEG RGB": Good(jpeg(rgb, "RGB"), rgb, 6),
        "JPEG progressive": Good(jpeg(rgb, "RGB", progressive=True), rgb, 6),
        "JPEG CMYK": Good(jpeg(ink, "CMYK"), printed, 6),
        **{f"PNG turned {turn}": turned_png(turn) for turn in UPRIGHT},
        **{f"JPEG turned {turn}": turned_jpeg(turn) for turn in UPRIGHT},
    }


def turned_png(turn: int) -> Good:
    """A PNG file that says how it is to be turned."""
    return Good(png(grey(), 0, extra=chunk(b"eXIf", exif(turn))), UPRIGHT[turn](grey()))


def turned_jpeg(turn: int) -> Good:
    """A JPEG file that says how it is to be turned."""
    data = jpeg(smooth(3), "RGB", exif=b"Exif\x00\x00" + exif(turn))
    return Good(data, UPRIGHT[turn](smooth(3)), 6)


def other(form: str, **options: object) -> bytes:
    """A picture in another format."""
    stream = io.BytesIO()
    Image.fromarray(colour()).save(stream, form, **options)
    return stream.getvalue()


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few hundred bytes that claim billions of pixels."""
    line = png(np.zeros((1, 1), np.uint8), 0)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return line[:8] + head + line[8 + len(head) :]


def jpeg_bomb() -> bytes:
    """The same as JPEG: the size in the frame header is a lie."""
    data = bytearray(jpeg(smooth(1)[:, :, 0], "L"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    return bytes(data)


def text_bomb() -> bytes:
    """A compressed comment that unpacks to 64 MiB."""
    comment = b"Comment\x00\x00" + zlib.compress(bytes(64 * 2**20), 9)
    return png(grey(), 0, extra=chunk(b"zTXt", comment))


def bad_headers() -> dict[str, tuple[bytes, str]]:
    """What the header alone tells must not be read: name → bytes and the reason (a pattern)."""
    moving = other("PNG", save_all=True, append_images=[Image.fromarray(colour()[::-1])])
    return {
        "zero bytes": (b"", r"is empty \(0 bytes\)"),
        "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "is an HTML page"),
        "HTML in capitals": (b"\n  <HTML><BODY>Sign in</BODY></HTML>", "is an HTML page"),
        "text": (b"Not an image at all.\n" * 9, "is not a PNG, JPEG or DICOM image"),
        "GIF": (other("GIF"), "is not a PNG, JPEG or DICOM image"),
        "BMP": (other("BMP"), "is not a PNG, JPEG or DICOM image"),
        "TIFF": (other("TIFF"), "is not a PNG, JPEG or DICOM image"),
        "XML": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a PNG, JPEG or DICOM image"),
        "PNG signature alone": (png(grey(), 0)[:8], "PNG, JPEG or DICOM|cannot be read"),
        "JPEG start alone": (b"\xff\xd8\xff", "PNG, JPEG or DICOM|cannot be read"),
        "animated PNG": (moving, "is animated"),
        "PNG bomb": (png_bomb(), r"claims .*pixels .*data\.pixel_limit"),
        "JPEG bomb": (jpeg_bomb(), r"claims .*pixels .*data\.pixel_limit"),
        "one pixel over": (png_bomb(1000, 1001), r"claims 1,000 × 1,001 pixels \(allowed"),
        "text bomb": (text_bomb(), "header that cannot be read"),
        "PNG with bad EXIF": (png(grey(), 0, extra=chunk(b"eXIf", b"MM\x00")), "EXIF|header"),
    }


def bad_pixels() -> dict[str, bytes]:
    """Files with a good header and damaged pixels."""
    whole, film = png(colour(40, 40), 2), jpeg(smooth(3, 64, 64), "RGB")
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 0xFF
    return {
        "truncated PNG": whole[: len(whole) // 2],
        "PNG without pixels": whole[:33] + chunk(b"IEND", b""),
        "PNG with a flipped byte": bytes(flipped),
        "truncated JPEG": film[: len(film) // 2],
    }


def bad_files(folder: Path) -> dict[str, str]:
    """Make paths below `folder` that are no files to read: name → the reason (a pattern)."""
    secret = folder.parent / "outside.png"
    secret.write_bytes(png(grey(), 0))
    (folder / "folder.png").mkdir()
    (folder / "way-out.png").symlink_to(secret)
    (folder / "dangling.png").symlink_to(folder / "nothing-here.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    return {
        "missing.png": "is missing",
        "folder.png": "is not a regular file",
        "way-out.png": "is a link that leaves the image folder",
        "dangling.png": "is missing",
        "loop.png": "cannot be opened",
        "device.png": "is a link that leaves the image folder",
        "pipe.png": "is not a regular file",
        "zero\x00byte.png": "cannot be opened",
        "x" * 300 + ".png": "cannot be opened",
    }


def embedded_manifest(folder: Path, pictures: Sequence[bytes | None]) -> Manifest:
    """A manifest with its pictures inside. Rows stand against the order of ids."""
    ids = [f"SECRET{len(pictures) - i:03d}" for i in range(len(pictures))]
    frame = pl.DataFrame({"image_id": ids, "case_id": ids, "patient_id": ids, "image": pictures})
    write_frame(frame.with_columns(cohort=pl.lit("A")), folder / "manifest.parquet")
    return read_manifest(folder / "manifest.parquet")
