"""Elements of a DICOM file that may be read, and their values as plain numbers.

To decode a picture only the tags of `TAGS` are read; everything else in a file is skipped. No text
of a file gets into a message: pydicom's own errors and warnings may quote values.
"""

import struct
import warnings
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.config import disable_value_validation
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import (
    data_element_generator,
    dcmread,  # pyright: ignore[reportUnknownVariableType]: pydicom leaves a type argument open
)

from medtransfer.data.images.dicom.transfer_syntaxes import BIG_ENDIAN, DEFLATED
from medtransfer.errors import ImageError

DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
    InvalidDicomError,
    BytesLengthException,
)
"""Exceptions of pydicom and the decoders on damaged files; RecursionError is a RuntimeError."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
TAGS = (
    "SOPClassUID",
    "Modality",
    "PresentationIntentType",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "BurnedInAnnotation",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *PIXELS,
)
"""The only tags that are read, with what their sequences hold."""
OVERLAY_BITS = tuple(0x60000102 + (group << 16) for group in range(0, 32, 2))
"""Overlay Bit Position of each overlay: above 0, the overlay lies in unused bits of the pixels."""

_KEEP = [tag for tag in map(tag_for_keyword, TAGS) if tag is not None] + list(OVERLAY_BITS)
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
"""Value representations whose length takes four bytes."""
_HEAD_BYTES = 2**20
"""Bytes of a deflated file that are unpacked to learn how large the rest may be."""


def read_elements(data: bytes, pixel_limit: int) -> tuple[Dataset, str, str]:
    """The allowed elements of a file, its transfer syntax and its media class.

    Args:
        data: The file's content, with or without preamble and file meta.
        pixel_limit: Most pixels that a deflated file may claim.

    Returns:
        The elements; the identifiers from the file meta, empty if it has none.

    Raises:
        ImageError: Truncated, or deflated to more than it claims.
        Exception: One of `DAMAGE` if the file is damaged in another way.
    """
    syntax, media, start = _file_meta(data)
    body = data[start:] if start else data
    if syntax == DEFLATED:
        body = _inflated(body, pixel_limit)
    little = syntax != BIG_ENDIAN if syntax else not body.startswith(b"\x00\x08")
    dataset, whole_file = _elements(body, little=little)
    if not whole_file and not any(keyword in dataset for keyword in PIXELS):
        raise ImageError("is truncated: its header does not end")
    return dataset, syntax, media


def header_words(path: Path, keywords: Sequence[str]) -> dict[str, str] | None:
    """Texts of header elements, for sources whose tables leave them to the headers.

    Args:
        path: A file; its pixels are not read.
        keywords: Elements of short text; of a code sequence the first meaning is read.

    Returns:
        The texts of those that are given, in capitals; None if the file is no readable DICOM.
    """
    texts: dict[str, str] = {}
    # pydicom's warnings may quote values, in its log too
    with warnings.catch_warnings(action="ignore"), disable_value_validation():
        try:
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
        except DAMAGE:
            return None
        for keyword in keywords:
            codes = items(dataset, keyword)
            text = word(codes[0], "CodeMeaning") if codes else word(dataset, keyword)
            if text:
                texts[keyword] = text
    return texts


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """An integer of the header.

    Raises:
        ImageError: Missing without a default, or not a whole number.
    """
    try:
        value: Any = dataset.get(keyword)
        if value is None or value in ("", b""):
            if default is None:
                raise ImageError(f"has no {_spoken(keyword)}")
            return default
        if isinstance(value, bytes):
            return int(raw_numbers(value, 16, little=is_little(dataset))[0])
        return int(value)
    except DAMAGE:
        raise ImageError(f"has a {_spoken(keyword)} that is not a whole number") from None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The numbers of an element; none if it is absent, empty or holds something else."""
    try:
        value = value_of(dataset, keyword)
        if value is None:
            return ()
        if isinstance(value, bytes):
            return tuple(map(float, raw_numbers(value, 16, little=is_little(dataset))))
        many = [value] if isinstance(value, str | int | float) else list(value)
        return tuple(float(number) for number in many)
    except DAMAGE:
        return ()


def value_of(dataset: Dataset, keyword: str) -> Any:
    """An element's value; None if it is absent, empty or cannot be read."""
    try:
        value: Any = dataset.get(keyword)
    except DAMAGE:
        return None
    return None if value in ("", b"") else value


def is_given(dataset: Dataset, keyword: str) -> bool:
    """True for an element that is present and not empty, readable or not."""
    element = _raw(dataset, keyword)
    return element is not None and element.value not in (None, "", b"")


