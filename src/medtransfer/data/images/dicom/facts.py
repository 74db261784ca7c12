"""Facts of a DICOM file that may leave the process that reads it, and their messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
Want = Literal["facts", "pixels", "comparison"]
Reply = dict[str, Any]
"""JSON of a reply: its keys depend on what was asked for, and a `reason` replaces them all."""


class Request(TypedDict):
    """Request to the process that reads DICOM; the file follows it.

    Attributes:
        want: Kind of reply.
        limit: Most pixels a frame may claim.
        frame: Number of the frame, from 1; None if the file has only one.
        size: Bytes of the file.
    """

    want: Want
    limit: int
    frame: int | None
    size: int


@dataclass(frozen=True)
class DicomHeader:
    """Numbers, and words of closed lists: no free text, name, date or identifier of a file.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        frames: Images in the file.
        samples: Values a pixel: 1 or 3.
        bits_allocated: Bits a value takes in the file.
        bits_stored: Bits of them that are used.
        signed: Whether stored values may be negative.
        photometric: Photometric Interpretation, e.g. ``MONOCHROME1``.
        syntax: Name of the transfer syntax.
        modality: ``DX``, ``MG``, ...; empty if it is not in the standard.
        view: View Position; empty if it is not a usual one.
        laterality: ``L``, ``R``, ``B``, ``U`` or empty.
        spacing: Millimetres between rows and between columns, or None.
        intent: ``FOR PRESENTATION``, ``FOR PROCESSING`` or empty.
        burned_in: ``YES``, ``NO`` or empty: the file's claim, which is not to be trusted.
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
        """True for pixels that are shades of grey."""
        return self.photometric in GREY


@dataclass(frozen=True)
class FrameFacts:
    """Facts of a frame before it is unpacked.

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
class DecoderComparison:
    """Comparison of two decoders on one frame.

    Attributes:
        second: Package of the second decoder; empty if there is none.
        largest_difference: Between their stored values.
        allowed: Difference up to which they agree; 0 if the compression is lossless.
    """

    second: str = ""
    largest_difference: int = 0
    allowed: int = 0

    @property
    def agrees(self) -> bool:
        """True unless the decoders are known to give different pixels."""
        return self.largest_difference <= self.allowed


def facts_from(reply: Mapping[str, Any]) -> FrameFacts:
    """Facts from the JSON of a reply."""
    header = dict(reply["header"])
    if header["spacing"] is not None:
        header["spacing"] = tuple(header["spacing"])
    return FrameFacts(DicomHeader(**header), reply["channels"], reply["bits"], reply["rule"])
