"""Memory that scoring a run takes, and the refusal of what does not fit."""

from medtransfer.disk import size_text
from medtransfer.errors import TableError, plural
from medtransfer.sizes.limits import free_memory

FIXED_BYTES = 2**29
BYTES_PER_CASE = {True: 3_500, False: 1_000}
"""Peak for each case of a run while one target is measured, by whether calibrators and prediction
sets are fitted (measured with all metrics at 1,000,000 cases, with the core at 500,000)."""
BYTES_PER_CELL = {True: 300, False: 150}
"""Peak for each case and target: the predictions themselves, and all targets pooled."""


def scoring_memory(rows: int, targets: int, *, fits: bool) -> int:
    """Bytes that scoring takes at most: runs are scored one after the other, targets likewise.

    Args:
        rows: Of the largest run.
        targets: Their number.
        fits: True if calibrators and prediction sets are fitted, as most metrics need.
    """
    return FIXED_BYTES + rows * (BYTES_PER_CASE[fits] + targets * BYTES_PER_CELL[fits])


def require_scoring_memory(rows: int, targets: int, *, fits: bool, free: int | None = None) -> None:
    """Stop before a run is scored that does not fit.

    Args:
        rows: As for `scoring_memory`.
        targets: Likewise.
        fits: Likewise.
        free: Bytes of memory that are free; by default what the system says.

    Raises:
        TableError: It needs more.
    """
    free = free_memory() if free is None else free
    needed = scoring_memory(rows, targets, fits=fits)
    if free is None or needed <= free:
        return
    least = scoring_memory(rows, targets, fits=False)
    advice = (
        f"Set `metrics: [core]` in the evaluation settings, which needs about {size_text(least)}; "
        "or evaluate fewer targets or cohorts at a time, "
        if fits and least <= free
        else "Evaluate fewer targets or cohorts at a time, "
    )
    raise TableError(
        f"A run of {plural(rows, 'row')} needs about {size_text(needed)} of memory to be scored, "
        f"and {size_text(free)} are free. {advice}draw a sample of its patients, or use a larger "
        "machine."
    )
