"""Mean over seeds of a number that has two versions on the same cases, and their difference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.comparison.pairs.intervals import paired_interval
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.metrics.catalog import find_metric
from medtransfer.statistics.contrasts import contrast, seed_term, within_span


@dataclass(frozen=True)
class PairedMean:
    """Two versions of a number on the same patients, mean over seeds.

    Attributes:
        value: The first version; None if it is undefined.
        low: Lower end of its 95 % interval.
        high: Upper end.
        other: The second version.
        difference: The first minus the second.
        difference_low: Lower end of its 95 % interval.
        difference_high: Upper end.
        reason: Reason if something is missing.
        contains: Random variation in the intervals.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    other: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    reason: str | None = None
    contains: str | None = None


def paired_mean(pairs: Sequence[tuple[Estimate, Estimate]], key: ResultKey) -> PairedMean:
    """Mean and paired difference of the two versions.

    Args:
        pairs: Both versions, with the same replicates; one pair for each seed.
        key: Names the metric.
    """
    first, other = (_mean([pair[side] for pair in pairs]) for side in (0, 1))
    if first.values is None or other.values is None:
        return PairedMean(reason=first.reason or other.reason)
    result = first.as_result(key)
    entry = find_metric(key.metric)
    values = [pair[0].values for pair in pairs if pair[0].values is not None]
    before = [pair[1].values for pair in pairs if pair[1].values is not None]
    paired = PairedMean(
        value=result.value,
        reason=result.reason,
        other=float(other.values[0]),
        difference=float(first.values[0] - other.values[0]),
    )
    if result.value is not None and result.low is not None and result.high is not None:
        term = seed_term(np.array([value[0] for value in values]))
        both = contrast(result.value, (result.low, result.high), [term])
        paired = replace(
            paired,
            low=max(entry.low, both.low),
            high=min(entry.high, both.high),
            contains=both.sources,
        )
    interval, missing = paired_interval(first, other, key.metric)
    if interval is None or paired.difference is None:
        reason = "; ".join(r for r in (paired.reason, missing) if r) or None
        return replace(paired, reason=reason)
    by_seed = np.array([a[0] - b[0] for a, b in zip(values, before, strict=True)])
    both = contrast(paired.difference, interval, [seed_term(by_seed)])
    low, high = within_span(both.low, both.high, entry.span)
    return replace(paired, difference_low=low, difference_high=high)


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over seeds; undefined where it is undefined for one."""
    first = next((e for e in estimates if e.values is None), estimates[0])
    if first.values is None:
        return first
    values = np.stack([e.values for e in estimates if e.values is not None])
    return replace(first, values=values.mean(axis=0), left_out=None)
