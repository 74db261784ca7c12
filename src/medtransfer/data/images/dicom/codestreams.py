"""Headers of compressed frames, read without unpacking and checked against their file.

A code stream of a few hundred bytes may unpack to gigabytes, whatever the header of its file
says. Nothing is unpacked unless both agree.
"""

import struct
from dataclasses import dataclass

from medtransfer.data.images.dicom.facts import DicomHeader
from medtransfer.data.images.dicom.transfer_syntaxes import Syntax
from medtransfer.errors import ImageError

_SOI, _SOS, _JFIF, _ADOBE = 0xD8, 0xDA, 0xE0, 0xEE
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers without a length."""
RLE_RATIO = 64
"""Two bytes of a run become at most 128 (PS3.5, annex G.3.1)."""
_BOX_HEAD = 8
_TAIL = 64
"""Last bytes that must hold the end marker: frames are padded to an even number of bytes after it.
Decoders fill the missing part of a truncated JPEG stream with grey and report no error."""


@dataclass(frozen=True)
class CodeStream:
    """The header of a compressed frame.

    Attributes:
        columns: Width in pixels.
        rows: Height in pixels.
        samples: Values a pixel.
        bits: Of a value.
        signed: Whether values may be negative.
        colours: ``RGB`` or ``YBR_FULL`` if a JPEG stream says so, else empty.
    """

    columns: int
    rows: int
    samples: int
    bits: int
    signed: bool = False
    colours: str = ""


def check_codestream(frame: bytes, syntax: Syntax, header: DicomHeader) -> CodeStream:
    """Read the header of a compressed frame and check it against the file's.

    Args:
        frame: One frame, compressed.
        syntax: How it is compressed.
        header: What the file claims.

    Raises:
        ImageError: The stream has no header, another format, or claims other sizes.
    """
    try:
        match syntax.family:
            case "jpeg" | "jpeg-ls":
                stream = _jpeg(frame, syntax)
            case "jpeg2000":
                stream = _jpeg2000(frame)
            case _:
                stream = _rle(frame, header)
    except (struct.error, IndexError):
        raise ImageError(f"has a {syntax.name} stream without a complete header") from None
    if (stream.columns, stream.rows) != (header.columns, header.rows):
        raise ImageError(
            f"claims {header.columns:,} × {header.rows:,} pixels, its {syntax.name} stream "
            f"{stream.columns:,} × {stream.rows:,}"
        )
    if stream.samples != header.samples:
        raise ImageError(
            f"claims {header.samples} samples a pixel, its {syntax.name} stream {stream.samples}"
        )
    if syntax.family != "rle" and b"\xff\xd9" not in frame[-_TAIL:]:
        raise ImageError(f"is truncated: its {syntax.name} stream has no end")
    if not 1 <= stream.bits <= 16:
        raise ImageError(
            f"has a {syntax.name} stream of {stream.bits} bits a sample (allowed: 1 to 16)"
        )
    return stream


def _jpeg(frame: bytes, syntax: Syntax) -> CodeStream:
    """From the frame header of a JPEG or JPEG-LS stream (T.81, B.2.2; T.87, C.2.2)."""
    if frame[:2] != bytes((0xFF, _SOI)):
        raise ImageError(f"has a {syntax.name} stream that does not start as one")
    at, colours, stream = 2, "", None
    while True:
        marker, at = _marker(frame, at)
        if marker in _ALONE:
            continue
        (length,) = struct.unpack_from(">H", frame, at)
        body = frame[at + 2 : at + length]
        if marker == _JFIF and body.startswith(b"JFIF"):
            colours = colours or "YBR_FULL"
        elif marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
            colours = "RGB" if body[11] == 0 else "YBR_FULL"
        elif marker in _FRAMES:
            if marker not in syntax.processes:
                raise ImageError(f"has a stream that is not {syntax.name} (marker {marker:#x})")
            stream = _jpeg_frame(body, colours)
        elif marker == _SOS:
            if stream is None:
                raise ImageError(f"has a {syntax.name} stream whose scan comes before its header")
            _check_scan(body, syntax)
            return stream
        at += length


def _marker(frame: bytes, at: int) -> tuple[int, int]:
    """The next marker and the offset after it; fill bytes are skipped."""
    while frame[at] != 0xFF:
        at += 1
    while frame[at] == 0xFF:
        at += 1
    return frame[at], at + 1


def _jpeg_frame(body: bytes, colours: str) -> CodeStream:
    bits, rows, columns, samples = struct.unpack_from(">BHHB", body)
    ids = bytes(body[6 + 3 * i] for i in range(samples))
    if ids in (b"RGB", b"rgb"):
        colours = "RGB"
    return CodeStream(columns, rows, samples, bits, colours=colours if samples == 3 else "")


def _check_scan(body: bytes, syntax: Syntax) -> None:
    """A sequential scan takes all 64 coefficients at once (T.81, table B.3).

    Streams that claim otherwise exist, and decoders disagree on their pixels.
    """
    components = body[0]
    first, last, _ = struct.unpack_from(">BBB", body, 1 + 2 * components)
    if syntax.processes == (0xC0, 0xC1) and (first, last) != (0, 63):
        raise ImageError(
            f"has a {syntax.name} stream whose scan takes the coefficients {first} to {last} "
            "(allowed: 0 to 63); decoders disagree on its pixels"
        )


def _jpeg2000(frame: bytes) -> CodeStream:
    """From the SIZ segment (T.800, A.5.1), also inside a JP2 file."""
    start = _jp2_stream(frame) if frame[4:8] == b"jP  " else 0
    if frame[start : start + 4] != b"\xff\x4f\xff\x51":
        raise ImageError("has a JPEG 2000 stream that does not start as one")
    at = start + 8  # behind SOC, SIZ, its length and the capabilities
    sizes = struct.unpack_from(">8LH", frame, at)
    columns, rows, left, top, tile_columns, tile_rows, tile_left, tile_top, samples = sizes
    parts = [struct.unpack_from(">BBB", frame, at + 34 + 3 * i) for i in range(min(samples, 4))]
    if not parts or any(part != (parts[0][0], 1, 1) for part in parts):
        raise ImageError("has a JPEG 2000 stream whose components differ in size or bits")
    if 0 in (tile_columns, tile_rows) or left > columns or top > rows:
        raise ImageError("has a JPEG 2000 stream with impossible tiles")
    if tile_left > left or tile_top > top:
        raise ImageError("has a JPEG 2000 stream with impossible tiles")
    depth = parts[0][0]
    return CodeStream(
        columns - left, rows - top, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80)
    )


def _jp2_stream(frame: bytes) -> int:
    """Offset of the code stream in a JP2 file (T.800, annex I.5.4)."""
    at = 0
    while at < len(frame):
        size, kind = struct.unpack_from(">L4s", frame, at)
        if kind == b"jp2c":
            return at + (16 if size == 1 else 8)
        if size < _BOX_HEAD:
            break
        at += size
    raise ImageError("has a JP2 file without a code stream in it")


def _rle(frame: bytes, header: DicomHeader) -> CodeStream:
    """From the table of segments (PS3.5, annex G.5): they must be able to hold the pixels."""
    planes = header.samples * -(-header.bits_allocated // 8)
    count, *starts = struct.unpack_from("<16L", frame)
    if count != planes:
        raise ImageError(f"has an RLE stream of {count:,} segments (needed: {planes})")
    ends = [*starts[1:count], len(frame)]
    for start, end in zip(starts[:count], ends, strict=True):
        if not 64 <= start <= end <= len(frame):
            raise ImageError("has an RLE stream whose segments lie outside of it")
        if (end - start) * RLE_RATIO < header.rows * header.columns:
            raise ImageError(
                f"claims {header.columns:,} × {header.rows:,} pixels, which {end - start:,} bytes "
                "of RLE cannot hold"
            )
    bits = min(16, header.bits_allocated)
    return CodeStream(header.columns, header.rows, header.samples, bits)
