"""Whole patients drawn where there are more cases than are looked at. No torch."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.seeds import generator


def drawn_patients(patients: NDArray[np.str_], limit: int, purpose: str) -> NDArray[np.bool_]:
    """Mask of the cases of patients who together have at most so many; all where there are fewer.

    Args:
        patients: Of each case. [N]
        limit: Most cases; the first patient stays whatever its number.
        purpose: Of the draw.

    Returns:
        [N]
    """
    if len(patients) <= limit:
        return np.ones(len(patients), dtype=np.bool_)
    names, owner, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = generator(0, purpose).permutation(len(names))
    number = int(np.searchsorted(np.cumsum(counts[order]), limit, side="right"))
    is_chosen = np.zeros(len(names), dtype=np.bool_)
    is_chosen[order[: max(1, number)]] = True
    return is_chosen[owner]
