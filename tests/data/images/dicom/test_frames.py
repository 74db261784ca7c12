"""Frames become the numbers that were stored, however they were stored.

What went in is known, or a second decoder (imagecodecs) is asked about the same code stream.
"""

import struct
from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np
import pytest
from tests.data.images.dicom import files
from tests.data.images.dicom.files import LIMIT, Fragments, dicom, packed, picture, slope, smooth

from medtransfer.data.images.dicom import frames
from medtransfer.data.images.dicom.codecs import unpack_again
from medtransfer.data.images.dicom.frames import StoredFrame, compare_decoders, stored_frame
from medtransfer.data.images.dicom.header import read_header
from medtransfer.errors import ImageError


def frame_of(data: bytes, index: int = 0) -> StoredFrame:
    return stored_frame(read_header(data, LIMIT), index)


NATIVE: dict[str, tuple[Any, int]] = {
    "8 bits": (slope(top=255, dtype=np.uint8), 8),
    "10 bits": (slope(top=1023), 10),
    "12 bits": (slope(), 12),
    "16 bits": (slope(top=65535), 16),
    "32 bits": (slope(top=2**32 - 1, dtype=np.uint32), 32),
    "12 bits signed": ((slope() - 2048.0).astype(np.int16), 12),
    "16 bits signed": ((slope(top=65535) - 32768.0).astype(np.int16), 16),
    "8 bits signed": ((slope(top=255) - 128.0).astype(np.int8), 8),
    "RGB": (np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8), 8),
}


@pytest.mark.parametrize("syntax", [files.IMPLICIT, files.EXPLICIT, files.DEFLATED])
@pytest.mark.parametrize("name", NATIVE)
def test_uncompressed_numbers_are_read_as_they_were_written(name: str, syntax: str) -> None:
    stored, bits = NATIVE[name]
    found = frame_of(dicom(picture(stored, bits), syntax)).values
    assert found.dtype == stored.dtype
    assert np.array_equal(found, stored)


@pytest.mark.parametrize("name", [name for name in NATIVE if name != "RGB"])
def test_big_endian_numbers_are_read_as_they_were_written(name: str) -> None:
    stored, bits = NATIVE[name]
    raw = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    if stored.itemsize == 1:  # as words of two pixels, swapped
        raw = np.frombuffer(raw, np.uint16).byteswap().tobytes()
    found = frame_of(dicom(picture(stored, bits, PixelData=raw), files.BIG_ENDIAN)).values
    assert np.array_equal(found, stored)


@pytest.mark.parametrize("meta", [True, False])
def test_files_without_preamble_or_file_meta_are_read(meta: bool) -> None:
    for syntax in (files.IMPLICIT, files.EXPLICIT, files.BIG_ENDIAN):
        stored = slope()
        raw = stored.astype(">u2" if syntax == files.BIG_ENDIAN else "<u2").tobytes()
        data = dicom(picture(stored, 12, PixelData=raw), syntax, meta=meta, preamble=False)
        assert np.array_equal(frame_of(data).values, stored), syntax


def test_a_preamble_that_is_a_program_changes_nothing() -> None:
    data = b"MZ\x90\x00" + b"\x00" * 124 + dicom(picture(slope(), 12))[128:]
    assert np.array_equal(frame_of(data).values, slope())


def test_single_bits_are_taken_across_bytes() -> None:
    stored = np.random.default_rng(1).integers(0, 2, (3, 5, 7)).astype(np.uint8)
    raw = np.packbits(stored.ravel(), bitorder="little").tobytes()
    about = picture(stored, PixelData=raw, BitsAllocated=1, BitsStored=1, HighBit=0)
    for index in range(3):
        assert np.array_equal(frame_of(dicom(about), index).values, stored[index])


def test_frames_are_counted_in_order() -> None:
    stored = np.stack([slope() + i for i in range(3)]).astype(np.uint16)
    for index in range(3):
        assert np.array_equal(frame_of(dicom(picture(stored, 13)), index).values, stored[index])


def test_planes_of_colour_are_put_together() -> None:
    stored = NATIVE["RGB"][0]
    planes = np.moveaxis(stored, 2, 0).tobytes()
    data = dicom(picture(stored, PlanarConfiguration=1, PixelData=planes))
    assert np.array_equal(frame_of(data).values, stored)


