"""Real files, odd and broken ones among them, become what independent decoders say, or a reason."""

import csv
import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame
from pydicom.pixels import convert_color_space, pixel_array

from medtransfer.data.images.decode import is_dicom
from medtransfer.data.images.dicom.decoder_pool import ask_facts, ask_pixels
from medtransfer.data.images.dicom.frames import StoredFrame, stored_frame
from medtransfer.data.images.dicom.header import DicomFile, read_header
from medtransfer.errors import ImageError

LIMIT = 100_000_000
GOLDEN = Path(__file__).parents[3] / "golden" / "dicom.json"
KNOWN: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text())
OTHER_ROUNDING = {"ct_fragmented_no_bot.dcm"}
"""A lossy file of which the manifest has the hash of another decoder; imagecodecs is with us."""
WHEEL = Path(pydicom.__file__).parent / "data"
INSIDE = sorted(
    p
    for folder in ("test_files", "charset_files", "palettes")
    for p in (WHEEL / folder).rglob("*")
    if p.is_file()
)


def summary(data: bytes) -> dict[str, Any]:
    """A file in a few numbers."""
    try:
        file = read_header(data, LIMIT)
        count = file.header.frames
        frame = None if count == 1 else count
        facts, shown = ask_facts(data, LIMIT, frame), ask_pixels(data, LIMIT, frame)
    except ImageError as error:
        return {"refused": str(error)}
    frames = [stored_frame(file, index).values for index in range(count)]
    raw = np.ascontiguousarray(np.stack(frames) if count > 1 else frames[0])
    return {
        "stored": hashlib.sha256(raw.tobytes()).hexdigest()[:16],
        "rule": facts.rule,
        "frames": count,
        "shape": list(shown.shape),
        "bits": facts.bits,
        "least": int(shown.min()),
        "largest": int(shown.max()),
        "mean": round(float(shown.mean()), 2),
    }


@pytest.mark.shared
@pytest.mark.parametrize("name", KNOWN)
def test_a_real_file_becomes_what_it_was(shared: Path, name: str) -> None:
    found = summary((shared / "dicom" / name).read_bytes())
    if os.environ.get("MEDTRANSFER_RENEW"):
        KNOWN[name] = found
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in KNOWN.items()]
        GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert found == KNOWN[name]


def manifest(shared: Path) -> dict[str, dict[str, str]]:
    with (shared / "dicom" / "manifest.csv").open() as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


@pytest.mark.shared
def test_every_real_file_has_its_line(shared: Path) -> None:
    assert list(manifest(shared)) == list(KNOWN)
    assert sum("refused" in found for found in KNOWN.values()) == 7


@pytest.mark.shared
def test_stored_values_are_those_that_other_decoders_found(shared: Path) -> None:
    compared = 0
    for name, row in manifest(shared).items():
        if row["decodes"] != "True" or name in OTHER_ROUNDING:
            continue
        file = read_header((shared / "dicom" / name).read_bytes(), LIMIT)
        frames = [stored_frame(file, i) for i in range(file.header.frames)]
        values = [in_rgb(one) for one in frames]
        raw = np.ascontiguousarray(np.stack(values) if len(values) > 1 else values[0])
        digest = hashlib.sha256(raw.tobytes()).hexdigest()
        assert digest[:16] == row["pixels_sha256"], name
        assert (float(raw.min()), float(raw.max())) == (
            pytest.approx(float(row["min"])),
            pytest.approx(float(row["max"])),
        )
        compared += 1
    assert compared == 34


def in_rgb(one: StoredFrame) -> Any:
    """As the manifest was made: colours in RGB, palettes as their places."""
    if one.photometric.startswith("YBR"):
        return convert_color_space(one.values, "YBR_FULL", "RGB")
    return one.values


@pytest.mark.slow
@pytest.mark.shared
def test_a_second_decoder_unpacks_each_stream_the_same(shared: Path) -> None:
    compared = set()
    for name, found in KNOWN.items():
        if "refused" in found:
            continue
        file = read_header((shared / "dicom" / name).read_bytes(), LIMIT)
        if file.syntax.family in ("native", "rle"):
            continue
        index = file.header.frames - 1
        stream = get_frame(file.pixels, index, number_of_frames=file.header.frames)
        ours = stored_frame(file, index)
        theirs = second(stream, file)
        if ours.values.dtype.kind == "i" and theirs.dtype.kind == "u":  # the sign is the file's
            unused = theirs.itemsize * 8 - ours.bits
            theirs = theirs.view(ours.values.dtype) << unused >> unused
        assert theirs.shape == ours.values.shape, name
        assert np.array_equal(theirs, ours.values), name
        compared.add(file.syntax.name)
    assert compared == {
        "JPEG Baseline",
        "JPEG Extended",
        "JPEG Lossless SV1",
        "JPEG-LS Lossless",
        "JPEG-LS Near-Lossless",
        "JPEG 2000 Lossless",
        "JPEG 2000",
        "HTJ2K Lossless",
    }


def second(stream: bytes, file: DicomFile) -> Any:
    """A code stream by imagecodecs."""
    match file.syntax.family, file.syntax.processes:
        case "jpeg-ls", _:
            return imagecodecs.jpegls_decode(stream)
        case "jpeg2000", _:
            return imagecodecs.jpeg2k_decode(stream)
        case "jpeg", (0xC3,):
            return imagecodecs.jpegsof3_decode(stream)
        case _ if file.header.samples == 3:
            return imagecodecs.jpeg8_decode(stream, colorspace="YCBCR", outcolorspace="YCBCR")
        case _:
            return imagecodecs.jpeg_decode(stream)


@pytest.mark.shared
def test_one_picture_in_three_lossless_syntaxes_is_one_picture(shared: Path) -> None:
    names = [f"cr_mono1_10bit_{kind}_lossless.dcm" for kind in ("j2k", "jpegls", "jpeg")]
    first, *others = (ask_pixels((shared / "dicom" / name).read_bytes(), LIMIT) for name in names)
    for other in others:
        assert np.array_equal(first, other)


@pytest.mark.shared
def test_a_chest_is_dark_where_there_is_air(shared: Path) -> None:
    # MONOCHROME1: the smallest value is white; lungs must come out darker than the mediastinum
    data = (shared / "dicom" / "cr_chest_mono1_10bit_raw.dcm").read_bytes()
    chest = ask_pixels(data, LIMIT).astype(float)
    rows, columns = chest.shape
    middle = chest[rows // 3 : rows // 2, columns * 9 // 20 : columns * 11 // 20].mean()
    lung = chest[rows // 3 : rows // 2, columns // 5 : columns * 3 // 10].mean()
    assert lung < 0.75 * middle


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: path.relative_to(WHEEL).as_posix())
def test_pydicoms_own_files_are_shown_as_pydicom_reads_them_or_refused(path: Path) -> None:
    data = path.read_bytes()
    if not is_dicom(data):
        return
    try:
        frame = 1 if read_header(data, LIMIT).header.frames > 1 else None
        ask_facts(data, LIMIT, frame)
        shown = ask_pixels(data, LIMIT, frame)
    except ImageError:
        return
    ours = stored_frame(read_header(data, LIMIT), 0).values
    assert shown.shape[:2] == ours.shape[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = pixel_array(pydicom.dcmread(path), index=0, raw=True)
        except (RuntimeError, AttributeError):
            return  # a decoder that pydicom lacks
    assert np.array_equal(ours, theirs)
