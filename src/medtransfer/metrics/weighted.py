"""Metrics as functions of weighted sums and scans over their cases.

A metric is *bound* to its cases once: scores are sorted, probabilities binned. Afterwards it is a
function of the weights of the cases, evaluated for whole blocks of replicates in one pass. A column
or a scan that several metrics need is one shared object and is computed once.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import (
    Counts,
    Flags,
    Floats,
    Int32Array,
    add_by_patient,
    column_sums,
)

THREADS_FROM = 2_000_000
"""Product of cases and replicates from which several threads pay off."""


@dataclass(frozen=True, eq=False)
class WeightedTerm:
    """Numbers of the cases, to be summed by weight; flags count as 0 and 1. [n]"""

    values: Floats | Flags


@dataclass(frozen=True, eq=False)
class Scan:
    """A pass over the cases: their patients [n] and the counts [P, W] to rows [K, W]."""

    run: Callable[[Int32Array, Counts], Floats]


Source = WeightedTerm | Scan


@dataclass(frozen=True, eq=False)
class Weighted:
    """A metric bound to its cases.

    Attributes:
        sources: Arguments of `combine`.
        combine: The sum of every column [W] and the rows of every scan [K, W], in the order of
            the sources, to values [W], NaN where undefined.
    """

    sources: tuple[Source, ...]
    combine: Callable[..., Floats]

    def __call__(self, weights: Floats) -> Floats:
        """Values for plain weights of the cases. [R, n] -> [R]"""
        patient = np.arange(weights.shape[1], dtype=np.int32)
        counts = np.ascontiguousarray(weights.T, dtype=np.float64)
        return evaluate_replicates([SubgroupMetrics(patient, (self,))], [counts], threads=1)[0][0]


@dataclass(frozen=True, eq=False)
class SubgroupMetrics:
    """Metrics that are bound to the same cases.

    Attributes:
        patient: Patient of each case. [n]
        bound: The metrics.
    """

    patient: Int32Array
    bound: tuple[Weighted, ...]


def evaluate_replicates(
    subgroups: Sequence[SubgroupMetrics], blocks: Iterable[Counts], threads: int | None = None
) -> list[list[Floats]]:
    """Every metric in every replicate.

    Args:
        subgroups: Metrics with their cases.
        blocks: Counts of patients; any number of them, one at a time. Each [P, W]
        threads: Number of passes over the cases at once; by default the number of cores, for all
            but small problems. Values do not depend on it.

    Returns:
        For each subgroup and each of its metrics, the values over all blocks. [R]
    """
    plans = [_Plan(subgroup) for subgroup in subgroups]
    cases = sum(len(subgroup.patient) for subgroup in subgroups)
    values: list[list[list[Floats]]] = [[] for _ in subgroups]
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for counts in blocks:
            in_turn = threads == 1 or cases * counts.shape[1] < THREADS_FROM
            # one subgroup can hold most of the work: its passes run in parallel, not the subgroups
            pending = [plan.passes(counts, None if in_turn else pool) for plan in plans]
            for over, plan, passes in zip(values, plans, pending, strict=True):
                over.append(plan.combined([result() for result in passes]))
    return [
        [np.concatenate([block[m] for block in over]) for m in range(len(subgroup.bound))]
        for subgroup, over in zip(subgroups, values, strict=True)
    ]


class _Plan:
    """One subgroup, its distinct columns summed by patient once."""

    def __init__(self, subgroup: SubgroupMetrics) -> None:
        self.subgroup = subgroup
        sources = {id(s): s for weighted in subgroup.bound for s in weighted.sources}
        self.scans = [s for s in sources.values() if isinstance(s, Scan)]
        columns = [s for s in sources.values() if isinstance(s, WeightedTerm)]
        self.column_of = {id(column): k for k, column in enumerate(columns)}
        self.patients, self.sums = _sums_by_patient(subgroup.patient, [c.values for c in columns])

    def passes(self, counts: Counts, pool: ThreadPoolExecutor | None) -> list[Callable[[], Floats]]:
        """Functions that compute the columns' sums, then each scan's rows, for one block. [P, W]"""
        work: list[Callable[[], Floats]] = [
            partial(column_sums, self.patients, self.sums, counts),
            *(partial(scan.run, self.subgroup.patient, counts) for scan in self.scans),
        ]
        return work if pool is None else [pool.submit(task).result for task in work]

    def combined(self, pass_results: Sequence[Floats]) -> list[Floats]:
        """Each metric for one block, from the results of its passes. M times [W]"""
        sums, *rows = pass_results
        inputs = {key: sums[k] for key, k in self.column_of.items()}
        inputs |= {id(scan): row for scan, row in zip(self.scans, rows, strict=True)}
        return [w.combine(*(inputs[id(s)] for s in w.sources)) for w in self.subgroup.bound]


def _sums_by_patient(
    patient: Int32Array, columns: Sequence[Floats | Flags]
) -> tuple[Int32Array, Floats]:
    """Patients that occur, and each column's sum over their cases. [M], [M, K]"""
    occurs = np.zeros(int(patient.max(initial=-1)) + 1, dtype=np.bool_)
    occurs[patient] = True
    patients = np.flatnonzero(occurs).astype(np.int32)
    code: Int32Array = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    sums = np.zeros((len(patients), len(columns)))
    for k, column in enumerate(columns):
        add_by_patient(patient, code, column, sums[:, k])
    return patients, sums


def mean_of(values: Floats, counted: Floats | None = None) -> Weighted:
    """Mean of a number per case, over the cases that count. Undefined without one.

    Args:
        values: [n]
        counted: 1 for a case that counts, else 0; all by default. [n]
    """
    if counted is None:
        ones = np.ones(len(values), dtype=np.bool_)
        return share_of(WeightedTerm(values), WeightedTerm(ones))
    return share_of(WeightedTerm(np.where(counted > 0, values, 0.0)), WeightedTerm(counted))


def of_rows(scan: Scan, combine: Callable[[Floats], Floats]) -> Weighted:
    """A metric that is a function of the rows of one scan."""
    return Weighted((scan,), combine)


def share_of(part: WeightedTerm, whole: WeightedTerm) -> Weighted:
    """One weighted sum over another. Undefined where the other is 0."""
    return Weighted((part, whole), ratio)


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Top over bottom, NaN where the bottom is not above 0. [W], [W]"""
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def run_ends(ordered: Floats) -> NDArray[np.bool_]:
    """True for the last case of each run of equal scores. [n]"""
    last = np.ones(len(ordered), dtype=np.bool_)
    last[:-1] = ordered[1:] != ordered[:-1]
    return last
