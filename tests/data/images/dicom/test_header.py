"""What a file is, is said in numbers and words of closed lists; what it cannot be, by a reason."""

import contextlib
import struct
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.images.dicom import files
from tests.data.images.dicom.files import LIMIT, Raw, dicom, picture, slope
from tests.strategies import FEW

from medtransfer.data.images.dicom.header import read_header
from medtransfer.data.images.dicom.reader import frame_facts, frame_pixels
from medtransfer.errors import ImageError

CANARY = "JANE^DOE"


def refused(data: bytes, frame: int | None = None) -> str:
    """The reason, which must be the same for the facts and for the pixels."""
    reasons = []
    for read in (frame_facts, frame_pixels):
        with pytest.raises(ImageError) as caught:
            read(data, LIMIT, frame)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]
    assert CANARY not in reasons[0]
    return reasons[0]


def test_technical_facts_are_read() -> None:
    about = picture(
        slope(),
        12,
        Modality="MG",
        ViewPosition="MLO",
        ImageLaterality="L",
        ImagerPixelSpacing=[0.1, 0.2],
        PresentationIntentType="FOR PRESENTATION",
        BurnedInAnnotation="NO",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert asdict(read_header(dicom(about), LIMIT).header) == {
        "rows": 12,
        "columns": 20,
        "frames": 1,
        "samples": 1,
        "bits_allocated": 16,
        "bits_stored": 12,
        "signed": False,
        "photometric": "MONOCHROME1",
        "syntax": "Explicit VR Little Endian",
        "modality": "MG",
        "view": "MLO",
        "laterality": "L",
        "spacing": (0.1, 0.2),
        "intent": "FOR PRESENTATION",
        "burned_in": "NO",
    }


def test_words_outside_the_closed_lists_do_not_leave_the_reader() -> None:
    words = (
        "Modality",
        "ViewPosition",
        "Laterality",
        "ImageLaterality",
        "BurnedInAnnotation",
        "PresentationIntentType",
    )
    header = read_header(dicom(picture(slope(), 12, **dict.fromkeys(words, CANARY))), LIMIT).header
    assert CANARY not in str(asdict(header))
    assert header.modality == header.view == header.laterality == ""


def test_only_the_allowed_tags_are_read_at_all() -> None:
    about = picture(slope(), 12, PatientName=CANARY, PatientID="4711", InstitutionName=CANARY)
    dataset = read_header(dicom(about | {0x00091001: Raw("LO", b"JANE^DOE")}), LIMIT).dataset
    assert "PatientName" not in dataset
    assert CANARY not in str(dataset)


BAD: dict[str, tuple[dict[str | int, Any], str]] = {
    "no rows": ({"Rows": Raw("US", b"")}, "has no Rows"),
    "rows of text": ({"Rows": Raw("LO", b"JANE^DOE")}, "has a Rows that is not a whole number"),
    "no frames": ({"NumberOfFrames": "1A"}, "has a Number Of Frames that is not a whole number"),
    "frames of text": ({"NumberOfFrames": CANARY}, "Number Of Frames that is not a whole number"),
    "negative frames": ({"NumberOfFrames": -2}, "claims -2 frames"),
    "no columns": ({"Columns": 0}, r"claims 1 frames of 0 × 12 pixels"),
    "too large": ({"Rows": 65535, "Columns": 65535}, r"claims 65,535 × 65,535 pixels \(allowed"),
    "odd bits": ({"BitsAllocated": 12}, r"has 12 Bits Allocated \(allowed: 1, 8, 16, 32\)"),
    "more bits than there are": ({"BitsStored": 20}, "has 20 Bits Stored of 16"),
    "photometric of text": ({"PhotometricInterpretation": CANARY}, "an unsupported"),
    "no photometric": ({"PhotometricInterpretation": ""}, "has no Photometric Interpretation"),
    "grey of three": ({"SamplesPerPixel": 3}, "is MONOCHROME2 with 3 samples a pixel"),
    "CMYK": (
        {"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4},
        "an unsupported Photometric",
    ),
    "no palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "has no palette"),
}


@pytest.mark.parametrize("name", [name for name in BAD if name != "no palette"])
def test_headers_that_cannot_be_are_refused_without_their_text(name: str) -> None:
    more, reason = BAD[name]
    with pytest.raises(ImageError, match=reason):
        raise ImageError(refused(dicom(picture(slope(), 12) | more)))


def test_a_palette_image_without_a_palette_is_refused() -> None:
    more, reason = BAD["no palette"]
    with pytest.raises(ImageError, match=reason):
        frame_pixels(dicom(picture(slope(top=255, dtype=np.uint8)) | more), LIMIT)


def test_what_is_no_image_is_refused_by_its_kind() -> None:
    plan = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.5", "PatientName": CANARY}
    assert refused(dicom(plan)) == "is DICOM without pixels (RT Plan Storage)"
    assert refused(dicom({"SOPClassUID": "1.2.3." + "4" * 9})) == "is DICOM without pixels"
    assert refused(dicom({"SOPClassUID": CANARY})) == "is DICOM without pixels"
    directory = dicom(picture(slope(), 12), media="1.2.840.10008.1.3.10")
    assert refused(directory) == "is a DICOMDIR, a list of files (use the files it lists)"


def test_transfer_syntaxes_that_are_not_read_are_named_if_the_standard_knows_them() -> None:
    about = files.packed(slope(), [b"\x00\x00\x00\x01"], 12)
    assert "'MPEG2 Main Profile / Main Level'" in refused(dicom(about, files.JPEG + "100"))
    assert "that is unknown" in refused(dicom(about, CANARY))
    assert "compressed pixels but no transfer syntax" in refused(
        dicom(about, meta=False, preamble=False)
    )
    native = dicom(picture(slope(), 12), files.J2K)
    assert refused(native) == "claims to be stored as JPEG 2000 but is not"


def test_several_frames_need_a_number_and_one_that_is_there() -> None:
    three = dicom(picture(np.stack([slope()] * 3), 12))
    assert "holds 3 frames: give a frame number" in refused(three)
    assert refused(three, 4) == "holds 3 frames, and the manifest asks for frame 4"
    one = dicom(picture(slope(), 12))
    assert refused(one, 2) == "holds 1 frame, and the manifest asks for frame 2"
    assert frame_facts(one, LIMIT, 1) == frame_facts(one, LIMIT)


def nested(depth: int) -> bytes:
    """Sequences in sequences, all of undefined length."""
    start = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return (start + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth


def test_deep_sequences_are_refused() -> None:
    data = dicom({"SOPClassUID": files.DX})
    assert "nested too deeply" in refused(data + nested(4000))


@pytest.mark.parametrize(
    "tail",
    [
        struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 1 << 31),
        struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff",
        struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
        + struct.pack("<HHL", 0xFFFE, 0xE000, 500)
        + b"\x08\x00",
    ],
    ids=["length beyond the file", "item cut", "item shorter than it says"],
)
def test_items_that_are_cut_are_refused(tail: bytes) -> None:
    refused(dicom({"SOPClassUID": files.DX, "Rows": 4}) + tail)


def test_every_cut_of_a_file_is_refused() -> None:
    for syntax in (files.EXPLICIT, files.IMPLICIT, files.DEFLATED):
        data = dicom(picture(slope(5, 8), 12, WindowCenter=3, WindowWidth=9), syntax)
        for end in range(140, len(data) - 1):
            refused(data[:end])


def test_the_wrong_value_representation_gives_a_picture_or_a_reason() -> None:
    table = [{"LUTDescriptor": [2, 0, 8], "LUTData": [1, 2]}]
    about = picture(
        slope(),
        12,
        WindowCenter=3,
        WindowWidth=9,
        RescaleSlope=1,
        RescaleIntercept=0,
        PixelPaddingValue=3,
        VOILUTFunction="LINEAR",
        VOILUTSequence=table,
        ModalityLUTSequence=table,
        PixelSpacing=[1, 1],
    )
    for keyword in about:
        for vr in ("LO", "UN", "SQ", "OB", "DS", "US", "ZZ", "FS"):
            data = dicom(about | {keyword: Raw(vr, b"\x01\x00\x00\x00")})
            with contextlib.suppress(ImageError):
                frame_pixels(data, LIMIT)


def test_a_deflated_file_that_unpacks_to_more_than_it_claims_is_refused() -> None:
    about = picture(slope(), 12)
    bomb = dicom(about | {"PixelData": bytes(30_000_000)}, files.DEFLATED)
    assert len(bomb) < 60_000
    assert refused(bomb) == "unpacks to more bytes than its header claims"
    many = dicom(about | {"NumberOfFrames": 10**7, "PixelData": bytes(9_000_000)}, files.DEFLATED)
    assert "claims 2,400,000,000 deflated pixels" in refused(many)


def test_rle_that_cannot_hold_its_pixels_is_refused() -> None:
    about = files.packed(
        slope(top=255, dtype=np.uint8),
        [files.rle(slope(4, 4, 9, np.uint8))],
        8,
        Rows=900,
        Columns=1000,
    )
    assert "bytes of RLE cannot hold" in refused(dicom(about, files.RLE))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xd8",
        b"\xff\x4f\xff\x51",
        b"\xff\xd8\xff\xda\x00\x04\x00\x00",
        bytes(80),
        struct.pack("<16L", 1, 10**9, *[0] * 14),
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40),
        b"\xff\xd8" + b"\xff" * 50,
        b"\xff\x4f\xff\x51" + b"\xff" * 60,
    ],
)
@pytest.mark.parametrize("syntax", [files.RLE, files.BASELINE, files.JPEGLS, files.J2K])
def test_streams_that_are_none_are_refused(syntax: str, frame: bytes) -> None:
    stored = slope(top=255, dtype=np.uint8)
    refused(dicom(files.packed(stored, [frame + b"\xff\xd9"], 8), syntax))


