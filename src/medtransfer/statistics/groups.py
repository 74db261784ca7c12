"""Differences between groups: worst group, gap, and a test of "no difference"."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import SubgroupMetrics, evaluate_replicates, ratio
from medtransfer.statistics.bootstrap import LEVEL, MIN_DEFINED, WIDTH, quantile
from medtransfer.statistics.small_samples import NORMAL_QUANTILE

MIN_LOG = -200.0
"""Logarithm of a share of 0, where a difference of logarithms is asked for."""
Variance = Callable[[Floats], Floats]
"""Variance of each group's value under its size. [G, R] to [G, R]"""


def auroc_variance(values: Floats, positives: Floats, negatives: Floats) -> Floats:
    """Variance of AUROCs by Hanley and McNeil 1982, from the values and sizes alone.

    Args:
        values: Of each group. [G, R]
        positives: Positive patients of each group. [G]
        negatives: Negative patients of each group. [G]
    """
    m, n = positives[:, None], negatives[:, None]
    a = np.clip(values, 0.5 / (m * n + 1), 1 - 0.5 / (m * n + 1))  # never 0
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    return (a * (1 - a) + (m - 1) * (q1 - a**2) + (n - 1) * (q2 - a**2)) / (m * n)


def share_variance(values: Floats, trials: Floats) -> Floats:
    """Variance of shares, never 0: half a case is added on each side.

    Args:
        values: Of each group. [G, R]
        trials: Cases that each is a share of. [G]
    """
    n = trials[:, None]
    share = (values * n + 0.5) / (n + 1)
    return share * (1 - share) / n


def studentised_gap(values: Floats, variances: Floats) -> Floats:
    """Largest difference of two groups in units of its standard error. [G, R] twice to [R]"""
    pairs = [(i, j) for i in range(len(values)) for j in range(i)]
    apart: list[Floats] = [
        np.abs(values[i] - values[j]) / np.sqrt(variances[i] + variances[j]) for i, j in pairs
    ]
    return np.stack(apart).max(axis=0)


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


def gap_interval(
    values: Sequence[Floats], largest: float, noise: Floats | None = None
) -> tuple[float, float] | None:
    """The interval of a gap: it plus and minus what chance alone makes of a gap, from 0 up.

    A maximum over noisy groups is biased upward, the more so in replicates. So the width is taken
    from the replicates with the groups' own values taken out: the gap of pure noise, as in
    simultaneous intervals of ranges. Coverage: docs/explanation/intervals.md.

    Args:
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        largest: Largest possible gap.
        noise: Draws of the groups' errors, from `interval_noise`; by default those of the
            replicates. [G, R]

    Returns:
        None where the groups are defined together in too few replicates.
    """
    noise = _noise(values) if noise is None else noise
    if noise is None:
        return None
    width = float(quantile(noise.max(axis=0) - noise.min(axis=0), LEVEL))
    value = float(gap(values)[0])
    return max(0.0, value - width), min(largest, value + width)


def worst_interval(
    values: Sequence[Floats],
    *,
    higher_is_better: bool,
    ends: tuple[float, float],
    noise: Floats | None = None,
) -> tuple[float, float] | None:
    """The interval of the worst group's value: plus and minus the largest chance deviation.

    Whichever group looks worst was picked for it, so the width must hold for all of them at once.

    Args:
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        higher_is_better: Direction of the metric.
        ends: The metric's range.
        noise: As for `gap_interval`.

    Returns:
        None where the groups are defined together in too few replicates.
    """
    noise = _noise(values) if noise is None else noise
    if noise is None:
        return None
    width = float(quantile(np.abs(noise).max(axis=0), LEVEL))
    value = float(worst_group(values, higher_is_better=higher_is_better)[0])
    return max(ends[0], value - width), min(ends[1], value + width)


def ratio_interval(
    values: Sequence[Floats], largest: float, noise: Floats | None = None
) -> tuple[float, float] | None:
    """The interval of a ratio of groups: `gap_interval` of their logarithms, up to 1.

    The smallest of equal groups over the largest is below 1 in every sample, and lower still in
    replicates, so that their percentiles leave out 1 also where groups are equal.

    Args:
        values: Of each group; not below 0. G times [1 + R]
        largest: Largest value of the metric.
        noise: As for `gap_interval`.

    Returns:
        From 0 where the smallest group may be 0; None as for `gap_interval`, and where no
        group is above 0.
    """
    noise = _noise(values) if noise is None else noise
    value = float(ratio_of_groups(values)[0])
    if noise is None or not np.isfinite(value):
        return None
    center = np.stack(values)[:, :1]
    drawn = np.clip(center + noise, 0.0, largest)
    if value == 0:  # nothing is known of its logarithm
        return 0.0, float(quantile(ratio_of_groups(list(drawn)), LEVEL))
    with np.errstate(divide="ignore"):
        apart = np.log(drawn) - np.log(center)
    apart = np.maximum(apart, MIN_LOG)
    width = float(quantile(apart.max(axis=0) - apart.min(axis=0), LEVEL))
    low = value * float(np.exp(-width))
    return low if low > np.exp(MIN_LOG / 2) else 0.0, min(1.0, value * float(np.exp(width)))


