"""Compiled passes over cases for many replicates at once; the only module that imports numba.

Every kernel takes the patient of each case, in the order it needs, and the counts of patients in a
block of replicates, ``[P, W]``: how often each patient was drawn. The innermost loop runs over the
replicates, which lie side by side in memory, so that one pass over the cases serves all of them.
"""

from collections.abc import Callable
from functools import cached_property, update_wrapper
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Int32Array = NDArray[np.int32]
Counts = NDArray[np.uint16] | NDArray[np.float64]
"""Weight of each patient in each replicate of a block. [P, W]"""
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


class _Compiled:
    """A kernel that is compiled when it is first called: importing numba takes a quarter second."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        update_wrapper(self, function)

    @cached_property
    def dispatcher(self) -> Callable[..., Any]:
        """The function as numba compiles it, cached on disk if a folder for it is writable."""
        import numba

        plain = self.py_func
        # kernels that it calls have to be numba's own
        names = {
            name: value.dispatcher if isinstance(value, _Compiled) else value
            for name, value in plain.__globals__.items()
            if name in plain.__code__.co_names
        }
        given = {**plain.__globals__, **names}
        function = FunctionType(plain.__code__, given, plain.__name__, plain.__defaults__)
        function.__qualname__ = plain.__qualname__
        function.__module__ = plain.__module__
        try:
            return cast("Any", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
        except RuntimeError:  # no folder to keep it in
            return cast("Any", numba.njit(nogil=True, error_model="numpy")(function))

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.dispatcher(*args, **named)


def compiled(function: Kernel) -> Kernel:
    """Compile on first use; cached on disk if the package's or the user's folder is writable."""
    return cast("Kernel", _Compiled(function))


@compiled
def total_weight(patient: Int32Array, counts: Counts) -> Floats:
    """Weight of all cases. [n] patients, [P, W] -> [W]."""
    total = np.zeros(counts.shape[1])
    # invariant: total is the weight of the cases before i
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for r in range(len(total)):
            total[r] += drawn[r]
    return total


@compiled
def add_by_patient(
    patient: Int32Array, code: Int32Array, column: Floats | Flags, out: Floats
) -> None:
    """Add a column's numbers to the sums of their patients, one case after the other.

    `np.bincount` gives the same sums, with a copy of the column and of the codes in 64 bits each.

    Args:
        patient: [n]
        code: Place of each patient's sum. [P]
        column: Flags count as 0 and 1. [n]
        out: The sums, changed in place. [M]
    """
    # invariant: out holds what it held before, and the numbers of the cases before i
    for i in range(len(patient)):
        out[code[patient[i]]] += column[i]


@compiled
def column_sums(patient: Int32Array, sums: Floats, counts: Counts) -> Floats:
    """Weighted sums of columns. [M] patients, their sums [M, K], [P, W] -> [K, W]."""
    width, columns = counts.shape[1], sums.shape[1]
    out = np.zeros((columns, width))
    weight = np.empty(width)
    # invariant: out holds the sums over the patients before m; in the loop, weight holds their
    # counts as floats, converted once for all columns
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
    # invariant: out holds the sums over the cases before i
    for i in range(len(patient)):
        drawn = counts[patient[i]]
        for k in range(columns):
            value = values[i, k]
            if value != 0.0:  # many cases have nothing to add, e.g. negatives to a sum of positives
                row = out[k, number[i]]
                for r in range(width):
                    row[r] += value * drawn[r]
    return out
