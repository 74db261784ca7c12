"""Comparison of the groups of an attribute: those large enough for a metric, and their rows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import (
    NO_INTERVAL,
    Estimate,
    Estimates,
    MetricKey,
    ResultKey,
    mean_support,
)
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.seeds import generator
from medtransfer.statistics.groups import interval_noise
from medtransfer.tables.results import ALL, MACRO, MICRO, Result

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
TOO_FEW = "fewer than two groups large enough"

SubgroupEstimates = Sequence[tuple[Subgroup, Estimates]]


class ComparedGroups(ABC):
    """The groups of one attribute with a metric, of a run or of a mean over seeds."""

    @property
    @abstractmethod
    def values(self) -> list[Floats]:
        """The metric of each group, in the sample and in every replicate. G times [1 + R]"""

    @property
    @abstractmethod
    def measured(self) -> MetricKey:
        """Target and metric."""

    @abstractmethod
    def noise(self, config: EvaluationConfig) -> Floats | None:
        """Draws of the groups' errors; None where those of the replicates serve. [G, R]"""

    @abstractmethod
    def row(
        self,
        name: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        """Row of the results table, with the counts of these groups."""

    def undefined(self, name: str, reason: str) -> Result:
        """Row of the results table for an undefined number."""
        return self.row(name, None, reason=reason)

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
        return self.row(name, value, interval, missing if lacks_interval else None)


@dataclass(frozen=True)
class GroupComparison(ComparedGroups):
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

    def noise(self, config: EvaluationConfig) -> Floats | None:
        """Draws of the groups' errors where replicates of a group show too little of them. [G, R]

        It is too small for that, or all its cases agree.
        """
        metric = self.key.metric
        mute = any(e.is_small(metric) or e.is_at_end(metric) for e in self.estimates)
        if len(self.values[0]) < 2 or not mute:
            return None
        intervals = [e.interval(metric) for e in self.estimates]
        known = [interval for interval in intervals if interval is not None]
        if len(known) < len(intervals):
            return None
        values = np.array([of_group[0] for of_group in self.values])
        rng = generator(config.seed, "groups", self.test_set.name, self.attribute, str(self.key))
        return interval_noise(values, known, len(self.values[0]) - 1, rng)

    @property
    def measured(self) -> MetricKey:
        """Target and metric."""
        return self.key

    def p_value(self, p: float) -> Result:
        """Row of the results table for the p-value of no gap."""
        return self.row(self.key.metric + GAP_P, p)

    def row(
        self,
        name: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        """Row of the results table, with the counts of these groups."""
        run, cases = self.test_set.run, self.cases
        counts = Estimate(
            values=None,
            cases=int(cases.sum()),
            patients=run.patients(cases),
            reason=reason or self.left_out,
        )
        key = ResultKey(self.test_set.name, self.attribute, ALL, self.key.target, name)
        return counts.row(key, value, interval, run_id=run.run_id)


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
            estimate = _mean_of(
                [estimates[MetricKey(name, key.metric)] for name in targets], key.metric
            )
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


def _mean_of(estimates: Sequence[Estimate], metric: str) -> Estimate:
    """The mean over targets of one group, for all of which it is defined."""
    values = np.mean([e.values for e in estimates if e.values is not None], axis=0)
    of_targets = mean_support(estimates, metric)
    return replace(estimates[0], values=values, positives=None, support=None, of_targets=of_targets)
