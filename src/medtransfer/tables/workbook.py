"""Reader of spreadsheets: the sheet of an ``.xlsx`` file that holds a table."""

import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import polars as pl

from medtransfer.errors import TableError, listed, plural, printable
from medtransfer.sizes.archives import unpacked_parts
from medtransfer.sizes.workbook import require_workbook_size
from medtransfer.tables.csv_reader import TextTable, expected_names, require_distinct
from medtransfer.tables.text_format import SampleRow, header_row

UNNAMED = "__UNNAMED__"
"""Start of the name of a column without a header."""
MIDNIGHT = r"^(\d{4}-\d{2}-\d{2}) 00:00:00$"
"""A date, as the reader gives it back."""
SAMPLE_ROWS = 50
"""Rows of a sheet among which the header is looked for."""
ERROR_CELL = re.compile(rb"""<(?:\w+:)?c\b[^>]*\bt\s*=\s*["']e["']""")
"""Cell of a formula that failed: ``#N/A``, ``#DIV/0!``."""


def read_workbook(path: Path, what: str, expected: Collection[str] = ()) -> TextTable:
    """Read the first sheet that holds the table, every cell as text.

    Args:
        path: The workbook.
        what: Name in messages.
        expected: Column names that the table should have; they tell the sheet, and the header
            from a title above it.

    Returns:
        The table, with notes on sheets and lines that were not read.

    Raises:
        TableError: It is not a workbook, it is too large, all sheets are empty, or a header is
            repeated.
    """
    require_workbook_size(path, what)
    try:
        sheets = pl.read_excel(
            path,
            sheet_id=0,
            engine="calamine",
            infer_schema_length=0,
            has_header=False,
            drop_empty_rows=False,
            raise_if_empty=False,
        )
    except Exception as error:  # the reader of workbooks has no error of its own
        raise TableError(f"{what} is not a readable workbook.") from error
    headers = {name: _header(sheet, expected) for name, sheet in sheets.items()}
    filled = {name: sheets[name] for name, row in headers.items() if len(sheets[name]) > row.line}
    filled = filled or {name: sheet for name, sheet in sheets.items() if not sheet.is_empty()}
    if not filled:
        raise TableError(f"{what} is empty. It needs a header and at least one row.")
    name = max(filled, key=lambda sheet: len(headers[sheet].names & {*expected}))
    notes: list[str] = []
    if len(filled) > 1:
        others = listed(other for other in filled if other != name)
        count = plural(len(filled), "sheet")
        notes = [f"{what} has {count} with rows: '{printable(name)}' was read, {others} not."]
    if failed := _error_cells(path):
        notes.append(
            f"{what}: {plural(failed, 'cell')} with an error such as #N/A, in all its sheets: "
            "read as empty."
        )
    header = headers[name]
    if header.line > 1:
        notes.append(f"{what}: the header is in row {header.line}; what is above was left out.")
    names = [cell or f"{UNNAMED}{place}" for place, cell in enumerate(header.cells)]
    require_distinct(names, what)
    frame = filled[name].slice(header.line)
    frame = frame.with_columns(pl.col(pl.String).str.replace(MIDNIGHT, "$1"))
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    frame = frame.rename(expected_names(names, expected))
    return TextTable(frame, tuple(notes), first_row=header.line + 1)


def _header(sheet: pl.DataFrame, expected: Collection[str]) -> SampleRow:
    """The row of a sheet that names its columns."""
    rows = [
        SampleRow(number, [cell or "" for cell in cells])
        for number, cells in enumerate(sheet.head(SAMPLE_ROWS).iter_rows(), start=1)
        if any(cells)
    ]
    return header_row(rows, expected)


def _error_cells(path: Path) -> int:
    """Number of cells with an error in the sheets, which the reader gives back as empty ones."""
    sheets: defaultdict[str, list[bytes]] = defaultdict(list)
    for name, part in unpacked_parts(path, "xl/worksheets/"):
        sheets[name].append(part)
    return sum(sum(1 for _ in ERROR_CELL.finditer(b"".join(parts))) for parts in sheets.values())
