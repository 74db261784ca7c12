"""Differences between groups: worst group, gap, and a test of "no difference"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import SubgroupMetrics, evaluate_replicates, ratio
from medtransfer.statistics.bootstrap import LEVEL, MIN_DEFINED, WIDTH


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


def ratio_of_groups(values: Sequence[Floats]) -> Floats:
    """Smallest over largest group value, in the sample and in every replicate.

    Args:
        values: Of each group; not below 0. G times [1 + R]

    Returns:
        0 to 1; NaN where any group is undefined or none is above 0. [1 + R]
    """
    stacked = np.stack(values)
    return ratio(stacked.min(axis=0), stacked.max(axis=0))


def gap_interval(values: Sequence[Floats], largest: float) -> tuple[float, float] | None:
    """The interval of a gap: it plus and minus what chance alone makes of a gap, from 0 up.

    A maximum over noisy groups is biased upward, the more so in replicates. So the width is taken
    from the replicates with the groups' own values taken out: the gap of pure noise, as in
    simultaneous intervals of ranges. Coverage: docs/explanation/intervals.md.

    Args:
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        largest: Largest possible gap.

    Returns:
        None where the groups are defined together in too few replicates.
    """
    noise = _noise(values)
    if noise is None:
        return None
    width = float(np.quantile(noise.max(axis=0) - noise.min(axis=0), LEVEL))
    value = float(gap(values)[0])
    return max(0.0, value - width), min(largest, value + width)


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
    value = float(worst_group(values, higher_is_better=higher_is_better)[0])
    return max(ends[0], value - width), min(ends[1], value + width)


def _noise(values: Sequence[Floats]) -> Floats | None:
    """Replicates minus the sample's values, where all groups are defined. [G, defined]"""
    stacked = np.stack(values)
    noise = stacked[:, 1:] - stacked[:, :1]
    defined = noise[:, np.isfinite(noise).all(axis=0)]
    enough = defined.shape[1] >= max(1, MIN_DEFINED * noise.shape[1])
    return defined if enough and np.isfinite(stacked[:, 0]).all() else None


def permutation_ps(
    parts: Sequence[SubgroupMetrics],
    group: NDArray[np.int64],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> list[float | None]:
    """P-values of "the groups do not differ", by dealing the groups out to patients anew.

    A maximum over noisy groups is biased upward; under the permutations it is so by the same
    amount. Phipson and Smyth 2010: (1 + hits) / (1 + permutations).

    Args:
        parts: The same metrics bound to one target after the other; the mean over targets is
            compared. Patients are numbered 0 to P-1.
        group: Group of each patient, 0 to G-1. [P]
        permutations: How often.
        rng: Source of the permutations.

    Returns:
        One for each metric; None where the gap is undefined.
    """
    observed = _gaps(parts, group[None, :])
    permuted: list[list[Floats]] = [[] for _ in observed]
    for start in range(0, permutations, WIDTH):
        block = np.tile(group, (min(WIDTH, permutations - start), 1))
        for over, gaps in zip(permuted, _gaps(parts, rng.permuted(block, axis=1)), strict=True):
            over.append(gaps)
    return [
        _share_above(float(mine[0]), np.concatenate(over)) if permutations else None
        for mine, over in zip(observed, permuted, strict=True)
    ]


def _share_above(observed: float, gaps: Floats) -> float | None:
    if not np.isfinite(observed):
        return None
    defined = gaps[np.isfinite(gaps)]
    return float((1 + (defined >= observed - 1e-12).sum()) / (1 + len(defined)))


def _gaps(parts: Sequence[SubgroupMetrics], groups: NDArray[np.int64]) -> list[Floats]:
    """Each metric's gap for each dealing of groups to patients. [R, P] to M times [R]"""
    by_group: list[list[Floats]] = []
    for number in range(int(groups.max()) + 1):
        counts = np.ascontiguousarray((groups == number).T.astype(np.uint16))
        of_parts = evaluate_replicates(parts, [counts])
        by_group.append([np.mean(of_metric, axis=0) for of_metric in zip(*of_parts, strict=True)])
    return [gap(of_groups) for of_groups in zip(*by_group, strict=True)]
