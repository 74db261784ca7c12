"""What may be known of a DICOM file outside the process that reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True)
class DicomHeader:
    """Numbers, and words of closed lists: no free text, name, date or identifier of a file.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        frames: Pictures in the file.
        samples: Values a pixel: 1 or 3.
        bits_allocated: Bits a value takes in the file.
        bits_stored: Bits of them that are used.
        signed: Whether stored values may be negative.
        photometric: Photometric Interpretation, e.g. ``MONOCHROME1``.
        syntax: Name of the transfer syntax.
        modality: ``DX``, ``MG``, ...; empty where it is none of the standard's.
        view: View Position; empty where it is none of the usual ones.
        laterality: ``L``, ``R``, ``B``, ``U`` or empty.
        spacing: Millimetres between rows and between columns, or None.
        intent: ``FOR PRESENTATION``, ``FOR PROCESSING`` or empty.
        burned_in: ``YES``, ``NO`` or empty: what the file says, which is not to be trusted.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    syntax: str
    modality: str
    view: str
    laterality: str
    spacing: tuple[float, float] | None
    intent: str
    burned_in: str

    @property
    def is_grey(self) -> bool:
        """Whether one value a pixel is a shade of grey."""
        return self.photometric in GREY


@dataclass(frozen=True)
class FrameFacts:
    """What is known of a frame before it is unpacked.

    Attributes:
        header: Of the file.
        channels: 1 (grey) or 3 (RGB).
        bits: 8 or 16 a channel.
        rule: How stored values become pixels, in a few words without numbers of the file.
    """

    header: DicomHeader
    channels: int
    bits: int
    rule: str


@dataclass(frozen=True)
class Comparison:
    """What two decoders made of one frame.

    Attributes:
        second: Package of the second decoder; empty where none can be asked.
        most: Largest difference between their stored values.
        allowed: Difference up to which they agree: none, where the compression keeps every bit.
    """

    second: str = ""
    most: int = 0
    allowed: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the decoders give the same pixels, as far as can be told."""
        return self.most <= self.allowed


def facts_from(reply: Mapping[str, Any]) -> FrameFacts:
    """Facts as they come through a pipe, as JSON."""
    header = dict(reply["header"])
    if header["spacing"] is not None:
        header["spacing"] = tuple(header["spacing"])
    return FrameFacts(DicomHeader(**header), reply["channels"], reply["bits"], reply["rule"])
