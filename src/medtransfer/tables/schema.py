"""Column contracts, and the readers and writers of all tables.

CSV and Parquet are equivalent. In a CSV every cell is read as text and typed by the contract,
so an id keeps its leading zeros. Row numbers in messages are those a spreadsheet shows: in a CSV
the header is row 1 and the first image row 2; in a Parquet file the first row is row 1.
"""

import io
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import polars as pl

from medtransfer.errors import TableError, fault_list, listed, plural, printable, suggestion
from medtransfer.files import replacing
from medtransfer.sizes.cells import require_short_cells
from medtransfer.sizes.parquet import read_parquet
from medtransfer.tables.chunks import (
    has_blanks,
    has_repeats,
    hashes_of,
    rows_where,
    with_blank_cells,
)
from medtransfer.tables.csv_reader import TextTable, expected_names, read_text_table
from medtransfer.tables.spreadsheet_guard import guarded, unguarded
from medtransfer.tables.text_format import plain_headers
from medtransfer.tables.values.names import ALLOWED_ID, ALLOWED_NAME, is_no_id, is_no_name
from medtransfer.tables.values.personal import MIN_BEHIND, quotable
from medtransfer.tables.workbook import read_workbook

Kind = Literal["text", "integer", "number", "bytes"]
TYPES: dict[Kind, pl.DataType] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "bytes": pl.Binary(),
}
ENDINGS = (".csv", ".tsv", ".xlsx", ".parquet")
"""Endings of tables that are read."""
ROW = "row"
"""Name of the column that carries row numbers while a table is checked."""


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    Attributes:
        name: Its header; ``target_<name>`` stands for a family of columns.
        kind: Type of its cells.
        doc: One sentence for the reference page.
        required: True if the column must exist.
        filled: True if an empty cell is a fault.
        allowed: Allowed values, if they are limited.
        shown: True if its cells are names that people read.
        is_id: True if its cells are ids or paths.
    """

    name: str
    kind: Kind
    doc: str
    required: bool = True
    filled: bool = True
    allowed: tuple[str, ...] = ()
    shown: bool = False
    is_id: bool = False

    @property
    def prefix(self) -> str | None:
        """``target_`` for the family ``target_<name>``; None for a single column."""
        return self.name.split("<", 1)[0] if "<" in self.name else None


@dataclass(frozen=True)
class Contract:
    """The columns of one table.

    Attributes:
        name: Its name in messages.
        columns: Its columns.
        page: Its documentation page; by default its reference page.
        spreadsheet: True if its CSV form is written by `write_spreadsheet`.
    """

    name: str
    columns: tuple[Column, ...]
    page: str = ""
    spreadsheet: bool = False

    def column_of(self, header: str) -> Column | None:
        """The contract's column that a header belongs to."""
        for column in self.columns:
            prefix = column.prefix
            if header == column.name or (prefix is not None and header.startswith(prefix)):
                return column
        return None


def read_frame(path: Path, contract: Contract, skip: Sequence[str] = ()) -> pl.DataFrame:
    """Read a table as `read_noted_frame` does; its notes go to the log."""
    table = read_noted_frame(path, contract, skip)
    for note in table.notes:
        logging.getLogger(__name__).warning(note)
    return table.frame


