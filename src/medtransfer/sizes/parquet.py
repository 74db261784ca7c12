"""Size of a Parquet file before it is read: its footer, read with a reader of our own.

The footer is a structure in the compact protocol of Thrift:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl

from medtransfer.errors import TableError
from medtransfer.sizes.cells import require_texts
from medtransfer.sizes.limits import MAX_COLUMNS, MAX_ROWS, require_count, require_memory

MAGIC = b"PAR1"
MAX_FOOTER = 64 * 2**20
"""Bytes of a footer that is read: 100 columns in 5,000 groups of rows have 40 MB."""
MAX_DEPTH = 20
"""Structures within structures; a footer has 6."""
WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 16, 7: 16}
"""Bytes of a cell in memory, by the number of its physical type."""
PARQUET_COPIES = 2
"""Copies of a table in memory while it is read and checked."""
Fields = dict[int, Any]
"""A structure of the footer: number of a field → its value."""


@dataclass(frozen=True)
class ParquetSize:
    """Size of a Parquet file by its footer.

    Attributes:
        rows: Number of its rows.
        columns: Number of its columns, those within columns included.
        memory: Bytes that the columns asked for take in memory.
    """

    rows: int
    columns: int
    memory: int


def require_parquet_size(path: Path, what: str, skip: Collection[str] = ()) -> None:
    """Refuse a Parquet file that is too large, before it is read.

    A damaged file passes; its reader names the fault.

    Args:
        path: The file.
        what: Name in messages.
        skip: Columns that will not be read.

    Raises:
        TableError: It has more rows or columns, or takes more memory, than is allowed.
    """
    try:
        size = parquet_size(path, skip)
    except (OSError, ValueError):
        return
    require_count(size.columns, "columns", MAX_COLUMNS, what, TableError)
    require_count(size.rows, "rows", MAX_ROWS, what, TableError)
    require_memory(size.memory, what, TableError)


def parquet_size(path: Path, skip: Collection[str] = ()) -> ParquetSize:
    """Size of a Parquet file by its footer.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has no footer that makes sense.
    """
    footer = _structure(_Bytes(_footer(path)), 0)
    rows, columns, memory = 0, 0, 0
    for group in _structures(footer, 4):
        chunks = [cast("Fields", chunk[3]) for chunk in _structures(group, 1) if _has_facts(chunk)]
        columns = max(columns, len(chunks))
        rows += max([_number(group, 3), *(_number(c, 5) for c in chunks if _is_flat(c))])
        wanted = [chunk for chunk in chunks if _name(chunk) not in skip]
        memory += sum(_cells(chunk) for chunk in wanted)
    return ParquetSize(max(rows, _number(footer, 3)), columns, memory)


def _has_facts(chunk: Fields) -> bool:
    return isinstance(chunk.get(3), dict)


def _cells(chunk: Fields) -> int:
    """Bytes of a part of a column in memory."""
    width = WIDTHS.get(_number(chunk, 1), 16)
    return PARQUET_COPIES * (_number(chunk, 5) * width + _number(chunk, 6))


def _name(chunk: Fields) -> str:
    parts = chunk.get(3, [])
    first = cast("list[Any]", parts)[0] if isinstance(parts, list) and parts else b""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else ""


def _is_flat(chunk: Fields) -> bool:
    """True for a column of single values, of which there are as many as rows."""
    parts = chunk.get(3, [])
    return isinstance(parts, list) and len(cast("list[Any]", parts)) == 1


def _number(fields: Fields, key: int) -> int:
    value = fields.get(key, 0)
    return value if isinstance(value, int) and value > 0 else 0


def _structures(fields: Fields, key: int) -> list[Fields]:
    value = fields.get(key, [])
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Fields", item) for item in items if isinstance(item, dict)]


def _footer(path: Path) -> bytes:
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != MAGIC or length > min(end - 8, MAX_FOOTER):
            raise ValueError("no footer")
        file.seek(end - 8 - length)
        return file.read(length)


class _Bytes:
    """Position in a structure of bytes."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def byte(self) -> int:
        if self.place >= len(self.content):
            raise ValueError("the footer ends early")
        self.place += 1
        return self.content[self.place - 1]

    def varint(self) -> int:
        value, shift = 0, 0
        while shift < 70:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number is too long")

    def signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def text(self, length: int) -> bytes:
        if length > len(self.content) - self.place:
            raise ValueError("the footer ends early")
        self.place += length
        return self.content[self.place - length : self.place]


def _structure(data: _Bytes, depth: int) -> Fields:
    fields: Fields = {}
    key = 0
    while header := data.byte():
        key = key + (header >> 4) if header >> 4 else data.signed()
        kind = header & 15
        fields[key] = kind == 1 if kind in (1, 2) else _value(data, kind, depth)
    return fields


def _value(data: _Bytes, kind: int, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("too many structures within structures")
    match kind:
        case 1 | 2 | 3:
            return data.byte()
        case 4 | 5 | 6:
            return data.signed()
        case 7:
            return data.text(8)
        case 8:
            return data.text(data.varint())
        case 9 | 10:
            header = data.byte()
            count = header >> 4 if header >> 4 < 15 else data.varint()
            if count > len(data.content):
                raise ValueError("a list is longer than the footer")
            return [_value(data, header & 15, depth + 1) for _ in range(count)]
        case 12:
            return _structure(data, depth + 1)
        case _:
            raise ValueError("an unknown type of field")


def read_parquet(path: Path, what: str, skip: Collection[str] = ()) -> pl.DataFrame:
    """Read a Parquet file whose size was checked first.

    Args:
        path: The file.
        what: Name in messages.
        skip: Columns that are not read.

    Raises:
        TableError: The file is damaged or too large.
    """
    require_parquet_size(path, what, skip)
    try:
        names = [name for name in pl.read_parquet_schema(path) if name not in skip]
        # column by column: memory for unpacking one is released before the next
        columns = [pl.read_parquet(path, columns=[name]).to_series() for name in names]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise TableError(f"{what} is not a readable Parquet file.") from error
    frame = pl.DataFrame(columns)
    require_texts(frame, what)
    return frame
