"""Intervals of differences of two estimates, on the same patients or of two cohorts.

Replicates that are all equal say nothing of how far a difference may be off: it has the interval
that the two sides' own intervals leave, or none, and never one without width.
"""

from collections.abc import Sequence

from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, NO_SPREAD, Estimate, is_point
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import percentile_interval, percentile_intervals
from medtransfer.statistics.small_samples import (
    FEW_PATIENTS,
    difference_of_intervals,
    widened_interval,
)

BIASED_DIFFERENCE = (
    "no interval: chance alone pushes the metric up, on both sides by different amounts"
)
Ends = tuple[float, float]
"""Lower and upper end of an interval."""


def drop_interval(
    internal: Estimate, shifted: Estimate, metric: str
) -> tuple[Ends | None, str | None]:
    """The interval of a difference between two cohorts, or the reason why there is none.

    Of the replicates; where a cohort has few patients, or lies at an end of the metric's range so
    that its replicates are all equal, from the two sides' own intervals.
    """
    if internal.values is None or shifted.values is None or len(internal.values) == 1:
        return None, None
    drop = internal.values - shifted.values
    sides = internal, shifted
    mute = any(side.is_small(metric) or side.is_at_end(metric) for side in sides)
    if find_metric(metric).biased or not mute:
        interval = difference_interval(drop, metric)
        if interval is not None and is_point(interval):
            return None, NO_SPREAD
        return interval, None if interval else missing_interval(drop, metric)
    return _of_both(internal, shifted, metric)


def _of_both(one: Estimate, other: Estimate, metric: str) -> tuple[Ends | None, str | None]:
    """The interval of a difference from the two sides' own, or the reason of one without it."""
    if one.values is None or other.values is None:
        return None, NO_INTERVAL
    lacking = one.lacking(metric) or other.lacking(metric)
    first, second = one.interval(metric), other.interval(metric)
    if lacking is not None or first is None or second is None:
        missing = one.missing_interval(metric) if first is None else None
        return None, lacking or missing or other.missing_interval(metric) or NO_INTERVAL
    return difference_of_intervals(
        (float(one.values[0]), float(other.values[0])), (first, second)
    ), None


def paired_interval(one: Estimate, other: Estimate, metric: str) -> tuple[Ends | None, str | None]:
    """The interval of a difference on the same patients, or the reason why there is none.

    Of the replicates, widened where patients are few. See `paired_ends` for replicates that are
    all equal.
    """
    if one.values is None or other.values is None:
        return None, None
    difference = one.values - other.values
    interval = difference_interval(difference, metric)
    return paired_ends((one, other), metric, float(difference[0]), interval)


def paired_ends(
    sides: tuple[Estimate, Estimate], metric: str, value: float, interval: Ends | None
) -> tuple[Ends | None, str | None]:
    """`paired_interval` of two sides whose replicates have been subtracted.

    Where all replicates of the difference are equal, two sides that are apart, as an AUROC of 1 and
    one of 0, have the interval that their own leave; two equal ones have none, since the sample
    cannot tell them apart.

    Args:
        sides: Both with values.
        metric: Their metric.
        value: Their difference in the sample.
        interval: From `difference_interval`.
    """
    first, second = sides
    if first.values is None or len(first.values) == 1:
        return None, None
    lacking = first.lacking(metric) or second.lacking(metric)
    if lacking is not None or interval is None:
        biased = find_metric(metric).biased
        return None, lacking or (BIASED_DIFFERENCE if biased else NO_INTERVAL)
    if is_point(interval):
        equal = is_point((min(0.0, value), max(0.0, value)))
        return (None, NO_SPREAD) if equal else _of_both(first, second, metric)
    fewest = few_patients(first, second, metric)
    return (interval if fewest is None else widened_interval(value, interval, fewest)), None


def few_patients(one: Estimate, other: Estimate, metric: str) -> int | None:
    """Patients of the class or share that has the fewest, where replicates vary too little."""
    fewest = min(one.fewest(metric), other.fewest(metric))
    return fewest if 1 < fewest < FEW_PATIENTS else None


def difference_interval(difference: Floats, metric: str) -> Ends | None:
    """The percentile interval of a difference; none where chance pushes both sides up.

    What chance adds to two calibration errors cancels only between cohorts of one size and
    networks that are calibrated alike.
    """
    return None if find_metric(metric).biased else percentile_interval(difference)


def difference_intervals(differences: Floats, metrics: Sequence[str]) -> list[Ends | None]:
    """`difference_interval` of several. [N, 1 + R] to N"""
    return [
        None if find_metric(metric).biased else interval
        for metric, interval in zip(metrics, percentile_intervals(differences), strict=True)
    ]


def missing_interval(difference: Floats, metric: str) -> str | None:
    """Reason if `difference_interval` gives none; None where no replicates were drawn."""
    if len(difference) == 1:
        return None
    return BIASED_DIFFERENCE if find_metric(metric).biased else NO_INTERVAL
