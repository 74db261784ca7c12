"""Stored numbers of one frame of a DICOM file.

Uncompressed frames are cut out with numpy; compressed ones go to the one decoder of their transfer
syntax, after their code stream was checked against the file's header.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame

from medtransfer.data.images.dicom.codecs import unpack, unpack_again
from medtransfer.data.images.dicom.codestreams import CodeStream, check_codestream
from medtransfer.data.images.dicom.elements import DAMAGE, raw_bytes
from medtransfer.data.images.dicom.facts import DecoderComparison, DicomHeader
from medtransfer.data.images.dicom.header import DicomFile
from medtransfer.errors import ImageError

LOSSY_SHADES = 2
"""Shades, of 256, by which decoders may differ if the compression is lossy."""
Values = NDArray[Any]
"""Integers or floats in the machine's byte order."""


@dataclass(frozen=True)
class StoredFrame:
    """The numbers of one frame.

    Attributes:
        values: [rows, columns], or [rows, columns, 3] for colours.
        bits: Bits that a value is made of; 0 for floats.
        photometric: What the numbers mean, after the decoder.
        out_of_range: Whether values need more bits than the file says.
    """

    values: Values
    bits: int
    photometric: str
    out_of_range: bool = False


def check_frame(file: DicomFile, index: int) -> None:
    """Check that a frame exists and matches its header, without unpacking it.

    Args:
        file: From `read_header`.
        index: The frame, counted from 0.

    Raises:
        ImageError: The message is a reason.
    """
    if file.syntax.codec == "native":
        _native_bytes(file, index)
    else:
        check_codestream(_compressed(file, index), file.syntax, file.header)


