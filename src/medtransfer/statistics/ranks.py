"""Average ranks of rungs over several tasks, and their critical difference."""

from dataclasses import dataclass
from math import factorial

import numpy as np
from scipy.special import chdtrc, fdtrc

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL


@dataclass(frozen=True)
class Ranking:
    """Average ranks over tasks; NaN where undefined.

    Attributes:
        ranks: 1 is best. [K]
        tasks: Tasks in which every rung is defined; the others do not count.
        chi2: Friedman's statistic, corrected for ties.
        chi2_p: Of "all rungs are alike", from K - 1 degrees of freedom.
        f: Iman and Davenport's statistic; infinite where all tasks agree.
        f_p: The same question, from K - 1 and (K - 1)(N - 1) degrees of freedom.
        critical_difference: Nemenyi's; average ranks that far apart differ.
        groups: Rungs not told apart, best first: every largest set within the critical
            difference. A rung may be in several, or alone in one.
        reason: Why something is undefined.
    """

    ranks: Floats
    tasks: int
    chi2: float
    chi2_p: float
    f: float
    f_p: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]
    reason: str | None = None


def rank_rungs(values: Floats, *, higher_is_better: bool, level: float = LEVEL) -> Ranking:
    """Rank the rungs in every task and compare their average ranks (Demšar 2006, 3.2).

    With N tasks, K rungs, r the ranks (ties averaged), R̄ a rung's average rank and
    c = (K + 1) / 2::

        chi2 = (K - 1) N² Σ (R̄ - c)² / ΣΣ (r - c)²         Friedman 1937, ties as in Conover 1999
        f    = (N - 1) chi2 / (N (K - 1) - chi2)            Iman and Davenport 1980
        critical difference = q √(K (K + 1) / (6 N))        Nemenyi 1963

    q is the quantile of the studentised range of K and infinite degrees of freedom, over √2. F
    has no distribution where all tasks agree; its p-value is then the chance that they do,
    1 over (K!)^(N - 1) without ties.

    Args:
        values: Of one metric. [N, K]
        higher_is_better: Its direction.
        level: 1 minus the rate of false alarms over all pairs.
    """
    kept = values[np.isfinite(values).all(axis=1)]
    tasks, rungs = kept.shape
    if tasks < 2 or rungs < 2:
        reason = "fewer than two rungs" if rungs < 2 else "fewer than two tasks with every rung"
        nan, none = np.nan, np.full(rungs, np.nan, dtype=np.float64)
        return Ranking(
            none, tasks, nan, nan, f=nan, f_p=nan, critical_difference=nan, groups=(), reason=reason
        )
    from scipy.stats import rankdata

    ranks = rankdata(-kept if higher_is_better else kept, axis=1).astype(np.float64)
    average = np.asarray(ranks.mean(axis=0), dtype=np.float64)
    distance = critical_difference(tasks, rungs, level)
    return Ranking(
        average,
        tasks,
        *_friedman(ranks),
        critical_difference=distance,
        groups=_groups(average, distance),
        reason=None if np.ptp(ranks) else "all rungs are tied in every task",
    )


def critical_difference(tasks: int, rungs: int, level: float = LEVEL) -> float:
    """Critical difference of two average ranks (Nemenyi 1963): ``q √(K (K + 1) / (6 N))``."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(level, rungs, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(rungs * (rungs + 1) / (6 * tasks)))


def _friedman(ranks: Floats) -> tuple[float, float, float, float]:
    """Friedman's chi2 and its p, Iman and Davenport's F and its p. [N, K]"""
    tasks, rungs = len(ranks), len(ranks[0])
    if not np.ptp(ranks):
        return np.nan, np.nan, np.nan, np.nan
    centred = ranks - (rungs + 1) / 2
    between = tasks**2 * float((np.mean(centred, axis=0) ** 2).sum())
    statistic = (rungs - 1) * between / float((centred**2).sum())
    chi2_p = float(chdtrc(rungs - 1, statistic))
    if (ranks == ranks[0]).all():
        return statistic, chi2_p, np.inf, _chance_of_agreement(ranks[0], tasks)
    ratio = (tasks - 1) * statistic / (tasks * (rungs - 1) - statistic)
    return statistic, chi2_p, ratio, float(fdtrc(rungs - 1, (rungs - 1) * (tasks - 1), ratio))


def _chance_of_agreement(ranks: Floats, tasks: int) -> float:
    """Chance that all tasks happen to have the order of the first. [K]"""
    orders = factorial(len(ranks))
    for tied in np.unique(ranks, return_counts=True)[1]:
        orders //= factorial(int(tied))
    return float(orders) ** (1 - tasks)


def _groups(average: Floats, distance: float) -> tuple[tuple[int, ...], ...]:
    """Largest runs of rungs whose average ranks lie within the critical difference. [K]"""
    order = np.argsort(average, kind="stable")
    cliques: list[tuple[int, ...]] = []
    last = 0
    for start in range(len(order)):
        end = int((average[order] - average[order[start]] < distance).sum())
        if end > last:
            cliques.append(tuple(int(rung) for rung in order[start:end]))
            last = end
    return tuple(cliques)
