"""Patients that a number rests on, and the interval that so many patients allow.

The rule, which docs/explanation/intervals.md justifies by simulation: a share has Wilson's interval
with the design effect of its clusters; an AUROC of few patients or of complete separation a score
interval; everything else its bootstrap interval. None is given below a least number of patients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.cases import AnyCases, TargetCases
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.metric import Metric
from medtransfer.statistics.small_samples import (
    FEW_PATIENTS,
    MIN_PATIENTS,
    auroc_interval,
    wilson_interval,
)

MIN_BOOTSTRAP = 10
"""Patients of each class it needs below which a bootstrap interval is not given."""


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


@dataclass(frozen=True)
class Patients:
    """Patient of each of some cases, to count those behind a metric of them.

    Attributes:
        cases: The labelled cases.
        patient: Number of each case's patient. [n]
    """

    cases: AnyCases
    patient: NDArray[np.int64]

    def behind(self, metric: Metric, point: str | None) -> Support:
        """Patients behind a metric at an operating point."""
        if not isinstance(self.cases, TargetCases):
            return Support(None, None, len(self.cases), self._count(None))
        positive = self.cases.targets == 1
        counted = self._counted(self.cases, metric.share, point)
        return Support(
            positives=self._count(positive),
            negatives=self._count(~positive),
            cases=len(self.cases) if counted is None else int(counted.sum()),
            patients=self._count(counted),
        )

    def _counted(self, cases: TargetCases, share: str | None, point: str | None) -> Flags | None:
        """Cases that a share is taken of; None for all."""
        positive = cases.targets == 1
        if share == "ill":
            return ~positive if cases.healthy else positive
        if share in ("positive", "negative"):
            return positive if share == "positive" else ~positive
        if share in ("called", "cleared") and point in cases.predicted_positive:
            called = cases.predicted_positive[point]
            return called if share == "called" else ~called
        return None

    def _count(self, rows: Flags | None) -> int:
        patient = self.patient if rows is None else self.patient[rows]
        return len(np.unique(patient))


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
