"""Passes over millions of rows in slices or shares, so that they take little memory.

Texts are compared by 64-bit hashes. Different texts may have the same hash, so matches of
hashes are checked again on the texts; nothing is missed, since equal texts have equal hashes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

SLICE_ROWS = 1_000_000
"""Rows processed at once."""
SHARES_LOG2 = 3
"""Logarithm of the number of shares in which texts and hashes are sorted."""
SAMPLE = 4096
"""Number of texts that the boundaries of shares are chosen from."""
Hashes = NDArray[np.uint64]


def rows_where(frame: pl.DataFrame, holds: pl.Expr) -> pl.DataFrame:
    """The rows for which an expression holds."""
    if len(frame) <= SLICE_ROWS:
        return frame.filter(holds)
    return pl.concat([part.filter(holds) for part in frame.iter_slices(SLICE_ROWS)])


def any_cell(cells: pl.Series, holds: pl.Expr) -> bool:
    """True if an expression holds for any cell of a column."""
    frame = cells.to_frame()
    return any(part.select(holds.any()).item() for part in frame.iter_slices(SLICE_ROWS))


def sorted_shares(texts: pl.Series) -> Iterator[NDArray[np.int64]]:
    """Positions in shares: no text of a share comes before a text of an earlier share.

    Sorting share by share takes a fraction of the memory that sorting all at once takes.

    Args:
        texts: None of them empty, in any order. [N]
    """
    if len(texts) <= SLICE_ROWS:
        yield np.arange(len(texts))
        return
    sample = texts.gather_every(len(texts) // SAMPLE).sort()
    count = 2**SHARES_LOG2
    limits = sample.gather([len(sample) * share // count for share in range(1, count)])
    begun = np.zeros(len(texts), dtype=bool)
    for limit in limits.unique(maintain_order=True):
        below = (texts < limit).to_numpy()
        yield np.flatnonzero(below & ~begun)
        begun = below
    yield np.flatnonzero(~begun)


def hashes_of(frame: pl.DataFrame, *cells: pl.Expr) -> list[Hashes]:
    """64-bit hashes of cells, of the rows in which none of them is empty. [N] each"""
    hashes = [np.empty(len(frame), dtype=np.uint64) for _ in cells]
    names = [str(column) for column in range(len(cells))]
    end = 0
    for part in frame.iter_slices(SLICE_ROWS):
        texts = part.select(cell.alias(name) for cell, name in zip(cells, names, strict=True))
        row_hashes = texts.drop_nulls().select(pl.all().hash())
        for column, name in zip(hashes, names, strict=True):
            column[end : end + len(row_hashes)] = row_hashes[name].to_numpy()
        end += len(row_hashes)
    return [column[:end] for column in hashes]


def has_repeats(hashes: Hashes) -> bool:
    """True if two hashes are equal. Sorts them in place."""
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())


def ambiguous_owners(owners: Hashes, values: Hashes) -> Hashes:
    """The owners that have several values, each once.

    Args:
        owners: Of each row, e.g. hashes of patients. [N]
        values: Of each row, e.g. hashes of splits. [N]
    """
    shift = np.uint64(64 - SHARES_LOG2)
    ambiguous: list[Hashes] = []
    for share in range(2**SHARES_LOG2):
        in_share = owners >> shift == share
        share_owners, share_values = owners[in_share], values[in_share]
        order = np.argsort(share_owners)
        share_owners, share_values = share_owners[order], share_values[order]
        # if an owner has several values, two neighbours differ whatever their order
        ambiguous.append(
            np.unique(
                share_owners[1:][
                    (share_owners[1:] == share_owners[:-1])
                    & (share_values[1:] != share_values[:-1])
                ]
            )
        )
    return np.concatenate(ambiguous)


def has_blanks(cells: pl.Series) -> bool:
    """True if a text is empty or has surrounding blanks; otherwise no copy is needed."""
    return any_cell(cells, _is_padded(cells.name))


def with_blank_cells(frame: pl.DataFrame, texts: Sequence[str]) -> set[str]:
    """The text columns for which `has_blanks` is true, in one pass over a small table."""
    if len(frame) > SLICE_ROWS:
        return {name for name in texts if has_blanks(frame[name])}
    if not texts:
        return set()
    held = frame.select(_is_padded(name).any().alias(name) for name in texts).row(0, named=True)
    return {name for name, holds in held.items() if holds}


def _is_padded(name: str) -> pl.Expr:
    return (pl.col(name).str.strip_chars() != pl.col(name)) | (pl.col(name) == "")
