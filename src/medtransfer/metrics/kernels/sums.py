"""Compiled passes over cases for many replicates at once; the only module that imports numba.

Every kernel takes the patient of each case, in the order it needs, and the counts of patients in a
block of replicates, ``[P, W]``: how often each patient was drawn. The innermost loop runs over the
replicates, which lie side by side in memory, so that one pass over the cases serves all of them.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Int32Array = NDArray[np.int32]
Counts = NDArray[np.uint16] | NDArray[np.float64]
"""How often each patient of a block of replicates counts. [P, W]"""
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile on first use; kept on disk where the package's folder or the user's lets it."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast("Kernel", numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder to keep it in
        return cast("Kernel", numba.njit(**options)(function))


@compiled
def column_sums(patient: Int32Array, sums: Floats, counts: Counts) -> Floats:
    """Weighted sums of columns. [M] patients, their sums [M, K], [P, W] -> [K, W]."""
    width, columns = counts.shape[1], sums.shape[1]
    out = np.zeros((columns, width))
    weight = np.empty(width)
    for m in range(len(patient)):
        drawn = counts[patient[m]]
        for r in range(width):
            weight[r] = drawn[r]
        for k in range(columns):
            value = sums[m, k]
            if value != 0.0:
                row = out[k]
                for r in range(width):
                    row[r] += value * weight[r]
    return out


@compiled
def binned_sums(
    patient: Int32Array, number: Int32Array, values: Floats, bins: int, counts: Counts
) -> Floats:
    """Weighted sums of values by bin. [n] patients and bins, values [n, K] -> [K, B, W]."""
    width, columns = counts.shape[1], values.shape[1]
    out = np.zeros((columns, bins, width))
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for k in range(columns):
            value = values[i, k]
            if value != 0.0:
                row = out[k, number[i]]
                for r in range(width):
                    row[r] += value * drawn[r]
    return out