def word(dataset: Dataset, keyword: str) -> str:
    """The first text of an element in capitals, or an empty string. It must not be quoted."""
    try:
        value = value_of(dataset, keyword)
        first = value if isinstance(value, str) or not value else value[0]
        return str(first or "").strip(" \0").upper()
    except DAMAGE:
        return ""


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if it is absent or not a sequence."""
    try:
        value = value_of(dataset, keyword)
        return [item for item in value or () if isinstance(item, Dataset)]
    except DAMAGE:
        return []


def raw_bytes(dataset: Dataset, keyword: str) -> bytes:
    """An element's value as stored in the file; empty if there is none."""
    element = _raw(dataset, keyword)
    value: Any = element.value if element is not None else b""
    return value if isinstance(value, bytes) else b""


def is_encapsulated(dataset: Dataset) -> bool:
    """True for pixels in fragments, as compressed ones are."""
    element = _raw(dataset, "PixelData")
    return element is not None and element.length == 0xFFFFFFFF


def raw_numbers(value: bytes, bits: int, *, little: bool) -> tuple[int, ...]:
    """Unsigned numbers of 8 or 16 bits from bytes."""
    if bits == 8:
        return tuple(value)
    count = len(value) // 2
    return struct.unpack(f"{'<' if little else '>'}{count}H", value[: 2 * count])


def is_little(dataset: Dataset) -> bool:
    """True for a data set whose numbers are little endian."""
    return dataset.original_encoding[1] is not False


def _raw(dataset: Dataset, keyword: str) -> Any:
    tag = tag_for_keyword(keyword)
    return dataset.get_item(tag) if tag is not None and tag in dataset else None


def _file_meta(data: bytes) -> tuple[str, str, int]:
    """Transfer syntax, media class, and the offset of the data set."""
    at = 132 if data[128:132] == b"DICM" else 0
    texts = {0x0002: "", 0x0010: ""}
    while data[at : at + 2] == b"\x02\x00" and len(data) >= at + 8:
        element, kind = struct.unpack_from("<H2s", data, at + 2)
        if kind in _LONG:
            (length,), value = struct.unpack_from("<L", data, at + 8), at + 12
        else:
            (length,), value = struct.unpack_from("<H", data, at + 6), at + 8
        if element in texts:
            texts[element] = data[value : value + length].decode("ascii", "replace").strip(" \0")
        at = value + length
    return texts[0x0010], texts[0x0002], at


def _elements(body: bytes, *, little: bool) -> tuple[Dataset, bool]:
    """The allowed elements, and whether the file is complete to the end of its last element."""
    implicit = not (body[4:6].isalpha() and body[4:6].isupper())
    stream = BytesIO(body)
    elements: dict[Any, Any] = {}
    whole_file = True
    pixel_tags = [tag_for_keyword(keyword) for keyword in PIXELS]
    reading = data_element_generator(stream, implicit, little, specific_tags=_KEEP)
    try:
        for element in reading:
            elements[element.tag] = element
            value: Any = element.value
            length = int(getattr(element, "length", 0))
            cut = isinstance(value, bytes) and len(value) < length != 0xFFFFFFFF
            whole_file &= not cut or element.tag in pixel_tags
    except EOFError:
        whole_file = False
    dataset = Dataset(elements)
    dataset.set_original_encoding(implicit, little)
    return dataset, whole_file and stream.tell() <= len(body)


def _inflated(packed: bytes, pixel_limit: int) -> bytes:
    """A deflated data set, unpacked only as far as its own header claims."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    head = unpacker.decompress(packed, _HEAD_BYTES)
    if not unpacker.unconsumed_tail:
        return head
    claims, _ = _elements(head, little=True)
    values = (
        integer(claims, "Rows") * integer(claims, "Columns") * integer(claims, "NumberOfFrames", 1)
    )
    if not 0 < values <= pixel_limit:
        raise ImageError(
            f"claims {values:,} deflated pixels (allowed: {pixel_limit:,}, data.pixel_limit)"
        )
    size = values * integer(claims, "SamplesPerPixel", 1) * integer(claims, "BitsAllocated") // 8
    rest = unpacker.decompress(unpacker.unconsumed_tail, min(size, 8 * values * 3) + _HEAD_BYTES)
    if unpacker.unconsumed_tail:
        raise ImageError("unpacks to more bytes than its header claims")
    return head + rest


def _spoken(keyword: str) -> str:
    """``BitsAllocated`` as ``Bits Allocated``."""
    return "".join(" " + c if c.isupper() and i else c for i, c in enumerate(keyword))
