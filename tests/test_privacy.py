"""Nothing that could name a patient leaves the tables that are marked as sensitive."""

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from pydicom.datadict import DicomDictionary

from medtransfer.cli import main as command_line
from medtransfer.data.images.scan import scan_images
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import read_manifest
from tests.data.images.dicom.files import Raw, dicom, picture, text

SENSITIVE = {"predictions.parquet", "images.parquet"}
"""Tables that carry ids, by name; docs/explanation/privacy.md lists them."""
Called = Callable[..., str]
CANARIES = ("DOE^JANE", "MRN-4711", "case-jane", "jane-doe-film")


@pytest.fixture
def canaries(phantom_folder: Path, tmp_path: Path) -> Path:
    """A manifest whose every id and path is a canary, and one image is damaged."""
    table = pl.read_parquet(phantom_folder / "radiograph.parquet").head(40)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = table.with_row_index("n")
    for row in rows.iter_rows(named=True):
        (folder / "images" / f"jane-doe-film-{row['n']}.png").write_bytes(row["image"])
    rows.select(
        image_id=pl.format("jane-doe-film-{}", "n"),
        path=pl.format("images/jane-doe-film-{}.png", "n"),
        case_id=pl.format("case-jane-{}", "case_id"),
        patient_id=pl.format("DOE^JANE MRN-4711 {}", "patient_id"),
        cohort=pl.lit("north"),
        opacity="opacity",
        sex="sex",
    ).write_csv(folder / "chest.csv")
    (tmp_path / "study.yaml").write_text(
        """\
name: private
data:
  manifest: data/chest.csv
  task: binary
  targets: [opacity]
  attributes: [sex]
  image: {resize: 36, crop: 32}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {batch_size: 8, steps: 2, checks: 1}
evaluation: {replicates: 30, permutations: 10}
"""
    )
    return tmp_path


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Called:
    """Call `medtransfer` from a folder: its exit code and all that it and its worker print."""

    def call(folder: Path, *words: str) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["medtransfer", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        said = capfd.readouterr()
        return f"{ended.value.code or 0}\n{said.out}\n{said.err}"

    return call


def leaks(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


@pytest.mark.slow
def test_no_canary_is_in_any_output_and_no_picture_outside_the_cache(
    canaries: Path, called: Called
) -> None:
    for words in (["check", "study.yaml"], ["run", "study.yaml"], ["status"], ["report"]):
        said = called(canaries, *words)
        assert said.startswith("0\n"), said
        assert not leaks(said), words
    written = [p for p in (canaries / "studies").rglob("*") if p.is_file()]
    assert len(written) > 15
    for path in written:
        content = path.read_bytes()
        if "cache" not in path.parts:
            assert not content.startswith((b"\x89PNG", b"\xff\xd8"))
            with pytest.raises(OSError):
                Image.open(path)
        if path.name in SENSITIVE or path.suffix == ".npy":
            continue
        text = content.decode("latin-1")
        if path.suffix == ".parquet":
            text += str(pl.read_parquet(io.BytesIO(content)).to_dicts())
        assert not leaks(text), path.name


@pytest.mark.parametrize("damage", ["missing", "truncated", "html", "label", "twice", "leak"])
def test_errors_name_rows_and_no_patient(canaries: Path, called: Called, damage: str) -> None:
    manifest = canaries / "data" / "chest.csv"
    picture = canaries / "data" / "images" / "jane-doe-film-3.png"
    table = pl.read_csv(manifest, infer_schema=False)
    match damage:
        case "missing":
            picture.unlink()
        case "truncated":
            picture.write_bytes(picture.read_bytes()[:400])
        case "html":
            picture.write_text("<!DOCTYPE html><html>DOE^JANE</html>")
        case "label":
            table = table.with_columns(opacity=pl.lit("yes"))
        case "twice":
            table = pl.concat([table, table.head(1)])
        case _:
            first = table["image_id"][0]
            twin = canaries / "data" / "images" / f"{first}.png"
            for name in table["image_id"].tail(20):
                (twin.parent / f"{name}.png").write_bytes(twin.read_bytes())
    table.write_csv(manifest)
    said = called(canaries, "run", "study.yaml")
    assert said.startswith("2\n"), said
    assert "row" in said or "A002" in said
    assert not leaks(said)
    assert "Traceback" not in said


TEXTS = {
    "AE",
    "AS",
    "CS",
    "DA",
    "DS",
    "DT",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "ST",
    "TM",
    "UC",
    "UI",
    "UR",
    "UT",
}
CANARY = b"DOE^JANE MRN-4711 "
NEEDED = {
    "NumberOfFrames": "1",
    "WindowCenter": "700",
    "WindowWidth": "900",
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "PhotometricInterpretation": "MONOCHROME2",
}


def header_of_canaries() -> dict[str | int, object]:
    """Every element of the standard that holds text, and private ones of several kinds."""
    found: dict[str | int, object] = {
        tag: Raw(vr, CANARY)
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr in TEXTS and keyword not in NEEDED and 0x0008 <= tag >> 16 < 0x7FE0
    }
    item = b"\xfe\xff\x00\xe0" + len(CANARY).to_bytes(4, "little") + CANARY
    private = {0x00091001: "LO", 0x00111010: "UN", 0x60011010: "LT"}
    return (
        found
        | {tag: Raw(vr, CANARY) for tag, vr in private.items()}
        | {0x00091002: Raw("SQ", item)}
    )


@pytest.fixture
def dicom_canaries(tmp_path: Path) -> Path:
    """A study on DICOM files whose headers are full of canaries; their pictures are good."""
    rng = np.random.default_rng(4)
    folder = tmp_path / "data" / "jane-doe-film"
    folder.mkdir(parents=True)
    header = header_of_canaries()
    assert len(header) > 1500
    rows = []
    for i in range(40):
        stored = rng.integers(0, 1200 + 400 * (i % 2), (24, 24)).astype(np.uint16)
        good = picture(stored, 12)
        del good["Modality"], good["SOPClassUID"]
        needed = {k: Raw("CS" if k[0] == "P" else "DS", text(v)) for k, v in NEEDED.items()}
        (folder / f"{i}.dcm").write_bytes(dicom(header | good | needed))
        rows.append(
            {
                "image_id": f"jane-doe-film-{i}",
                "path": f"jane-doe-film/{i}.dcm",
                "case_id": f"case-jane-{i}",
                "patient_id": f"DOE^JANE MRN-4711 {i}",
                "cohort": "north",
                "opacity": i % 2,
            }
        )
    pl.DataFrame(rows).write_csv(tmp_path / "data" / "chest.csv")
    (tmp_path / "study.yaml").write_text(
        """\
name: private
data:
  manifest: data/chest.csv
  task: binary
  targets: [opacity]
  image: {resize: 36, crop: 32}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {batch_size: 8, steps: 2, checks: 1}
evaluation: {replicates: 30, permutations: 10}
"""
    )
    return tmp_path


@pytest.mark.slow
def test_no_text_of_a_dicom_header_is_in_any_output(dicom_canaries: Path, called: Called) -> None:
    for words in (["check", "study.yaml"], ["run", "study.yaml"]):
        said = called(dicom_canaries, *words)
        assert said.startswith("0\n"), said
        assert not leaks(said), words
    written = [p for p in (dicom_canaries / "studies").rglob("*") if p.is_file()]
    assert len(written) > 15
    for path in written:
        content = path.read_bytes()
        found = content.decode("latin-1")
        if path.suffix == ".parquet":
            found += str(pl.read_parquet(io.BytesIO(content)).to_dicts())
        if path.name in SENSITIVE:  # the manifest's own ids and paths are there, headers are not
            found = re.sub(r"DOE\^JANE MRN-4711 \d+|(case-jane|jane-doe-film)[-/]\d+", "", found)
            found = found if path.suffix != ".parquet" else str(content.count(CANARY * 2))
        assert not leaks(found), path.name
    said = json.loads((dicom_canaries / "studies" / "private" / "data.json").read_text())
    assert said["decoding"] == {"DICOM, dicom 1: window LINEAR": 40}


@pytest.mark.parametrize("damage", ["cut", "syntax", "rows", "no pixels", "photometric", "deep"])
def test_what_is_wrong_with_a_dicom_file_is_said_without_its_texts(
    dicom_canaries: Path, damage: str
) -> None:
    path = dicom_canaries / "data" / "jane-doe-film" / "3.dcm"
    whole = path.read_bytes()
    start = whole.index(b"\x08\x00", 132 + 100)
    sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    change = {
        "cut": (whole[9000:], b""),
        "syntax": (b"1.2.840.10008.1.2.1 ", b"DOE^JANE MRN-4711   "),
        "rows": (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x10US\x02\x00"),
        "no pixels": (b"\xe0\x7f\x10\x00", b"\xe0\x7f\x12\x00"),
        "photometric": (b"MONOCHROME2 ", CANARY[:12]),
        "deep": (whole[start : start + 8], sequence * 3000 + CANARY),
    }
    old, new = change[damage]
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1))
    manifest = read_manifest(dicom_canaries / "data" / "chest.csv")
    with pytest.raises(ImageError) as caught:
        scan_images(manifest, 1_000_000, dicom_canaries / "facts.parquet")
    assert str(caught.value).startswith('1 image of "chest.csv" cannot be used: row 5: the image ')
    assert not leaks(str(caught.value))


def test_a_check_of_dicom_files_says_nothing_of_their_headers(
    dicom_canaries: Path, called: Called
) -> None:
    said = called(dicom_canaries, "check", "study.yaml")
    assert said.startswith("0\n"), said
    assert not leaks(said)
