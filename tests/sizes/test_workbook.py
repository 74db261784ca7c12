"""Workbooks that ask for terabytes are refused before they are read."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.sources.trees import workbook

from medtransfer.errors import TableError
from medtransfer.sizes import archives, limits
from medtransfer.tables.workbook import read_workbook

SHEET = "xl/worksheets/sheet1.xml"
SHARED = "xl/sharedStrings.xml"
SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def changed(path: Path, change: Callable[[str, bytes], bytes], **added: str) -> Path:
    """A workbook with its members changed and others added."""
    workbook(path, ["image_id", "y"], [["a", "1"], ["b", "0"]])
    stream = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
        for content in added.values():
            new.writestr(SHARED, content)
    path.write_bytes(stream.getvalue())
    return path


def test_a_workbook_is_read_as_before(tmp_path: Path) -> None:
    frame = read_workbook(changed(tmp_path / "m.xlsx", lambda _, raw: raw), "Table").frame
    assert frame["image_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize("place", ["XFD1048576", "zz99999999", "C2000000000"])
def test_a_cell_far_away_asks_for_a_rectangle_that_is_refused(tmp_path: Path, place: str) -> None:
    far = f'<row r="9"><c r="{place}"><v>1</v></c></row></sheetData>'.encode()
    path = changed(
        tmp_path / "m.xlsx",
        lambda name, raw: raw.replace(b"</sheetData>", far) if name == SHEET else raw,
    )
    assert path.stat().st_size < 5000
    with pytest.raises(TableError, match=r"Table (has .* (rows|columns)|needs about .* of memory)"):
        read_workbook(path, "Table")


def test_a_member_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "memory_limit", lambda: 2**22)
    monkeypatch.setattr(limits, "memory_limit", lambda: 2**22)
    path = changed(
        tmp_path / "m.xlsx",
        lambda name, raw: raw + b" " * (2**21) if name == SHEET else raw,
    )
    assert path.stat().st_size < 10**6
    with pytest.raises(TableError, match=r"needs more than 4.0 MiB of memory once it is unpacked"):
        read_workbook(path, "Table")


def test_a_text_that_many_cells_show_counts_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory_limit", lambda: 2**21)
    rows = "".join(f'<row r="{i}"><c r="A{i}" t="s"><v>0</v></c></row>' for i in range(4, 400))
    texts = f"<sst {SPACE}><si><t>{'x' * 5_000}</t></si></sst>"
    path = changed(
        tmp_path / "m.xlsx",
        lambda name, raw: (
            raw.replace(b"</sheetData>", f"{rows}</sheetData>".encode()) if name == SHEET else raw
        ),
        shared=texts,
    )
    with pytest.raises(TableError, match=r"needs about 3.* MiB of memory"):
        read_workbook(path, "Table")
