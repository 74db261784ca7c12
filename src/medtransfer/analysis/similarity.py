"""Similarity of two representations of the same cases: debiased minibatch linear CKA.

Kornblith et al. 2019 (arXiv 1905.00414), with the unbiased estimator of HSIC (Song et al. 2012)
over minibatches (Nguyen et al. 2021, arXiv 2010.15327), so that few cases of many features do not
look similar by chance.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from medtransfer.analysis.interval import Interval
from medtransfer.errors import StudyError
from medtransfer.seeds import generator

Floats = NDArray[np.float64]
MAX_BATCHES = 20
CASES_A_BATCH = 32
"""Fewest cases of a batch on average."""
MIN_CASES = 4
"""Of a batch: the unbiased estimator needs so many."""
FEW_CASES = "fewer than 2 batches of 4 cases"
NO_VARIATION = "a representation does not vary"


def patient_batches(patients: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """Cases in batches of whole patients, about equally many in each.

    Args:
        patients: Of each case. [N]
    """
    names, owner = np.unique(patients, return_inverse=True)
    count = int(np.clip(len(patients) // CASES_A_BATCH, 2, MAX_BATCHES))
    order = generator(0, "similarity").permutation(len(names))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names)) % count
    return [np.flatnonzero(place[owner] == batch) for batch in range(count)]


def require_same_cases(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """Refuse representations of different cases, or of the same in another order.

    Raises:
        StudyError: They are.
    """
    if first != second:
        other = sum(a != b for a, b in zip(first, second, strict=False))
        other += abs(len(first) - len(second))
        raise StudyError(
            f"Representations can be compared for the same cases in the same order only: {other} "
            f"of {max(len(first), len(second))} positions differ."
        )


@dataclass(frozen=True, eq=False)
class BatchGrams:
    """Gram matrices of a representation in batches of whole patients.

    Attributes:
        rows: Cases of each batch; left out where the matrices come from a file.
        matrices: Products of all pairs of cases of a batch, the diagonal 0. [n, n] each
    """

    rows: tuple[NDArray[np.int64], ...]
    matrices: tuple[Floats, ...]

    @cached_property
    def norms(self) -> Floats:
        """Unbiased HSIC of each batch with itself. [B]"""
        return np.array([_hsic(matrix, matrix) for matrix in self.matrices])


def batch_grams(values: NDArray[np.float32], patients: NDArray[np.str_]) -> BatchGrams:
    """Gram matrices of a representation; batches that are too small are left out.

    Args:
        values: [N, C]
        patients: Of each case. [N]
    """
    batches = tuple(rows for rows in patient_batches(patients) if len(rows) >= MIN_CASES)
    return BatchGrams(batches, tuple(_gram(values[rows]) for rows in batches))


def cka(
    first: NDArray[np.float32], second: NDArray[np.float32], patients: NDArray[np.str_]
) -> Interval:
    """Debiased minibatch CKA, with an interval by the jackknife over batches of patients.

    Args:
        first: A representation. [N, C]
        second: Another of the same cases, in their order. [N, D]
        patients: Of each case. [N]
    """
    return cka_of_grams(batch_grams(first, patients), batch_grams(second, patients))


def cka_of_grams(first: BatchGrams, second: BatchGrams) -> Interval:
    """Debiased minibatch CKA of two representations of the same cases, as `cka`."""
    count = len(first.matrices)
    if count < 2:
        return Interval.undefined(FEW_CASES)
    pairs = [_hsic(*both) for both in zip(first.matrices, second.matrices, strict=True)]
    sums = np.stack([np.array(pairs), first.norms, second.norms], axis=1)
    value = _ratio(sums.sum(axis=0))
    if np.isnan(value):
        return Interval.undefined(NO_VARIATION)
    left_out = np.array([_ratio(sums.sum(axis=0) - of_batch) for of_batch in sums])
    if np.isnan(left_out).any():
        return Interval.without_interval(value, "too few cases for an interval")
    error = float(np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum()))
    half = float(student.ppf(0.975, count - 1)) * error
    return Interval(value, value - half, min(1.0, value + half))


def _gram(values: NDArray[np.float32]) -> Floats:
    """Products of all pairs of cases, the diagonal 0. [n, n]"""
    centred = values.astype(np.float64)
    centred -= centred.mean(axis=0)  # changes nothing but the rounding
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0.0)
    return gram


def _hsic(k: Floats, other: Floats) -> float:
    """Unbiased HSIC of two Gram matrices without their diagonals (Song et al. 2012, equation 5)."""
    n = len(k)
    trace = float((k * other).sum())
    rows = k.sum(axis=0), other.sum(axis=0)
    means = float(rows[0].sum() * rows[1].sum()) / ((n - 1) * (n - 2))
    cross = 2 * float(rows[0] @ rows[1]) / (n - 2)
    return (trace + means - cross) / (n * (n - 3))


def _ratio(sums: Floats) -> float:
    pair, first, second = sums
    if first <= 0 or second <= 0:
        return float("nan")
    return float(pair / np.sqrt(first * second))
