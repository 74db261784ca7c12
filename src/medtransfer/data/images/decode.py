"""Facts and pixels of an image file: PNG and JPEG, or DICOM.

The bytes decide the format, never the file name. `pictures` decodes PNG and JPEG;
`dicom.decoder_pool` sends DICOM to a separate process.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

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
    """Facts of an encoded image, from its header.

    Args:
        data: The file's content.
        pixel_limit: Most pixels allowed.
        frame: Number of the frame in a DICOM file, from 1; None if it holds only one.

    Returns:
        The digest is that of the file, and of the frame's number if a file holds several.

    Raises:
        ImageError: Not a readable image, several frames and none named, or over the limit. The
            message is a reason.
    """
    if not is_dicom(data):
        _check_frame_number(frame)
        return inspect_image(data, pixel_limit)
    facts = ask_facts(data, pixel_limit, frame)
    whole, of_frame = digests(data, frame)
    digest = of_frame if facts.header.frames > 1 else whole
    return ImageFacts(
        width=facts.header.columns,
        height=facts.header.rows,
        channels=facts.channels,
        bits=facts.bits,
        sha256=digest,
        format=DICOM,
        rule=f"{DICOM_RULES}: {facts.rule}",
        syntax=facts.header.syntax,
        modality=facts.header.modality,
        burned_in=facts.header.burned_in,
    )


def digests(data: bytes, frame: int | None) -> tuple[str, str]:
    """The digest of a file with one image, and of one frame of a file with several."""
    whole = hashlib.sha256(data).hexdigest()
    return whole, hashlib.sha256(f"{whole} frame {frame}".encode()).hexdigest()


def decode(data: bytes, pixel_limit: int, frame: int | None = None) -> Pixels:
    """Pixels of an encoded image, upright, black is 0.

    Args:
        data: The file's content.
        pixel_limit: Most pixels allowed.
        frame: Number of the frame in a DICOM file, from 1; None if it holds only one.

    Returns:
        uint8 or uint16, [height, width] for grey or [height, width, 3] for RGB.

    Raises:
        ImageError: As `inspect`, or truncated or damaged. The message is a reason.
    """
    if is_dicom(data):
        return ask_pixels(data, pixel_limit, frame)
    _check_frame_number(frame)
    return decode_image(data, pixel_limit)


def decoders(formats: Iterable[str] = (DICOM,)) -> str:
    """Decoders of some formats, with versions: part of every key of what is made from them.

    Args:
        formats: From `ImageFacts.format`. DICOM decoders are named only if it is among them.
    """
    return f"{DECODER}, {dicom_decoder()}" if DICOM in formats else DECODER


def is_dicom(data: bytes) -> bool:
    """Recognise DICOM by the mark after the preamble, or by a first element without one.

    Files without a preamble start with group 0002 or 0008 and an element below 0100.
    """
    if data[128:132] == b"DICM":
        return True
    little = data[:2] in (b"\x02\x00", b"\x08\x00") and data[3:4] == b"\x00"
    return little or data[:3] == b"\x00\x08\x00"


def is_dicom_file(path: Path) -> bool:
    """Recognise a DICOM file by its first bytes; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False


def dicom_words(path: Path, keywords: Sequence[str]) -> dict[str, str] | None:
    """Texts of header elements of a file that may be no DICOM.

    Args:
        path: A file; its pixels are not read.
        keywords: As for `header_words`.

    Returns:
        As from `header_words`; None for a file of another kind, which loads no DICOM reader.
    """
    if not is_dicom_file(path):
        return None
    from medtransfer.data.images.dicom.elements import header_words  # a fifth of a second

    return header_words(path, keywords)


def _check_frame_number(frame: int | None) -> None:
    if frame not in (None, 1):
        raise ImageError(f"holds 1 frame, and the manifest asks for frame {frame:,}")
