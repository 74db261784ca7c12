"""Stored values become the shades that the standard's formulas give, each worked out here again.

The second implementation works pixel by pixel in plain Python from PS3.3 C.11; where pydicom has
the same step, it is asked too.
"""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from tests.data.images.dicom.files import LIMIT, dicom, picture, slope
from tests.strategies import FEW

from medtransfer.data.images.dicom.reader import frame_facts, frame_pixels
from medtransfer.errors import ImageError

KINDS = [("u1", 8), ("u2", 10), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16), ("i1", 8)]
VOIS: dict[str, dict[str, Any]] = {
    "none": {},
    "LINEAR": {"WindowCenter": 900.5, "WindowWidth": 700},
    "LINEAR of width 1": {"WindowCenter": 900, "WindowWidth": 1},
    "LINEAR_EXACT": {"WindowCenter": 100, "WindowWidth": 90.5, "VOILUTFunction": "LINEAR_EXACT"},
    "SIGMOID": {"WindowCenter": 300, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
    "two windows": {"WindowCenter": [60, 4000], "WindowWidth": [50, 9]},
    "table": {
        "VOILUTSequence": [
            {"LUTDescriptor": [200, 20, 10], "LUTData": [(i * i) // 40 for i in range(200)]}
        ],
        "WindowCenter": 1,
        "WindowWidth": 2,
    },
}
RESCALES: dict[str, dict[str, Any]] = {
    "as stored": {},
    "rescaled": {"RescaleSlope": 0.5, "RescaleIntercept": 20},
    "turned": {"RescaleSlope": -1.25, "RescaleIntercept": 300},
    "table": {
        "ModalityLUTSequence": [
            {"LUTDescriptor": [100, 30, 12], "LUTData": [(i * 37) % 1000 for i in range(100)]}
        ]
    },
}


def looked_up(value: float, item: dict[str, Any]) -> int:
    count, first, _ = item["LUTDescriptor"]
    return item["LUTData"][min(max(round(value) - first, 0), count - 1)]


def percentile(values: list[float], share: float) -> float:
    ranked = sorted(values)
    rank = share / 100 * (len(ranked) - 1)
    low, high = ranked[math.floor(rank)], ranked[math.ceil(rank)]
    return low + (high - low) * (rank - math.floor(rank))


def window(x: float, c: float, w: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, from 0 to 1."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(min(-4 * (x - c) / w, 700)))
    if function == "LINEAR_EXACT":
        if x <= c - w / 2:
            return 0
        return 1 if x > c + w / 2 else (x - c) / w + 0.5
    if x <= c - 0.5 - (w - 1) / 2:
        return 0
    return 1 if x > c - 0.5 + (w - 1) / 2 else (x - (c - 0.5)) / (w - 1) + 0.5


def expected(stored: Any, bits: int, about: dict[str | int, Any]) -> Any:
    """The picture that a file must become, pixel by pixel."""
    signed = stored.dtype.kind == "i"
    pad = about.get("PixelPaddingValue")
    limit = about.get("PixelPaddingRangeLimit", pad)

    def padding(v: int) -> bool:
        return pad is not None and min(pad, limit) <= v <= max(pad, limit)

    def meaning(v: int) -> float:
        if "ModalityLUTSequence" in about:
            return looked_up(v, about["ModalityLUTSequence"][0])
        return v * about.get("RescaleSlope", 1) + about.get("RescaleIntercept", 0)

    inside = [meaning(v) for v in stored.ravel().tolist() if not padding(v)] or [0]
    ends = [
        meaning(v)
        for v in ((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1))
    ]
    if "ModalityLUTSequence" in about:
        ends = about["ModalityLUTSequence"][0]["LUTData"]
    if stored.itemsize > 1:
        ends = [percentile(inside, 0.5), percentile(inside, 99.5)]
    low, high = min(ends), max(ends)

    def shade(v: int) -> float:
        x = meaning(v)
        if "VOILUTSequence" in about:
            item = about["VOILUTSequence"][0]
            y = looked_up(x, item) / (2 ** item["LUTDescriptor"][2] - 1)
        elif "WindowCenter" in about:
            c, w = (np.atleast_1d(about[k])[0] for k in ("WindowCenter", "WindowWidth"))
            y = window(x, float(c), float(w), about.get("VOILUTFunction", "LINEAR"))
        else:
            y = float(x > high) if high <= low else min(max((x - low) / (high - low), 0), 1)
        y = min(max(y, 0), 1)
        if about["PhotometricInterpretation"] == "MONOCHROME1":
            y = 1 - y
        return 0 if padding(v) else y

    peak = 65535 if stored.itemsize > 1 else 255
    return np.array([shade(v) * peak for v in stored.ravel().tolist()]).reshape(stored.shape)


def stored_values(kind: str, bits: int) -> Any:
    top = 2**bits - 1
    noise = slope(9, 14, top, np.int64)
    if kind[0] == "i":
        noise -= 2 ** (bits - 1)
    return noise.astype(kind)


CASES = list(itertools.product(KINDS, RESCALES, VOIS, ("MONOCHROME1", "MONOCHROME2"), (0, 1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_combination_of_attributes_is_shown_by_the_formulas(kind: tuple[str, int]) -> None:
    for (dtype, bits), rescale, voi, photometric, padded in CASES:
        if (dtype, bits) != kind:
            continue
        stored = stored_values(dtype, bits)
        more = {"PhotometricInterpretation": photometric, **RESCALES[rescale], **VOIS[voi]}
        if padded:
            more["PixelPaddingValue"] = int(stored[4, 4])
        if padded == 2:
            more["PixelPaddingRangeLimit"] = int(stored[4, 4]) // 2
        about = picture(stored, bits, **more)
        shown = frame_pixels(dicom(about), LIMIT)
        wanted = expected(stored, bits, about)
        assert shown.dtype == (np.uint16 if stored.itemsize > 1 else np.uint8)
        # half a step for rounding, and what is left of sums taken in another order
        assert np.abs(shown - wanted).max() <= 0.5 + 1e-6, (kind, rescale, voi, photometric, padded)


@pytest.mark.parametrize("voi", [name for name in VOIS if name != "none"])
@pytest.mark.parametrize("rescale", ["as stored", "rescaled"])
def test_pydicom_windows_the_same(voi: str, rescale: str) -> None:
    stored = slope(20, 30)
    more = RESCALES[rescale] if voi != "table" else {}  # pydicom cuts fractions where it looks up
    data = dicom(picture(stored, 12, **more, **VOIS[voi]))
    dataset = dcmread(DicomBytesIO(data))
    theirs = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(float)
    # pydicom windows onto what the stored bits can mean, a table onto its own bits
    low, high = (20, 4095 * 0.5 + 20) if more else (0, 4095)
    theirs = theirs / 1023 if voi == "table" else (theirs - low) / (high - low)
    assert np.abs(frame_pixels(data, LIMIT) / 65535 - theirs).max() < 1e-4


def test_pydicom_looks_the_modality_up_the_same() -> None:
    table = {"LUTDescriptor": [100, 30, 16], "LUTData": [(i * 37) % 1000 for i in range(100)]}
    stored = slope(20, 30, 200)
    about = picture(stored, 12, ModalityLUTSequence=[table], WindowCenter=500, WindowWidth=1001)
    theirs = apply_modality_lut(stored, dcmread(DicomBytesIO(dicom(about))))
    wanted = np.clip((theirs - 499.5) / 1000 + 0.5, 0, 1) * 65535
    assert np.abs(frame_pixels(dicom(about), LIMIT) - wanted).max() <= 0.51


def test_inversion_comes_after_the_window() -> None:
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16)
    more = {"WindowCenter": 60, "WindowWidth": 20, "PhotometricInterpretation": "MONOCHROME1"}
    shown = frame_pixels(dicom(picture(stored, 8, **more)), LIMIT)
    # inverted first, the window would cut at 195
    assert shown.ravel()[20] == 65535
    assert shown.ravel()[120] == 0


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({}, "no window: percentiles 0.5 to 99.5"),
        ({"WindowCenter": 5, "WindowWidth": 9}, "window LINEAR"),
        ({"WindowCenter": [5, 6], "WindowWidth": [9, 8]}, "window LINEAR (first of 2)"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "SIGMOID"}, "window SIGMOID"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CURVED"}, "window LINEAR"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "window unusable: percentiles 0.5 to 99.5"),
        ({"WindowCenter": 5}, "window unusable: percentiles 0.5 to 99.5"),
        ({"WindowCenter": "five", "WindowWidth": 9}, "window unusable: percentiles 0.5 to 99.5"),
        (VOIS["table"], "table"),
        (RESCALES["table"], "modality table, no window: percentiles 0.5 to 99.5"),
        ({"RescaleSlope": 1, "RescaleIntercept": 0}, "no window: percentiles 0.5 to 99.5"),
        (
            {"RescaleSlope": 2, "RescaleIntercept": 0, "PixelPaddingValue": 3},
            "rescale, no window: percentiles 0.5 to 99.5, padding black",
        ),
        (
            {"PhotometricInterpretation": "MONOCHROME1"},
            "no window: percentiles 0.5 to 99.5, inverted",
        ),
    ],
)
def test_what_is_done_is_said(more: dict[str, Any], rule: str) -> None:
    assert frame_facts(dicom(picture(slope(), 12, **more)), LIMIT).rule == rule


def test_eight_bits_without_a_window_stay_as_they_are() -> None:
    stored = slope(20, 20, 200, np.uint8)
    data = dicom(picture(stored))
    assert np.array_equal(frame_pixels(data, LIMIT), stored)
    assert frame_facts(data, LIMIT).rule == "no window: full range"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "Rescale Slope of 0"),
        ({"RescaleSlope": "steep", "RescaleIntercept": 1}, "not two numbers"),
        (
            {"ModalityLUTSequence": [{"LUTDescriptor": [0, 0, 40], "LUTData": [1, 2]}]},
            "Modality LUT that cannot be used",
        ),
    ],
)
def test_a_meaning_that_cannot_be_is_refused(more: dict[str, Any], reason: str) -> None:
    data = dicom(picture(slope(), 12, **more))
    for read in (frame_facts, frame_pixels):
        with pytest.raises(ImageError, match=reason):
            read(data, LIMIT)


def test_a_picture_of_padding_alone_or_of_one_value_is_black() -> None:
    flat = np.full((8, 8), 700, np.uint16)
    for more in ({}, {"PixelPaddingValue": 700}):
        assert frame_pixels(dicom(picture(flat, 12, **more)), LIMIT).max() == 0


def test_padding_in_another_sign_is_found() -> None:
    stored = np.array([[-2000, -1000], [0, 1000]], np.int16)
    about = picture(
        stored,
        12,
        PixelPaddingValue=63536,
        WindowCenter=0,
        WindowWidth=8000,
        PhotometricInterpretation="MONOCHROME1",
    )
    assert frame_pixels(dicom(about), LIMIT).tolist()[0][0] == 0


def test_floats_are_shown_between_their_percentiles_and_holes_are_black() -> None:
    stored = np.random.default_rng(3).normal(size=(30, 30)).astype(np.float32)
    stored[0, :4] = np.nan, np.inf, -9999, -9999
    about = picture(stored, 32)
    about["FloatPixelData"] = about.pop("PixelData")
    about |= {"FloatPixelPaddingValue": -9999.0, "PhotometricInterpretation": "MONOCHROME1"}
    shown = frame_pixels(dicom(about), LIMIT)
    assert shown[0, :4].tolist() == [0, 0, 0, 0]
    inside = stored[np.isfinite(stored) & (stored > -9999)]
    low, high = np.percentile(inside, [0.5, 99.5])
    wanted = (1 - np.clip((stored[1:] - low) / (high - low), 0, 1)) * 65535
    assert np.abs(shown[1:] - wanted).max() <= 0.51


def test_a_window_over_fractions_is_taken_exactly() -> None:
    stored = np.linspace(0, 1, 64, dtype=np.float64).reshape(8, 8)
    about = picture(stored, 64, WindowCenter=0.5, WindowWidth=1, VOILUTFunction="LINEAR")
    about["DoubleFloatPixelData"] = about.pop("PixelData")
    assert frame_facts(dicom(about), LIMIT).rule == "window LINEAR_EXACT"
    assert np.abs(frame_pixels(dicom(about), LIMIT) / 65535 - stored).max() < 1e-5


def test_thirty_two_bits_are_shown() -> None:
    stored = np.random.default_rng(3).integers(0, 2**31, (20, 20)).astype(np.uint32)
    low, high = np.percentile(stored, [0.5, 99.5])
    wanted = np.clip((stored - low) / (high - low), 0, 1) * 65535
    assert np.abs(frame_pixels(dicom(picture(stored)), LIMIT) - wanted).max() <= 0.51


def test_each_frame_has_its_own_window_and_rescale() -> None:
    stored = np.stack([slope(), slope()])
    groups = [{"FrameVOILUTSequence": [{"WindowCenter": c, "WindowWidth": 100}]} for c in (50, 900)]
    shared = [
        {
            "PixelValueTransformationSequence": [
                {"RescaleSlope": 2, "RescaleIntercept": -100, "RescaleType": "US"}
            ]
        }
    ]
    about = picture(
        stored, 12, PerFrameFunctionalGroupsSequence=groups, SharedFunctionalGroupsSequence=shared
    )
    for frame, centre in ((1, 50), (2, 900)):
        alone = {
            "RescaleSlope": 2,
            "RescaleIntercept": -100,
            "WindowCenter": centre,
            "WindowWidth": 100,
        }
        wanted = frame_pixels(dicom(picture(stored[0], 12, **alone)), LIMIT)
        assert np.array_equal(frame_pixels(dicom(about), LIMIT, frame), wanted)
        assert frame_facts(dicom(about), LIMIT, frame).rule == "rescale, window LINEAR"


@pytest.mark.parametrize("shape", ["bytes", "two in a word", "words of 8 bits"])
def test_tables_of_eight_bits_are_read_however_they_are_stored(shape: str) -> None:
    entries = [(i * i) % 256 for i in range(256)]
    data: Any = bytes(entries)
    if shape == "two in a word":
        data = [low + 256 * high for low, high in zip(entries[::2], entries[1::2], strict=True)]
    elif shape == "words of 8 bits":
        data = entries
    stored = slope(20, 20, 255, np.uint8)
    about = picture(stored, VOILUTSequence=[{"LUTDescriptor": [256, 0, 8], "LUTData": data}])
    assert np.array_equal(frame_pixels(dicom(about), LIMIT), np.array(entries)[stored])


def test_a_table_for_negative_values_starts_below_zero() -> None:
    stored = np.array([[-3, -2], [-1, 0]], np.int16)
    table = {"LUTDescriptor": [4, 65536 - 3, 16], "LUTData": [0, 100, 200, 300]}
    shown = frame_pixels(dicom(picture(stored, 12, VOILUTSequence=[table])), LIMIT)
    assert shown.tolist() == [[0, 100], [200, 300]]


@FEW
@given(
    st.lists(st.integers(0, 4095), min_size=4, max_size=4),
    st.floats(-3000, 3000),
    st.floats(1, 5000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_a_larger_value_is_never_darker(
    values: list[int], centre: float, width: float, function: str
) -> None:
    stored = np.array(sorted(values), np.uint16).reshape(2, 2)
    about = picture(
        stored,
        12,
        WindowCenter=f"{centre:.6g}",
        WindowWidth=f"{width:.6g}",
        VOILUTFunction=function,
    )
    shown = frame_pixels(dicom(about), LIMIT).ravel().astype(int)
    assert (np.diff(shown) >= 0).all()
