"""Tests of "the groups do not differ": by permutation, or by the bootstrap."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, MetricKey
from medtransfer.evaluation.scoring.group_comparison import GAP_P, TOO_FEW, GroupComparison
from medtransfer.evaluation.scoring.measure import bind_metrics
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted
from medtransfer.seeds import generator
from medtransfer.statistics.groups import (
    Variance,
    auroc_variance,
    gap_p,
    outcome_patterns,
    permutation_ps,
    share_variance,
)
from medtransfer.tables.results import ALL, MACRO, Result

PERMUTED = ("auroc", "sensitivity", "specificity", "balanced_accuracy", "underdiagnosis")
"""Metrics, without their operating point, that depend on the scores given the labels alone: their
gaps are tested by permutation within patients of the same labels, others by the bootstrap."""
BIASED_GAP = "no test: chance alone pushes the metric up, in groups of different size differently"
Family = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Target, targets of its mean, groups: comparisons that share them are permuted together."""


def gap_test_rows(
    comparisons: Sequence[GroupComparison], config: EvaluationConfig
) -> Iterator[Result]:
    """P-values of "the groups do not differ" for the overall numbers of one attribute."""
    families: dict[Family, list[GroupComparison]] = {}
    for comparison in comparisons:
        if comparison.key.target in comparison.test_set.run.overall:
            names = tuple(subgroup.group for subgroup in comparison.subgroups)
            family = (comparison.key.target, comparison.targets, names)
            families.setdefault(family, []).append(comparison)
    for (_, _, names), family in families.items():
        keys = [comparison.key for comparison in family]
        if len(names) < 2:
            p_values: dict[MetricKey, float | str] = dict.fromkeys(keys, TOO_FEW)
        else:
            p_values = _bootstrapped(family, config)
            permuted = [c for c in family if c.key.metric.split("@")[0] in PERMUTED]
            if permuted and not config.permutations:
                p_values |= {c.key: "no permutations were asked for" for c in permuted}
            elif permuted:
                p_values |= _permuted(permuted, config)
        for comparison in family:
            p = p_values[comparison.key]
            name = comparison.key.metric + GAP_P
            yield comparison.undefined(name, p) if isinstance(p, str) else comparison.p_value(p)


def _bootstrapped(
    family: Sequence[GroupComparison], config: EvaluationConfig
) -> dict[MetricKey, float | str]:
    """P-value of each comparison that is not permuted, or the reason why there is none."""
    p_values: dict[MetricKey, float | str] = {}
    for comparison in family:
        name = comparison.key.metric
        if name.split("@")[0] in PERMUTED:
            continue
        if find_metric(name).biased:
            p_values[comparison.key] = BIASED_GAP
            continue
        if len(comparison.values[0]) < 2:
            p_values[comparison.key] = "no replicates were asked for"
            continue
        p = gap_p(comparison.values, comparison.noise(config))
        p_values[comparison.key] = NO_INTERVAL if p is None else p
    return p_values


def _permuted(
    family: Sequence[GroupComparison], config: EvaluationConfig
) -> dict[MetricKey, float | str]:
    """P-value of each comparison of a family, or the reason why there is none."""
    test_set, attribute = family[0].test_set, family[0].attribute
    variance_of = {c.key.metric: _variance(c) for c in family}
    keys = [comparison.key for comparison in family]
    target = keys[0].target
    targets = family[0].targets if target == MACRO else (target,)
    member = family[0].cases
    groups = test_set.groups[attribute].filter(pl.Series(member))
    names = [subgroup.group for subgroup in family[0].subgroups]
    codes = groups.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
    patients, patient = np.unique(test_set.patient[member], return_inverse=True)
    group_of_patient = np.zeros(len(patients), dtype=np.int64)
    group_of_patient[patient] = codes
    if (group_of_patient[patient] != codes).any():
        return dict.fromkeys(keys, "a patient is in two groups")
    patient_of_case = np.full(len(test_set.run.frame), -1, dtype=np.int32)
    patient_of_case[member] = patient
    stratum = _outcomes(test_set, targets, member, patient)
    p_values: dict[MetricKey, float | str] = {}
    metrics = [key.metric for key in keys]
    bound = _bound_of_targets(test_set, targets, member, config)
    for family_metrics, subgroup_metrics in _by_targets(bound, metrics, patient_of_case):
        rng = generator(config.seed, "permutation", test_set.name, attribute)
        ps = permutation_ps(
            subgroup_metrics,
            group_of_patient,
            stratum=stratum,
            variances=[variance_of[name] for name in family_metrics],
            permutations=config.permutations,
            rng=rng,
        )
        for name, p in zip(family_metrics, ps, strict=True):
            key = MetricKey(target, name)
            p_values[key] = p if p is not None else "a target is undefined in a group"
    return p_values


