"""Whom a classifier serves worse: worst group, gap, and a test of "no difference"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.bootstrap import CHUNK, LEAST_DEFINED, LEVEL, Floats, Weighted


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


def gap_interval(values: Sequence[Floats], most: float) -> tuple[float, float] | None:
    """The interval of a gap: it plus and minus what chance alone makes of a gap, from 0 up.

    A maximum over noisy groups is biased upward, the more so in replicates. So the width is taken
    from the replicates with the groups' own values taken out: the gap of pure noise, as in
    simultaneous intervals of ranges. Coverage: docs/explanation/intervals.md.

    Args:
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        most: Largest possible gap.

    Returns:
        None where the groups are defined together in too few replicates.
    """
    noise = _noise(values)
    if noise is None:
        return None
    width = float(np.quantile(noise.max(axis=0) - noise.min(axis=0), LEVEL))
    found = float(gap(values)[0])
    return max(0.0, found - width), min(most, found + width)


def worst_interval(
    values: Sequence[Floats], *, higher_is_better: bool, ends: tuple[float, float]
) -> tuple[float, float] | None:
    """The interval of the worst group's value: plus and minus the largest chance deviation.

    Whichever group looks worst was picked for it, so the width must hold for all of them at once.

    Args:
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        higher_is_better: Direction of the metric.
        ends: The metric's range.

    Returns:
        None where the groups are defined together in too few replicates.
    """
    noise = _noise(values)
    if noise is None:
        return None
    width = float(np.quantile(np.abs(noise).max(axis=0), LEVEL))
    found = float(worst_group(values, higher_is_better=higher_is_better)[0])
    return max(ends[0], found - width), min(ends[1], found + width)


def _noise(values: Sequence[Floats]) -> Floats | None:
    """Replicates minus the sample's values, where all groups are defined. [G, defined]"""
    stacked = np.stack(values)
    noise = stacked[:, 1:] - stacked[:, :1]
    defined = noise[:, np.isfinite(noise).all(axis=0)]
    enough = defined.shape[1] >= max(1, LEAST_DEFINED * noise.shape[1])
    return defined if enough and np.isfinite(stacked[:, 0]).all() else None


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
