"""Metrics of some cases: value, replicates, patients behind it, and the row of results they make.

The rule for intervals, which docs/explanation/intervals.md justifies by simulation: a share has
Wilson's interval with the design effect of its clusters; an AUROC of few patients or of complete
separation a score interval; everything else its bootstrap interval. None is given below a least
number of patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Weighted
from medtransfer.statistics.bootstrap import (
    additive_interval,
    bca_interval,
    percentile_interval,
    replicates_suffice,
    squared_interval,
)
from medtransfer.statistics.small_samples import FEW_PATIENTS, MeanSupport, Support
from medtransfer.tables.results import Result

Record = TypeVar("Record")
NO_INTERVAL = "no interval: undefined in over half of the replicates"
ONE_PATIENT = "no interval: one patient"
ONE_SIDE = "no interval: all replicates lie on one side of the value"
UNDEFINED = "undefined in the sample"
NO_SPREAD = "no interval: all replicates are equal"
ROUNDING = 1e-9
"""Largest excess over a metric's range that is taken for rounding of a sum of many shares."""


class MetricKey(NamedTuple):
    """Metric of a target, a mean over targets, or the case as a whole."""

    target: str
    metric: str


@dataclass(frozen=True)
class ResultKey:
    """Subject of a row of results: a metric of a target in a subgroup of a cohort."""

    cohort: str
    attribute: str
    group: str
    target: str
    metric: str


@dataclass(frozen=True)
class Estimate:
    """One metric of one subgroup.

    Attributes:
        values: In the sample and in every replicate; None where it is undefined. Replicates of
            one patient say nothing, and are NaN. [1 + R]
        cases: Cases behind it.
        patients: Patients behind it.
        positives: Positives among the cases, for a binary target.
        reason: Why it is undefined.
        left_out: Values without each group of patients in turn, for a BCa interval. [J]
        support: Patients behind it by class; None where they are not counted.
        of_targets: Of a mean over targets: the support of its metric in each of them.
        targets: Of a mean over targets, or of targets pooled: those it is of.
    """

    values: Floats | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None
    left_out: Floats | None = None
    support: Support | None = None
    of_targets: MeanSupport | None = None
    targets: tuple[str, ...] = ()

    @property
    def is_defined(self) -> bool:
        """True if it has a value in the sample."""
        return self.values is not None and bool(np.isfinite(self.values[0]))

    def as_result(self, key: ResultKey, run_id: str | None = None) -> Result:
        """Row of the results table, with the interval that suits the metric.

        Args:
            key: Its subject.
            run_id: The run; None for a mean over seeds.
        """
        if self.values is None:
            return self.row(key, None, run_id=run_id)
        interval = None if len(self.values) == 1 else self.interval(key.metric)
        value = _clipped(float(self.values[0]), key.metric)
        missing = self.missing_interval(key.metric) if interval is None else None
        return self.row(key, value, interval, missing=missing, run_id=run_id)

    def row(
        self,
        key: ResultKey,
        value: float | None,
        interval: tuple[float | None, float | None] | None = None,
        *,
        missing: str | None = None,
        run_id: str | None = None,
        split: str = "test",
    ) -> Result:
        """Row of the results table for a value of these cases.

        Args:
            key: Its subject.
            value: None where the estimate's reason says why, NaN where undefined in the sample.
            interval: Its ends, where it has any.
            missing: Reason if a value has no interval.
            run_id: The run; None for a mean over seeds.
            split: Use of the cases.
        """
        reason = self.reason
        if value is not None and not np.isfinite(value):
            value, reason = None, reason or UNDEFINED
        if interval is not None and is_point(interval):
            interval, missing = None, NO_SPREAD
        low, high = (None, None) if interval is None or value is None else interval
        if value is not None and interval is None:
            reason = "; ".join(why for why in (reason, missing) if why) or None
        return Result(
            run_id=run_id,
            split=split,
            cohort=key.cohort,
            target=key.target,
            metric=key.metric,
            value=value,
            low=low,
            high=high,
            num_cases=self.cases,
            num_patients=self.patients,
            num_positive=self.positives,
            reason=reason,
            attribute=key.attribute,
            group=key.group,
            contains="patients" if low is not None or high is not None else None,
        )

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Interval that suits a metric.

        By the rule of `support` where that says more than replicates do. Else squared where chance
        alone pushes the metric up; otherwise BCa if it was asked for, or percentile, and the value
        itself where it lies beyond all of them, as at the maximum of ``p (1 - p)``. None below the
        least number of patients, and where all replicates are equal.

        Args:
            metric: Whose estimate it is.
        """
        if self.values is None or not np.isfinite(self.values[0]):
            return None
        entry = find_metric(metric)
        if self.lacking(metric) is not None:
            return None
        if self.support is not None and self._replicates_suffice():
            ends = self.support.interval(entry, self.values)
            if ends is not None:
                return ends
        interval = self._of_replicates(entry)
        if interval is not None and self.of_targets is not None:
            interval = self.of_targets.widened(float(self.values[0]), interval, entry)
        if interval is None or is_point(interval):
            return None
        value = float(self.values[0])
        return min(interval[0], value), max(interval[1], value)

    def lacking(self, metric: str) -> str | None:
        """Reason that too few patients are behind it for an interval; None if enough are."""
        if self.of_targets is not None:
            return self.of_targets.lacking
        return None if self.support is None else self.support.lacking(find_metric(metric))

    def fewest(self, metric: str) -> int:
        """Patients of the class or share that has the fewest; all where they are not counted."""
        if self.of_targets is not None:
            return self.of_targets.fewest
        return self.patients if self.support is None else self.support.fewest(find_metric(metric))

    def is_small(self, metric: str) -> bool:
        """True if replicates alone cannot show how far it may be off."""
        return self.fewest(metric) < FEW_PATIENTS

    def is_at_end(self, metric: str) -> bool:
        """True at an end of the metric's range, where all replicates are equal to the value."""
        entry = find_metric(metric)
        return self.values is not None and float(self.values[0]) in (entry.low, entry.high)

    def _of_replicates(self, entry: Metric) -> tuple[float, float] | None:
        if self.values is None:
            return None
        if entry.biased:
            ends = additive_interval if entry.of_squares else squared_interval
            return ends(self.values, entry.high)
        if self.left_out is not None:
            return bca_interval(self.values, self.left_out)
        return percentile_interval(self.values)

    def _replicates_suffice(self) -> bool:
        """True if it is defined in enough replicates to know its variance."""
        return self.values is not None and replicates_suffice(self.values)

    def missing_interval(self, metric: str) -> str | None:
        """Reason for no interval; None where no replicates were drawn or it is given already."""
        if self.values is None or len(self.values) == 1 or self.reason == ONE_PATIENT:
            return None
        if self.patients < 2:
            return ONE_PATIENT
        lacking = self.lacking(metric)
        if lacking is not None:
            return lacking
        ends = percentile_interval(self.values)
        if ends is not None and is_point(ends):
            return NO_SPREAD
        return NO_INTERVAL if ends is None else ONE_SIDE


