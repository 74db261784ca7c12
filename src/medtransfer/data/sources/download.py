"""The folder of a download: which files are in it, and its official tables, checked.

Files are looked for by name below the folder, so it does not matter how an archive was unpacked.
What is wrong with any of the tables is said in one message.
"""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from medtransfer.data.sources.source import PATH, Download, Source, Table, refuse
from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.tables.csv_reader import read_csv
from medtransfer.tables.schema import ROW, duplicates


def open_download(source: Source, folder: Path, options: Mapping[str, str]) -> Download:
    """List a folder's files and read the source's tables.

    Args:
        source: What it is a download of.
        folder: The folder, as unpacked.
        options: From `check_options`.

    Raises:
        TableError: The folder is missing, or a table is missing or not as published; all faults.
    """
    if not folder.is_dir():
        raise TableError(f'"{folder}" is not a folder. Name the one the download was unpacked to.')
    files = list_files(folder)
    tables: dict[str, pl.DataFrame] = {}
    faults: list[str] = []
    for table in source.tables:
        try:
            place = _find(table, files)
            if place is not None:
                tables[table.name] = _read(table, folder / place, place)
        except TableError as error:
            faults += str(error).split("\n")
    refuse(source, [fault.removesuffix(".") for fault in faults])
    return Download(source, folder, files, tables, options)


def list_files(folder: Path) -> pl.DataFrame:
    """Every file below a folder, hidden ones left out: `path`, relative, with ``/``, sorted."""
    faults: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        below = Path(place).relative_to(folder).as_posix()
        start = "" if below == "." else below + "/"
        faults.extend(start + name for name in names if not name.startswith("."))
    readable = [os.fsencode(name).decode("utf-8", "replace") for name in faults]
    return pl.DataFrame({PATH: readable}, schema={PATH: pl.String}).sort(PATH)


def _find(table: Table, files: pl.DataFrame) -> str | None:
    """The file of a table: the first of its names that is there, as near the top as possible.

    Raises:
        TableError: It is needed and not there, or there are several.
    """
    paths: list[str] = files[PATH].to_list()
    for wanted in table.files:
        names = (wanted, wanted.removesuffix(".gz"))
        for name in dict.fromkeys(names):
            fitting = [p for p in paths if fnmatchcase(p.rsplit("/", 1)[-1], name)]
            if not fitting:
                continue
            depth = min(path.count("/") for path in fitting)
            nearest = [path for path in fitting if path.count("/") == depth]
            if len(nearest) > 1:
                raise TableError(f"several files are called {name}: {listed(nearest)}. Keep one")
            return nearest[0]
    if not table.needed:
        return None
    near = suggestion(table.files[0], {path.rsplit("/", 1)[-1] for path in paths})
    missing = f"{table.files[0]} is not below the folder"
    raise TableError(f"{missing}. {near}" if near else missing)


def _read(table: Table, path: Path, place: str) -> pl.DataFrame:
    """A table with its columns and keys checked, rows numbered as a spreadsheet shows them."""
    name = place.rsplit("/", 1)[-1]
    if path.suffix.lower() == ".xlsx":
        frame = _read_sheet(path, name)
    else:
        header = None if table.header else table.columns
        frame = read_csv(path, name, table.separator, header)
    frame = frame.rename({column: column.strip() for column in frame.columns})
    text = pl.col(pl.String).str.strip_chars()
    frame = frame.with_columns(pl.when(text != "").then(text))
    frame = frame.drop(ROW, strict=False).with_row_index(ROW, offset=2 if table.header else 1)
    faults = missing_columns(frame, table.columns, name)
    faults = faults or [f"{name}: {fault}" for fault in _key_faults(frame, table.key)]
    if faults:
        raise TableError("\n".join(faults))
    return frame.with_columns(pl.col(ROW).cast(pl.Int64))


def _read_sheet(path: Path, name: str) -> pl.DataFrame:
    """The first sheet of a workbook, every cell as text."""
    try:
        return pl.read_excel(path, engine="calamine", infer_schema_length=0)
    except Exception as error:  # the reader of workbooks has no error of its own
        raise TableError(f"{name} is not a readable workbook") from error


def missing_columns(frame: pl.DataFrame, wanted: Iterable[str], name: str) -> list[str]:
    """One fault that names all columns a table lacks, with what they may be called there."""
    absent = [column for column in wanted if column not in frame.columns]
    free = [column for column in frame.columns if column not in wanted and column != ROW]
    notes: list[str] = []
    for column in absent:
        near = suggestion(column, free).removeprefix("Did you mean ").removesuffix("?")
        notes.append(f"'{column}'" + (f" (is it {near}?)" if near else ""))
    if not notes:
        return []
    have = f"it has {listed([c for c in frame.columns if c != ROW], 12)}"
    return [f"{name} lacks {'column' if len(notes) == 1 else 'columns'} {', '.join(notes)}; {have}"]


def _key_faults(frame: pl.DataFrame, key: tuple[str, ...]) -> list[str]:
    """Keys that are empty or not unique; the keys themselves are not printed."""
    faults: list[str] = []
    for column in key:
        empty = frame.filter(pl.col(column).is_null())
        if not empty.is_empty():
            count = plural(len(empty), "row")
            faults.append(f"'{column}' is empty in {count}, first in row {empty[ROW][0]}")
    return faults + (duplicates(frame, key) if key else [])
