"""Metrics of some cases: value, replicates, patients behind it, and the row of results they make.

The rule for intervals, which docs/explanation/intervals.md justifies by simulation: a share has
Wilson's interval with the design effect of its clusters; an AUROC of few patients or of complete
separation a score interval; everything else its bootstrap interval. None is given below a least
number of patients.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.cases import AnyCases, TargetCases
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.metric import Metric
from medtransfer.statistics.bootstrap import (
    additive_interval,
    bca_interval,
    percentile_interval,
    squared_interval,
)
from medtransfer.statistics.small_samples import (
    FEW_PATIENTS,
    MIN_PATIENTS,
    auroc_interval,
    wilson_interval,
)
from medtransfer.tables.results import Result

NO_INTERVAL = "no interval: undefined in over half of the replicates"
ONE_PATIENT = "no interval: one patient"
ONE_SIDE = "no interval: all replicates lie on one side of the value"
UNDEFINED = "undefined in the sample"
NO_SPREAD = "no interval: all replicates are equal"
ROUNDING = 1e-9
"""Largest excess over a metric's range that is taken for rounding of a sum of many shares."""
MIN_BOOTSTRAP = 10
"""Patients of each class it needs below which a bootstrap interval is not given."""


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
class Support:
    """Patients behind an estimate. Of a mean over targets the harmonic means over them.

    Attributes:
        positives: Patients with a positive case; None where there are several classes.
        negatives: Patients with a negative case.
        cases: Cases that a share is taken of; all cases for other metrics.
        patients: Their patients.
    """

    positives: float | None
    negatives: float | None
    cases: float
    patients: float

    def lacking(self, metric: Metric) -> str | None:
        """Reason that no interval of a metric can be trusted; None if one can."""
        if metric.share is not None:
            lacks = self.patients < MIN_PATIENTS
            return f"no interval: a share of fewer than {MIN_PATIENTS} patients" if lacks else None
        least = MIN_PATIENTS if metric.name == "auroc" else MIN_BOOTSTRAP
        if metric.needs == "case" or self.positives is None or self.negatives is None:
            return None
        sides = {"positive": self.positives, "negative": self.negatives}
        for side, patients in sides.items():
            if metric.needs in (side, "both") and patients < least:
                return f"no interval: fewer than {least} patients with a {side} case"
        return None

    def is_small(self, metric: Metric) -> bool:
        """True if replicates alone cannot show how far a metric may be off."""
        if metric.share is not None:
            return self.patients < FEW_PATIENTS
        if metric.name != "auroc" or self.positives is None or self.negatives is None:
            return False
        return min(self.positives, self.negatives) < FEW_PATIENTS

    def interval(self, metric: Metric, values: Floats) -> tuple[float, float] | None:
        """Interval of a share, or of an AUROC of few patients or at an end of its range.

        Args:
            metric: Their metric.
            values: The value, then its replicates. [1 + R]

        Returns:
            None where the replicates' interval serves.
        """
        value = float(values[0])
        if metric.share is not None:
            return wilson_interval(value, self._trials(values))
        if metric.name != "auroc" or self.positives is None or self.negatives is None:
            return None
        if not (self.is_small(metric) or value in (0.0, 1.0)):
            return None
        smaller = min(self.positives, self.negatives)
        variance = float(np.nanvar(values[1:])) * smaller / max(1.0, smaller - 1)
        positives, negatives = max(1, round(self.positives)), max(1, round(self.negatives))
        return auroc_interval(value, positives, negatives, variance)

    def _trials(self, values: Floats) -> float:
        """Independent cases that tell as much: the patients where all cases agree."""
        value = float(values[0])
        variance = float(np.nanvar(values[1:])) * self.patients / max(1.0, self.patients - 1)
        if value <= 0 or value >= 1 or not variance > 0:
            return self.patients
        return min(self.cases, value * (1 - value) / variance)


class Patients:
    """Patient of each of some cases, to count those behind a metric of them.

    Args:
        cases: The labelled cases.
        patient: Number of each case's patient. [n]
    """

    def __init__(self, cases: AnyCases, patient: NDArray[np.int64]) -> None:
        self.cases = cases
        self.patient = np.unique(patient, return_inverse=True)[1].ravel()
        self._counts: dict[tuple[str, str | None], tuple[int, int]] = {}

    def behind(self, metric: Metric, point: str | None) -> Support:
        """Patients behind a metric at an operating point."""
        share = metric.share or "case"
        at = point if share in ("called", "cleared") else None
        cases, patients = self._count(share, at)
        if not isinstance(self.cases, TargetCases):
            return Support(None, None, cases, patients)
        positives, negatives = (self._count(side, None)[1] for side in ("positive", "negative"))
        return Support(positives, negatives, cases, patients)

    def _count(self, share: str, point: str | None) -> tuple[int, int]:
        """Cases that a share is taken of, and their patients."""
        if (share, point) not in self._counts:
            rows = self._rows(share, point)
            occurs = np.bincount(self.patient if rows is None else self.patient[rows]) > 0
            cases = len(self.cases) if rows is None else int(rows.sum())
            self._counts[share, point] = cases, int(occurs.sum())
        return self._counts[share, point]

    def _rows(self, share: str, point: str | None) -> Flags | None:
        """Cases that a share is taken of; None for all."""
        cases = self.cases
        if not isinstance(cases, TargetCases) or share == "case":
            return None
        if share in ("called", "cleared") and point is not None:
            called = cases.predicted_positive[point]
            return called if share == "called" else ~called
        is_positive = share == "positive" or (share == "ill" and not cases.healthy)
        return cases.targets == (1 if is_positive else 0)


def mean_support(supports: list[Support]) -> Support | None:
    """Support of a mean over targets: harmonic means, since its variance adds up so."""
    if not supports:
        return None

    def mean(values: list[float]) -> float:
        return len(values) / sum(1 / v for v in values) if all(values) else 0.0

    positives = [s.positives for s in supports if s.positives is not None]
    negatives = [s.negatives for s in supports if s.negatives is not None]
    return Support(
        mean(positives) if positives else None,
        mean(negatives) if negatives else None,
        mean([s.cases for s in supports]),
        mean([s.patients for s in supports]),
    )


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
        targets: Of a mean over targets, or of targets pooled: those it is of.
    """

    values: Floats | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None
    left_out: Floats | None = None
    support: Support | None = None
    targets: tuple[str, ...] = ()

    @property
    def is_defined(self) -> bool:
        """True if it has a value in the sample."""
        return self.values is not None and bool(np.isfinite(self.values[0]))

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