def changed(record: Record, **cells: object) -> Record:
    """A row or an estimate with other cells; `dataclasses.replace` takes ten times as long.

    Raises:
        TypeError: The record has no such cell.
    """
    fields = {**vars(record), **cells}
    if len(fields) > len(vars(record)):
        raise TypeError(f"{type(record).__name__} has not all of the cells {', '.join(cells)}")
    other = object.__new__(type(record))
    vars(other).update(fields)
    return other


Estimates = dict[MetricKey, Estimate]


@dataclass(frozen=True)
class Binding:
    """A metric of one subgroup before it is evaluated.

    Attributes:
        key: Target and metric.
        estimate: Its counts, and the reason if it is undefined.
        bound: The metric bound to the cases; None if it is undefined.
    """

    key: MetricKey
    estimate: Estimate
    bound: Weighted | None

    def without(self, reason: str) -> "Binding":
        """The same, undefined for a reason."""
        return replace(self, estimate=replace(self.estimate, reason=reason), bound=None)


def _has_score_interval(entry: Metric) -> bool:
    """True if small samples of a metric have an interval of their own."""
    return entry.share is not None or entry.name in ("auroc", "auroc_within")


def is_point(ends: tuple[float | None, float | None]) -> bool:
    """True if an interval has no width but rounding; one without an end has."""
    return ends[0] is not None and ends[1] is not None and ends[1] - ends[0] < ROUNDING


def _clipped(value: float, metric: str) -> float:
    """A value without what rounding put beyond its metric's range."""
    if not np.isfinite(value):
        return value
    entry = find_metric(metric)
    inside = min(max(value, entry.low), entry.high)
    return inside if abs(inside - value) < ROUNDING else value


def mean_support(
    estimates: Sequence[Estimate], metric: str, weights: Sequence[float] | None = None
) -> MeanSupport | None:
    """Support of the mean of some targets' estimates of a metric.

    Args:
        estimates: Of each target.
        metric: Their metric.
        weights: Of each in the mean, with a sum of 1; equal by default.

    A target of too few patients may have any value. A mean of AUROCs or of shares is so much wider
    for it; other metrics have no such bound, and their mean has no interval.
    """
    if not estimates:
        return None
    entry = find_metric(metric)
    reasons = [estimate.lacking(metric) for estimate in estimates]
    missing = [reason for reason in reasons if reason is not None]
    bounded = _has_score_interval(entry)
    lacking = missing[0] if missing and (not bounded or len(missing) == len(reasons)) else None
    fewest = min(estimate.fewest(metric) for estimate in estimates)
    if not bounded or lacking is not None:
        return MeanSupport(lacking, fewest, (0.0, 0.0))
    shares = [1 / len(estimates)] * len(estimates) if weights is None else weights
    low = high = 0.0
    for estimate, share in zip(estimates, shares, strict=True):
        below, above = _beyond_replicates(estimate, metric, entry)
        low, high = low + share**2 * below, high + share**2 * above
    return MeanSupport(None, fewest, (low, high))


def _beyond_replicates(estimate: Estimate, metric: str, entry: Metric) -> tuple[float, float]:
    """Squared distances to the ends of its own interval minus those of its replicates', from 0."""
    if estimate.values is None or len(estimate.values) < 2:
        return 0.0, 0.0
    if not (estimate.is_small(metric) or estimate.is_at_end(metric)):
        return 0.0, 0.0
    center = float(estimate.values[0])
    own = estimate.interval(metric) or (entry.low, entry.high)
    drawn = percentile_interval(estimate.values) or (center, center)
    low, high = (
        max(0.0, (wide - center) ** 2 - (narrow - center) ** 2)
        for wide, narrow in zip(own, drawn, strict=True)
    )
    return low, high