def read_noted_frame(
    path: Path, contract: Contract, skip: Sequence[str] = (), named: Collection[str] = ()
) -> TextTable:
    """Read a CSV or Parquet file; every CSV cell as text, with a `ROW` column in front.

    Text loses the blanks around it, and a cell with nothing else is null, quoted or not.

    Args:
        path: ``.csv``, ``.tsv``, ``.xlsx`` or ``.parquet``. Separator, encoding and line ends of
            text are found in the file.
        contract: Its name is used in messages, its columns tell the separator.
        skip: Columns of a Parquet file that are not read (images).
        named: Further columns that are asked for: blanks around a header do not hide them.

    Raises:
        TableError: The file is missing, of another format, not UTF-8, ragged, too large, or has no
            rows.
    """
    what = f'{contract.name} "{path.name}"'
    if path.is_dir():
        raise TableError(f"{what} is a folder. Give the path of a table ({', '.join(ENDINGS)}).")
    if not path.is_file():
        raise TableError(f'{what} does not exist (looked for "{path}").')
    names = [*(column.name for column in contract.columns), *named]
    match path.suffix.lower():
        case ".csv" | ".tsv":
            ids = [column.name for column in contract.columns if column.kind == "text"]
            table = _numbered(read_text_table(path, what, names, ids=ids), what)
            frame = unguarded(table.frame) if contract.spreadsheet else table.frame
        case ".xlsx":
            table = _numbered(read_workbook(path, what, names), what)
            frame = table.frame
        case ".parquet":
            nested, notes = _nested_columns(path, what)
            frame = read_parquet(path, what, [*skip, *nested])
            frame = frame.rename(expected_names(frame.columns, names))
            table = _numbered(TextTable(frame, notes, first_row=1), what)
            frame = table.frame
        case other:
            raise TableError(f"{what} ends in '{other}' (allowed: {', '.join(ENDINGS)}).")
    if frame.is_empty():
        raise TableError(f"{what} has no rows. It needs a header and at least one row.")
    require_short_cells(frame, what, ROW)
    prefixes = [column.prefix for column in contract.columns if column.prefix is not None]
    frame = frame.rename(plain_headers(frame.columns, prefixes))
    frame = without_blanks(frame.with_columns(pl.col(ROW).cast(pl.Int64)))
    return replace(table, frame=frame)


def without_blanks(frame: pl.DataFrame) -> pl.DataFrame:
    """The table with its text cells stripped of blanks, null if nothing is left."""
    words = [n for n, kind in frame.schema.items() if isinstance(kind, (pl.Categorical, pl.Enum))]
    frame = frame.with_columns(pl.col(words).cast(pl.String)) if words else frame
    texts = [name for name, kind in frame.schema.items() if kind == pl.String()]
    padded = [name for name in texts if has_blanks(frame[name])]
    text = pl.col(padded).str.strip_chars()
    return frame.with_columns(pl.when(text != "").then(text)) if padded else frame


def write_spreadsheet(frame: pl.DataFrame, path: Path) -> None:
    """Write a table that people open in a spreadsheet; `read_frame` of its contract reads it back.

    In a ``.csv`` file, cells that a spreadsheet would run as a formula have a quote before them.
    """
    write_frame(guarded(frame) if path.suffix.lower() == ".csv" else frame, path)


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as ``.csv`` or ``.parquet``, atomically, its cells as they are."""
    content = io.BytesIO()  # polars reports a full disk only as a failed computation
    with replacing(path) as temporary:
        if path.suffix.lower() == ".csv":
            frame.write_csv(content)
        else:
            frame.write_parquet(content, compression="zstd", statistics=True)
        temporary.write_bytes(content.getbuffer())  # a table of millions of rows is not copied


def check_columns(frame: pl.DataFrame, contract: Contract) -> list[str]:
    """Faults of header and cells against a contract; cells must be text or of their type."""
    faults: list[str] = []
    for column in contract.columns:
        if column.prefix is not None:
            family = [header for header in frame.columns if header.startswith(column.prefix)]
            if column.required and not family:
                faults.append(f"there is no column '{column.name}'")
            for header in family:
                faults += _cell_faults(frame, replace(column, name=header))
        elif column.name in frame.columns:
            faults += _cell_faults(frame, column)
        elif column.required:
            free = [h for h in frame.columns if h != ROW and contract.column_of(h) is None]
            near = suggestion(column.name, free)
            hint = f" ({near.removesuffix('?').replace('Did you mean', 'is it')}?)" if near else ""
            faults.append(f"column '{column.name}' is missing{hint}")
    return faults


def typed(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Cast every contract column to its type; call it after `check_columns` has found no fault."""
    schema = frame.schema
    columns = [(h, c) for h in frame.columns if (c := contract.column_of(h)) is not None]
    other = {h for h, c in columns if schema[h] != TYPES[c.kind]}
    other |= with_blank_cells(frame, [h for h, c in columns if c.kind == "text" and h not in other])
    cast = [_cast(h, c, schema[h]) for h, c in columns if h in other]
    return frame.with_columns(cast) if cast else frame


