"""Delimited text as it is found: CSV, its relatives with other separators, and gzip around them.

Every cell is read as text, so an id keeps its leading zeros. polars quotes cells in its messages,
and cells may hold names: what is wrong is said in our own words, by line.
"""

import csv
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medtransfer.errors import TableError, listed

SEPARATORS = {",": "commas", ";": "';'", "\t": "tabs", "|": "'|'"}
"""What columns are separated by, and how that is said."""


def read_csv(
    path: Path, what: str, separator: str = ",", header: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read delimited text, plain or in gzip (``.gz``); every cell as text, empty cells null.

    Args:
        path: The file.
        what: How messages call it, e.g. ``Manifest "chest.csv"``.
        separator: One letter between cells.
        header: Names of the columns of a file that has no header.

    Raises:
        TableError: Not UTF-8, ragged, empty, damaged, or with a repeated header.
    """
    try:
        frame = pl.read_csv(
            path, infer_schema=False, separator=separator, has_header=header is None
        )
    except pl.exceptions.NoDataError as error:
        raise TableError(f"{what} is empty. It needs a header and at least one row.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{what} cannot be read: {_read_fault(path, separator)}") from error
    if header is not None:
        if len(frame.columns) != len(header):
            raise TableError(
                f"{what} has {len(frame.columns)} columns (expected: {len(header)}, without a "
                "header)."
            )
        return frame.rename(dict(zip(frame.columns, header, strict=True)))
    # polars takes doubled quotes apart in cells and leaves them in the header
    frame = frame.rename({name: name.replace('""', '"') for name in frame.columns if '""' in name})
    _check_header(frame.columns, path, what, separator)
    return frame


def _check_header(names: Sequence[str], path: Path, what: str, separator: str) -> None:
    found = [other for other in SEPARATORS if other != separator and other in names[0]]
    if len(names) == 1 and found:
        wanted = SEPARATORS.get(separator, f"'{separator}'")
        raise TableError(
            f"{what} separates its columns with {SEPARATORS[found[0]]}. Save it with {wanted}."
        )
    if any("\ufffd" in header for header in names):
        raise TableError(f"{what} cannot be read: {_read_fault(path, separator)}")
    twice = [h.rsplit("_duplicated_", 1)[0] for h in names if "_duplicated_" in h]
    if repeated := sorted({name for name in twice if name in names}):
        raise TableError(
            f"{what} has columns of the same name: {listed(repeated)}. Keep one of each."
        )


def _read_fault(path: Path, separator: str) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
    except (OSError, EOFError, zlib.error):
        return "it is not a whole file. Download or copy it again."
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return f"line {line} is not UTF-8 text. Save it as UTF-8."
    reader = csv.reader(text.splitlines(), delimiter=separator)
    header = next(reader, list[str]())
    for row in reader:
        if len(row) > len(header):
            return f"line {reader.line_num} has {len(row)} cells, the header has {len(header)}."
    return "it is not a well-formed CSV file."
