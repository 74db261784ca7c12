"""DICOM files put together byte by byte, without pydicom's writer: PS3.5 and PS3.10 in short.

Values go in as Python objects under the standard's keywords; what a file must become is worked out
by the tests from what went in.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR, tag_for_keyword

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4."
BASELINE, EXTENDED, LOSSLESS, LOSSLESS_SV1 = JPEG + "50", JPEG + "51", JPEG + "57", JPEG + "70"
JPEGLS, JPEGLS_NEAR, J2K_LOSSLESS, J2K = JPEG + "80", JPEG + "81", JPEG + "90", JPEG + "91"
HTJ2K_LOSSLESS = JPEG + "201"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
LIMIT = 1_000_000
LONG = {"OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UC", "UN", "UR", "UT"}
NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d"}
Values = NDArray[Any]


Elements = Mapping[str, Any] | Mapping[int, Any] | Mapping[str | int, Any]
"""Keyword or tag to value."""


@dataclass(frozen=True)
class Fragments:
    """Compressed frames.

    Attributes:
        frames: Their code streams.
        pieces: Fragments a frame is cut into.
        table: Whether the offset table is filled.
    """

    frames: Sequence[bytes | bytearray]
    pieces: int = 1
    table: bool = True


@dataclass(frozen=True)
class Raw:
    """An element with a value representation and a value of its own."""

    vr: str
    value: bytes
    length: int | None = None


def dicom(
    values: Elements,
    syntax: str = EXPLICIT,
    *,
    meta: bool = True,
    preamble: bool = True,
    media: str = DX,
) -> bytes:
    """A file.

    Args:
        values: Keyword or tag to value: text, number, list, bytes, `Fragments`, `Raw`, or a list of
            mappings for a sequence.
        syntax: Transfer syntax.
        meta: Whether there is file meta.
        preamble: Whether 128 bytes and ``DICM`` come first.
        media: Media Storage SOP Class.
    """
    body = elements(values, implicit=syntax == IMPLICIT, little=syntax != BIG_ENDIAN)
    if syntax == DEFLATED:
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
    head = b""
    if meta:
        about = {0x00020002: Raw("UI", text(media)), 0x00020010: Raw("UI", text(syntax))}
        inner = elements(about, implicit=False, little=True)
        head = elements({0x00020000: Raw("UL", struct.pack("<L", len(inner)))}, False, True) + inner
    return (b"\0" * 128 + b"DICM") * preamble + head + body


def elements(values: Elements, implicit: bool, little: bool) -> bytes:
    """Encoded elements in the order of their tags."""
    tagged = {tag_for_keyword(k) if isinstance(k, str) else k: (k, v) for k, v in values.items()}
    return b"".join(
        _element(tag, *tagged[tag], implicit, little) for tag in sorted(t for t in tagged if t)
    )


def text(value: str) -> bytes:
    """Text of even length."""
    raw = value.encode("latin-1")
    return raw + b" " * (len(raw) % 2)


def _element(tag: int, key: str | int, value: Any, implicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    vr = value.vr if isinstance(value, Raw) else _kind(str(key), value)
    content, length = _content(vr, value, implicit, little)
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(f"{order}L", length) + content
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}L", length) + content
    return head + vr.encode() + struct.pack(f"{order}H", length) + content


def _kind(keyword: str, value: Any) -> str:
    vr = dictionary_VR(keyword)
    match vr:
        case "US or SS":
            return "SS" if np.min(value) < 0 else "US"
        case "US or OW" | "US or SS or OW":
            return "OW" if isinstance(value, bytes) else "US"
        case "OB or OW":
            return "OB" if isinstance(value, Fragments) else "OW"
        case _:
            return vr


def _content(vr: str, value: Any, implicit: bool, little: bool) -> tuple[bytes, int]:
    order = "<" if little else ">"
    if isinstance(value, Raw):
        return value.value, len(value.value) if value.length is None else value.length
    if isinstance(value, Fragments):
        return _fragments(value), 0xFFFFFFFF
    if vr == "SQ":
        items = b""
        for item in value:
            inner = elements(item, implicit, little)
            items += struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(inner)) + inner
        return items, len(items)
    if isinstance(value, bytes):
        content = value + b"\0" * (len(value) % 2)
    elif vr in NUMBERS:
        many = value if isinstance(value, list | tuple) else [value]
        content = struct.pack(f"{order}{len(many)}{NUMBERS[vr]}", *many)
    else:
        many = value if isinstance(value, list | tuple) else [value]
        content = text("\\".join(str(one) for one in many))
    return content, len(content)


def _fragments(value: Fragments) -> bytes:
    offsets, body = [], b""
    for frame in value.frames:
        offsets.append(len(body))
        size = -(-len(frame) // value.pieces)
        size = max(2, size + size % 2)
        for start in range(0, len(frame), size):
            piece = frame[start : start + size]
            body += item(bytes(piece) + b"\0" * (len(piece) % 2))
    table = struct.pack(f"<{len(offsets)}L", *offsets) if value.table else b""
    return item(table) + body + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def item(content: bytes) -> bytes:
    """An item of encapsulated pixels."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def picture(stored: Values, bits: int | None = None, **more: Any) -> dict[str | int, Any]:
    """The elements of an uncompressed image.

    Args:
        stored: [rows, columns], [rows, columns, 3] or, of several frames, [n, rows, columns].
        bits: Bits Stored; as many as the type has by default.
        more: Further elements, or others.
    """
    colour = stored.ndim == 3 and stored.shape[-1] == 3
    frames = stored.shape[0] if stored.ndim == 3 and not colour else 1
    rows, columns = stored.shape[-3:-1] if colour else stored.shape[-2:]
    size = stored.dtype.itemsize * 8
    found: dict[str | int, Any] = {
        "SOPClassUID": DX,
        "Modality": "DX",
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": size,
        "BitsStored": bits or size,
        "HighBit": (bits or size) - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.astype(stored.dtype.newbyteorder("<")).tobytes(),
    }
    if frames > 1:
        found["NumberOfFrames"] = frames
    if colour:
        found["PlanarConfiguration"] = 0
    return found | more


