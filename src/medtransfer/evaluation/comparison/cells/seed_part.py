"""A run's numbers as a mean over seeds takes them, without its predictions."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medtransfer.evaluation.comparison.group_gaps import SeedGroups, seed_groups
from medtransfer.evaluation.comparison.target_means import (
    SharedMean,
    TargetMean,
    comparable_means,
    shared_means,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, MetricKey, ResultKey
from medtransfer.evaluation.scoring.group_comparison import compared_keys
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.catalog import OOD_METRICS
from medtransfer.tables.results import ALL

OF_TARGETS = ("auroc", "auprc", "sensitivity", "specificity")
"""Metrics that have means, differences and drops for each of several targets."""


@dataclass(frozen=True)
class SeedPart:
    """Numbers of one seed.

    Attributes:
        internal_name: The training cohorts' name as a test set.
        estimates: That a mean is taken of.
        decisions: From `right_decisions`.
        shared: Of means at shifted cohorts that have other targets than the internal test set.
        comparable: Of means over targets, one of which has too few patients.
        groups: Of every attribute, in the overall numbers that groups are compared by.
    """

    internal_name: str
    estimates: dict[ResultKey, Estimate]
    decisions: dict[ResultKey, NDArray[np.int64]] = field(
        default_factory=dict[ResultKey, "NDArray[np.int64]"]
    )
    shared: dict[ResultKey, SharedMean] = field(default_factory=dict[ResultKey, SharedMean])
    comparable: dict[ResultKey, TargetMean] = field(default_factory=dict[ResultKey, TargetMean])
    groups: dict[ResultKey, SeedGroups] = field(default_factory=dict[ResultKey, SeedGroups])


def seed_part(measured: MeasuredRun, config: EvaluationConfig) -> SeedPart:
    """The numbers of a measured run."""
    run = measured.run
    kept: dict[ResultKey, Estimate] = {}
    decisions: dict[ResultKey, NDArray[np.int64]] = {}
    for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True):
        decisions |= right_decisions(test_set)
        compared = set(compared_keys(estimates))
        for subgroup, of_subgroup in zip(test_set.subgroups, estimates, strict=True):
            for key, estimate in of_subgroup.items():
                overall = key.target in run.overall or key.metric in OOD_METRICS
                whole = subgroup.attribute == ALL
                of_target = whole and key.metric.partition("@")[0] in OF_TARGETS
                if of_target or (overall and (whole or key in compared)):
                    kept[subgroup.key(key)] = estimate
    return SeedPart(
        internal_name=run.internal_name(),
        estimates=kept,
        decisions=decisions,
        shared=shared_means(measured),
        comparable=comparable_means(measured),
        groups=dict(seed_groups(measured, config)),
    )


def right_decisions(test_set: TestSet) -> dict[ResultKey, NDArray[np.int64]]:
    """Right decisions of each patient at every operating point, on positives and on negatives."""
    run, patient = test_set.run, test_set.patient
    right: dict[ResultKey, NDArray[np.int64]] = {}
    for target, name in enumerate(run.names):
        truth, probabilities = run.truth(target), run.probabilities_of(target)
        labelled = test_set.cases & run.labelled(target)
        for point, threshold in test_set.fit[target].thresholds.items():
            if threshold is None:
                continue
            for metric, label in (("sensitivity", 1), ("specificity", 0)):
                rows = labelled & (truth == label)
                hits = (probabilities[rows] >= threshold) == bool(label)
                count = np.bincount(patient[rows][hits], minlength=test_set.replicates.num_patients)
                key = MetricKey(name, f"{metric}@{point}")
                right[test_set.subgroups[0].key(key)] = count.astype(np.int64)
    return right
