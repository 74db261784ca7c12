"""A rung's numbers: means over its seeds, drops at other cohorts, what they vary with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimate
from medtransfer.evaluation.scoring.fairness import compared_keys
from medtransfer.evaluation.scoring.measure import MeasuredRun
from medtransfer.evaluation.scoring.score import as_result
from medtransfer.evaluation.scoring.test_set import Subgroup
from medtransfer.metrics.catalog import OOD_METRICS, find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.variance import variance_parts
from medtransfer.tables.results import ALL, Result

HEADLINE = "auroc"
"""The metric that curves over label fractions are drawn in."""
BIASED = "no interval: chance alone pushes the metric up, on both sides by its own amount"
BETWEEN_SEEDS, BETWEEN_PATIENTS = "_sd_seeds", "_sd_patients"
"""Added to a metric's name: its standard deviation between seeds, and between patients."""
ResultKey = tuple[str, str, str, str, str]
"""Cohort, attribute, group, target, metric."""


@dataclass(frozen=True)
class Mean:
    """A rung's numbers, mean over its seeds.

    Attributes:
        key: Rung and training set of the runs.
        subgroups: By cohort, attribute and group.
        numbers: Seed means; replicates are of patients.
        by_seed: The values before the mean. [S, 1 + R]
        internal_name: The training cohorts' name as a test set.
    """

    key: GridKey
    subgroups: dict[tuple[str, str, str], Subgroup]
    numbers: dict[ResultKey, Estimate]
    by_seed: dict[ResultKey, Floats]
    internal_name: str


class MeanOfSeeds:
    """The overall numbers of a rung's runs, gathered one seed after the other."""

    def __init__(self, key: GridKey) -> None:
        self.key = key
        self._estimates: dict[ResultKey, list[Estimate]] = {}
        self._subgroups: dict[tuple[str, str, str], Subgroup] = {}
        self._internal_name = ""

    def add(self, measured: MeasuredRun) -> None:
        """Add the numbers of one seed; its predictions are not kept."""
        run = measured.run
        self._internal_name = run.internal_name()
        for place, of_place in zip(measured.places, measured.numbers, strict=True):
            compared = set(compared_keys(of_place))
            for part, numbers in zip(place.subgroups, of_place, strict=True):
                where = (part.cohort, part.attribute, part.group)
                self._subgroups[where] = part
                for key, number in numbers.items():
                    overall = key[0] in run.overall or key[1] in OOD_METRICS
                    if overall and (part.attribute == ALL or key in compared):
                        self._estimates.setdefault((*where, *key), []).append(number)

    def mean(self) -> Mean:
        """The mean over the seeds so far."""
        by_seed = {
            key: np.stack([e.values for e in estimates if e.values is not None])
            for key, estimates in self._estimates.items()
            if all(e.values is not None for e in estimates)
        }
        means = {key: _mean(key, of_key, by_seed) for key, of_key in self._estimates.items()}
        return Mean(self.key, self._subgroups, means, by_seed, self._internal_name)


def _mean(place: ResultKey, numbers: list[Estimate], by_seed: dict[ResultKey, Floats]) -> Estimate:
    first = next((n for n in numbers if n.values is None), numbers[0])
    left_out = [n.left_out for n in numbers if n.left_out is not None]
    return replace(
        first,
        values=by_seed[place].mean(axis=0) if place in by_seed else None,
        left_out=np.mean(left_out, axis=0) if len(left_out) == len(numbers) else None,
    )


def mean_results(mean: Mean) -> Iterator[Result]:
    """A rung's means as rows of the results table, without a run id."""
    for (*place, target, metric), number in mean.numbers.items():
        cohort, attribute, group = place
        part = mean.subgroups[cohort, attribute, group]
        yield as_result(None, part, (target, metric), number)


def drops(mean: Mean) -> Iterator[Result]:
    """Internal test minus shifted cohort, for every overall metric, as rows of `<metric>_drop`.

    The cohorts are resampled independently, so their replicates are too.
    """
    for (cohort, attribute, group, target, metric), number in mean.numbers.items():
        inside = mean.numbers.get((mean.internal_name, attribute, group, target, metric))
        if cohort == mean.internal_name or attribute != ALL or inside is None:
            continue
        part = mean.subgroups[cohort, attribute, group]
        row = as_result(None, part, (target, metric), replace(number, left_out=None))
        reason = inside.reason or number.reason
        row = replace(row, metric=f"{metric}_drop", value=None, low=None, high=None, reason=reason)
        if inside.values is not None and number.values is not None:
            drop = inside.values - number.values
            low, high = difference_interval(drop, metric) or (None, None)
            known = bool(np.isfinite(drop[0]))
            if known and low is None and len(drop) > 1:
                reason = "; ".join(why for why in (reason, no_interval(metric)) if why)
            row = replace(
                row,
                value=float(drop[0]) if known else None,
                low=low,
                high=high,
                reason=reason or (None if known else "undefined in the sample"),
            )
        yield row


def difference_interval(difference: Floats, metric: str) -> tuple[float, float] | None:
    """The percentile interval of a difference; none where chance pushes both sides up.

    What chance adds to two calibration errors cancels only between cohorts of one size and
    networks that are calibrated alike.
    """
    return None if find_metric(metric).biased else percentile_interval(difference)


def no_interval(metric: str) -> str:
    """Why `difference_interval` gives none."""
    return BIASED if find_metric(metric).biased else NO_INTERVAL


def variances(mean: Mean, config: EvaluationConfig) -> Iterator[Result]:
    """What the headline metric varies with: seeds and patients apart, as standard deviations."""
    for place, values in mean.by_seed.items():
        cohort, attribute, group, target, metric = place
        if metric != HEADLINE or attribute != ALL or values.shape[1] < 2:
            continue
        rng = generator(config.seed, "variance", mean.key.rung, str(mean.key.training))
        parts = variance_parts(values, rng)
        number = mean.numbers[place]
        for suffix, value in (
            (BETWEEN_SEEDS, parts.between_seeds),
            (BETWEEN_PATIENTS, parts.between_patients),
        ):
            known = bool(np.isfinite(value))
            yield Result(
                None,
                "test",
                cohort,
                target,
                metric + suffix,
                value if known else None,
                num_cases=number.cases,
                num_patients=number.patients,
                reason=None if known else parts.reason,
                attribute=attribute,
                group=group,
            )