def test_half_the_colours_are_spread() -> None:
    # two pixels share their colours: Y1 Y2 B R
    raw = np.arange(48, dtype=np.uint8).reshape(4, 3, 4)
    about = picture(
        np.zeros((4, 6, 3), np.uint8),
        PhotometricInterpretation="YBR_FULL_422",
        PixelData=raw.tobytes(),
    )
    found = frame_of(dicom(about))
    assert found.photometric == "YBR_FULL"
    for row in range(4):
        for column in range(6):
            quad = raw[row, column // 2]
            assert found.values[row, column].tolist() == [quad[column % 2], quad[2], quad[3]]


def test_what_stands_in_unused_bits_of_signed_values_is_no_part_of_them() -> None:
    stored = (slope() - 2048.0).astype(np.int16)
    bare = (stored.view(np.uint16) & 0x0FFF).astype(np.uint16)
    data = dicom(picture(bare, 12, PixelRepresentation=1))
    assert np.array_equal(frame_of(data).values, stored)


def test_overlays_in_unused_bits_are_taken_off() -> None:
    drawn = slope() | (slope(top=1) << 15).astype(np.uint16)
    about = picture(drawn, 12) | {
        0x60000100: files.Raw("US", struct.pack("<H", 16)),
        0x60000102: files.Raw("US", struct.pack("<H", 15)),
    }
    found = frame_of(dicom(about))
    assert np.array_equal(found.values, slope())
    assert not found.out_of_range


def test_values_beyond_wrong_bits_stored_are_kept_and_said() -> None:
    found = frame_of(dicom(picture(slope(), 10)))
    assert np.array_equal(found.values, slope())
    assert found.out_of_range


def test_values_that_do_not_stand_at_the_right_end_are_shifted() -> None:
    data = dicom(picture((slope() << 4).astype(np.uint16), 12, HighBit=15))
    assert np.array_equal(frame_of(data).values, slope())


def test_too_many_pixels_are_cut_and_too_few_refused() -> None:
    about = picture(slope(), 12)
    longer = dicom(about | {"PixelData": about["PixelData"] + b"\x07" * 50})
    assert np.array_equal(frame_of(longer).values, slope())
    with pytest.raises(ImageError, match="is truncated: it holds 470 of 480 bytes of pixels"):
        frame_of(dicom(about | {"PixelData": about["PixelData"][:-10]}))


# ---- compressed

GREY = slope(32, 48, 4095)
SIGNED = (GREY - 2048.0).astype(np.int16)
COLOUR = np.random.default_rng(5).integers(0, 256, (32, 48, 3), np.uint8)
EIGHT = slope(32, 48, 255, np.uint8)


def j2k(stored: Any, bits: int, **more: Any) -> bytes:
    stream = imagecodecs.jpeg2k_encode(
        stored, level=0, codecformat="j2k", reversible=True, bitspersample=bits, **more
    )
    return bytes(stream)


LOSSLESS: dict[str, tuple[str, Any, int, Sequence[bytes | bytearray]]] = {
    "RLE 8": (files.RLE, EIGHT, 8, [files.rle(EIGHT)]),
    "RLE 16": (files.RLE, GREY, 12, [files.rle(GREY)]),
    "RLE signed": (files.RLE, SIGNED, 12, [files.rle(SIGNED)]),
    "RLE colour": (files.RLE, COLOUR, 8, [files.rle(COLOUR)]),
    "JPEG lossless 8": (files.LOSSLESS_SV1, EIGHT, 8, [files.jpeg_lossless(EIGHT, 8)]),
    "JPEG lossless 12": (files.LOSSLESS, GREY, 12, [files.jpeg_lossless(GREY, 12)]),
    "JPEG lossless 15": (files.LOSSLESS_SV1, GREY * 8, 15, [files.jpeg_lossless(GREY * 8, 15)]),
    "JPEG-LS 8": (files.JPEGLS, EIGHT, 8, [imagecodecs.jpegls_encode(EIGHT)]),
    "JPEG-LS 16": (files.JPEGLS, GREY, 12, [imagecodecs.jpegls_encode(GREY)]),
    "JPEG-LS colour": (files.JPEGLS, COLOUR, 8, [imagecodecs.jpegls_encode(COLOUR)]),
    "JPEG 2000 8": (files.J2K_LOSSLESS, EIGHT, 8, [j2k(EIGHT, 8)]),
    "JPEG 2000 12": (files.J2K_LOSSLESS, GREY, 12, [j2k(GREY, 12)]),
    "JPEG 2000 colour": (files.J2K_LOSSLESS, COLOUR, 8, [j2k(COLOUR, 8)]),
    "HTJ2K 16": (files.HTJ2K_LOSSLESS, GREY, 12, [imagecodecs.htj2k_encode(GREY)]),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_streams_give_back_what_went_in(name: str) -> None:
    syntax, stored, bits, frames = LOSSLESS[name]
    found = frame_of(dicom(packed(stored, frames, bits), syntax)).values
    assert found.dtype == stored.dtype
    assert np.array_equal(found, stored)


@pytest.mark.parametrize(("pieces", "table"), [(1, True), (3, True), (3, False), (1, False)])
@pytest.mark.parametrize("name", ["JPEG lossless 12", "JPEG-LS 16", "RLE 16", "JPEG 2000 12"])
def test_frames_in_fragments_are_found(name: str, pieces: int, table: bool) -> None:
    syntax, stored, bits, _ = LOSSLESS[name]
    many = [stored, stored[::-1].copy(), stored[:, ::-1].copy()]
    make = {
        "JPEG lossless 12": lambda v: files.jpeg_lossless(v, 12),
        "JPEG-LS 16": imagecodecs.jpegls_encode,
        "RLE 16": files.rle,
        "JPEG 2000 12": lambda v: j2k(v, 12),
    }
    streams = [make[name](one) for one in many]
    if name == "RLE 16" and pieces > 1 and not table:
        pytest.skip("nothing in RLE says where a frame ends")
    about = packed(stored, streams, bits, NumberOfFrames=3)
    data = dicom(about | {"PixelData": Fragments(streams, pieces, table)}, syntax)
    for index in range(3):
        assert np.array_equal(frame_of(data, index).values, many[index])


SECOND = {"RLE": "pydicom", "JPEG 2000": "python-gdcm", "HTJ2K": "python-gdcm"}
"""Second decoder of a family; none of JPEG Lossless, nor of JPEG-LS without pyjpegls."""


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_second_decoder_gives_the_same_numbers(name: str) -> None:
    syntax, stored, bits, frames = LOSSLESS[name]
    file = read_header(dicom(packed(stored, frames, bits), syntax), LIMIT)
    found = compare_decoders(file, 0)
    family = " ".join(name.split()[:-1])
    assert found.second in {SECOND.get(family, ""), "pyjpegls" * ("JPEG-LS" in name)}
    assert (found.largest_difference, found.allowed, found.agrees) == (0, 0, True)


def test_a_second_decoder_of_lossy_streams_may_round_otherwise() -> None:
    wavelet = imagecodecs.jpeg2k_encode(
        GREY, level=40, codecformat="j2k", reversible=False, bitspersample=12
    )
    cosine = imagecodecs.jpeg8_encode(smooth(), level=80)
    for about, syntax, second, allowed in (
        (packed(GREY, [wavelet], 12), files.J2K, "python-gdcm", 32),
        (packed(smooth(), [cosine], 8), files.BASELINE, "Pillow", 2),
    ):
        found = compare_decoders(read_header(dicom(about, syntax), LIMIT), 0)
        assert (found.second, found.allowed, found.agrees) == (second, allowed, True)


@pytest.mark.parametrize("wrong", [1, 700])
def test_a_decoder_that_is_wrong_in_one_pixel_is_found(
    wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bent(*about: Any) -> tuple[str, Any]:
        second, theirs = unpack_again(*about)  # type: ignore[misc]
        theirs = theirs.copy()
        theirs[7] ^= wrong
        return second, theirs

    for name in ("RLE 16", "JPEG 2000 12"):
        syntax, stored, bits, streams = LOSSLESS[name]
        file = read_header(dicom(packed(stored, streams, bits), syntax), LIMIT)
        monkeypatch.setattr(frames, "unpack_again", bent)
        found = compare_decoders(file, 0)
        assert found.largest_difference > 0
        assert not found.agrees
    monkeypatch.setattr(frames, "unpack_again", lambda *_: ("other", np.zeros(3, np.uint16)))
    assert not compare_decoders(file, 0).agrees


def test_uncompressed_files_need_no_second_decoder() -> None:
    found = compare_decoders(read_header(dicom(picture(slope(), 12)), LIMIT), 0)
    assert (found.second, found.agrees) == ("", True)


def test_a_damaged_stream_is_no_disagreement() -> None:
    syntax, stored, bits, streams = LOSSLESS["JPEG 2000 12"]
    data = dicom(packed(stored, [streams[0][:200]], bits), syntax)
    with pytest.raises(ImageError):
        compare_decoders(read_header(data, LIMIT), 0)


def test_jpeg_lossless_differences_wrap_around() -> None:
    # T.81 H.2.1: differences are taken modulo; a decoder that does not is wrong in most pixels
    noise = np.random.default_rng(7).integers(0, 256, (16, 24)).astype(np.uint8)
    plain, wrapped = (files.jpeg_lossless(noise, 8, wrap=wrap) for wrap in (False, True))
    assert plain != wrapped
    for stream in (plain, wrapped):
        data = dicom(packed(noise, [stream], 8), files.LOSSLESS_SV1)
        assert np.array_equal(frame_of(data).values, noise)
        assert np.array_equal(imagecodecs.jpegsof3_decode(stream), noise)


def test_lossy_streams_are_as_a_second_decoder_unpacks_them() -> None:
    near = imagecodecs.jpegls_encode(GREY, level=4)
    wavelet = imagecodecs.jpeg2k_encode(
        GREY, level=40, codecformat="j2k", reversible=False, bitspersample=12
    )
    for syntax, stream, theirs in (
        (files.JPEGLS_NEAR, near, imagecodecs.jpegls_decode(near)),
        (files.J2K, wavelet, imagecodecs.jpeg2k_decode(wavelet)),
    ):
        found = frame_of(dicom(packed(GREY, [stream], 12), syntax)).values
        assert np.array_equal(found, theirs)
        assert 0 < np.abs(found.astype(int) - GREY).max() < 400


def test_jpeg_baseline_of_grey_is_close_to_what_went_in() -> None:
    stream = imagecodecs.jpeg8_encode(smooth(), level=97)
    found = frame_of(dicom(packed(smooth(), [stream], 8), files.BASELINE)).values
    assert np.abs(found.astype(int) - smooth()).max() <= 3
    assert np.array_equal(found, imagecodecs.jpeg8_decode(stream))


@pytest.mark.parametrize("signed", [False, True])
def test_the_sign_is_the_files_where_the_stream_says_another(signed: bool) -> None:
    stored = SIGNED if signed else GREY
    other = (SIGNED.view(np.uint16) & 0xFFF) if signed else (GREY << 4).astype(np.int16) >> 4
    stream = j2k(np.ascontiguousarray(other), 12)
    data = dicom(packed(stored, [stream], 12), files.J2K_LOSSLESS)
    assert np.array_equal(frame_of(data).values, stored)


def test_jpeg_ls_of_signed_values_keeps_their_sign() -> None:
    stream = imagecodecs.jpegls_encode((SIGNED.view(np.uint16) & 0xFFF).astype(np.uint16))
    data = dicom(packed(SIGNED, [stream], 12), files.JPEGLS)
    assert np.array_equal(frame_of(data).values, SIGNED)


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_stream_of_other_sizes_is_refused(name: str) -> None:
    syntax, stored, bits, frames = LOSSLESS[name]
    data = dicom(packed(stored, frames, bits, Rows=4000, Columns=900), syntax)
    with pytest.raises(ImageError, match="claims 900 × 4,000 pixels"):
        stored_frame(read_header(data, 10**8), 0)


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_cut_stream_is_refused(name: str) -> None:
    syntax, stored, bits, frames = LOSSLESS[name]
    for end in (0, 1, 10, 30, len(frames[0]) // 2):
        data = dicom(packed(stored, [frames[0][:end]], bits), syntax)
        with pytest.raises(ImageError):
            frame_of(data)


@pytest.mark.parametrize("name", ["JPEG-LS 8", "JPEG lossless 8", "JPEG 2000 8", "RLE 8"])
def test_a_stream_of_another_kind_is_refused(name: str) -> None:
    frames = LOSSLESS[name][3]
    for syntax in {files.BASELINE, files.JPEGLS, files.LOSSLESS_SV1, files.J2K_LOSSLESS, files.RLE}:
        if syntax != LOSSLESS[name][0]:
            with pytest.raises(ImageError):
                frame_of(dicom(packed(EIGHT, frames, 8), syntax))


def test_a_sequential_scan_of_one_coefficient_is_refused() -> None:
    stream = imagecodecs.jpeg8_encode(smooth(), level=97)
    at = stream.index(b"\xff\xda")
    bent = stream[: at + 8] + b"\x00" + stream[at + 9 :]
    with pytest.raises(ImageError, match="takes the coefficients 0 to 0"):
        frame_of(dicom(packed(smooth(), [bent], 8), files.BASELINE))


def test_frames_that_are_not_there_are_refused() -> None:
    data = dicom(packed(EIGHT, [files.rle(EIGHT)], 8, NumberOfFrames=4), files.RLE)
    with pytest.raises(ImageError, match="frame 4 is not there"):
        frame_of(data, 3)
