"""Size of delimited text before it is read, packed or not.

What a file is packed with is told by its first bytes: polars unpacks by them, whatever its name.
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from medtransfer.disk import size_text
from medtransfer.errors import TableError
from medtransfer.sizes.limits import MAX_COLUMNS, MAX_ROWS, memory_limit, require_count

GZIP = b"\x1f\x8b"
OTHER_PACKING = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
CHUNK = 2**20
SEPARATORS = b",;\t|"
CELL_BYTES = 32
"""Memory of a cell beside its text: 16 bytes in the table, and as many while it is checked."""
TEXT_COPIES = 3
"""Copies of the text in memory while a table is read and checked: with `CELL_BYTES` a manifest of
2,000,000 rows is estimated at 770 MB and takes 640 MB."""
SMALL = 16 * 2**20
"""Bytes of a file that is not packed and too small to be a danger."""


@dataclass
class TextSize:
    """Size of a text table, as far as it was counted.

    Attributes:
        length: Bytes of its text, unpacked.
        lines: Line ends, of either kind.
        columns: Of its first line.
    """

    length: int = 0
    lines: int = 0
    columns: int = 1

    @property
    def memory(self) -> int:
        """Bytes that it takes in memory."""
        return self.length * TEXT_COPIES + (self.lines + 1) * self.columns * CELL_BYTES


def packing(head: bytes) -> str | None:
    """Name of what a file is packed with, by its first bytes; None for text."""
    if head.startswith(GZIP):
        return "gzip"
    names = [name for magic, name in OTHER_PACKING.items() if head.startswith(magic)]
    return names[0] if names else None


def open_text(path: Path) -> BinaryIO:
    """Open a file of text, unpacked if it is in gzip."""
    stream = path.open("rb")
    if stream.peek(2)[:2] == GZIP:
        stream.close()
        return cast("BinaryIO", gzip.open(path))  # a reader of bytes, as an open file is
    return stream


def text_chunks(path: Path) -> Iterator[bytes]:
    """The content of a file in parts, unpacked if it is in gzip."""
    with open_text(path) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def require_text_size(path: Path, what: str) -> None:
    """Refuse a text table that is too large, before it is read.

    A damaged file passes; its reader names the fault.

    Args:
        path: The file, plain or in gzip.
        what: Name in messages.

    Raises:
        TableError: It has more rows or columns, or takes more memory, than is allowed; it is
            packed with something else than gzip.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
        kind = packing(head)
        if kind not in (None, "gzip"):
            raise TableError(f"{what} is packed with {kind}. Unpack it, or pack it with gzip.")
        size = path.stat().st_size
        columns_only = kind is None and size <= SMALL
        _count(path, what, first_line_only=columns_only)
    except (OSError, EOFError, zlib.error):
        return


def _count(path: Path, what: str, *, first_line_only: bool) -> None:
    """Count until a limit is passed."""
    counted, allowed = TextSize(), memory_limit()
    for chunk in text_chunks(path):
        if not counted.lines:
            end = min((e for e in (chunk.find(b"\n"), chunk.find(b"\r")) if e >= 0), default=-1)
            first = chunk if end < 0 else chunk[:end]
            counted.columns += max(first.count(letter) for letter in SEPARATORS)
            require_count(counted.columns, "columns", MAX_COLUMNS, what, TableError)
        counted.length += len(chunk)
        counted.lines += max(chunk.count(b"\n"), chunk.count(b"\r"))
        if first_line_only and counted.lines:
            return
        require_count(counted.lines, "lines", MAX_ROWS, what, TableError, partly=True)
        if counted.memory > allowed:
            raise TableError(
                f"{what} needs more than {size_text(allowed)} of memory, which is what is "
                "available. Use a larger machine, read fewer rows or columns, or set the "
                "environment variable MEDTRANSFER_MAX_MEMORY_GIB to try it here."
            )
