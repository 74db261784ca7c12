"""Means of a rung's numbers over its seeds, drops at other cohorts, parts of their variance."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimate, ResultKey
from medtransfer.evaluation.scoring.fairness import compared_keys
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.metrics.catalog import OOD_METRICS, find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.variance import variance_parts
from medtransfer.tables.results import ALL, Result

HEADLINE = "auroc"
"""The metric that curves over label fractions are drawn in."""
BIASED_DIFFERENCE = (
    "no interval: chance alone pushes the metric up, on both sides by different amounts"
)
BETWEEN_SEEDS, BETWEEN_PATIENTS = "_sd_seeds", "_sd_patients"
"""Suffixes of a metric's name: its standard deviation between seeds, and between patients."""


@dataclass(frozen=True)
class Mean:
    """A rung's numbers, mean over its seeds.

    Attributes:
        key: Rung and training set of the runs.
        estimates: Seed means; replicates are of patients.
        by_seed: The values before the mean. [S, 1 + R]
        internal_name: The training cohorts' name as a test set.
    """

    key: GridKey
    estimates: dict[ResultKey, Estimate]
    by_seed: dict[ResultKey, Floats]
    internal_name: str


class MeanOfSeeds:
    """The overall numbers of a rung's runs, gathered one seed after the other."""

    def __init__(self, key: GridKey) -> None:
        self.key = key
        self._estimates: dict[ResultKey, list[Estimate]] = {}
        self._internal_name = ""

    def add(self, measured: MeasuredRun) -> None:
        """Add the numbers of one seed; its predictions are not kept."""
        run = measured.run
        self._internal_name = run.internal_name()
        for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True):
            compared = set(compared_keys(estimates))
            for subgroup, of_subgroup in zip(test_set.subgroups, estimates, strict=True):
                for key, estimate in of_subgroup.items():
                    overall = key.target in run.overall or key.metric in OOD_METRICS
                    if overall and (subgroup.attribute == ALL or key in compared):
                        self._estimates.setdefault(subgroup.key(key), []).append(estimate)

    def mean(self) -> Mean:
        """The mean over the seeds so far."""
        by_seed = {
            key: np.stack([e.values for e in estimates if e.values is not None])
            for key, estimates in self._estimates.items()
            if all(e.values is not None for e in estimates)
        }
        means = {
            key: _mean(estimates, by_seed.get(key)) for key, estimates in self._estimates.items()
        }
        return Mean(self.key, means, by_seed, self._internal_name)


def _mean(estimates: list[Estimate], values: Floats | None) -> Estimate:
    """The mean over seeds of their values [S, 1 + R], with the counts of one of them."""
    first = next((e for e in estimates if e.values is None), estimates[0])
    left_out = [e.left_out for e in estimates if e.left_out is not None]
    return replace(
        first,
        values=None if values is None else values.mean(axis=0),
        left_out=np.mean(left_out, axis=0) if len(left_out) == len(estimates) else None,
    )


def mean_results(mean: Mean) -> Iterator[Result]:
    """A rung's means as rows of the results table, without a run id."""
    for key, estimate in mean.estimates.items():
        yield estimate.as_result(key)


def drops(mean: Mean) -> Iterator[Result]:
    """Internal test minus shifted cohort, for every overall metric, as rows of `<metric>_drop`.

    The cohorts are resampled independently, so their replicates are too.
    """
    for key, shifted in mean.estimates.items():
        internal = mean.estimates.get(replace(key, cohort=mean.internal_name))
        if key.cohort == mean.internal_name or key.attribute != ALL or internal is None:
            continue
        estimate = replace(shifted, reason=internal.reason or shifted.reason)
        drop_key = replace(key, metric=f"{key.metric}_drop")
        if internal.values is None or shifted.values is None:
            yield estimate.row(drop_key, None)
            continue
        drop = internal.values - shifted.values
        yield estimate.row(
            drop_key,
            float(drop[0]),
            difference_interval(drop, key.metric),
            missing=missing_interval(drop, key.metric),
        )


def difference_interval(difference: Floats, metric: str) -> tuple[float, float] | None:
    """The percentile interval of a difference; none where chance pushes both sides up.

    What chance adds to two calibration errors cancels only between cohorts of one size and
    networks that are calibrated alike.
    """
    return None if find_metric(metric).biased else percentile_interval(difference)


def missing_interval(difference: Floats, metric: str) -> str | None:
    """Reason if `difference_interval` gives none; None where no replicates were drawn."""
    if len(difference) == 1:
        return None
    return BIASED_DIFFERENCE if find_metric(metric).biased else NO_INTERVAL


def variances(mean: Mean, config: EvaluationConfig) -> Iterator[Result]:
    """Standard deviations of the headline metric between seeds and between patients."""
    for key, values in mean.by_seed.items():
        if key.metric != HEADLINE or key.attribute != ALL or values.shape[1] < 2:
            continue
        rng = generator(config.seed, "variance", mean.key.rung, str(mean.key.training))
        parts = variance_parts(values, rng)
        estimate = mean.estimates[key]
        for suffix, value in (
            (BETWEEN_SEEDS, parts.between_seeds),
            (BETWEEN_PATIENTS, parts.between_patients),
        ):
            counts = Estimate(
                values=None,
                cases=estimate.cases,
                patients=estimate.patients,
                reason=None if np.isfinite(value) else parts.reason,
            )
            yield counts.row(replace(key, metric=key.metric + suffix), float(value))
