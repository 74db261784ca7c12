"""Subgroup gaps: worst group, gap and ratio per attribute, with a test of no gap."""

from collections.abc import Iterator, Sequence

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimates, MetricKey
from medtransfer.evaluation.scoring.gap_tests import gap_test_rows
from medtransfer.evaluation.scoring.group_comparison import (
    GAP,
    RATIO,
    TOO_FEW,
    WORST,
    ComparedGroups,
    GroupComparison,
    compare_groups,
    compared_keys,
)
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.catalog import find_metric
from medtransfer.statistics.groups import (
    gap,
    gap_interval,
    ratio_interval,
    ratio_of_groups,
    worst_group,
    worst_interval,
)
from medtransfer.tables.results import Result
from medtransfer.tables.values.missing_words import UNKNOWN
from medtransfer.tables.values.rare_values import is_rest

ODDS = "equalized_odds"
"""The larger of the gaps in sensitivity and specificity (Hardt et al. 2016)."""
BIASED_RATIO = (
    "no interval: chance alone pushes the metric up, in groups of different size differently"
)


def subgroup_gaps(
    test_set: TestSet, estimates: Sequence[Estimates], config: EvaluationConfig
) -> Iterator[Result]:
    """Worst group, gap, ratio and p-values for every attribute of a test set.

    Cases whose attribute is not known, and those of rare values together, are counted as groups,
    and compared with none.

    Args:
        test_set: Its subgroups.
        estimates: Every metric of each subgroup.
        config: Smallest group size, permutations.
    """
    for comparisons in comparisons_by_attribute(test_set, estimates).values():
        yield from gap_rows(comparisons, config)
        yield from gap_test_rows(comparisons, config)


def comparisons_by_attribute(
    test_set: TestSet, estimates: Sequence[Estimates]
) -> dict[str, list[GroupComparison]]:
    """Comparisons of the groups of every attribute in every metric that they are compared by."""
    comparisons: dict[str, list[GroupComparison]] = {}
    for attribute in dict.fromkeys(s.attribute for s in test_set.subgroups[1:]):
        of_groups = [
            (subgroup, of_subgroup)
            for subgroup, of_subgroup in zip(test_set.subgroups, estimates, strict=True)
            if subgroup.attribute == attribute
            and subgroup.group != UNKNOWN
            and not is_rest(subgroup.group)
        ]
        comparisons[attribute] = [
            compare_groups(test_set, attribute, key, of_groups) for key in compared_keys(estimates)
        ]
    return comparisons


def gap_rows(comparisons: Sequence[ComparedGroups], config: EvaluationConfig) -> Iterator[Result]:
    """Worst group, gap and ratio of every metric of one attribute, and equalised odds."""
    for comparison in comparisons:
        yield from _gap_rows(comparison, config)
    yield from _odds_rows(comparisons, config)


def _gap_rows(comparison: ComparedGroups, config: EvaluationConfig) -> Iterator[Result]:
    """Worst group, gap and ratio of one metric."""
    name = comparison.measured.metric
    metric = find_metric(name)
    has_worst = metric.better != "neither"
    if len(comparison.values) < 2:
        for suffix in (WORST, GAP, RATIO) if has_worst else (GAP, RATIO):
            yield comparison.undefined(name + suffix, TOO_FEW)
        return
    values, noise = comparison.values, comparison.noise(config)
    if has_worst:
        higher = metric.better == "higher"
        ends = (metric.low, metric.high)
        interval = worst_interval(values, higher_is_better=higher, ends=ends, noise=noise)
        worst = float(worst_group(values, higher_is_better=higher)[0])
        yield comparison.number(name + WORST, worst, interval)
    interval = gap_interval(values, metric.span, noise)
    yield comparison.number(name + GAP, float(gap(values)[0]), interval)
    interval = None if metric.biased else ratio_interval(values, metric.high, noise)
    missing = BIASED_RATIO if metric.biased else NO_INTERVAL
    ratio = float(ratio_of_groups(values)[0])
    yield comparison.number(name + RATIO, ratio, interval, missing)


def _odds_rows(comparisons: Sequence[ComparedGroups], config: EvaluationConfig) -> Iterator[Result]:
    """Equalised odds: the larger of the gaps in sensitivity and specificity."""
    by_key = {comparison.measured: comparison for comparison in comparisons}
    for key, sens in by_key.items():
        point = key.metric.removeprefix("sensitivity@")
        spec = by_key.get(MetricKey(key.target, f"specificity@{point}"))
        if key.metric == point or spec is None:
            continue
        if len(sens.values) < 2 or len(spec.values) < 2:
            yield sens.undefined(f"{ODDS}@{point}", TOO_FEW)
            continue
        value = max(float(gap(sens.values)[0]), float(gap(spec.values)[0]))
        ends = [gap_interval(side.values, 1.0, side.noise(config)) for side in (sens, spec)]
        defined = [end for end in ends if end is not None]
        # each gap's interval holds it alone: the larger gap lies within the larger of both ends
        interval = None
        if len(defined) == 2:
            interval = max(low for low, _ in defined), max(high for _, high in defined)
        yield sens.number(f"{ODDS}@{point}", value, interval)
