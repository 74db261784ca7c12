"""Means over the targets that a contrast can use.

Two means over different targets differ though no target does. And a target with one positive
patient hardly varies in replicates, so that a difference over it looks more certain than it is.
Contrasts are of the targets that both sides have, with patients enough in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medtransfer.evaluation.scoring.estimate import (
    Estimate,
    Estimates,
    MetricKey,
    ResultKey,
    mean_support,
)
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import MeanSupport
from medtransfer.tables.results import MACRO

WITHIN = "auroc_within"
"""AUROC of several training cohorts, each within itself."""


@dataclass(frozen=True)
class TargetMean:
    """A metric's mean over some targets on a test set.

    Attributes:
        values: Of every seed. [S, 1 + R]
        targets: Those it is of.
        support: Patients behind it.
    """

    values: Floats
    targets: tuple[str, ...]
    support: MeanSupport | None


@dataclass(frozen=True)
class SharedMean:
    """The same mean on the internal test set and at a shifted cohort.

    Attributes:
        internal: Inside.
        shifted: At the shifted cohort.
    """

    internal: TargetMean
    shifted: TargetMean


def enough_targets(estimates: Estimates, key: MetricKey) -> tuple[str, ...]:
    """Targets of a mean that have patients enough for an interval."""
    return tuple(
        name
        for name in estimates[key].targets
        if estimates[MetricKey(name, key.metric)].lacking(key.metric) is None
    )


def comparable_means(measured: MeasuredRun) -> dict[ResultKey, TargetMean]:
    """Means of whole test sets that leave out a target for want of patients; others need none."""
    means: dict[ResultKey, TargetMean] = {}
    for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True):
        whole = estimates[0]
        for key, mean in whole.items():
            if key.target != MACRO:
                continue
            targets = enough_targets(whole, key)
            if targets and targets != mean.targets:
                means[test_set.subgroups[0].key(key)] = mean_over(whole, key.metric, targets)
    return means


def shared_means(measured: MeasuredRun) -> dict[ResultKey, SharedMean]:
    """Means at shifted cohorts that have other targets than the internal test set, by their key."""
    by_name = {
        test_set.name: estimates[0]
        for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True)
    }
    inside = by_name.get(measured.run.internal_name(), {})
    means: dict[ResultKey, SharedMean] = {}
    for test_set in measured.test_sets:
        outside = by_name[test_set.name]
        for key, mean in outside.items():
            home = key._replace(metric=home_metric(key.metric, inside, key.target))
            if key.target != MACRO or home not in inside:
                continue
            at_home = enough_targets(inside, home)
            targets = tuple(n for n in enough_targets(outside, key) if n in at_home)
            if targets and not targets == mean.targets == inside[home].targets:
                means[test_set.subgroups[0].key(key)] = SharedMean(
                    mean_over(inside, home.metric, targets), mean_over(outside, key.metric, targets)
                )
    return means


def home_metric(metric: str, inside: Estimates, target: str) -> str:
    """Metric of the training cohorts that a metric of a shifted cohort is held against.

    A shifted cohort is one hospital, so its AUROC is held against that within hospitals.
    """
    within = inside.get(MetricKey(target, WITHIN))
    return WITHIN if metric == "auroc" and within is not None and within.is_defined else metric


def mean_over(estimates: Estimates, metric: str, targets: Sequence[str]) -> TargetMean:
    """The mean of a metric over some targets that have it."""
    of_targets: list[Estimate] = [estimates[MetricKey(name, metric)] for name in targets]
    values = np.mean([e.values for e in of_targets if e.values is not None], axis=0)[None]
    return TargetMean(values, tuple(targets), mean_support(of_targets, metric))


def over_seeds(means: Sequence[TargetMean]) -> TargetMean | None:
    """One mean with the values of several seeds; None where their targets differ."""
    if len({mean.targets for mean in means}) > 1:
        return None
    values = np.concatenate([mean.values for mean in means])
    return TargetMean(values, means[0].targets, means[0].support)
