"""Size of an ``.xlsx`` workbook before it is read.

Readers of workbooks make a full rectangle of each sheet, from its first cell to its last, and
copy a shared text to every cell that shows it: a few bytes can ask for terabytes.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medtransfer.errors import TableError
from medtransfer.sizes.archives import unpacked_limit, unpacked_parts
from medtransfer.sizes.limits import (
    MAX_COLUMNS,
    MAX_ROWS,
    require_count,
    require_memory,
)

PLACE = re.compile(rb"""\br\s*=\s*["']\s*([A-Za-z]{1,7})([0-9]{1,10})\s*["']""")
"""Place of a cell: ``r="XFD1048576"``."""
SHARED = re.compile(
    rb"""<(?:\w+:)?c\b[^>]*\bt\s*=\s*["']s["'][^>]*>\s*<(?:\w+:)?v>\s*(\d{1,10})\s*<"""
)
"""Cell that shows a shared text, by the text's number."""
CELL = re.compile(rb"<(?:\w+:)?c[\s>/]")
ROW = re.compile(rb"<(?:\w+:)?row[\s>/]")
ROW_NUMBER = re.compile(rb"""<(?:\w+:)?row\b[^>]*\br\s*=\s*["']\s*([0-9]{1,10})\s*["']""")
TEXT = re.compile(rb"<(?:\w+:)?si[\s>]")
WORKBOOK_CELL_BYTES = 64
"""Of a cell in memory: in the reader's rectangle, and in the table."""


@dataclass
class SheetSize:
    """Size of one sheet.

    Attributes:
        rows: Number of the last row.
        columns: Number of the last column.
        shown: Bytes of shared texts, counted as often as they are shown.
    """

    rows: int = 0
    columns: int = 0
    shown: int = 0


def require_workbook_size(path: Path, what: str) -> None:
    """Refuse a workbook that is too large, before it is read.

    A damaged file passes; its reader names the fault.

    Args:
        path: The file.
        what: Name in messages.

    Raises:
        TableError: It has more rows or columns, or takes more memory, than is allowed.
    """
    try:
        texts = _members(path, "xl/sharedstrings", what)
        lengths = np.concatenate([_text_lengths(text) for text in texts.values()] or [_NONE])
        sheets = _members(path, "xl/worksheets/", what)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError):
        return
    needed = sum(len(text) for text in (*texts.values(), *sheets.values()))
    for content in sheets.values():
        size = _sheet_size(content, lengths)
        require_count(size.rows, "rows", MAX_ROWS, what, TableError)
        require_count(size.columns, "columns", MAX_COLUMNS, what, TableError)
        needed += size.rows * size.columns * WORKBOOK_CELL_BYTES + 2 * size.shown
    require_memory(needed, what, TableError)


_NONE = np.zeros(0, dtype=np.int64)


def _members(path: Path, start: str, what: str) -> dict[str, bytes]:
    """The members whose names start so, unpacked; refused as soon as they are too long."""
    parts: dict[str, list[bytes]] = {}
    length, allowed = 0, unpacked_limit()
    for name, part in unpacked_parts(path, start):
        parts.setdefault(name, []).append(part)
        length += len(part)
        if length > allowed:
            require_memory(4 * length, what, TableError, partly=True)
    return {name: b"".join(pieces) for name, pieces in parts.items()}


def _text_lengths(content: bytes) -> np.ndarray:
    """Bytes from each shared text to the next. [N]"""
    starts = [match.start() for match in TEXT.finditer(content)]
    return np.diff(np.array([*starts, len(content)], dtype=np.int64))


def _sheet_size(content: bytes, lengths: np.ndarray) -> SheetSize:
    size = SheetSize(rows=sum(1 for _ in ROW.finditer(content)))
    if numbers := [int(match[1]) for match in ROW_NUMBER.finditer(content)]:
        size.rows = max(size.rows, *numbers)
    widest, count = 0, 0
    for match in PLACE.finditer(content):
        widest = max(widest, _column_number(match[1]))
        size.rows = max(size.rows, int(match[2]))
    # cells without a place follow each other
    for row in ROW.split(content)[1:]:
        count = max(count, sum(1 for _ in CELL.finditer(row)))
    size.columns = max(widest, count)
    shown = np.array([int(match[1]) for match in SHARED.finditer(content)], dtype=np.int64)
    size.shown = int(lengths[shown[shown < len(lengths)]].sum())
    return size


def _column_number(letters: bytes) -> int:
    """``A`` is 1, ``XFD`` is 16,384."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
