"""Subgroup gaps: worst group, gap and ratio per attribute, with a permutation test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import (
    NO_INTERVAL,
    Estimate,
    Estimates,
    MetricKey,
    ResultKey,
)
from medtransfer.evaluation.scoring.measure import bind_metrics
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.evaluation.scoring.support import mean_support
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.groups import (
    gap,
    gap_interval,
    permutation_ps,
    ratio_of_groups,
    worst_group,
    worst_interval,
)
from medtransfer.tables.results import ALL, MACRO, MICRO, Result
from medtransfer.tables.values.missing_words import UNKNOWN

COMPARED = (
    "auroc",
    "balanced_accuracy",
    "accuracy",
    "ece",
    "sensitivity",
    "specificity",
    "ppv",
    "predicted_prevalence",
    "underdiagnosis",
)
"""Metrics, without their operating point, that groups are compared by."""
GAP, GAP_P, WORST, RATIO = "_gap", "_gap_p", "_worst_group", "_ratio"
"""Suffixes of a metric's name: largest minus smallest, p-value of no gap, worst group,
smallest over largest."""
ODDS = "equalized_odds"
"""The larger of the gaps in sensitivity and specificity (Hardt et al. 2016)."""
TOO_FEW = "fewer than two groups large enough"
BIASED_RATIO = (
    "no interval: chance alone pushes the metric up, in groups of different size differently"
)

SubgroupEstimates = Sequence[tuple[Subgroup, Estimates]]


@dataclass(frozen=True)
class GroupComparison:
    """The groups of one attribute that are large enough for a metric.

    Attributes:
        test_set: Their test set.
        attribute: Whose groups.
        key: Target and metric.
        targets: Targets of the mean, for `macro`: those for which every group has the metric.
        subgroups: The groups. G
        estimates: The metric of each. G
    """

    test_set: TestSet
    attribute: str
    key: MetricKey
    targets: tuple[str, ...]
    subgroups: tuple[Subgroup, ...]
    estimates: tuple[Estimate, ...]

    @property
    def cases(self) -> Flags:
        """Cases of these groups. [N]"""
        if not self.subgroups:
            return np.zeros(len(self.test_set.run.frame), dtype=np.bool_)
        return np.logical_or.reduce([subgroup.cases for subgroup in self.subgroups])

    @property
    def left_out(self) -> str | None:
        """Note on the targets that a mean leaves out."""
        names = self.test_set.run.names
        without = len(names) - len(self.targets)
        if self.key.target != MACRO or not without or not self.targets:
            return None
        return f"{without} of {len(names)} targets left out: undefined in a group"

    @property
    def values(self) -> list[Floats]:
        """The metric of each group, in the sample and in every replicate. G times [1 + R]"""
        return [e.values for e in self.estimates if e.values is not None]

    def undefined(self, name: str, reason: str) -> Result:
        """Row of the results table for an undefined number."""
        return self._row(name, None, reason=reason)

    def p_value(self, p: float) -> Result:
        """Row of the results table for the p-value of no gap."""
        return self._row(self.key.metric + GAP_P, p)

    def number(
        self,
        name: str,
        value: float,
        interval: tuple[float, float] | None,
        missing: str = NO_INTERVAL,
    ) -> Result:
        """Row of the results table.

        Args:
            name: In the column `metric`.
            value: Infinite or NaN where no group is above 0.
            interval: Its ends, if it has any.
            missing: Reason if replicates were drawn and give no interval.
        """
        if not np.isfinite(value):
            return self.undefined(name, "undefined: no group is above 0")
        lacks_interval = interval is None and len(self.values[0]) > 1
        return self._row(name, value, interval, missing if lacks_interval else None)

    def _row(
        self,
        name: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        run, cases = self.test_set.run, self.cases
        counts = Estimate(
            values=None,
            cases=int(cases.sum()),
            patients=run.patients(cases),
            reason=reason or self.left_out,
        )
        key = ResultKey(self.test_set.name, self.attribute, ALL, self.key.target, name)
        return counts.row(key, value, interval, run_id=run.run_id)


def subgroup_gaps(
    test_set: TestSet, estimates: Sequence[Estimates], config: EvaluationConfig
) -> Iterator[Result]:
    """Worst group, gap, ratio and p-values for every attribute of a test set.

    Cases whose attribute is not known are counted as a group, and compared with none.

    Args:
        test_set: Its subgroups.
        estimates: Every metric of each subgroup.
        config: Smallest group size, permutations.
    """
    for attribute in dict.fromkeys(s.attribute for s in test_set.subgroups[1:]):
        of_groups = [
            (subgroup, of_subgroup)
            for subgroup, of_subgroup in zip(test_set.subgroups, estimates, strict=True)
            if subgroup.attribute == attribute and subgroup.group != UNKNOWN
        ]
        comparisons = [
            compare_groups(test_set, attribute, key, of_groups) for key in compared_keys(estimates)
        ]
        for comparison in comparisons:
            yield from _gap_rows(comparison)
        yield from _odds_rows(comparisons)
        yield from _test_rows(test_set, attribute, comparisons, config)


def compared_keys(estimates: Sequence[Estimates]) -> list[MetricKey]:
    """Targets and metrics that groups are compared by."""
    keys = dict.fromkeys(key for of_subgroup in estimates for key in of_subgroup)
    return [key for key in keys if key.target != MICRO and key.metric.split("@")[0] in COMPARED]


def compare_groups(
    test_set: TestSet, attribute: str, key: MetricKey, of_groups: SubgroupEstimates
) -> GroupComparison:
    """Gather the groups that have a metric; for `macro`, over the targets that all of them have.

    Args:
        test_set: Their test set.
        attribute: Whose groups.
        key: Target and metric.
        of_groups: The attribute's groups with their estimates.
    """
    is_macro = key.target == MACRO
    targets = _shared_targets(test_set, key.metric, of_groups) if is_macro else ()
    large: list[tuple[Subgroup, Estimate]] = []
    for subgroup, estimates in of_groups:
        if not _is_defined(estimates, key) or (is_macro and not targets):
            continue
        estimate = estimates[key]
        if is_macro:
            estimate = _mean_of([estimates[MetricKey(name, key.metric)] for name in targets])
        large.append((subgroup, estimate))
    return GroupComparison(
        test_set=test_set,
        attribute=attribute,
        key=key,
        targets=targets,
        subgroups=tuple(subgroup for subgroup, _ in large),
        estimates=tuple(estimate for _, estimate in large),
    )


def _is_defined(estimates: Estimates, key: MetricKey) -> bool:
    values = estimates[key].values if key in estimates else None
    return values is not None and bool(np.isfinite(values[0]))


def _shared_targets(
    test_set: TestSet, metric: str, of_groups: SubgroupEstimates
) -> tuple[str, ...]:
    """The targets for which every group has a metric that has it for any.

    Means over other targets in one group than in its neighbour would differ without a cause.
    """
    keys = [MetricKey(name, metric) for name in test_set.run.names]
    large = [e for _, e in of_groups if any(_is_defined(e, key) for key in keys)]
    return tuple(key.target for key in keys if all(_is_defined(e, key) for e in large))


def _mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over targets of one group, for all of which it is defined."""
    values = np.mean([e.values for e in estimates if e.values is not None], axis=0)
    support = mean_support([e.support for e in estimates if e.support is not None])
    return replace(estimates[0], values=values, positives=None, support=support)


