"""Any picture is read by its bytes; a file of several pictures has a digest for each."""

import hashlib
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.data.audit import corpus
from tests.data.audit.corpus import embedded_manifest
from tests.data.images.dicom import files
from tests.data.images.dicom.files import dicom, picture, slope

from medtransfer.data.audit.run import audit
from medtransfer.data.config import DataConfig
from medtransfer.data.images.cache import PixelCache, prepare_cache
from medtransfer.data.images.decode import decode, decoders, inspect, is_dicom
from medtransfer.data.images.dicom.transfer_syntaxes import DICOM_RULES
from medtransfer.data.images.pictures import DECODER, decode_image, inspect_image, resize_image
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.scan import FACTS, decoding_of, scan_images
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import write_frame

LIMIT = 1_000_000
ONE = dicom(picture(slope(10, 14), 12, WindowCenter=900, WindowWidth=1000))
STACK = np.stack([slope(8, 9) // (i + 1) for i in range(3)]).astype(np.uint16)
THREE = dicom(picture(STACK, 12))
COLOUR = dicom(picture(np.random.default_rng(1).integers(0, 256, (8, 9, 3), np.uint8)))


@pytest.mark.parametrize("good", corpus.good_images().values(), ids=corpus.good_images())
def test_png_and_jpeg_are_read_as_ever(good: corpus.Good) -> None:
    for frame in (None, 1):
        assert inspect(good.data, LIMIT, frame) == inspect_image(good.data, LIMIT)
        assert np.array_equal(decode(good.data, LIMIT, frame), decode_image(good.data, LIMIT))
    for read in (inspect, decode):
        with pytest.raises(ImageError, match="holds 1 frame, and the manifest asks for frame 2"):
            read(good.data, LIMIT, 2)


BAD_HEADERS = corpus.bad_headers()


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_what_is_no_picture_has_the_reason_it_always_had(name: str) -> None:
    data, reason = BAD_HEADERS[name]
    with pytest.raises(ImageError, match=reason):
        inspect(data, LIMIT)


def test_dicom_is_known_by_its_bytes() -> None:
    assert is_dicom(ONE)
    for syntax in (files.EXPLICIT, files.IMPLICIT, files.BIG_ENDIAN):
        about = picture(slope(4, 4), 12)
        assert is_dicom(dicom(about, syntax, preamble=False))
        assert is_dicom(dicom(about, syntax, preamble=False, meta=False))
    assert not any(is_dicom(good.data) for good in corpus.good_images().values())
    assert not is_dicom(b"")


def test_facts_say_what_decoding_gives() -> None:
    for data, frame in ((ONE, None), (THREE, 2), (COLOUR, None)):
        facts, pixels = inspect(data, LIMIT, frame), decode(data, LIMIT, frame)
        assert (facts.height, facts.width) == pixels.shape[:2]
        assert facts.channels == (3 if pixels.ndim == 3 else 1)
        assert facts.bits == 8 * pixels.itemsize
        assert facts.format == "DICOM"
        assert facts.rule.startswith(f"{DICOM_RULES}: ")


def test_frames_of_a_file_are_different_pictures_and_one_frame_is_the_file() -> None:
    digests = [inspect(THREE, LIMIT, frame).sha256 for frame in (1, 2, 3)]
    assert len({*digests, hashlib.sha256(THREE).hexdigest()}) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    for frame in (None, 1):
        assert inspect(ONE, LIMIT, frame).sha256 == hashlib.sha256(ONE).hexdigest()


def test_dicom_decoders_are_named_only_where_there_is_dicom() -> None:
    assert decoders(["PNG", "JPEG"]) == DECODER
    assert decoders(["PNG", "DICOM"]) == decoders()
    for name in (DECODER, DICOM_RULES, "pydicom", "python-gdcm", "openjpeg", "rle"):
        assert name in decoders()


def framed(folder: Path, frames: list[int | None], pictures: list[bytes]) -> Manifest:
    """A manifest of files with a `frame` column."""
    for i, data in enumerate(pictures):
        (folder / f"{i}.dcm").write_bytes(data)
    count = len(frames)
    ids = [f"i{i}" for i in range(count)]
    table = pl.DataFrame(
        {
            "image_id": ids,
            "path": [f"{i % len(pictures)}.dcm" for i in range(count)],
            "frame": pl.Series(frames, dtype=pl.Int64),
            "case_id": ids,
            "patient_id": ids,
            "cohort": ["A"] * count,
        }
    )
    write_frame(table, folder / "manifest.csv")
    return read_manifest(folder / "manifest.csv")


def test_rows_share_a_file_and_name_its_frames(tmp_path: Path) -> None:
    manifest = framed(tmp_path, [1, 3, 2], [THREE])
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert dict(facts.schema) == {name: kind() for name, kind in FACTS.items()}
    assert facts["sha256"].n_unique() == 3
    recipe = PixelRecipe(16, "bilinear", LIMIT)
    cache = PixelCache(prepare_cache(manifest, [0, 1, 2], facts, recipe, parent=tmp_path / "c"))
    for place, frame in enumerate((1, 3, 2)):
        wanted = resize_image(decode(THREE, LIMIT, frame), 16, "bilinear")
        assert np.array_equal(cache.pixels[place][:, :, 0], wanted)


def test_another_frame_in_a_cell_is_another_picture(tmp_path: Path) -> None:
    first = scan_images(framed(tmp_path, [1], [THREE]), LIMIT, tmp_path / "facts.parquet")
    second = scan_images(framed(tmp_path, [2], [THREE]), LIMIT, tmp_path / "facts.parquet")
    assert first["sha256"][0] != second["sha256"][0]


def test_facts_are_remembered_until_the_rules_change(tmp_path: Path) -> None:
    manifest = framed(tmp_path, [1, None], [THREE, ONE])
    memory = tmp_path / "facts.parquet"
    facts = scan_images(manifest, LIMIT, memory)
    heard: list[int] = []
    assert_frame_equal(
        scan_images(manifest, LIMIT, memory, lambda done, _: heard.append(done)), facts
    )
    assert not heard
    old = facts.with_columns(rule=pl.col("rule").str.replace(DICOM_RULES, "dicom 0"))
    write_frame(old, memory)
    assert_frame_equal(
        scan_images(manifest, LIMIT, memory, lambda done, _: heard.append(done)), facts
    )
    assert len(heard) == 2


def test_all_frames_that_are_missing_or_not_there_are_listed_by_row(tmp_path: Path) -> None:
    manifest = framed(tmp_path, [None, 9, 1, None], [THREE])
    with pytest.raises(ImageError) as caught:
        scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    said = str(caught.value)
    assert "row 2: the image holds 3 frames: give a frame number" in said
    assert "row 3: the image holds 3 frames, and the manifest asks for frame 9" in said
    assert "row 5: the image holds 3 frames: give a frame number" in said
    assert "row 4" not in said


def test_dicom_inside_a_parquet_file_works_too(tmp_path: Path) -> None:
    png = corpus.png(corpus.grey(9, 12), 0)
    manifest = embedded_manifest(tmp_path, [ONE, png, COLOUR])
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    assert sorted(facts["format"]) == ["DICOM", "DICOM", "PNG"]
    assert decoding_of(facts) == {
        "PNG": 1,
        "DICOM, dicom 1: colours of RGB": 1,
        "DICOM, dicom 1: window LINEAR": 1,
    }
    recipe = PixelRecipe(8, "bilinear", LIMIT)
    folder = prepare_cache(manifest, [0, 1, 2], facts, recipe, parent=tmp_path / "c")
    assert PixelCache(folder).pixels.shape == (3, 8, 8, 3)
    assert PixelCache(folder).pixels.dtype == np.uint16


def test_the_key_of_a_cache_without_dicom_is_as_it_was(
    tmp_path: Path,
) -> None:
    found: list[str] = []
    recipe = PixelRecipe(8, "bilinear", LIMIT)
    for name, data in (("a", corpus.png(corpus.grey(), 0)), ("b", ONE)):
        (tmp_path / name).mkdir()
        manifest = embedded_manifest(tmp_path / name, [data])
        facts = scan_images(manifest, LIMIT, tmp_path / name / "facts.parquet")
        images = prepare_cache(manifest, [0], facts, recipe, parent=tmp_path / name)
        found += images.wanted["decoder"].to_list()
    assert found == [DECODER, decoders()]
    assert "pydicom" in found[1]


def test_frames_of_one_file_in_two_splits_are_no_duplicates(tmp_path: Path) -> None:
    manifest = framed(tmp_path, [1, 2, 3, 1], [THREE])
    frame = manifest.frame.with_columns(
        split=pl.Series(["train", "tune", "test", "test"]),
        malignant=pl.Series(["1", "0", "1", "0"]),
    )
    manifest = Manifest(frame, manifest.path, manifest.root, embedded=False)
    data = DataConfig.model_validate(
        {"manifest": "m.csv", "task": "binary", "targets": ["malignant"]}
    )
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    found = {f.code: f.rows for f in audit(manifest, frame, facts, data)}
    assert found["A002"] == (2, 5)  # frame 1 twice; 2 and 3 are other pictures


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (["0", "1"], "'frame' holds '0' in 1 row, first in row 2 (allowed: whole numbers from 1)"),
        (["-3", ""], "'frame' holds '-3' in 1 row, first in row 2 (allowed: whole numbers from 1)"),
        (
            ["first", "1"],
            "'frame' holds 1 wrong value in 1 row, first in row 2 (allowed: an integer)",
        ),
        (["1.5", "1"], "'frame' holds '1.5' in 1 row, first in row 2 (allowed: an integer)"),
    ],
)
def test_frames_are_whole_numbers_from_one(tmp_path: Path, cells: list[str], fault: str) -> None:
    from medtransfer.errors import TableError

    rows = [f"i{i},a.dcm,{cell},c{i},p{i},A" for i, cell in enumerate(cells)]
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["image_id,path,frame,case_id,patient_id,cohort", *rows]) + "\n")
    with pytest.raises(TableError, match=re.escape(fault)):
        read_manifest(path)
