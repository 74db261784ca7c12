"""Reader of spreadsheets: the sheet of an ``.xlsx`` file that holds a table."""

from pathlib import Path

import polars as pl

from medtransfer.errors import TableError, listed, plural, printable
from medtransfer.sizes.workbook import require_workbook_size


def read_workbook(path: Path, what: str) -> tuple[pl.DataFrame, list[str]]:
    """Read the first sheet that is not empty, every cell as text.

    Args:
        path: The workbook.
        what: Name in messages.

    Returns:
        The table, and notes on sheets that were not read.

    Raises:
        TableError: It is not a workbook, it is too large, or all sheets are empty.
    """
    require_workbook_size(path, what)
    try:
        sheets = pl.read_excel(path, sheet_id=0, engine="calamine", infer_schema_length=0)
    except Exception as error:  # the reader of workbooks has no error of its own
        raise TableError(f"{what} is not a readable workbook.") from error
    filled = {name: sheet for name, sheet in sheets.items() if not sheet.is_empty()}
    filled = filled or {name: sheet for name, sheet in sheets.items() if sheet.columns}
    if not filled:
        raise TableError(f"{what} is empty. It needs a header and at least one row.")
    name, frame = next(iter(filled.items()))
    notes: list[str] = []
    if len(filled) > 1:
        others = listed(other for other in filled if other != name)
        count = plural(len(filled), "sheet")
        notes = [f"{what} has {count} with rows: '{printable(name)}' was read, {others} not."]
    return frame, notes