def records_frame(records: Sequence[object], contract: Contract) -> pl.DataFrame:
    """Records with a field for each column of a contract, as a table in its order."""
    names = [column.name for column in contract.columns]
    rows = [vars(record) for record in records]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names), infer_schema_length=None)
    return typed(frame, contract)


def read_records(path: Path | str, contract: Contract) -> pl.DataFrame:
    """Read and check a table that `records_frame` made.

    Raises:
        TableError: The table violates its contract.
    """
    path = Path(path)
    frame = read_frame(path, contract)
    raise_faults(contract, path, check_columns(frame, contract))
    return typed(frame, contract).drop(ROW)


def duplicates(frame: pl.DataFrame, keys: Sequence[str]) -> list[str]:
    """One fault if rows share the same key; ids themselves are not printed."""
    if not set(keys) <= set(frame.columns):
        return []
    if len(keys) == 1 and not has_repeats(*hashes_of(frame, pl.col(keys))):
        return []
    repeated = frame.filter(frame.select(keys).is_duplicated() & pl.col(keys[0]).is_not_null())
    if repeated.is_empty():
        return []
    groups = repeated.select(keys).n_unique()
    name = f"'{keys[0]}'" if len(keys) == 1 else f"({', '.join(keys)})"
    return [f"{name} is not unique: {plural(groups, 'value')} repeated in {rows_of(repeated)}"]


def name_faults(frame: pl.DataFrame, column: str) -> list[str]:
    """Faults of a text column whose cells are names; they must be fit to be shown."""
    if frame.schema[column] != pl.String():
        return []
    names = frame.select(pl.col(column).unique())
    wrong = names.filter(is_no_name(column))
    if wrong.is_empty():
        return []
    rows = frame.select(ROW, column).join(wrong, on=column, how="semi", maintain_order="left")
    return wrong_cells(rows, column, (ALLOWED_NAME,))


def rows_of(frame: pl.DataFrame, limit: int = 5) -> str:
    """``row 12``, or ``rows 12, 77, 81 and 3 more``, for the rows of a frame."""
    return f"row{'s' * (len(frame) > 1)} {listed(frame[ROW].to_list(), limit)}"


def raise_faults(contract: Contract, path: Path, faults: Iterable[str]) -> None:
    """Raise one error for all faults of a table, if there are any.

    Raises:
        TableError: There are faults.
    """
    messages = list(faults)
    if messages:
        see = f"See {contract.page or f'docs/reference/{contract.name.lower()}.md'}."
        raise TableError(fault_list(f'{contract.name} "{path.name}" cannot be used', messages, see))


def _cell_faults(frame: pl.DataFrame, column: Column) -> list[str]:
    cells = frame.select(ROW, pl.col(column.name))
    kind = cells.schema[column.name]
    if column.kind == "text" and kind.is_float():
        return [f"'{column.name}' is stored as numbers with decimals; store ids as text"]
    if column.kind == "bytes" and kind != pl.Binary():
        text = f"'{column.name}' is stored as {kind}; it must hold bytes, the encoded images"
        importing = f"import the table with --columns path={column.name}"
        return [f"{text}. If it holds file names, call it 'path', or {importing}"]
    faults: list[str] = []
    empty = rows_where(cells, _empty(column.name, kind))
    if column.filled and not empty.is_empty():
        where = f"in {plural(len(empty), 'row')}, first in row {empty[ROW][0]}"
        faults.append(f"'{column.name}' is empty {where}")
    wrong = rows_where(cells, ~_empty(column.name, kind) & ~_fits(column, kind))
    if not wrong.is_empty():
        what = {"integer": "an integer"}.get(column.kind, f"a {column.kind}")
        faults += wrong_cells(wrong, column.name, column.allowed or (what,))
    if column.shown:
        faults += name_faults(cells, column.name)
    if column.is_id:
        faults += _id_faults(cells, column.name)
    return faults