def _variance(comparison: GroupComparison) -> Variance | None:
    """Variance of each group's value from its size alone; None for a mean over targets."""
    name = comparison.key.metric.split("@")[0]
    supports = [e.support for e in comparison.estimates if e.support is not None]
    if comparison.key.target == MACRO or len(supports) < len(comparison.estimates):
        return None
    positives = np.array([s.positives for s in supports], dtype=np.float64)
    negatives = np.array([s.negatives for s in supports], dtype=np.float64)
    if np.isnan([positives, negatives]).any():
        return None
    if name == "auroc":
        return partial(auroc_variance, positives=positives, negatives=negatives)
    if find_metric(comparison.key.metric).share is not None:
        return partial(share_variance, trials=np.array([s.patients for s in supports]))
    return None


def _outcomes(
    test_set: TestSet, targets: Sequence[str], member: Flags, patient: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Stratum of each patient: the labels of its cases in these targets. [P]"""
    run = test_set.run
    labels: list[NDArray[np.int64]] = []
    for name in targets:
        target = run.names.index(name) if name in run.names else WHOLE_CASE
        of_target = np.where(run.labelled(target), run.truth(target), 2)
        labels.append(of_target[member].astype(np.int64))
    return outcome_patterns(patient, np.stack(labels, axis=1), int(patient.max()) + 1)


def _bound_of_targets(
    test_set: TestSet, targets: Sequence[str], member: Flags, config: EvaluationConfig
) -> list[tuple[Flags, dict[str, Weighted]]]:
    """Each target's cases in the groups, and its metrics bound to them by name."""
    run = test_set.run
    whole = Subgroup(test_set.name, ALL, ALL, member)
    bound: list[tuple[Flags, dict[str, Weighted]]] = []
    for name in targets:
        target = run.names.index(name) if name in run.names else WHOLE_CASE
        rows = member & run.labelled(target)
        bindings = bind_metrics(
            run,
            whole,
            run.name_of(target),
            cases=test_set.run_cases(target).take(rows),
            rows=rows,
            config=config,
        )
        bound.append((rows, {b.key.metric: b.bound for b in bindings if b.bound is not None}))
    return bound


def _by_targets(
    bound: Sequence[tuple[Flags, dict[str, Weighted]]],
    metrics: Sequence[str],
    patient_of_case: NDArray[np.int32],
) -> Iterator[tuple[list[str], list[SubgroupMetrics]]]:
    """Gather the metrics that are defined for the same targets.

    Yields:
        These metrics, and for each of their targets the metrics bound to its cases.
    """
    families: dict[tuple[int, ...], list[str]] = {}
    for metric in metrics:
        defined = tuple(i for i, (_, by_name) in enumerate(bound) if metric in by_name)
        families.setdefault(defined, []).append(metric)
    for defined, names in families.items():
        yield (
            names,
            [
                SubgroupMetrics(patient_of_case[rows], tuple(by_name[name] for name in names))
                for rows, by_name in (bound[i] for i in defined)
            ],
        )
