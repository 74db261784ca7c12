"""Metrics of some cases: value, replicates and counts, and the row of results they make."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
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
    """

    values: Floats | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None
    left_out: Floats | None = None

    def as_result(self, key: ResultKey, run_id: str | None = None) -> Result:
        """Row of the results table, with the interval that suits the metric."""
        if self.values is None:
            return self.row(key, None, run_id=run_id)
        interval = None if len(self.values) == 1 else self.interval(key.metric)
        value = _clipped(float(self.values[0]), key.metric)
        return self.row(key, value, interval, missing=self._missing_interval(), run_id=run_id)

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

        Squared where chance alone pushes the metric up; otherwise BCa if it was asked for, or
        percentile.
        """
        if self.values is None:
            return None
        entry = find_metric(metric)
        if entry.biased:
            ends = additive_interval if entry.of_squares else squared_interval
            return ends(self.values, entry.high)
        if self.left_out is not None:
            return bca_interval(self.values, self.left_out)
        return percentile_interval(self.values)

    def _missing_interval(self) -> str | None:
        """Reason for no interval; None where no replicates were drawn or it is given already."""
        if self.values is None or len(self.values) == 1 or self.reason == ONE_PATIENT:
            return None
        if self.patients < 2:
            return ONE_PATIENT
        return NO_INTERVAL if percentile_interval(self.values) is None else ONE_SIDE


Estimates = dict[MetricKey, Estimate]


def _clipped(value: float, metric: str) -> float:
    """A value without what rounding put beyond its metric's range."""
    if not np.isfinite(value):
        return value
    entry = find_metric(metric)
    inside = min(max(value, entry.low), entry.high)
    return inside if abs(inside - value) < ROUNDING else value
