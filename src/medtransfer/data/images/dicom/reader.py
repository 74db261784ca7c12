"""Reader of a DICOM file in this process: its facts, and its pixels for display.

`decoder_process` calls it, with limits on memory and time; other modules use
`medtransfer.data.images.decode`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.dicom.facts import DecoderComparison, DicomHeader, FrameFacts
from medtransfer.data.images.dicom.frames import check_frame, compare_decoders, stored_frame
from medtransfer.data.images.dicom.greyscale import is_wide, read_grey, show_grey
from medtransfer.data.images.dicom.header import frame_index, read_header
from medtransfer.data.images.dicom.lookup_tables import show_colour


def frame_facts(data: bytes, pixel_limit: int, frame: int | None = None) -> FrameFacts:
    """Facts of one frame, from headers; nothing is unpacked.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None if the file has only one.

    Raises:
        ImageError: The file or the frame cannot be read. The message is a reason.
    """
    file = read_header(data, pixel_limit)
    index = frame_index(file.header, frame)
    check_frame(file, index)
    if file.header.is_grey:
        return FrameFacts(file.header, 1, 16 if is_wide(file) else 8, read_grey(file, index).rule)
    return FrameFacts(file.header, 3, 8, f"colours of {file.header.photometric}")


def frame_comparison(
    data: bytes,
    pixel_limit: int,
    frame: int | None = None,
    on_header: Callable[[DicomHeader], None] = lambda _header: None,
) -> DecoderComparison:
    """Compare a frame with a second decoder's; arguments and errors as of `frame_pixels`."""
    file = read_header(data, pixel_limit)
    index = frame_index(file.header, frame)
    on_header(file.header)
    return compare_decoders(file, index)


def frame_pixels(
    data: bytes,
    pixel_limit: int,
    frame: int | None = None,
    on_header: Callable[[DicomHeader], None] = lambda _header: None,
) -> NDArray[np.uint8 | np.uint16]:
    """Display pixels of one frame.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.
        frame: Its number, from 1; None if the file has only one.
        on_header: Called with the header before anything is unpacked.

    Returns:
        Grey [rows, columns] of 8 or 16 bits, black is 0; or RGB [rows, columns, 3] of 8 bits.

    Raises:
        ImageError: The file or the frame cannot be read. The message is a reason.
    """
    file = read_header(data, pixel_limit)
    index = frame_index(file.header, frame)
    on_header(file.header)
    if file.header.is_grey:
        grey = read_grey(file, index)
        pixels = show_grey(stored_frame(file, index), grey, wide=is_wide(file))
    else:
        pixels = show_colour(stored_frame(file, index), file)
    return np.ascontiguousarray(pixels)
