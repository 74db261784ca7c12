"""Display of grey frames: from stored numbers to shades between black and white (PS3.3, C.11).

Stored value → modality (rescale, or a table) → values of interest (a table, or a window) → only
then the inversion of MONOCHROME1 → 8 or 16 bits. Which of these a file asks for is its `rule`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.dicom.elements import is_given, numbers, word
from medtransfer.data.images.dicom.frames import StoredFrame
from medtransfer.data.images.dicom.header import DicomFile
from medtransfer.data.images.dicom.lookup_tables import LookupTable, filled_items, read_lookup_table
from medtransfer.errors import ImageError

Floats = NDArray[np.float64]
Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
PERCENTILES = (0.5, 99.5)
"""Percentiles, without padding, that become black and white in a file without a window."""


@dataclass(frozen=True)
class Window:
    """Centre, width and shape of the values of interest (C.11.2.1.2, C.11.2.1.3)."""

    centre: float
    width: float
    function: Function

    def shades(self, values: Floats) -> Floats:
        """0 below the window, 1 above it."""
        match self.function:
            case "LINEAR":
                centre, width = self.centre - 0.5, self.width - 1
            case "LINEAR_EXACT":
                centre, width = self.centre, self.width
            case _:
                with np.errstate(over="ignore"):
                    return 1 / (1 + np.exp(-4 * (values - self.centre) / self.width))
        if width == 0:
            return (values > centre).astype(np.float64)
        return np.clip((values - centre) / width + 0.5, 0, 1)


ValuesOfInterest = Window | LookupTable | Literal["full", "percentiles"]


@dataclass(frozen=True)
class Grey:
    """Rules that turn the numbers of a frame into shades.

    Attributes:
        modality: Slope and intercept, or a table.
        interest: A window or a table; without either, the full range of the stored bits, or the
            range between two percentiles.
        inverted: Whether the smallest value is white.
        padding: Smallest and largest stored value that is padding; or None.
        rule: All of this in a few words, without its numbers.
    """

    modality: tuple[float, float] | LookupTable
    interest: ValuesOfInterest
    inverted: bool
    padding: tuple[float, float] | None
    rule: str


def read_grey(file: DicomFile, index: int) -> Grey:
    """Read from the header how a frame is displayed.

    Args:
        file: From `read_header`.
        index: The frame, counted from 0.

    Raises:
        ImageError: The rescale is not a number, or 0.
    """
    modality = _modality(file, index)
    interest, words = _interest(file, index, modality)
    inverted = file.header.photometric == "MONOCHROME1"
    padding = _padding(file)
    parts = [
        "modality table" * isinstance(modality, LookupTable),
        "rescale" * (not isinstance(modality, LookupTable) and modality != (1.0, 0.0)),
        words,
        "inverted" * inverted,
        "padding black" * (padding is not None),
    ]
    return Grey(modality, interest, inverted, padding, ", ".join(filter(None, parts)))


def is_wide(file: DicomFile) -> bool:
    """True for a grey file that becomes 16 bits because its values take more than 8."""
    return file.header.bits_allocated > 8


def show_grey(stored: StoredFrame, grey: Grey, *, wide: bool) -> NDArray[np.uint8 | np.uint16]:
    """Shades of grey, black is 0.

    Args:
        stored: The frame's numbers. [rows, columns]
        grey: From `read_grey`.
        wide: 16 bits instead of 8.
    """
    values = stored.values
    if values.dtype.kind == "f" or values.dtype.itemsize > 2:
        floats = values.astype(np.float64)
        return _whole(_shades(floats, None, stored, grey), wide=wide)
    # a table of all codes that may be stored, in bit order, makes it one look-up a pixel
    codes = np.arange(1 << 8 * values.dtype.itemsize).astype(f"u{values.dtype.itemsize}")
    codes_of_pixels = values.view(codes.dtype)
    counts = None
    if grey.interest == "percentiles":
        counts = np.bincount(codes_of_pixels.ravel(), minlength=len(codes))
    shades = _shades(codes.view(values.dtype).astype(np.float64), counts, stored, grey)
    return _whole(shades, wide=wide)[codes_of_pixels]


def _shades(
    values: Floats, counts: NDArray[np.intp] | None, stored: StoredFrame, grey: Grey
) -> Floats:
    """Stored values to 0…1; `counts` is the number of pixels of each value, None for one each."""
    meant = _meant(values, grey.modality)
    outside = ~np.isfinite(meant)
    if grey.padding is not None:
        outside |= (values >= grey.padding[0]) & (values <= grey.padding[1])
    match grey.interest:
        case "full":
            shades = _between(meant, *_range(stored, grey.modality))
        case "percentiles":
            shades = _between(meant, *_percentiles(meant, counts, outside))
        case interest:
            shades = interest.shades(meant)
    if grey.inverted:
        shades = 1 - shades
    return np.where(outside, 0, shades)


def _meant(values: Floats, modality: tuple[float, float] | LookupTable) -> Floats:
    if isinstance(modality, LookupTable):
        return modality.values_at(values)
    return values * modality[0] + modality[1]


def _between(values: Floats, low: float, high: float) -> Floats:
    if high <= low:
        return (values > high).astype(np.float64)
    return np.clip((values - low) / (high - low), 0, 1)


def _range(stored: StoredFrame, modality: tuple[float, float] | LookupTable) -> tuple[float, float]:
    """Meaning of the smallest and the largest number of the stored bits."""
    if isinstance(modality, LookupTable):
        return float(modality.entries.min()), float(modality.entries.max())
    ends = _ends(stored.bits, signed=stored.values.dtype.kind == "i")
    low, high = sorted(end * modality[0] + modality[1] for end in ends)
    return low, high


def _ends(bits: int, *, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _percentiles(
    values: Floats, counts: NDArray[np.intp] | None, outside: NDArray[np.bool_]
) -> tuple[float, float]:
    """By linear interpolation between ranks, as `numpy.percentile` does."""
    inside = ~outside if counts is None else ~outside & (counts > 0)
    if not inside.any():
        return 0.0, 0.0
    if counts is None:
        low, high = np.percentile(values[inside], PERCENTILES)
        return float(low), float(high)
    order = np.argsort(values[inside], kind="stable")
    ranked, ends = values[inside][order], np.cumsum(counts[inside][order])
    ranks = np.array(PERCENTILES) / 100 * (ends[-1] - 1)
    below = ranked[np.searchsorted(ends, np.floor(ranks), side="right")]
    above = ranked[np.searchsorted(ends, np.ceil(ranks), side="right")]
    low, high = below + (above - below) * (ranks - np.floor(ranks))
    return float(low), float(high)


def _whole(shades: Floats, *, wide: bool) -> NDArray[np.uint8 | np.uint16]:
    return np.rint(shades * (65535 if wide else 255)).astype(np.uint16 if wide else np.uint8)


def _modality(file: DicomFile, index: int) -> tuple[float, float] | LookupTable:
    for item in filled_items(file.dataset, "ModalityLUTSequence")[:1]:
        table = read_lookup_table(item, signed=file.header.signed, little=file.is_little)
        if table is None:
            raise ImageError("has a Modality LUT that cannot be used")
        return table
    group = file.functional_group(index, "PixelValueTransformationSequence")
    rescale: list[float] = []
    for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        value = numbers(group, keyword) or (() if is_given(group, keyword) else (default,))
        if len(value) != 1 or not np.isfinite(value[0]):
            raise ImageError("has a rescale that is not two numbers")
        rescale.append(value[0])
    if rescale[0] == 0:
        raise ImageError("has a Rescale Slope of 0, which makes all pixels equal")
    return rescale[0], rescale[1]


def _interest(
    file: DicomFile, index: int, modality: tuple[float, float] | LookupTable
) -> tuple[ValuesOfInterest, str]:
    group = file.functional_group(index, "FrameVOILUTSequence")
    tables = filled_items(group, "VOILUTSequence")
    negative = False
    if not isinstance(modality, LookupTable):
        ends = _ends(file.header.bits_stored, signed=file.header.signed)
        negative = min(end * modality[0] + modality[1] for end in ends) < 0
    for item in tables[:1]:
        table = read_lookup_table(item, signed=negative, little=file.is_little)
        if table is not None:
            return table, "table" + _first_of(len(tables))
    centres, widths = numbers(group, "WindowCenter"), numbers(group, "WindowWidth")
    function = _function(word(group, "VOILUTFunction"), file)
    if centres and widths:
        window = Window(centres[0], widths[0], function)
        minimum = 1 if function == "LINEAR" else np.nextafter(0, 1)
        if np.isfinite(window.centre) and np.isfinite(window.width) and window.width >= minimum:
            return window, f"window {function}" + _first_of(min(len(centres), len(widths)))
    named = any(is_given(group, name) for name in ("WindowCenter", "WindowWidth"))
    reason = "window unusable" if tables or named else "no window"
    if file.keyword == "PixelData" and not is_wide(file):
        return "full", f"{reason}: full range"
    low, high = PERCENTILES
    return "percentiles", f"{reason}: percentiles {low:g} to {high:g}"


def _function(asked: str, file: DicomFile) -> Function:
    match asked:
        case "LINEAR_EXACT" | "SIGMOID":
            return asked
        case _:  # LINEAR counts whole numbers: it would turn fractions into black and white
            return "LINEAR" if file.keyword == "PixelData" else "LINEAR_EXACT"


def _first_of(count: int) -> str:
    return f" (first of {count})" if count > 1 else ""


def _padding(file: DicomFile) -> tuple[float, float] | None:
    """Range of stored values that are padding (C.7.5.1.1.2)."""
    kind = file.keyword.removesuffix("Data")  # PixelPadding…, FloatPixelPadding…
    value = numbers(file.dataset, f"{kind}PaddingValue")
    if not value:
        return None
    limit = numbers(file.dataset, f"{kind}PaddingRangeLimit") or value
    if file.keyword != "PixelData":
        ends = value[0], limit[0]
    else:
        ends = _code(value[0], file), _code(limit[0], file)
    return min(ends), max(ends)


def _code(value: float, file: DicomFile) -> float:
    """A padding value with the sign that its bits have among the stored values."""
    if not file.header.signed:
        return int(value) % 65536
    bits = file.header.bits_stored
    code = int(value) % 65536
    code -= 65536 * (code >= 32768)
    return code - (1 << bits) * (1 << (bits - 1) <= code < 1 << bits)
