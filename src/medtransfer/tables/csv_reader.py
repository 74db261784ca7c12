"""Reader of delimited text: CSV, other separators, plain or in gzip.

Every cell is read as text, so an id keeps its leading zeros. polars quotes cells in its messages,
and cells may hold names: faults are described without cells, by line.
"""

import csv
import io
import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.errors import TableError, listed, plural
from medtransfer.sizes.text import open_text, packing, require_text_size, text_chunks
from medtransfer.tables.text_format import SEPARATORS, find_format, plain_name, plain_text

DECIMAL = r"^[+-]?\d+(,\d+)?$"
UNEVEN = (
    "a row has more cells than the header, or a line end or another control character within a "
    "cell."
)
MALFORMED = (
    "the CSV is malformed. Quotes belong around whole cells, and one inside a cell is written "
    'twice: "".'
)
THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"


@dataclass(frozen=True)
class TextTable:
    """A text table with what was found out about its form.

    Attributes:
        frame: Every cell as text, empty cells null.
        notes: Separator, encoding, line ends and decimal commas, where they are not the common
            ones.
        first_row: Number of the first row below the header, in the file.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    first_row: int = 2

    def numbered(self, name: str) -> "TextTable":
        """The table with the numbers of its rows in a first column, without empty rows."""
        frame = self.frame.with_row_index(name, offset=self.first_row)
        rows = _empty_rows(self.frame)
        if not len(rows):
            return replace(self, frame=frame)
        first = f"first row {self.first_row + rows[0]}"
        note = f"{plural(len(rows), 'empty row')} left out, {first}."
        kept = ~pl.int_range(pl.len()).is_in(rows.implode())
        return replace(self, frame=frame.filter(kept), notes=(*self.notes, note))


def _empty_rows(frame: pl.DataFrame) -> pl.Series:
    """Places of the rows that hold nothing; of a single column an empty cell may mean something."""
    if frame.width < 2:
        return pl.Series(dtype=pl.Int64)
    rows = pl.int_range(len(frame), eager=True)
    for cells in frame.get_columns():  # few rows are left after the first column
        left = cells.gather(rows)
        is_text = left.dtype == pl.String()
        rows = rows.filter(
            left.str.strip_chars().fill_null("") == "" if is_text else left.is_null()
        )
        if not len(rows):
            break
    return rows


def read_text_table(
    path: Path,
    what: str,
    expected: Collection[str] = (),
    *,
    separator: str | None = None,
    encoding: str | None = None,
    ids: Collection[str] = (),
) -> TextTable:
    """Read a text table whatever its separator, encoding and line ends.

    Args:
        path: The file, plain or in gzip.
        what: Name in messages.
        expected: Column names that the table should have; they tell the separator.
        separator: Letter between cells; found in the file by default.
        encoding: Name of the encoding; found in the file by default.
        ids: Columns of text, in which a comma is no decimal comma.

    Raises:
        TableError: As for `read_csv`, or the form cannot be told.
    """
    form = find_format(path, what, expected, separator, encoding)
    raw = path if form.is_plain else plain_text(path, form, what)
    frame = read_csv(raw, what, form.separator)
    frame = frame.rename(expected_names(frame.columns, expected))
    notes = form.sentences(what)
    notes += _short_rows(frame, raw, form.separator, what, form.lines_above + 2)
    if form.separator != ",":
        names = [name for name in frame.columns if name not in ids]
        frame, decimal = with_points(frame, names)
        notes += [f"Decimal commas of {listed(decimal)} were read as points."] if decimal else []
    return TextTable(frame, tuple(notes), form.lines_above + 2)


def expected_names(names: Sequence[str], expected: Collection[str]) -> dict[str, str]:
    """Names of columns that differ from an expected one in blanks or Unicode form → that one.

    Other names stay as they are: what is written is read back.
    """
    wanted = {plain_name(name): name for name in expected if name not in names}
    plain = [plain_name(name) for name in names]
    return {
        name: wanted[form]
        for name, form in zip(names, plain, strict=True)
        if form in wanted and plain.count(form) == 1
    }


def _short_rows(
    frame: pl.DataFrame, raw: Path | bytes, separator: str, what: str, first: int
) -> list[str]:
    """A note on rows with fewer cells than the header, whose last cells polars leaves empty."""
    if frame.width < 2 or not frame.to_series(-1).null_count():
        return []
    content = raw if isinstance(raw, bytes) else b"".join(text_chunks(raw))
    if b'"' not in content and content.count(separator.encode()) >= (len(frame) + 1) * (
        frame.width - 1
    ):
        return []
    short = _rows_below(content, separator, frame.width, first - 1)
    if not short:
        return []
    count = f"{plural(len(short), 'row')} with fewer cells than the header"
    return [f"{what}: {count}, first row {short[0]}: what they lack was read as empty."]


def _rows_below(content: bytes, separator: str, width: int, first: int) -> list[int]:
    """Numbers of the rows with fewer cells than a width; rows without any are not counted."""
    limit = csv.field_size_limit(max(len(content), csv.field_size_limit()))
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator)
        return [number for number, row in enumerate(rows, start=first) if 0 < len(row) < width]
    finally:
        csv.field_size_limit(limit)


def with_points(frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """Numbers with a decimal comma as numbers with a point; the columns that have them.

    A column whose commas may all be those of thousands stays as it is.
    """
    decimal: list[str] = []
    for name in names:
        cells = frame[name].drop_nulls()
        commas = cells.filter(cells.str.contains(",", literal=True))
        is_number = len(commas) and cells.str.strip_chars().str.contains(DECIMAL).all()
        if is_number and not commas.str.strip_chars().str.contains(THOUSANDS).all():
            decimal.append(name)
    points = pl.col(decimal).str.replace(",", ".", literal=True)
    return (frame.with_columns(points) if decimal else frame), decimal


def read_csv(
    path: Path | bytes,
    what: str,
    separator: str = ",",
    header: Sequence[str] | None = None,
    *,
    columns: Sequence[str] = (),
) -> pl.DataFrame:
    """Read delimited text, plain or in gzip (``.gz``); every cell as text, empty cells null.

    Args:
        path: The file, or its content.
        what: Name in messages, e.g. ``Manifest "chest.csv"``.
        separator: One letter between cells.
        header: Column names, for a file without a header.
        columns: Columns to read; all by default. Names that are not there are passed over.

    Raises:
        TableError: Not UTF-8, ragged, empty, damaged, too large, or with a repeated header.
    """
    if isinstance(path, Path):
        require_text_size(path, what)
    elif packing(path[:8]) is not None:  # text decoded from another encoding
        raise TableError(f"{what} cannot be read: it is not text.")
    try:
        frame = pl.read_csv(
            path,
            infer_schema=False,
            separator=separator,
            has_header=header is None,
            columns=_positions(path, separator, columns),
        )
    except pl.exceptions.NoDataError as error:
        raise TableError(f"{what} is empty. It needs a header and at least one row.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        fault = _read_fault(path, separator)
        if fault is not None and not (fault == MALFORMED and _quotes_are_letters(path, separator)):
            raise TableError(f"{what} cannot be read: {fault}") from error
        try:
            frame = pl.read_csv(
                path,
                infer_schema=False,
                separator=separator,
                has_header=header is None,
                truncate_ragged_lines=fault is None,
                quote_char='"' if fault is None else None,
            )
        except pl.exceptions.PolarsError:  # quotes were not what is wrong with it
            raise TableError(f"{what} cannot be read: {UNEVEN}") from error
    if header is not None:
        if len(frame.columns) != len(header):
            raise TableError(
                f"{what} has {len(frame.columns)} columns (expected: {len(header)}, without a "
                "header row)."
            )
        return frame.rename(dict(zip(frame.columns, header, strict=True)))
    # polars unescapes doubled quotes in cells but not in the header
    frame = frame.rename({name: name.replace('""', '"') for name in frame.columns if '""' in name})
    _check_header(frame.columns, path, what, separator)
    return frame


def _positions(path: Path | bytes, separator: str, columns: Sequence[str]) -> list[int] | None:
    """Positions of wanted columns in a header; None for all, also where one is not there."""
    if not columns or isinstance(path, bytes):
        return None
    try:
        with open_text(path) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            cells = next(csv.reader(text, delimiter=separator), list[str]())
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error):
        return None  # read whole, and refused there
    positions = [place for place, name in enumerate(cells) if name.strip() in columns]
    return positions or None


def _check_header(names: Sequence[str], path: Path | bytes, what: str, separator: str) -> None:
    separators = [other for other in SEPARATORS if other != separator and other in names[0]]
    if len(names) == 1 and separators:
        wanted = SEPARATORS.get(separator, f"'{separator}'")
        raise TableError(
            f"{what} separates its columns with {SEPARATORS[separators[0]]}. Save it with {wanted}."
        )
    if any("\ufffd" in header for header in names):
        raise TableError(f"{what} cannot be read: {_read_fault(path, separator) or MALFORMED}")
    twice = [h.rsplit("_duplicated_", 1)[0] for h in names if "_duplicated_" in h]
    require_distinct([*names, *(name for name in twice if name in names)], what)


def require_distinct(names: Sequence[str], what: str) -> None:
    """Refuse a table with several columns of one name.

    Raises:
        TableError: Names are repeated.
    """
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise TableError(
            f"{what} has several columns with the same name: {listed(map(_shown, repeated))}. Keep "
            "one of each."
        )


def _shown(name: str) -> str:
    """A column's name for a message; the first row of a table without a header may be ids."""
    return name if name.replace("_", "").replace(" ", "").isalpha() else "(a name with figures)"


