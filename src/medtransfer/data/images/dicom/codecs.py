"""Decoders of compressed frames: exactly one for each transfer syntax."""

# python-gdcm publishes no stubs
# pyright: reportMissingTypeStubs=false

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from medtransfer.data.images.dicom.codestreams import CodeStream
from medtransfer.data.images.dicom.facts import DicomHeader
from medtransfer.data.images.dicom.transfer_syntaxes import BASELINE, Syntax
from medtransfer.data.images.pictures import decode_image


def unpack(
    frame: bytes, syntax: Syntax, header: DicomHeader, stream: CodeStream
) -> tuple[NDArray[Any], bool]:
    """The numbers of a compressed frame.

    Args:
        frame: One frame, compressed.
        syntax: How it is compressed.
        header: What the file claims.
        stream: What the frame claims, checked against the header.

    Returns:
        Unsigned numbers in the order of the decoder [rows * columns * samples]; and whether colours
        are stored plane by plane.

    Raises:
        Exception: Of any kind, where the frame is damaged.
    """
    size, planar = 1 + (stream.bits > 8), False
    match syntax.codec:
        case "gdcm":
            raw = _by_gdcm(frame, syntax, header, stream)
        case "openjpeg":
            raw = _by_openjpeg(frame)
        case _:
            size, planar = header.bits_allocated // 8, header.samples > 1
            raw = _by_rle(frame, header)
    return np.frombuffer(raw, np.dtype(f"<u{size}")).astype(f"u{size}"), planar


def unpack_again(
    frame: bytes, syntax: Syntax, header: DicomHeader, stream: CodeStream
) -> tuple[str, NDArray[Any]] | None:
    """The numbers of a compressed frame by a second decoder, for comparison only.

    RLE goes to pydicom, JPEG 2000 to GDCM (another version of OpenJPEG with other code around it),
    JPEG-LS to CharLS if pyjpegls is installed, grey JPEG of 8 bits to Pillow.

    Returns:
        Name of the decoder's package, and unsigned numbers [rows * columns * samples]; None if
        there is no second decoder or it cannot read the frame.
    """
    grey = header.samples == 1
    size = 1 + (stream.bits > 8)
    try:
        if syntax.codec == "openjpeg":
            name, raw = "python-gdcm", _by_gdcm(frame, syntax, header, stream)
        elif syntax.codec == "rle":
            size = header.bits_allocated // 8
            name, raw = "pydicom", _by_pydicom(frame, syntax, header)
        elif syntax.family == "jpeg-ls":
            name, raw = "pyjpegls", _by_charls(frame)
        elif syntax.uid == BASELINE and grey and stream.bits == 8:
            values = decode_image(frame, header.rows * header.columns)
            name, raw = "Pillow", values.tobytes()
        else:
            return None
    except Exception:  # noqa: BLE001 — without a second opinion there is nothing to compare
        return None
    return name, np.frombuffer(raw, np.dtype(f"<u{size}")).astype(f"u{size}")


def _by_pydicom(frame: bytes, syntax: Syntax, header: DicomHeader) -> bytes | bytearray:
    """RLE by pydicom's own decoder; colours are stored plane by plane."""
    decoder: Any = get_decoder(UID(syntax.uid))
    options = {
        "rows": header.rows,
        "columns": header.columns,
        "samples_per_pixel": header.samples,
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_allocated,
        "photometric_interpretation": header.photometric,
        "number_of_frames": 1,
        "pixel_representation": 0,
        "planar_configuration": 0,
        "pixel_keyword": "PixelData",
    }
    packed = encapsulate([frame])
    raw, _ = decoder.as_buffer(packed, index=0, decoding_plugin="pydicom", raw=True, **options)
    return raw


def _by_charls(frame: bytes) -> bytes:
    """JPEG-LS by CharLS."""
    library: Any = import_module("jpeg_ls")
    return library.decode(np.frombuffer(frame, np.uint8)).tobytes()


def _by_gdcm(frame: bytes, syntax: Syntax, header: DicomHeader, stream: CodeStream) -> bytes:
    """JPEG and JPEG-LS. GDCM gets the bits of the stream rather than those of the file.

    It rejects damaged JPEG-LS at once; on some files, CharLS alone (pyjpegls 1.5.1) never returns.
    """
    import gdcm

    library: Any = gdcm
    fragment = library.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = library.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = library.DataElement(library.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = library.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((header.columns, header.rows, 1))
    image.SetDataElement(element)
    kind = library.PhotometricInterpretation.GetPIType(header.photometric)
    image.SetPhotometricInterpretation(library.PhotometricInterpretation(kind))
    if header.samples > 1:
        image.SetPlanarConfiguration(0)
    kind = library.TransferSyntax.GetTSType(syntax.uid)
    image.SetTransferSyntax(library.TransferSyntax(kind))
    allocated = 8 if stream.bits <= 8 else 16
    image.SetPixelFormat(
        library.PixelFormat(header.samples, allocated, stream.bits, stream.bits - 1, 0)
    )
    return image.GetBuffer().encode("utf-8", "surrogateescape")


def _by_openjpeg(frame: bytes) -> bytes | bytearray:
    """JPEG 2000 and HTJ2K. The stream's own colour transform is undone."""
    from openjpeg.utils import decode_pixel_data

    decode: Any = decode_pixel_data
    return decode(frame, version=2)


def _by_rle(frame: bytes, header: DicomHeader) -> bytearray:
    """RLE: one segment for each byte of each sample."""
    from rle import utils

    decode: Any = utils.decode_pixel_data
    size = {"rows": header.rows, "columns": header.columns}
    try:
        return decode(frame, version=2, bits_allocated=header.bits_allocated, **size)
    except BaseException as error:  # a Rust panic is not an Exception
        if type(error).__name__ == "PanicException":
            raise ValueError("damaged") from None
        raise