def stored_frame(file: DicomFile, index: int) -> StoredFrame:
    """The numbers of one frame.

    Args:
        file: From `read_header`.
        index: The frame, counted from 0.

    Raises:
        ImageError: Truncated, damaged, or other than its header says. The message is a reason.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _native(file, index) if file.syntax.codec == "native" else _unpacked(file, index)
        except MemoryError:
            raise ImageError("ran out of memory while being unpacked") from None
        except DAMAGE:
            raise ImageError("is truncated or damaged") from None


def compare_decoders(file: DicomFile, index: int) -> DecoderComparison:
    """Compare the numbers of a frame with those of a second decoder.

    Args:
        file: From `read_header`.
        index: The frame, counted from 0.

    Raises:
        ImageError: As `stored_frame`.
    """
    if file.syntax.codec == "native":
        return DecoderComparison()
    frame = _compressed(file, index)
    stream = check_codestream(frame, file.syntax, file.header)
    again = unpack_again(frame, file.syntax, file.header, stream)
    if again is None:
        return DecoderComparison()
    second, theirs = again
    try:
        ours, _ = unpack(frame, file.syntax, file.header, stream)
    except DAMAGE:
        raise ImageError("is truncated or damaged") from None
    lossy = LOSSY_SHADES << max(0, stream.bits - 8)
    allowed = 0 if file.syntax.is_lossless else lossy
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return DecoderComparison(second, 1 << stream.bits, allowed)
    if stream.signed:
        ours, theirs = (values.view(f"i{values.itemsize}") for values in (ours, theirs))
    largest = int(np.abs(ours.astype(np.int64) - theirs).max(initial=0))
    return DecoderComparison(second, largest, allowed)


def _native(file: DicomFile, index: int) -> StoredFrame:
    header = file.header
    raw = _native_bytes(file, index)
    shape = (header.rows, header.columns)
    values = header.rows * header.columns * header.samples
    if header.bits_allocated == 1:
        spread = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        first = index * values % 8
        return StoredFrame(spread[first : first + values].reshape(shape), 1, header.photometric)
    order = "<" if file.is_little else ">"
    kind = "u" if file.keyword == "PixelData" else "f"
    numbers = np.frombuffer(raw, np.dtype(f"{order}{kind}{header.bits_allocated // 8}"))
    numbers = numbers.astype(numbers.dtype.newbyteorder("="))
    if kind == "f":
        return StoredFrame(numbers.reshape(shape), 0, header.photometric)
    if header.photometric == "YBR_FULL_422":
        return StoredFrame(_spread_422(numbers).reshape(*shape, 3), header.bits_stored, "YBR_FULL")
    if header.samples == 1:
        return _interpreted(numbers.reshape(shape), file, header.bits_stored)
    return StoredFrame(
        _interleaved(numbers, header, planar=file.planar), header.bits_stored, header.photometric
    )


def _native_bytes(file: DicomFile, index: int) -> bytes:
    """The bytes of an uncompressed frame."""
    header, content = file.header, file.pixels
    values = header.rows * header.columns * header.samples
    bits = values * header.bits_allocated
    if header.photometric == "YBR_FULL_422":
        if header.columns % 2 or header.bits_allocated != 8:
            raise ImageError("is uncompressed YBR_FULL_422 of odd width, or not of 8 bits")
        if len(content) >= values * header.frames:
            raise ImageError("says that it is YBR_FULL_422 and has the bytes of YBR_FULL or RGB")
        bits = bits * 2 // 3
    end = -(-bits * (index + 1) // 8)
    if len(content) < end:
        raise ImageError(f"is truncated: it holds {len(content):,} of {end:,} bytes of pixels")
    if header.bits_allocated == 8 and not file.is_little and _is_words(file):
        content = np.frombuffer(content[: len(content) // 2 * 2], np.uint16).byteswap().tobytes()
    return content[bits * index // 8 : end]


def _is_words(file: DicomFile) -> bool:
    """True for a big endian file whose pixel bytes are stored as swapped words."""
    return str(getattr(file.dataset.get_item(file.keyword), "VR", "")) == "OW"


def _spread_422(numbers: Values) -> Values:
    """Y1 Y2 B R becomes Y1 B R Y2 B R (PS3.3, C.7.6.3.1.2)."""
    quads = numbers.reshape(-1, 4)
    return quads[:, [0, 2, 3, 1, 2, 3]]


def _interleaved(numbers: Values, header: DicomHeader, *, planar: bool) -> Values:
    """Colours pixel by pixel. [rows, columns, 3]"""
    if planar:
        planes = numbers.reshape(header.samples, header.rows, header.columns)
        return np.ascontiguousarray(np.moveaxis(planes, 0, 2))
    return numbers.reshape(header.rows, header.columns, header.samples)


def _interpreted(raw: Values, file: DicomFile, bits: int) -> StoredFrame:
    """Unsigned numbers as the file defines them: sign, unused bits, position of the high bit."""
    header = file.header
    size = raw.dtype.itemsize * 8
    shift = file.high_bit + 1 - bits
    if file.syntax.codec in ("native", "rle") and 0 < shift <= size - bits:
        raw = (raw >> shift) & ((1 << bits) - 1)
    elif file.overlaid and bits < size:
        raw &= raw.dtype.type((1 << bits) - 1)
    if header.signed:
        unused = size - bits  # unused bits are no part of the value (PS3.5, 8.1.1)
        return StoredFrame(raw.view(f"i{size // 8}") << unused >> unused, bits, header.photometric)
    return StoredFrame(raw, bits, header.photometric, out_of_range=int(raw.max()) >> bits > 0)


def _compressed(file: DicomFile, index: int) -> bytes:
    """The code stream of a frame, its fragments joined."""
    tables = tuple(
        raw_bytes(file.dataset, keyword)
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    )
    offsets = (tables[0], tables[1]) if all(tables) else None
    try:
        return get_frame(
            file.pixels, index, number_of_frames=file.header.frames, extended_offsets=offsets
        )
    except DAMAGE:
        raise ImageError(f"is truncated: frame {index + 1:,} is not there") from None


def _unpacked(file: DicomFile, index: int) -> StoredFrame:
    """A compressed frame, by the decoder of its transfer syntax."""
    header = file.header
    frame = _compressed(file, index)
    stream = check_codestream(frame, file.syntax, header)
    numbers, planar = unpack(frame, file.syntax, header, stream)
    if header.samples == 3:
        colours = _interleaved(numbers, header, planar=planar)
        return StoredFrame(colours, stream.bits, _meaning(header, stream, file))
    numbers = numbers.reshape(header.rows, header.columns)
    if file.syntax.codec == "rle":
        return _interpreted(numbers, file, header.bits_stored)
    if stream.signed:  # and widened by the decoder: back to the bits of the stream
        numbers = numbers & numbers.dtype.type((1 << stream.bits) - 1)
    bits = min(stream.bits, header.bits_stored) if header.signed else header.bits_stored
    return _interpreted(numbers, file, bits)


def _meaning(header: DicomHeader, stream: CodeStream, file: DicomFile) -> str:
    """Meaning of three samples after unpacking.

    The colours that a JPEG stream states take precedence over the file's header; JPEG 2000
    undoes its own transform.
    """
    if header.photometric in ("YBR_ICT", "YBR_RCT"):
        return "RGB"
    if file.syntax.family == "jpeg2000":
        return header.photometric
    return stream.colours or header.photometric
