"""Length of cells, once a table is read: a text that is packed once may be shown in every row."""

import polars as pl

from medtransfer.errors import TableError, fault_list, listed, printable
from medtransfer.sizes.limits import MAX_CELL, require_memory


def require_texts(frame: pl.DataFrame, what: str) -> None:
    """Refuse a table whose texts take more memory than is available once they are copied.

    Raises:
        TableError: They take more.
    """
    texts = frame.select(pl.col(pl.String).str.len_bytes().cast(pl.Int64).sum())
    require_memory(int(texts.sum_horizontal().sum() or 0) if texts.width else 0, what, TableError)


def require_short_cells(frame: pl.DataFrame, what: str, row: str) -> None:
    """Refuse texts that are too long to be cells of a table; all columns at once.

    Args:
        frame: The table.
        what: Name in messages.
        row: Column of its row numbers.

    Raises:
        TableError: There are such cells.
    """
    allowed = MAX_CELL.value()
    faults: list[str] = []
    for name in (name for name, kind in frame.schema.items() if kind == pl.String()):
        lengths = frame.select(row, length=pl.col(name).str.len_bytes())
        long = lengths.filter(pl.col("length") > allowed)
        if not long.is_empty():
            rows = f"row{'s' * (len(long) > 1)} {listed(long[row].to_list(), 5)}"
            faults.append(f"'{printable(name, 80)}' holds {long['length'].max():,} bytes in {rows}")
    if faults:
        raise TableError(
            fault_list(
                f"{what} has cells that are too long (allowed: up to {allowed:,} bytes)",
                faults,
                f"If they are meant, set the environment variable {MAX_CELL.variable}.",
            )
        )
