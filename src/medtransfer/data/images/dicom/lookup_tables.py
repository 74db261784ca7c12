"""Look-up tables of a DICOM header: for grey values and for palettes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from medtransfer.data.images.dicom.elements import (
    DAMAGE,
    is_given,
    items,
    numbers,
    raw_numbers,
    value_of,
)
from medtransfer.data.images.dicom.frames import StoredFrame
from medtransfer.data.images.dicom.header import PALETTE, DicomFile
from medtransfer.errors import ImageError

Floats = NDArray[np.float64]
COLOURS = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class LookupTable:
    """A table of whole numbers (PS3.3, C.11.1.1.1).

    Attributes:
        first: Value of the first entry.
        entries: [n]
        bits: Of an entry.
    """

    first: int
    entries: Floats
    bits: int

    def values_at(self, values: Floats) -> Floats:
        """The entry of each value; below and above the table its first and last."""
        indices = np.clip(np.rint(np.nan_to_num(values)) - self.first, 0, len(self.entries) - 1)
        return self.entries[indices.astype(np.int64)]

    def shades(self, values: Floats) -> Floats:
        """The entry of each value, 1 for the largest number of the table's bits."""
        return np.clip(self.values_at(values) / ((1 << self.bits) - 1), 0, 1)


def filled_items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence of tables that are not empty."""
    return [item for item in items(dataset, keyword) if is_given(item, "LUTDescriptor")]


def read_lookup_table(item: Dataset, *, signed: bool, little: bool) -> LookupTable | None:
    """The table of a Modality LUT or VOI LUT item; None if it cannot be used.

    Args:
        item: Holds LUT Descriptor and LUT Data.
        signed: Whether the values that are looked up may be negative.
        little: Byte order of the file.
    """
    return _table(item, "LUTDescriptor", "LUTData", signed=signed, little=little)


def show_colour(stored: StoredFrame, file: DicomFile) -> NDArray[np.uint8]:
    """Red, green and blue of 8 bits. [rows, columns, 3]

    Args:
        stored: Colours, or indices into a palette.
        file: Holds the palette.

    Raises:
        ImageError: The palette is missing or damaged.
    """
    values, bits = stored.values, stored.bits
    if stored.photometric == PALETTE:
        return _palette_colours(values, file)
    if bits != 8:
        values = np.rint(np.clip(values / ((1 << bits) - 1), 0, 1) * 255).astype(np.uint8)
    if stored.photometric == "RGB":
        return values.astype(np.uint8)
    light, blue, red = (values[..., i].astype(np.float64) for i in range(3))
    blue -= 128
    red -= 128
    green = light - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    return _bytes(np.stack([light + 1.402 * red, green, light + 1.772 * blue], axis=-1))


def _palette_colours(indices: NDArray[Any], file: DicomFile) -> NDArray[np.uint8]:
    """Colours of palette indices (PS3.3, C.7.6.3.1.5, C.7.9)."""
    if numbers(file.dataset, "RedPaletteColorLookupTableDescriptor") == ():
        raise ImageError("is PALETTE COLOR but has no palette")
    first, colours = _segmented(file) if _has_segments(file) else _plain(file)
    at = np.clip(indices.astype(np.int64) - first, 0, len(colours) - 1)
    return colours[at]


def _plain(file: DicomFile) -> tuple[int, NDArray[np.uint8]]:
    tables = [
        _table(
            file.dataset,
            f"{colour}PaletteColorLookupTableDescriptor",
            f"{colour}PaletteColorLookupTableData",
            signed=file.header.signed,
            little=file.is_little,
        )
        for colour in COLOURS
    ]
    usable = [table for table in tables if table is not None]
    if len(usable) < len(COLOURS) or len({len(table.entries) for table in usable}) > 1:
        raise ImageError("has a palette that cannot be used")
    entries = np.stack([table.entries for table in usable], axis=-1)
    # a palette of 16 bits may hold numbers of 8, and the other way round
    return usable[0].first, _bytes(entries // 256 if entries.max() > 255 else entries)


def _has_segments(file: DicomFile) -> bool:
    return "SegmentedRedPaletteColorLookupTableData" in file.dataset


def _segmented(file: DicomFile) -> tuple[int, NDArray[np.uint8]]:
    descriptor = numbers(file.dataset, "RedPaletteColorLookupTableDescriptor")
    count, first = int(descriptor[0]) or 65536, int(descriptor[1])
    try:
        colours = apply_color_lut(np.arange(first, first + count, dtype=np.int32), file.dataset)
    except DAMAGE:
        raise ImageError("has a segmented palette that cannot be used") from None
    return first, _bytes(colours // 256 if colours.dtype.itemsize > 1 else colours)


def _table(
    item: Dataset, descriptor: str, data: str, *, signed: bool, little: bool
) -> LookupTable | None:
    numbers_of_table = numbers(item, descriptor)
    if len(numbers_of_table) != 3:
        return None
    count, first, bits = (int(number) for number in numbers_of_table)
    count = count % 65536 or 65536
    first %= 65536
    first -= 65536 * (signed and first >= 32768)
    if not 1 <= bits <= 16:
        return None
    entries = _entries(value_of(item, data), count, bits, little=little)
    return LookupTable(first, entries, bits) if len(entries) else None


def _entries(value: Any, count: int, bits: int, *, little: bool) -> Floats:
    """Entries from words, from bytes, or from two bytes in each word."""
    try:
        if not isinstance(value, bytes):
            words = [int(value)] if isinstance(value, int) else [int(word) for word in value or ()]
            if len(words) >= count:
                return np.array(words[:count], np.float64)
            value = np.array(words, "<u2" if little else ">u2").tobytes()
        narrow = bits <= 8 and len(value) < 2 * count
        entries = raw_numbers(value, 8 if narrow else 16, little=little)
        return np.array(entries[:count], np.float64)
    except DAMAGE:
        return np.empty(0)


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