KINDS = {
    "explicit": dicom(picture(slope(6, 6), 12, WindowCenter=3, WindowWidth=9)),
    "implicit": dicom(picture(slope(6, 6), 12, PixelPaddingValue=3), files.IMPLICIT),
    "big endian": dicom(picture(slope(6, 6), 12), files.BIG_ENDIAN),
    "deflated": dicom(picture(slope(6, 6), 12), files.DEFLATED),
    "RLE": dicom(files.packed(slope(6, 6), [files.rle(slope(6, 6))], 12), files.RLE),
    "tables": dicom(
        picture(
            slope(6, 6),
            12,
            VOILUTSequence=[{"LUTDescriptor": [3, 0, 8], "LUTData": [1, 2, 3]}],
            ModalityLUTSequence=[{"LUTDescriptor": [3, 0, 8], "LUTData": [1, 2, 3]}],
        )
    ),
}


@pytest.mark.slow
@settings(FEW, max_examples=400)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=5),
    st.floats(0.5, 1),
)
def test_flipped_and_cut_bytes_give_a_picture_or_a_reason_and_nothing_else(
    name: str, flips: list[tuple[float, int]], share: float
) -> None:
    data = bytearray(KINDS[name])
    for place, mask in flips:
        data[132 + int(place * (len(data) - 132))] ^= mask
    for read in (frame_facts, frame_pixels):
        with contextlib.suppress(ImageError):
            read(bytes(data[: int(share * len(data))]), LIMIT)
