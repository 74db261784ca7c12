"""The folder of a download: which files are in it, and its official tables, checked.

Files are looked for by name below the folder, so it does not matter how an archive was unpacked.
What is wrong with any of the tables is said in one message.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

import polars as pl

from medtransfer.data.sources.odd_rows import Breaches, OddRows, excess, key_breaches, odd_share
from medtransfer.data.sources.source import PATH, PICTURES, Download, Source, Table, refuse
from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.tables.csv_reader import read_csv
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.personal_columns import listed_columns
from medtransfer.tables.workbook import read_workbook


@dataclass(frozen=True)
class OpenedTable:
    """A table of a download as it was read.

    Attributes:
        table: Which.
        file: Its file's name.
        frame: Its rows, with their numbers.
        notes: Sentences on what of its file was not read as it stands.
    """

    table: Table
    file: str
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()


def open_download(source: Source, folder: Path, options: Mapping[str, str]) -> Download:
    """List a folder's files and read the source's tables.

    Args:
        source: What it is a download of.
        folder: The folder, as unpacked.
        options: From `check_options`.

    Raises:
        ConfigError: Option ``odd_rows`` is no share.
        TableError: The folder is missing, a table is missing, or too many of its rows are not as
            published; all faults.
    """
    if not folder.is_dir():
        raise TableError(f'"{folder}" is not a folder. Name the one the download was unpacked to.')
    files, hidden = list_files(folder)
    opened: list[OpenedTable] = []
    faults: list[str] = []
    for table in source.tables:
        try:
            place = _find(table, files)
            if place is not None:
                opened.append(_read(table, folder / place, place))
        except TableError as error:
            faults += str(error).split("\n")
    left_out = _odd_rows(opened)
    limit = odd_share(options)
    faults += [fault for odd in left_out if odd.share > limit for fault in excess(odd, limit)]
    refuse(source, [fault.removesuffix(".") for fault in faults])
    tables = {one.table.name: _without(one, left_out) for one in opened}
    return Download(
        source=source,
        folder=folder,
        files=files,
        tables=tables,
        options=options,
        left_out=left_out,
        notes=(*_hidden_note(hidden), *(note for one in opened for note in one.notes)),
    )


def list_files(folder: Path) -> tuple[pl.DataFrame, int]:
    """Every file below a folder, hidden ones left out, and how many of these are images.

    A file is hidden if its name, or that of a folder above it, begins with a dot. What a Mac leaves
    beside each file (``._name``, ``__MACOSX``) is no image.

    Returns:
        `path`, relative, with ``/``, sorted; number of hidden images.
    """
    paths: list[str] = []
    hidden = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith("__MACOSX")]
        below = Path(place).relative_to(folder)
        is_hidden = any(part.startswith(".") for part in below.parts)
        start = f"{below.as_posix()}/" if below.parts else ""
        for name in names:
            if not is_hidden and not name.startswith("."):
                paths.append(start + name)
            elif name.lower().endswith(PICTURES) and not name.startswith("._"):
                hidden += 1
    readable = [os.fsencode(name).decode("utf-8", "replace") for name in paths]
    return pl.DataFrame({PATH: readable}, schema={PATH: pl.String}).sort(PATH), hidden


def _hidden_note(count: int) -> list[str]:
    if not count:
        return []
    return [f"{plural(count, 'image')} in folders or files whose name begins with a dot: left out."]


def _find(table: Table, files: pl.DataFrame) -> str | None:
    """The file of a table: the first of its names that is there, as near the top as possible.

    Raises:
        TableError: It is needed and not there, or there are several.
    """
    paths: list[str] = files[PATH].to_list()
    for wanted in table.files:
        names = (wanted, wanted.removesuffix(".gz"), wanted + ".gz")
        for name in dict.fromkeys(names):
            fitting = [path for path in paths if _is_called(path, name)]
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


def _is_called(path: str, name: str) -> bool:
    """True if a path ends in a name, which may hold a folder: ``four_findings/test_labels.csv``."""
    parts = name.count("/") + 1
    return fnmatchcase("/".join(path.split("/")[-parts:]), name)


def _read(table: Table, path: Path, place: str) -> OpenedTable:
    """A table with its columns checked, rows numbered as a spreadsheet shows them."""
    name = place.rsplit("/", 1)[-1]
    wanted = (*table.columns, *table.optional, *table.key)
    notes: tuple[str, ...] = ()
    if path.suffix.lower() == ".xlsx":
        workbook = read_workbook(path, name, wanted).numbered(ROW)
        frame, notes = workbook.frame, workbook.notes
    elif path.suffix.lower() == ".json":
        frame = _read_records(path, name, wanted)
    elif table.header:
        frame = read_csv(path, name, table.separator, columns=wanted)
        if missing_columns(frame, table.columns, name):
            frame = read_csv(path, name, table.separator)  # the message names what is there
    else:
        frame = read_csv(path, name, table.separator, table.columns)
    frame = frame.rename({column: column.strip() for column in frame.columns})
    text = pl.col(pl.String).str.strip_chars()
    frame = frame.with_columns(pl.when(text != "").then(text))
    if ROW not in frame.columns:
        frame = frame.with_row_index(ROW, offset=2 if table.header else 1)
    if faults := missing_columns(frame, table.columns, name):
        raise TableError("\n".join(faults))
    return OpenedTable(table, name, frame.with_columns(pl.col(ROW).cast(pl.Int64)), notes)


def _read_records(path: Path, name: str, wanted: Sequence[str]) -> pl.DataFrame:
    """A list of records in JSON, the wanted entries as text."""
    try:
        records: object = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TableError(f"{name} is not readable JSON") from error
    if not isinstance(records, list) or not records:
        raise TableError(f"{name} is not a list of records")
    if not all(isinstance(row, dict) for row in cast("list[object]", records)):
        raise TableError(f"{name} holds something else than records")
    named = cast("list[dict[str, object]]", records)
    there = [key for key in dict.fromkeys(wanted) if any(key in row for row in named)]
    return pl.DataFrame(
        {key: [None if row.get(key) is None else str(row[key]) for row in named] for key in there},
        schema=dict.fromkeys(there, pl.String),
    )


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
    have = f"it has {listed_columns([c for c in frame.columns if c != ROW], 12)}"
    return [f"{name} lacks {'column' if len(notes) == 1 else 'columns'} {', '.join(notes)}; {have}"]


def _odd_rows(opened: Sequence[OpenedTable]) -> tuple[OddRows, ...]:
    """Odd rows of each table, with all rows of the same unit in any table."""
    broken = [_breaches(one) for one in opened]
    units: dict[tuple[str, ...], list[pl.DataFrame]] = {}
    for one, odd in zip(opened, broken, strict=True):
        if one.table.unit and len(odd.rows):
            rows = one.frame.join(odd.rows, on=ROW, how="semi")
            units.setdefault(one.table.unit, []).append(rows.select(_unit(one.table)).drop_nulls())
    left_out: list[OddRows] = []
    for one, odd in zip(opened, broken, strict=True):
        beside = one.frame.clear().select(ROW)
        if one.table.unit in units:
            keys = pl.concat(units[one.table.unit]).unique()
            named = one.frame.select(ROW, *_unit(one.table)).join(keys, on=keys.columns, how="semi")
            beside = named.select(ROW).join(odd.rows, on=ROW, how="anti")
        if len(odd.rows) or len(beside):
            left_out.append(
                OddRows(
                    file=one.file,
                    total=len(one.frame),
                    rows=tuple(odd.rows[ROW].sort()),
                    beside=tuple(beside[ROW].sort()),
                    faults=tuple(odd.faults),
                )
            )
    return tuple(left_out)


def _unit(table: Table) -> list[pl.Expr]:
    """The columns of a table's unit, a number without its decimals."""
    return [pl.col(name).str.replace(r"^(-?\d+)\.0+$", "$1") for name in table.unit]


def _breaches(opened: OpenedTable) -> Breaches:
    """Rows of a table that break any of its rules."""
    frame = opened.frame
    found = [key_breaches(frame, opened.table.key)]
    for rule in opened.table.rules:
        if set(rule.columns) <= set(frame.columns):
            found.append(rule.breaches(frame))
    rows = pl.concat([breaches.rows for breaches in found]).unique()
    return Breaches(rows, [fault for breaches in found for fault in breaches.faults])


def _without(opened: OpenedTable, left_out: Sequence[OddRows]) -> pl.DataFrame:
    """A table without its rows that are left out."""
    gone = [row for odd in left_out if odd.file == opened.file for row in odd.rows + odd.beside]
    return opened.frame.filter(~pl.col(ROW).is_in(gone)) if gone else opened.frame
