"""A user's own table, whatever its form: CSV in any spelling, workbook, or Parquet; its labels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.errors import printable, suggestion
from medtransfer.sizes.parquet import read_parquet
from medtransfer.tables.csv_reader import TextTable, read_text_table
from medtransfer.tables.manifest import LABEL_CELLS, label_text
from medtransfer.tables.schema import ROW, without_blanks, wrong_cells
from medtransfer.tables.values.value_map import cell_text
from medtransfer.tables.workbook import read_workbook

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


@dataclass(frozen=True)
class LabelledRows:
    """Rows whose label cells are in one spelling.

    Attributes:
        frame: The rows.
        faults: Targets that are no column, and cells that are no labels.
    """

    frame: pl.DataFrame
    faults: tuple[str, ...]


def read_own_table(
    path: Path,
    name: str,
    expected: Collection[str],
    *,
    delimiter: str = "",
    encoding: str = "",
    ids: Collection[str] = (),
) -> tuple[pl.DataFrame, list[str]]:
    """The table with its rows numbered, and notes on how its file is written.

    Args:
        path: The file.
        name: Name in messages.
        expected: Column names that the table should have; they tell the separator.
        delimiter: A name of `DELIMITERS`; found in the file if it is empty.
        encoding: Encoding of the file; found in the file if it is empty.
        ids: Columns of text, in which a comma is no decimal comma.

    Raises:
        TableError: The file is not readable, or its form cannot be told.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        table = TextTable(read_parquet(path, name), first_row=1)
    elif suffix == ".xlsx":
        table = read_workbook(path, name, expected)
    else:
        table = read_text_table(
            path,
            name,
            expected,
            separator=DELIMITERS.get(delimiter),
            encoding=encoding or None,
            ids=ids,
        )
    if ROW in table.frame.columns:
        table = replace(table, frame=table.frame.rename({ROW: "their_row"}))
    table = table.numbered(ROW)
    frame = table.frame.with_columns(pl.col(ROW).cast(pl.Int64))
    return without_blanks(frame), list(table.notes)


def with_labels(rows: pl.DataFrame, targets: Sequence[str]) -> LabelledRows:
    """Label cells of the named targets in one spelling; anything else is a fault."""
    faults: list[str] = []
    for name in targets:
        if name not in rows.columns:
            near = suggestion(name, rows.columns)
            faults.append(f"target '{name}' is not a column. {near}".rstrip("? ."))
            continue
        rows = rows.with_columns(cell_text(rows[name])).with_columns(label_text(name))
        wrong = rows.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(LABEL_CELLS[:3]))
        of_column = wrong_cells(wrong, name, LABEL_CELLS)
        advice = f"; say what words mean with --values {printable(name)}=WORD:1,WORD:0"
        faults += [*of_column[:-1], *(last + advice for last in of_column[-1:])]
    return LabelledRows(rows, tuple(faults))