def _id_faults(cells: pl.DataFrame, column: str) -> list[str]:
    """Faults of ids and paths, by row: they may identify a person and are not quoted."""
    if cells.schema[column] != pl.String():
        return []
    wrong = rows_where(cells, is_no_id(column))
    if wrong.is_empty():
        return []
    rows = f"{plural(len(wrong), 'row')}, first in row {wrong[ROW][0]}"
    return [f"'{printable(column, 80)}' holds what is no id in {rows} (allowed: {ALLOWED_ID})"]


def wrong_cells(
    wrong: pl.DataFrame, name: str, allowed: Sequence[str], least: int = MIN_BEHIND
) -> list[str]:
    """One fault per distinct wrong value: its count, its first row, and what is allowed.

    Values that may identify a person, or have few patients behind them and are not nearly an
    allowed value, are not quoted.

    `least` patients are enough to quote a value: 1 in a table that is public anyway.
    """
    people = pl.col("patient_id").n_unique() if "patient_id" in wrong.columns else pl.len()
    count = (pl.len().alias("n"), people.alias("_patients"), pl.col(ROW).min())
    rows = wrong.group_by(name).agg(count).sort(ROW)
    counts = rows.with_columns(pl.col(name).cast(pl.String))
    shown = printable(name, 80)
    behind = dict(counts.select(name, "_patients").iter_rows())
    near = [value for value in behind if get_close_matches(value, allowed, n=1, cutoff=0.8)]
    quoted = counts.filter(pl.col(name).is_in(quotable(behind, near, least))).head(6)
    faults = [
        f"'{shown}' holds '{printable(row[name])}' in {plural(row['n'], 'row')}, "
        f"first in row {row[ROW]} (allowed: {', '.join(allowed)})"
        for row in quoted.iter_rows(named=True)
    ]
    rest = counts.join(quoted, on=name, how="anti", maintain_order="left")
    if len(rest):
        values = plural(len(rest), "more wrong value" if faults else "wrong value")
        where = f"{plural(int(rest['n'].sum()), 'row')}, first in row {rest[ROW][0]}"
        end = "" if faults else f" (allowed: {', '.join(allowed)})"
        faults.append(f"'{shown}' holds {values} in {where}{end}")
    return faults


def _empty(name: str, kind: pl.DataType) -> pl.Expr:
    null = pl.col(name).is_null()
    return null | (pl.col(name).str.strip_chars() == "") if kind == pl.String() else null


def _fits(column: Column, kind: pl.DataType) -> pl.Expr:
    cell = pl.col(column.name)
    if column.allowed:
        return cell.cast(pl.String).is_in(list(column.allowed))
    if kind.is_float() and column.kind == "integer":
        return cell == cell.floor()
    if column.kind in ("text", "bytes") or kind.is_numeric():
        return pl.lit(value=True)
    text = cell.cast(pl.String).str.strip_chars()
    return text.cast(TYPES[column.kind], strict=False).is_not_null()


def _cast(header: str, column: Column, kind: pl.DataType) -> pl.Expr:
    cell = pl.col(header)
    if column.kind == "bytes":
        return cell
    if kind.is_numeric() and column.kind != "text":
        return cell.cast(TYPES[column.kind], strict=False)
    text = cell.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text).cast(TYPES[column.kind], strict=False).alias(header)


def _numbered(table: TextTable, what: str) -> TextTable:
    """The table with its row numbers in front."""
    if ROW in table.frame.columns:
        raise TableError(
            f"{what} has a column '{ROW}', which is reserved for row numbers. Rename it."
        )
    return table.numbered(ROW)


def _nested_columns(path: Path, what: str) -> tuple[list[str], tuple[str, ...]]:
    """Columns of a Parquet file that hold no single values, and a note that they are not read."""
    try:
        kinds = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return [], ()  # the reader names the fault
    names = [name for name, kind in kinds.items() if kind.is_nested() or kind == pl.Duration]
    if not names:
        return [], ()
    count = plural(len(names), "column")
    note = f"{what}: {count} of lists, structures or durations not read: {listed(names)}."
    return names, (note,)
