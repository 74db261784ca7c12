"""Files that may have writing on them, and decoders that do not agree."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import polars as pl
import pytest
from tests.data.images.dicom import files
from tests.data.images.dicom.files import dicom, packed, picture, slope

from medtransfer.data.audit import pixels
from medtransfer.data.audit.pixels import FILES_COMPARED, disagreeing_decoders
from medtransfer.data.audit.privacy import burned_in_text
from medtransfer.data.images.dicom.facts import DecoderComparison
from medtransfer.data.images.scan import scan_images
from medtransfer.tables.manifest import Manifest

LIMIT = 10**6


def manifest_of(folder: Path, contents: list[bytes]) -> Manifest:
    """A manifest of files."""
    names = [f"{i:02d}.dcm" for i in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    rows = pl.int_range(2, 2 + len(names), eager=True)
    frame = pl.DataFrame({"row": rows, "image_id": names, "path": names})
    return Manifest(frame, folder / "m.csv", folder, embedded=False)


def scanned(folder: Path, contents: list[bytes]) -> tuple[Manifest, pl.DataFrame]:
    """A manifest and the facts of its files."""
    manifest = manifest_of(folder, contents)
    return manifest, scan_images(manifest, LIMIT, folder / "facts.parquet")


def about(**more: Any) -> bytes:
    """An uncompressed file."""
    return dicom(picture(slope(), 12, **more))


def test_files_with_writing_are_counted_by_modality_and_by_what_they_say(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"Modality": "US"},
        {"Modality": "SC", "BurnedInAnnotation": "YES"},
        {"BurnedInAnnotation": "YES"},
        {"Modality": "US", "BurnedInAnnotation": "NO"},
        {"BurnedInAnnotation": "Doe^Jane"},
        {"Modality": "Doe^Jane"},
    ]
    manifest, facts = scanned(tmp_path, [about(**kind) for kind in kinds])
    (finding,) = burned_in_text(manifest.frame, facts)
    assert (finding.code, finding.level, finding.rows) == ("P004", "warning", (3, 4, 5, 6))
    assert finding.sentence == (
        "2 files whose header says so; 1 file of modality SC; 2 files of modality US"
    )
    assert facts["modality"].to_list() == ["DX", "US", "SC", "DX", "US", "DX", ""]
    assert "Doe" not in str(facts.rows())


def test_films_and_other_pictures_have_no_such_finding(tmp_path: Path) -> None:
    png = bytes(imagecodecs.png_encode(np.zeros((8, 8), np.uint8)))
    manifest, facts = scanned(tmp_path, [about(BurnedInAnnotation="NO"), png])
    assert burned_in_text(manifest.frame, facts) == []
    assert facts.select("syntax", "modality", "burned_in").row(1) == ("", "", "")


def test_facts_that_an_older_version_remembers_are_read_again(tmp_path: Path) -> None:
    manifest, facts = scanned(tmp_path, [about(Modality="US")])
    memory = tmp_path / "facts.parquet"
    facts.drop("syntax", "modality", "burned_in").write_parquet(memory)
    assert scan_images(manifest, LIMIT, memory).equals(facts)


def test_decoders_that_agree_are_no_finding(tmp_path: Path) -> None:
    stored = [slope(top=4095 - i) for i in range(3)]
    contents = [dicom(packed(one, [files.rle(one)], 12), files.RLE) for one in stored]
    manifest, facts = scanned(tmp_path, [*contents, about()])
    assert facts["syntax"].to_list()[2:] == ["RLE Lossless", "Explicit VR Little Endian"]
    assert disagreeing_decoders(manifest, facts, LIMIT) == []


def test_decoders_that_differ_are_an_error_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def compare(data: bytes, _limit: int, _frame: int | None) -> DecoderComparison:
        asked.append(data)
        return DecoderComparison("pydicom", largest_difference=int(data in wrong), allowed=0)

    stored = [slope(top=4095 - i) for i in range(20)]
    contents = [dicom(packed(one, [files.rle(one)], 12), files.RLE) for one in stored]
    manifest, facts = scanned(tmp_path, contents)
    monkeypatch.setattr(pixels, "ask_comparison", compare)
    wrong = set(contents)
    (finding,) = disagreeing_decoders(manifest, facts, LIMIT)
    assert (finding.code, finding.level) == ("C006", "error")
    assert (
        finding.sentence
        == f"RLE Lossless: 8 of {FILES_COMPARED} compared files decoded differently by pydicom"
    )
    assert set(finding.rows) == {2 + contents.index(data) for data in asked}
    first = list(asked)
    disagreeing_decoders(manifest, facts, LIMIT)
    assert sorted(asked) == sorted(first * 2)  # the same files every time
    wrong = set(first[:1])
    (finding,) = disagreeing_decoders(manifest, facts, LIMIT)
    assert finding.rows == (2 + contents.index(first[0]),)