def packed(
    stored: Values, frames: Sequence[bytes | bytearray], bits: int, **more: Any
) -> dict[str | int, Any]:
    """The elements of a compressed image: `stored` gives the sizes, `frames` the code streams."""
    return picture(stored, bits, PixelData=Fragments(frames)) | more


def rle(stored: Values) -> bytes:
    """A frame as RLE (PS3.5, annex G): one segment a byte, the most significant first."""
    planes = stored if stored.ndim == 3 else stored[:, :, None]
    big = planes.astype(planes.dtype.newbyteorder(">"))
    segments = []
    for sample in range(planes.shape[2]):
        raw = np.ascontiguousarray(big[:, :, sample]).view(np.uint8).reshape(-1, big.itemsize)
        segments += [_packed_bits(bytes(raw[:, byte])) for byte in range(big.itemsize)]
    starts = 64 + np.cumsum([0, *(len(segment) for segment in segments[:-1])])
    table = struct.pack("<16L", len(segments), *starts, *[0] * (15 - len(segments)))
    return table + b"".join(segments)


def _packed_bits(raw: bytes) -> bytes:
    out, at = b"", 0
    while at < len(raw):
        run = 1
        while run < 128 and at + run < len(raw) and raw[at + run] == raw[at]:
            run += 1
        if run > 1:
            out += bytes([257 - run, raw[at]])
        else:
            out += bytes([0, raw[at]])
        at += run
    return out + b"\0" * (len(out) % 2)


def jpeg_lossless(stored: Values, bits: int, *, wrap: bool = False) -> bytes:
    """A frame as JPEG Lossless, process 14, selection value 1 (T.81, annex H).

    Args:
        stored: [rows, columns]
        bits: Precision, up to 15.
        wrap: Code the shorter difference modulo 2^bits, as T.81 H.2.1 lets encoders rely on.
    """
    values = stored.astype(np.int64)
    guess = np.empty_like(values)
    guess[0, 0] = 1 << (bits - 1)
    guess[0, 1:] = values[0, :-1]
    guess[1:, 0] = values[:-1, 0]
    guess[1:, 1:] = values[1:, :-1]
    difference = values - guess
    if wrap:
        half = 1 << (bits - 1)
        difference = (difference + half) % (2 * half) - half
    stream = "".join(_coded(int(one)) for one in difference.ravel())
    stream += "1" * (-len(stream) % 8)
    scan = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    rows, columns = stored.shape
    # sixteen categories of difference, all with codes of five bits: 0 to 15
    table = bytes([0, *[0] * 4, 16, *[0] * 11, *range(16)])
    return (
        b"\xff\xd8"
        + segment(0xC3, struct.pack(">BHHBBBB", bits, rows, columns, 1, 1, 0x11, 0))
        + segment(0xC4, table)
        + segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
        + scan
        + b"\xff\xd9"
    )


def _coded(difference: int) -> str:
    category = abs(difference).bit_length()
    code = f"{category:05b}"
    if not category:
        return code
    rest = difference if difference > 0 else difference + (1 << category) - 1
    return code + f"{rest:0{category}b}"


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment of JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def slope(rows: int = 12, columns: int = 20, top: int = 4095, dtype: Any = np.uint16) -> Values:
    """Noise without any symmetry, from 0 to `top`, both of which it holds."""
    noise = np.random.default_rng(1).integers(0, top, (rows, columns), endpoint=True)
    noise.flat[:2] = 0, top
    return noise.astype(dtype)


def smooth(rows: int = 32, columns: int = 48) -> Values:
    """A slope that a lossy coder keeps. uint8"""
    y, x = np.mgrid[0:rows, 0:columns]
    return (20 + 3 * y + 2 * x).astype(np.uint8)
