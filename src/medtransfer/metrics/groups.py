"""Whom a classifier serves worse: worst group, gap, and a test of "no difference"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.bootstrap import CHUNK, Floats, Weighted


def worst_group(values: Sequence[Floats], *, higher_is_better: bool) -> Floats:
    """The worst group's value, in the sample and in every replicate.

    Args:
        values: Of each group. G times [1 + R]
        higher_is_better: Direction of the metric.

    Returns:
        NaN where any group is undefined. [1 + R]
    """
    stacked = np.stack(values)
    return stacked.min(axis=0) if higher_is_better else stacked.max(axis=0)


def gap(values: Sequence[Floats]) -> Floats:
    """Largest minus smallest group value, in the sample and in every replicate.

    Args:
        values: Of each group. G times [1 + R]

    Returns:
        NaN where any group is undefined. [1 + R]
    """
    stacked = np.stack(values)
    return stacked.max(axis=0) - stacked.min(axis=0)


def permutation_p(
    metric: Weighted,
    patient: NDArray[np.int64],
    group: NDArray[np.int64],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> float | None:
    """P-value of "the groups do not differ", by dealing the groups out to patients anew.

    A maximum over noisy groups is biased upward; under the permutations it is so by the same
    amount. Phipson and Smyth 2010: (1 + hits) / (1 + permutations).

    Args:
        metric: Bound to the cases.
        patient: Patient of each case, 0 to P-1. [n]
        group: Group of each case, 0 to G-1. [n]
        permutations: How often.
        rng: Source of the permutations.

    Returns:
        None if a patient is in two groups, or the gap is undefined.
    """
    of_patient = np.zeros(patient.max() + 1, dtype=np.int64)
    of_patient[patient] = group
    if (of_patient[patient] != group).any():
        return None
    observed = _gaps(metric, group[None, :])[0]
    if not np.isfinite(observed):
        return None
    dealt: list[Floats] = []
    step = max(1, CHUNK // len(patient))
    for start in range(0, permutations, step):
        block = np.tile(of_patient, (min(step, permutations - start), 1))
        dealt.append(_gaps(metric, rng.permuted(block, axis=1)[:, patient]))
    gaps = np.concatenate(dealt)
    defined = gaps[np.isfinite(gaps)]
    return float((1 + (defined >= observed - 1e-12).sum()) / (1 + len(defined)))


def _gaps(metric: Weighted, groups: NDArray[np.int64]) -> Floats:
    """The gap for each dealing of groups to cases. [R, n] to [R]"""
    number = int(groups.max()) + 1
    return gap([metric((groups == g).astype(np.float64)) for g in range(number)])
