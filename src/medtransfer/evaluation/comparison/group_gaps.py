"""Gaps between groups of a rung's means over seeds: patients and seeds are random.

The mean of single networks' gaps is larger than the gap of their means: each network's noise makes
a gap of its own. What the groups' means beside it show is the gap of the means.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import (
    NO_INTERVAL,
    Estimate,
    MetricKey,
    ResultKey,
    changed,
)
from medtransfer.evaluation.scoring.fairness import comparisons_by_attribute, gap_rows
from medtransfer.evaluation.scoring.gap_tests import BIASED_GAP
from medtransfer.evaluation.scoring.group_comparison import (
    GAP_P,
    TOO_FEW,
    ComparedGroups,
    GroupComparison,
)
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.contrasts import PATIENTS_AND_SEEDS
from medtransfer.statistics.groups import gap_p
from medtransfer.tables.results import ALL, Result

OTHER_GROUPS = "seeds have different groups or targets that are large enough"


@dataclass(frozen=True)
class SeedGroups:
    """The groups of one attribute on a run's test set, without its predictions.

    Attributes:
        names: Of the groups that are large enough. G
        targets: Of a mean over targets: those it is of.
        values: Of each group, in the sample and in every replicate. G times [1 + R]
        noise: Draws of the groups' errors over patients, where a group is too small for its
            replicates. [G, R]
        counts: Cases and patients, and the note on targets left out.
    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    values: tuple[Floats, ...]
    noise: Floats | None
    counts: Estimate

    @cached_property
    def stacked(self) -> Floats:
        """The groups' values. [G, 1 + R]"""
        return np.stack(self.values) if self.values else np.zeros((0, 1))

    @property
    def errors(self) -> Floats | None:
        """Draws of the groups' errors over patients. [G, R]; None without replicates."""
        if self.stacked.shape[1] < 2 or self.noise is not None:
            return self.noise
        return self.stacked[:, 1:] - self.stacked[:, :1]