def _gap_rows(comparison: GroupComparison) -> Iterator[Result]:
    """Worst group, gap and ratio of one metric."""
    name = comparison.key.metric
    metric = find_metric(name)
    has_worst = metric.better != "neither"
    if len(comparison.subgroups) < 2:
        for suffix in (WORST, GAP, RATIO) if has_worst else (GAP, RATIO):
            yield comparison.undefined(name + suffix, TOO_FEW)
        return
    values = comparison.values
    if has_worst:
        higher = metric.better == "higher"
        ends = (metric.low, metric.high)
        interval = worst_interval(values, higher_is_better=higher, ends=ends)
        worst = float(worst_group(values, higher_is_better=higher)[0])
        yield comparison.number(name + WORST, worst, interval)
    interval = gap_interval(values, metric.high - metric.low)
    yield comparison.number(name + GAP, float(gap(values)[0]), interval)
    ratio = ratio_of_groups(values)
    interval = None if metric.biased else percentile_interval(ratio)
    missing = BIASED_RATIO if metric.biased else NO_INTERVAL
    yield comparison.number(name + RATIO, float(ratio[0]), interval, missing)


def _odds_rows(comparisons: Sequence[GroupComparison]) -> Iterator[Result]:
    """Equalised odds: the larger of the gaps in sensitivity and specificity."""
    by_key = {comparison.key: comparison for comparison in comparisons}
    for key, sens in by_key.items():
        point = key.metric.removeprefix("sensitivity@")
        spec = by_key.get(MetricKey(key.target, f"specificity@{point}"))
        if key.metric == point or spec is None:
            continue
        if len(sens.subgroups) < 2 or len(spec.subgroups) < 2:
            yield sens.undefined(f"{ODDS}@{point}", TOO_FEW)
            continue
        value = max(float(gap(sens.values)[0]), float(gap(spec.values)[0]))
        ends = [gap_interval(comparison.values, 1.0) for comparison in (sens, spec)]
        defined = [end for end in ends if end is not None]
        # each gap's interval holds it alone: the larger gap lies within the larger of both ends
        interval = None
        if len(defined) == 2:
            interval = max(low for low, _ in defined), max(high for _, high in defined)
        yield sens.number(f"{ODDS}@{point}", value, interval)


