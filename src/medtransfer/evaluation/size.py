"""Whether a table can be scored in the memory of this machine, asked before it is tried."""

from pathlib import Path

import polars as pl

from medtransfer.errors import TableError, plural
from medtransfer.files import size_text
from medtransfer.tables.predictions import target_names

BYTES_PER_CELL = 3_500
"""Peak for each case and target of a run, of which every metric holds its parts (measured at
1,000,000 cases)."""
FIXED_BYTES = 2**29


def memory_needed(predictions: pl.DataFrame) -> int:
    """Bytes that scoring takes at most: runs are scored one after the other."""
    largest = predictions.group_by("run_id").len()["len"].max()
    targets = len(target_names(predictions))
    pooled = targets > 1
    return FIXED_BYTES + int(str(largest or 0)) * (targets + pooled) * BYTES_PER_CELL


def refuse_small_memory(predictions: pl.DataFrame, free: int | None = None) -> None:
    """Stop before a table is scored that does not fit.

    Args:
        predictions: The table.
        free: Bytes of memory that are free; by default what the system says.

    Raises:
        TableError: It needs more.
    """
    free = free_memory() if free is None else free
    needed = memory_needed(predictions)
    if free is not None and needed > free:
        rows = predictions.group_by("run_id").len()["len"].max()
        raise TableError(
            f"A run of {plural(int(str(rows)), 'row')} needs about {size_text(needed)} of memory "
            f"to be scored, and {size_text(free)} are free. Evaluate fewer targets or cohorts at "
            "a time, draw a sample of its patients, or use a larger machine."
        )


def free_memory() -> int | None:
    """Bytes of memory that are free, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(li.split()[1]) * 1024 for li in lines if li.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
