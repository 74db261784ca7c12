"""Colours become red, green and blue as PS3.3 C.7.6.3.1 and C.7.9 say, worked out here again."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.pixels import convert_color_space
from tests.data.images.dicom import files
from tests.data.images.dicom.files import LIMIT, dicom, packed, picture, slope

from medtransfer.data.images.dicom.reader import frame_facts, frame_pixels
from medtransfer.errors import ImageError

COLOUR = np.random.default_rng(1).integers(0, 256, (14, 18, 3), np.uint8)
NAMES = ("Red", "Green", "Blue")


def test_rgb_stays_as_it_is() -> None:
    data = dicom(picture(COLOUR))
    assert np.array_equal(frame_pixels(data, LIMIT), COLOUR)
    facts = frame_facts(data, LIMIT)
    assert (facts.channels, facts.bits, facts.rule) == (3, 8, "colours of RGB")


def test_sixteen_bits_of_colour_become_eight() -> None:
    deep = np.random.default_rng(1).integers(0, 4096, (5, 6, 3)).astype(np.uint16)
    shown = frame_pixels(dicom(picture(deep, 12)), LIMIT)
    assert shown.dtype == np.uint8
    assert np.abs(shown - deep / 4095 * 255).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_light_and_colour_become_rgb(photometric: str) -> None:
    raw, stored = COLOUR.tobytes(), COLOUR
    if photometric == "YBR_FULL_422":
        quads = COLOUR[:, :12].reshape(14, 9, 4)
        stored = np.empty((14, 18, 3), np.uint8)
        for half in (0, 1):
            stored[:, half::2] = quads[:, :, [half, 2, 3]]
        raw = quads.tobytes()
    shown = frame_pixels(
        dicom(picture(COLOUR, PhotometricInterpretation=photometric, PixelData=raw)), LIMIT
    )
    y, cb, cr = (stored[..., i].astype(float) for i in range(3))
    wanted = np.stack(
        [
            y + 1.402 * (cr - 128),
            y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
            y + 1.772 * (cb - 128),
        ],
        axis=-1,
    )
    assert np.abs(shown - np.clip(wanted, 0, 255)).max() <= 0.51
    assert np.array_equal(shown, convert_color_space(stored, "YBR_FULL", "RGB"))


def palette(bits: int, count: int = 200, first: int = 20) -> tuple[dict[str, Any], Any]:
    """The elements of a palette, and its colours."""
    colours = np.random.default_rng(2).integers(0, 2**bits, (count, 3))
    about: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for i, name in enumerate(NAMES):
        column = colours[:, i]
        raw = column.astype("u1" if bits == 8 else "<u2").tobytes()
        about[f"{name}PaletteColorLookupTableDescriptor"] = [count, first, bits]
        about[f"{name}PaletteColorLookupTableData"] = raw
    return about, colours if bits == 8 else colours // 256


@pytest.mark.parametrize("bits", [8, 16])
def test_places_in_a_palette_become_its_colours(bits: int) -> None:
    about, colours = palette(bits)
    places = slope(20, 20, 255, np.uint8)
    shown = frame_pixels(dicom(picture(places, **about)), LIMIT)
    wanted = colours[np.clip(places.astype(int) - 20, 0, 199)]
    assert np.array_equal(shown, wanted)


def test_a_segmented_palette_is_spelled_out() -> None:
    # a run of four numbers, then a line from the last to 100 in eight steps (C.7.9.2)
    segments = bytes([0, 4, 10, 20, 30, 20, 1, 8, 100])
    table = [10, 20, 30, 20, *(20 + (100 - 20) * i / 8 for i in range(1, 9))]
    about: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in NAMES:
        about[f"{name}PaletteColorLookupTableDescriptor"] = [12, 0, 8]
        about[f"Segmented{name}PaletteColorLookupTableData"] = segments
    places = (np.arange(24, dtype=np.uint8) % 12).reshape(4, 6)
    shown = frame_pixels(dicom(picture(places, **about)), LIMIT)
    assert np.array_equal(shown[..., 0], np.array(table)[places])


def test_a_palette_that_is_cut_is_refused() -> None:
    about, _ = palette(8)
    about["BluePaletteColorLookupTableData"] = b"\x01\x02"
    with pytest.raises(ImageError, match="palette that cannot be used"):
        frame_pixels(dicom(picture(slope(8, 8, 9, np.uint8), **about)), LIMIT)


def test_jpeg_colours_are_those_its_stream_says() -> None:
    y, x = np.mgrid[0:32, 0:48]
    flat = np.stack([40 + 3 * y, 220 - 4 * x, 30 + 2 * x + y], axis=-1).astype(np.uint8)
    plain = imagecodecs.jpeg8_encode(flat, level=98, colorspace="RGB", outcolorspace="RGB")
    mixed = imagecodecs.jpeg8_encode(
        flat, level=98, colorspace="RGB", outcolorspace="YCbCr", subsampling="444"
    )
    for stream in (plain, mixed):
        for said in ("RGB", "YBR_FULL", "YBR_FULL_422"):
            about = packed(flat, [stream], 8, PhotometricInterpretation=said)
            shown = frame_pixels(dicom(about, files.BASELINE), LIMIT)
            assert np.abs(shown.astype(int) - flat).max() <= 8, said


def test_jpeg_2000_undoes_its_own_transform() -> None:
    options = {"level": 0, "codecformat": "j2k", "reversible": True, "mct": True}
    stream = imagecodecs.jpeg2k_encode(COLOUR, **options)
    about = packed(COLOUR, [stream], 8, PhotometricInterpretation="YBR_RCT")
    assert np.array_equal(frame_pixels(dicom(about, files.J2K_LOSSLESS), LIMIT), COLOUR)