Family = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Target, targets of its mean, groups: comparisons that share them are permuted together."""


def _test_rows(
    test_set: TestSet,
    attribute: str,
    comparisons: Sequence[GroupComparison],
    config: EvaluationConfig,
) -> Iterator[Result]:
    """P-values of "the groups do not differ" for the overall numbers."""
    families: dict[Family, list[GroupComparison]] = {}
    for comparison in comparisons:
        if comparison.key.target in test_set.run.overall:
            names = tuple(subgroup.group for subgroup in comparison.subgroups)
            family = (comparison.key.target, comparison.targets, names)
            families.setdefault(family, []).append(comparison)
    for (_, _, names), family in families.items():
        keys = [comparison.key for comparison in family]
        if len(names) < 2:
            p_values: dict[MetricKey, float | str] = dict.fromkeys(keys, TOO_FEW)
        elif not config.permutations:
            p_values = dict.fromkeys(keys, "no permutations were asked for")
        else:
            p_values = _permuted(test_set, attribute, family, config)
        for comparison in family:
            p = p_values[comparison.key]
            name = comparison.key.metric + GAP_P
            yield comparison.undefined(name, p) if isinstance(p, str) else comparison.p_value(p)


def _permuted(
    test_set: TestSet,
    attribute: str,
    family: Sequence[GroupComparison],
    config: EvaluationConfig,
) -> dict[MetricKey, float | str]:
    """P-value of each comparison of a family, or the reason why there is none."""
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
    p_values: dict[MetricKey, float | str] = {}
    metrics = [key.metric for key in keys]
    bound = _bound_of_targets(test_set, targets, member, config)
    for family_metrics, subgroup_metrics in _by_targets(bound, metrics, patient_of_case):
        rng = generator(config.seed, "permutation", test_set.name, attribute)
        ps = permutation_ps(
            subgroup_metrics, group_of_patient, permutations=config.permutations, rng=rng
        )
        for name, p in zip(family_metrics, ps, strict=True):
            key = MetricKey(target, name)
            p_values[key] = p if p is not None else "a target is undefined in a group"
    return p_values


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
