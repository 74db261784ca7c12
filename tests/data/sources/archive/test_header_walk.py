"""The walk over a header keeps what pydicom reads, and knows where it cannot."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_files  # pyright: ignore[reportUnknownVariableType]
from tests.data.images.dicom.files import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Raw,
    dicom,
    elements,
)
from tests.data.sources.archive.exports import dicom_bytes
from tests.strategies import FEW

from medtransfer.data.sources.archive import header_walk
from medtransfer.data.sources.archive.header_walk import (
    SYNTAX_TAG,
    UnusualHeaderError,
    Walk,
    Walked,
    Window,
)
from medtransfer.data.sources.archive.headers import CODE, MEANING, SEQUENCE_TAGS, TAGS, WANTED

SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
VIEW_CODE = 0x00540220


def walked(path: Path) -> Walked:
    with Window(str(path)) as window:
        at = 132 if window.take(128, 4) == b"DICM" else 0
        return Walk(window, WANTED, SEQUENCE_TAGS, (CODE, MEANING)).header(at)


def real_files() -> Iterator[Path]:
    for name in get_testdata_files():
        path = Path(str(name))
        if path.is_file() and path.stat().st_size < 2_000_000:
            yield path


def test_what_is_kept_is_what_pydicom_reads() -> None:
    compared = 0
    for path in real_files():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = dcmread(path, stop_before_pixels=True, force=True)
                values = walked(path).values
            except Exception:  # noqa: BLE001 — damaged files of pydicom's own tests
                continue
            for tag in TAGS.values():
                element = expected.get_item(tag) if tag in expected else None
                raw: Any = getattr(element, "value", None)
                if raw is None or isinstance(raw, bytes):
                    assert (values.get(tag) or None) == (raw or None), path.name
                    compared += raw is not None
    assert compared > 500


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_syntax_is_walked(tmp_path: Path, syntax: str) -> None:
    code = {"CodeValue": "399162004", "CodeMeaning": "cranio-caudal"}
    raw = dicom_bytes(3, syntax=syntax, ViewCodeSequence=[code, {"CodeValue": "second"}])
    (tmp_path / "file").write_bytes(raw)
    found = walked(tmp_path / "file")
    assert found.values[TAGS["PatientID"]] == b"CANARY-ID "
    assert found.values[TAGS["SOPInstanceUID"]] == b"1.9.3 "
    assert found.values[VIEW_CODE, CODE] == b"399162004 "
    assert found.values[SYNTAX_TAG].strip(b" ") == syntax.encode()
    assert (found.pixels, found.little) == ("whole", syntax != BIG_ENDIAN)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_file_of_a_header_longer_than_the_window_is_walked(tmp_path: Path, syntax: str) -> None:
    private = {0x00090010: Raw("LO", b"MINE"), 0x00091010: Raw("OB", bytes(70_000))}
    raw = dicom({"PatientID": "7", "Rows": 8, "PixelData": bytes(16), **private}, syntax)
    (tmp_path / "file").write_bytes(raw)
    assert walked(tmp_path / "file").values[TAGS["PatientID"]] == b"7 "


def test_sequences_without_a_length_are_passed_over(tmp_path: Path) -> None:
    def marked(inner: bytes) -> Raw:
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
        return Raw("SQ", item + b"\xfe\xff\xdd\xe0\0\0\0\0", 0xFFFFFFFF)

    deep = elements({"PatientID": "of an item"}, implicit=False, little=True)
    for _ in range(4):
        deep = elements({"ReferencedStudySequence": marked(deep)}, implicit=False, little=True)
    raw = dicom({"ReferencedSeriesSequence": marked(deep), "PatientID": "own ", "Rows": 8})
    (tmp_path / "file").write_bytes(raw)
    assert walked(tmp_path / "file").values[TAGS["PatientID"]] == b"own "


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_pixels_that_are_cut_off_are_seen(tmp_path: Path, cut: int) -> None:
    (tmp_path / "file").write_bytes(dicom_bytes()[:-cut])
    assert walked(tmp_path / "file").pixels == "cut"


def test_a_header_that_ends_within_an_element_that_nobody_wants_is_cut(tmp_path: Path) -> None:
    raw = dicom({"PatientID": "7", 0x00291010: Raw("OB", bytes(90))})
    (tmp_path / "whole").write_bytes(raw)
    (tmp_path / "file").write_bytes(raw[:-40])
    assert walked(tmp_path / "whole").pixels == "none"
    assert walked(tmp_path / "file").pixels == "cut"


def test_of_a_large_deflated_file_the_start_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_walk, "MAX_DEFLATED", 600)
    large = dicom_bytes(syntax=DEFLATED, PixelData=bytes(range(256)) * 99, Rows=112, Columns=113)
    (tmp_path / "file").write_bytes(large)
    found = walked(tmp_path / "file")
    assert found.values[TAGS["PatientID"]] == b"CANARY-ID "
    assert found.pixels == "whole"


@settings(FEW)
@given(data=st.data())
def test_a_damaged_file_is_walked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(dicom_bytes(syntax=data.draw(st.sampled_from(SYNTAXES))))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(132, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with suppress(UnusualHeaderError):
        assert all(isinstance(value, bytes) for value in walked(path).values.values())
