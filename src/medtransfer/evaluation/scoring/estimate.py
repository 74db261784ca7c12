"""Metrics of some cases: value, replicates and counts, and the row of results they make."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medtransfer.evaluation.scoring.support import Support
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.metric import Metric
from medtransfer.statistics.bootstrap import (
    additive_interval,
    bca_interval,
    percentile_interval,
    squared_interval,
)
from medtransfer.tables.results import Result

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
    """

    values: Floats | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None
    left_out: Floats | None = None
    support: Support | None = None

    def as_result(self, key: ResultKey, run_id: str | None = None) -> Result:
        """Row of the results table, with the interval that suits the metric."""
        if self.values is None:
            return self.row(key, None, run_id=run_id)
        interval = None if len(self.values) == 1 else self.interval(key.metric)
        value = _clipped(float(self.values[0]), key.metric)
        missing = self._missing_interval(key.metric)
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
        alone pushes the metric up; otherwise BCa if it was asked for, or percentile. None below
        the least number of patients, and where all replicates are equal.
        """
        if self.values is None or not np.isfinite(self.values[0]):
            return None
        entry = find_metric(metric)
        if self.support is not None:
            if self.support.lacking(entry) is not None:
                return None
            if self._replicates_suffice() and (ends := self.support.interval(entry, self.values)):
                return ends
        interval = self._of_replicates(entry)
        return None if interval is not None and _is_point(interval) else interval

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
        return self.values is not None and percentile_interval(self.values) is not None

    def _missing_interval(self, metric: str) -> str | None:
        """Reason for no interval; None where no replicates were drawn or it is given already."""
        if self.values is None or len(self.values) == 1 or self.reason == ONE_PATIENT:
            return None
        if self.patients < 2:
            return ONE_PATIENT
        lacking = None if self.support is None else self.support.lacking(find_metric(metric))
        if lacking is not None:
            return lacking
        ends = percentile_interval(self.values)
        if ends is not None and _is_point(ends):
            return NO_SPREAD
        return NO_INTERVAL if ends is None else ONE_SIDE


Estimates = dict[MetricKey, Estimate]


def _is_point(ends: tuple[float, float]) -> bool:
    """True if an interval has no width but rounding."""
    return ends[1] - ends[0] < ROUNDING


def _clipped(value: float, metric: str) -> float:
    """A value without what rounding put beyond its metric's range."""
    if not np.isfinite(value):
        return value
    entry = find_metric(metric)
    inside = min(max(value, entry.low), entry.high)
    return inside if abs(inside - value) < ROUNDING else value