@dataclass(frozen=True)
class MeanGroups(ComparedGroups):
    """The groups of one attribute with a metric's mean over seeds.

    Attributes:
        subject: Cohort, attribute, target and metric.
        seeds: Of each seed, the same groups. S
        reason: Why the seeds have no common groups.
    """

    subject: ResultKey
    seeds: tuple[SeedGroups, ...]
    reason: str | None = None

    @property
    def measured(self) -> MetricKey:
        """Target and metric."""
        return MetricKey(self.subject.target, self.subject.metric)

    @property
    def values(self) -> list[Floats]:
        """The mean of each group, in the sample and in every replicate. G times [1 + R]"""
        return self._means

    @cached_property
    def _means(self) -> list[Floats]:
        return [] if self.reason else list(self._of_seeds.mean(axis=0))

    @cached_property
    def _of_seeds(self) -> Floats:
        """Values of every seed, which all have the same groups. [S, G, 1 + R]"""
        each = [values for of_seed in self.seeds for values in of_seed.values]
        if not each:
            return np.zeros((len(self.seeds), 0, 1))
        return np.stack(each).reshape(len(self.seeds), -1, len(each[0]))

    def noise(self, config: EvaluationConfig) -> Floats | None:
        """Draws of the groups' errors over patients and seeds. [G, R]

        A seed moves all groups at once. So each draw is a sum of the seeds' deviations from their
        mean with normal weights, which has their covariance between groups, and the tails of
        Student's t with S - 1 degrees.
        """
        if config.seed not in self._noise_of_seed:
            self._noise_of_seed[config.seed] = self._drawn(config.seed)
        return self._noise_of_seed[config.seed]

    @cached_property
    def _noise_of_seed(self) -> dict[int, Floats | None]:
        """Draws of `noise`, kept: gap, worst group and test ask for the same."""
        return {}

    def _drawn(self, seed: int) -> Floats | None:
        patients = self._mean_errors()
        if patients is None:
            return None
        number = len(self.seeds)
        of_seeds: Floats = np.ascontiguousarray(self._of_seeds[:, :, 0].T)
        apart: Floats = of_seeds - of_seeds.mean(axis=1, keepdims=True)
        rng = generator(seed, "seeds of groups", str(self.subject))
        weights = rng.standard_normal((number, patients.shape[1]))
        squares: Floats = (rng.standard_normal((number - 1, patients.shape[1])) ** 2).sum(axis=0)
        heavy: Floats = np.sqrt((number - 1) / squares)
        return patients + apart @ weights * heavy / np.sqrt(number * (number - 1))

    def _mean_errors(self) -> Floats | None:
        """Mean of the seeds' errors over patients. [G, R]; None without replicates."""
        if all(of_seed.noise is None for of_seed in self.seeds):
            apart: Floats = self._of_seeds[:, :, 1:] - self._of_seeds[:, :, :1]
            return apart.mean(axis=0) if apart.shape[2] else None
        drawn = [errors for of_seed in self.seeds if (errors := of_seed.errors) is not None]
        return None if len(drawn) < len(self.seeds) else np.mean(drawn, axis=0)

    def test(self, config: EvaluationConfig) -> Result:
        """Row of the p-value of no gap, which agrees with the gap's interval."""
        name = self.measured.metric + GAP_P
        values = self.values
        if len(values) < 2:
            return self.undefined(name, TOO_FEW)
        if find_metric(self.measured.metric).biased:
            return self.undefined(name, BIASED_GAP)
        noise = self.noise(config)
        p = None if noise is None else gap_p(values, noise)
        if p is None:
            return self.undefined(name, NO_INTERVAL)
        return changed(self.row(name, p), contains=PATIENTS_AND_SEEDS)

    def row(
        self,
        name: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        """Row of the results table, with the counts of these groups."""
        counts = self.seeds[0].counts
        counts = changed(counts, reason=self.reason or reason or counts.reason)
        row = counts.row(replace(self.subject, metric=name), value, interval)
        return changed(row, contains=PATIENTS_AND_SEEDS) if row.contains else row


def seed_groups(
    measured: MeasuredRun, config: EvaluationConfig
) -> Iterator[tuple[ResultKey, SeedGroups]]:
    """The groups of every attribute of a run, in the overall numbers they are compared by."""
    for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True):
        for attribute, comparisons in comparisons_by_attribute(test_set, estimates).items():
            for comparison in comparisons:
                key = comparison.key
                if key.target in measured.run.overall:
                    subject = ResultKey(test_set.name, attribute, ALL, key.target, key.metric)
                    yield subject, _without_predictions(comparison, config)


def mean_gaps(
    groups: dict[ResultKey, list[SeedGroups]], seeds: int, config: EvaluationConfig
) -> Iterator[Result]:
    """Gaps of means over two seeds or more, as rows of the results table.

    Args:
        groups: From `seed_groups`, of every seed.
        seeds: Number of seeds.
        config: Replicates and their seed.
    """
    if seeds < 2:  # a single network's rows are its own
        return
    by_attribute: dict[tuple[str, str], list[MeanGroups]] = {}
    for subject, of_seeds in groups.items():
        of_mean = MeanGroups(subject, tuple(of_seeds), _apart(of_seeds, seeds))
        by_attribute.setdefault((subject.cohort, subject.attribute), []).append(of_mean)
    for of_attribute in by_attribute.values():
        yield from gap_rows(of_attribute, config)
        yield from (of_mean.test(config) for of_mean in of_attribute)


def _apart(of_seeds: Sequence[SeedGroups], seeds: int) -> str | None:
    """Reason that seeds cannot be brought together; None if all have the same groups."""
    same = len({(groups.names, groups.targets) for groups in of_seeds}) == 1
    return None if same and len(of_seeds) == seeds else OTHER_GROUPS


def _without_predictions(comparison: GroupComparison, config: EvaluationConfig) -> SeedGroups:
    run, cases = comparison.test_set.run, comparison.cases
    values = tuple(comparison.values)
    noise = comparison.noise(config) if len(values) > 1 else None
    counts = Estimate(None, int(cases.sum()), run.patients(cases), reason=comparison.left_out)
    names = tuple(subgroup.group for subgroup in comparison.subgroups)
    return SeedGroups(names, comparison.targets, values, noise, counts)