def interval_noise(
    values: Floats, intervals: Sequence[tuple[float, float]], number: int, rng: np.random.Generator
) -> Floats:
    """Draws of the groups' errors that have the width of their intervals.

    Replicates of a group with few positives hardly vary, so the errors are drawn anew: normal on
    each side, with standard deviations that give the group's own interval.

    Args:
        values: Of each group. [G]
        intervals: Of each group, at 95 %. G
        number: Draws, R.
        rng: Their source.

    Returns:
        What the truth may be above each value. [G, R]
    """
    low: Floats = np.array([ends[0] for ends in intervals])
    high: Floats = np.array([ends[1] for ends in intervals])
    drawn: Floats = rng.standard_normal((len(values), number)) / NORMAL_QUANTILE
    return np.where(drawn < 0, drawn * (values - low)[:, None], drawn * (high - values)[:, None])


def gap_p(values: Sequence[Floats], noise: Floats | None = None) -> float | None:
    """P-value of "the groups do not differ" that agrees with `gap_interval`.

    The share of draws in which pure noise makes a gap as large (a bootstrap test of centred
    replicates: Davison and Hinkley 1997, section 4.4).

    Args:
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        noise: As for `gap_interval`.
    """
    noise = _noise(values) if noise is None else noise
    observed = float(gap(values)[0])
    if noise is None or not noise.shape[1] or not np.isfinite(observed):
        return None
    return _share_above(observed, noise.max(axis=0) - noise.min(axis=0))


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
    stratum: NDArray[np.int64] | None = None,
    variances: Sequence[Variance | None] = (),
    permutations: int,
    rng: np.random.Generator,
) -> list[float | None]:
    """P-values of "the groups do not differ", by dealing the groups out to patients anew.

    A maximum over noisy groups is biased upward; under the permutations it is so by the same
    amount. Groups are dealt out within strata of patients with the same labels: the test is of
    independence of score and group given the labels, and keeps its level where prevalence differs
    between groups. Phipson and Smyth 2010: (1 + hits) / (1 + permutations).

    Args:
        parts: The same metrics bound to one target after the other; the mean over targets is
            compared. Patients are numbered 0 to P-1.
        group: Group of each patient, 0 to G-1. [P]
        stratum: Stratum of each patient, from `outcome_patterns`; by default one for all. [P]
        variances: For each metric the variance of each group's value, to weigh differences
            between groups of different size by; by default differences are taken as they are.
        permutations: How often.
        rng: Source of the permutations.

    Returns:
        One for each metric; None where the gap is undefined.
    """
    observed = _gaps(parts, group[None, :], variances)
    permuted: list[list[Floats]] = [[] for _ in observed]
    members = [np.arange(len(group))]
    if stratum is not None:
        members = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    for start in range(0, permutations, WIDTH):
        block = np.tile(group, (min(WIDTH, permutations - start), 1))
        for patients in members:
            block[:, patients] = rng.permuted(block[:, patients], axis=1)
        for over, gaps in zip(permuted, _gaps(parts, block, variances), strict=True):
            over.append(gaps)
    return [
        _share_above(float(mine[0]), np.concatenate(over)) if permutations else None
        for mine, over in zip(observed, permuted, strict=True)
    ]


def outcome_patterns(
    patient: NDArray[np.int64], targets: NDArray[np.int64], patients: int
) -> NDArray[np.int64]:
    """Stratum of each patient: patients with the same number of cases of each label share one.

    Args:
        patient: Number of each case's patient, 0 to P-1. [n]
        targets: Label of each case for each target: 0, 1, or 2 where it is unlabelled. [n, T]
        patients: P.

    Returns:
        Numbers from 0. [P]
    """
    counts = [
        np.bincount(patient[column == label], minlength=patients)
        for column in targets.T
        for label in (0, 1)
    ]
    return np.unique(np.stack(counts, axis=1), axis=0, return_inverse=True)[1].ravel()


def _share_above(observed: float, gaps: Floats) -> float | None:
    if not np.isfinite(observed):
        return None
    defined = gaps[np.isfinite(gaps)]
    return float((1 + (defined >= observed - 1e-12).sum()) / (1 + len(defined)))


def _gaps(
    parts: Sequence[SubgroupMetrics],
    groups: NDArray[np.int64],
    variances: Sequence[Variance | None],
) -> list[Floats]:
    """Each metric's gap for each dealing of groups to patients. [R, P] to M times [R]"""
    by_group: list[list[Floats]] = []
    for number in range(int(groups.max()) + 1):
        counts = np.ascontiguousarray((groups == number).T.astype(np.uint16))
        of_parts = evaluate_replicates(parts, [counts])
        by_group.append([np.mean(of_metric, axis=0) for of_metric in zip(*of_parts, strict=True)])
    gaps: list[Floats] = []
    for number, of_groups in enumerate(zip(*by_group, strict=True)):
        variance = variances[number] if variances else None
        values = np.stack(of_groups)
        gaps.append(
            gap(of_groups) if variance is None else studentised_gap(values, variance(values))
        )
    return gaps
