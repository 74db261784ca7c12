"""Judgement of one metric at another hospital against what was promised."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import ndtri

from medtransfer.statistics.bootstrap import LEVEL
from medtransfer.statistics.sample_size import POWER, auroc_error
from medtransfer.statistics.small_samples import NORMAL_QUANTILE, difference_of_intervals

THREE = 3
"""Numerator of the bound on a share that none of n cases shows (the rule of three)."""
Side = Literal["above", "below", "unclear"]
"""Position of the interval of the difference to minus the margin."""
AUROC = "auroc"


@dataclass(frozen=True)
class Measured:
    """A metric of some patients.

    Attributes:
        value: None if undefined.
        low: Lower end of its 95 % interval; None if there is none.
        high: Upper end.
        cases: Cases behind it.
        patients: Patients behind it.
        positives: Positive cases among them; None for a mean over targets.
        reason: Reason that the value or the interval is missing.
    """

    value: float | None
    low: float | None
    high: float | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, if there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Judgement:
    """One metric against its promise.

    Attributes:
        metric: Its name in the results.
        target: The target, or `macro`.
        promised: On the bundle's own test patients.
        here: On this hospital's patients.
        difference: Here minus promised; None if either is undefined.
        low: Lower end of its 95 % interval.
        high: Upper end.
        side: Where the interval lies.
        needed: Patients of this hospital that are expected to decide, if it is as good as promised;
            None if it is decided, or if no number is enough.
        reason: Reason that there is no difference, interval or number.
    """

    metric: str
    target: str
    promised: Measured
    here: Measured
    difference: float | None
    low: float | None
    high: float | None
    side: Side
    needed: int | None = None
    reason: str | None = None


def judge(
    metric: str, target: str, promised: Measured, here: Measured, *, margin: float, tests: int
) -> Judgement:
    """Judge a metric by the interval of the difference of two independent sets of patients.

    ``above``: the interval lies above minus the margin (one-sided test at 2.5 %). ``below``: it
    lies wholly below, after the upper side is widened by Bonferroni's factor for the metrics that
    are judged together, any of which can fail.

    Args:
        metric: Name in the results.
        target: The target, or `macro`.
        promised: On the bundle's own test patients.
        here: On this hospital's patients.
        margin: Largest loss that does not matter.
        tests: Metrics that are judged together.
    """
    values, intervals = (promised.value, here.value), (promised.interval, here.interval)
    if values[0] is None or values[1] is None or intervals[0] is None or intervals[1] is None:
        side = "this hospital" if values[1] is None or intervals[1] is None else "the promise"
        reason = (here if side == "this hospital" else promised).reason or "no interval"
        difference = None if values[0] is None or values[1] is None else values[1] - values[0]
        blank = Judgement(
            metric=metric,
            target=target,
            promised=promised,
            here=here,
            difference=difference,
            low=None,
            high=None,
            side="unclear",
            reason=f"{side}: {reason}",
        )
        return _with_needed(blank, margin)
    difference = values[1] - values[0]
    low, high = difference_of_intervals((values[1], values[0]), (intervals[1], intervals[0]))
    corrected = difference + (high - difference) * _bonferroni(tests)
    side = "above" if low > -margin else "below" if corrected < -margin else "unclear"
    judgement = Judgement(
        metric=metric,
        target=target,
        promised=promised,
        here=here,
        difference=difference,
        low=low,
        high=high,
        side=side,
    )
    return judgement if side != "unclear" else _with_needed(judgement, margin)


def _bonferroni(tests: int) -> float:
    """Factor on the distance to an end that shares its 2.5 % among several tests."""
    return float(ndtri(1 - (1 - LEVEL) / 2 / tests)) / NORMAL_QUANTILE


def _with_needed(judgement: Judgement, margin: float) -> Judgement:
    """The judgement with the patients that are expected to decide it.

    With n patients here the variance of the difference is that of the promise plus that of this
    hospital, which falls with n. If there is no true difference, the lower end is above minus the
    margin with 80 % probability where the standard error is at most margin / (1.96 + 0.84).
    """
    promised, local = judgement.promised, judgement.here
    if promised.value is None or promised.interval is None:
        return judgement
    allowed = margin / (NORMAL_QUANTILE + float(ndtri(POWER)))
    left = allowed**2 - _variance(promised, lower=False)
    if left <= 0:
        reason = (
            "no number of patients decides: the interval of the promise alone is too wide for the "
            "margin"
        )
        both = "; ".join(r for r in (judgement.reason, reason) if r)
        return replace(judgement, reason=both)
    here_variance = _variance(local, lower=True) if local.interval is not None else 0.0
    if here_variance > 0:
        needed = local.patients * here_variance / left
    else:
        needed = _planned(judgement.metric, promised, local, left)
    return replace(judgement, needed=math.ceil(max(needed, local.patients + 1)))


def _variance(measured: Measured, *, lower: bool) -> float:
    """Variance from one side of the interval: the one that faces the margin."""
    if measured.value is None or measured.low is None or measured.high is None:
        return 0.0
    side = measured.value - measured.low if lower else measured.high - measured.value
    return (side / NORMAL_QUANTILE) ** 2


def _planned(metric: str, promised: Measured, here: Measured, variance: float) -> float:
    """Patients for a variance from the formula of the metric, one case each, at its promise."""
    prevalence = _planned_prevalence(here, promised)
    value = min(max(promised.value or 0.5, 0.5 if metric == AUROC else 0.01), 0.99)
    if metric == AUROC:
        size = 10.0
        while auroc_error(value, prevalence, size) ** 2 > variance:
            size *= 1.05
        return size
    share = prevalence if metric.startswith("sensitivity") else 1 - prevalence
    return value * (1 - value) / variance / share


def _planned_prevalence(here: Measured, promised: Measured) -> float:
    """Prevalence to plan with: this hospital's, or what its cases of one class leave possible.

    Of n cases without a positive one at most 3 in n are positive, at 95 % (Hanley and
    Lippman-Hand 1983): the promise's prevalence where that is smaller.
    """
    measured, expected = _prevalence(here), _prevalence(promised) or 0.5
    if measured is not None or not here.cases or here.positives is None:
        return measured or expected
    bound = THREE / here.cases
    return min(expected, bound) if here.positives == 0 else max(expected, 1 - bound)


def _prevalence(measured: Measured) -> float | None:
    """Share of positives among the cases, if both classes occur."""
    if measured.positives is None or not 0 < measured.positives < measured.cases:
        return None
    return measured.positives / measured.cases