def _read_fault(path: Path | bytes, separator: str) -> str | None:
    """The fault of a text; None if rows are longer than the header by empty cells alone."""
    try:
        raw = path if isinstance(path, bytes) else b"".join(text_chunks(path))
    except (OSError, EOFError, zlib.error):
        return "the file is incomplete. Download or copy it again."
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return f"line {line} is not UTF-8 text. Save the file as UTF-8."
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator)
    header = next(reader, list[str]())
    is_long = False
    for row in reader:
        if any(cell.strip() for cell in row[len(header) :]):
            return f"line {reader.line_num} has {len(row)} cells, the header has {len(header)}."
        is_long = is_long or len(row) > len(header)
    if (line := _odd_quote(text, separator)) is not None:
        return (
            f"the quotes in line {line} or below do not come in pairs. One inside a quoted cell is "
            'written twice: "".'
        )
    return None if is_long else MALFORMED


def _odd_quote(text: str, separator: str) -> int | None:
    """The line of the first row with a quote that ends a cell in its middle, or ends nowhere."""
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    line = 1
    try:
        for _ in reader:
            line = reader.line_num + 1
    except csv.Error:
        return line
    return None


def _quotes_are_letters(path: Path | bytes, separator: str) -> bool:
    """True if no cell begins with a quote: quotes inside are inches or seconds, not marks."""
    raw = path if isinstance(path, bytes) else b"".join(text_chunks(path))
    return re.search(rb'(?m)(?:^|[%s])"' % re.escape(separator.encode()), raw) is None
