"""From the bytes of any picture to its facts and pixels: PNG and JPEG, or DICOM.

What a file is, its bytes decide, never its name. PNG and JPEG go to `images`; DICOM to a process of
its own, by `dicom.workers`.
"""

import hashlib
from collections.abc import Iterable

from medtransfer.data.images.dicom.decoder_pool import ask_facts, ask_pixels
from medtransfer.data.images.dicom.transfer_syntaxes import DICOM_RULES, dicom_decoder
from medtransfer.data.images.pictures import (
    DECODER,
    ImageFacts,
    Pixels,
    decode_image,
    inspect_image,
)
from medtransfer.errors import ImageError

DICOM = "DICOM"


def inspect(data: bytes, pixel_limit: int, frame: int | None = None) -> ImageFacts:
    """Facts of an encoded picture, from its header.

    Args:
        data: The file's content.
        pixel_limit: Most pixels allowed.
        frame: Which picture of a DICOM file, from 1; None where it holds only one.

    Returns:
        Its digest is that of the file, and of the frame's number where a file holds several.

    Raises:
        ImageError: No picture that is read, several where no frame is named, or over the limit. The
            message is a reason.
    """
    if not is_dicom(data):
        _refuse_frame(frame)
        return inspect_image(data, pixel_limit)
    facts = ask_facts(data, pixel_limit, frame)
    whole, of_frame = digests(data, frame)
    digest = of_frame if facts.header.frames > 1 else whole
    return ImageFacts(
        facts.header.columns,
        facts.header.rows,
        facts.channels,
        facts.bits,
        digest,
        DICOM,
        f"{DICOM_RULES}: {facts.rule}",
        facts.header.syntax,
        facts.header.modality,
        facts.header.burned_in,
    )


def digests(data: bytes, frame: int | None) -> tuple[str, str]:
    """The digest of a file with one picture, and of one frame of a file with several."""
    whole = hashlib.sha256(data).hexdigest()
    return whole, hashlib.sha256(f"{whole} frame {frame}".encode()).hexdigest()


def decode(data: bytes, pixel_limit: int, frame: int | None = None) -> Pixels:
    """Pixels of an encoded picture, upright, black is 0.

    Args:
        data: The file's content.
        pixel_limit: Most pixels allowed.
        frame: Which picture of a DICOM file, from 1; None where it holds only one.

    Returns:
        uint8 or uint16, [height, width] for grey or [height, width, 3] for RGB.

    Raises:
        ImageError: As `inspect`, or truncated or damaged. The message is a reason.
    """
    if is_dicom(data):
        return ask_pixels(data, pixel_limit, frame)
    _refuse_frame(frame)
    return decode_image(data, pixel_limit)


def decoders(formats: Iterable[str] = (DICOM,)) -> str:
    """What unpacks files of some formats, with versions: part of the key of what is made of them.

    Args:
        formats: From `ImageFacts.format`. Without DICOM among them its decoders are left out.
    """
    return f"{DECODER}, {dicom_decoder()}" if DICOM in formats else DECODER


def is_dicom(data: bytes) -> bool:
    """Whether bytes are DICOM: by the mark behind the preamble, or by a first element without one.

    Files without a preamble start with group 0002 or 0008 and an element below 0100.
    """
    if data[128:132] == b"DICM":
        return True
    little = data[:2] in (b"\x02\x00", b"\x08\x00") and data[3:4] == b"\x00"
    return little or data[:3] == b"\x00\x08\x00"


def _refuse_frame(frame: int | None) -> None:
    if frame not in (None, 1):
        raise ImageError(f"holds 1 frame; frame {frame:,} is asked for")
