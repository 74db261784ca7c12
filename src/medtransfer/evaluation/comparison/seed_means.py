"""Means of a rung's numbers over its seeds, drops at other cohorts, parts of their variance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import listed
from medtransfer.evaluation.comparison.cells.seed_part import SeedPart, seed_part
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.group_gaps import SeedGroups, mean_gaps
from medtransfer.evaluation.comparison.pairs.intervals import drop_interval
from medtransfer.evaluation.comparison.target_means import (
    WITHIN,
    SharedMean,
    TargetMean,
    over_seeds,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey, changed
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.contrasts import SeedTerm, contrast, seed_term, seeded_replicates
from medtransfer.statistics.variance import variance_parts
from medtransfer.tables.results import ALL, Result

HEADLINE = "auroc"
"""The metric that curves over label fractions are drawn in."""
DROP_SUFFIX = "_drop"
OVER_SHARED = "over the"
"""Start of the reason of a drop over the targets that both cohorts have."""
OTHER_TARGETS = "the two cohorts have different targets"
BETWEEN_SEEDS, BETWEEN_PATIENTS = "_sd_seeds", "_sd_patients"
"""Suffixes of a metric's name: its standard deviation between seeds, and between patients."""


@dataclass(frozen=True)
class Mean:
    """A rung's numbers, mean over its seeds.

    Attributes:
        key: Rung and training set of the runs.
        estimates: Seed means; replicates are of patients.
        by_seed: The values before the mean. [S, 1 + R]
        seeds: Seeds of the runs, in the order of `by_seed`.
        internal_name: The training cohorts' name as a test set.
        decisions: Right decisions by patient, of sensitivity and specificity at each operating
            point; of one seed alone, since the seeds' variation is in no test of them. Each [P]
        shared: Of means at shifted cohorts that have other targets than the internal test set.
        comparable: Of means over targets, one of which has too few patients.
        gaps: Rows of the gaps between groups, of two seeds or more.
    """

    key: GridKey
    estimates: dict[ResultKey, Estimate]
    by_seed: dict[ResultKey, Floats]
    internal_name: str
    seeds: tuple[int, ...] = ()
    decisions: dict[ResultKey, NDArray[np.int64]] = field(
        default_factory=dict[ResultKey, "NDArray[np.int64]"]
    )
    shared: dict[ResultKey, SharedMean] = field(default_factory=dict[ResultKey, SharedMean])
    comparable: dict[ResultKey, TargetMean] = field(default_factory=dict[ResultKey, TargetMean])
    gaps: tuple[Result, ...] = ()

    def estimate(self, key: ResultKey) -> Estimate:
        """The mean as contrasts with other rungs use it: of targets with patients enough."""
        estimate = self.estimates[key]
        return with_mean(estimate, self.comparable[key]) if key in self.comparable else estimate

    def home(self, key: ResultKey) -> ResultKey:
        """The training cohorts' number that one of a shifted cohort is held against."""
        home = ResultKey(self.internal_name, key.attribute, key.group, key.target, key.metric)
        if key.metric != HEADLINE:
            return home
        within = replace(home, metric=WITHIN)
        return within if within in self.by_seed else home

    def seed_values(self, key: ResultKey) -> Floats:
        """Its values before the mean over seeds. [S, 1 + R]"""
        return self.comparable[key].values if key in self.comparable else self.by_seed[key]

    def seed_terms(self, key: ResultKey, weight: float = 1.0) -> list[SeedTerm | None]:
        """The seeds' part of the variance of a mean, times the square of its weight."""
        return [seed_term(self.by_seed[key][:, 0], weight)]

    def replicates(self, key: ResultKey, seed: int) -> Floats:
        """Replicates of a mean over patients and seeds, independent between rungs. [1 + R]"""
        values = self.seed_values(key)
        rng = generator(seed, "seeds", self.key.rung, str(self.key.training), str(key))
        return seeded_replicates(values, rng)


class MeanOfSeeds:
    """The overall numbers of a rung's runs, gathered one seed after the other."""

    def __init__(self, key: GridKey, config: EvaluationConfig) -> None:
        self.key = key
        self.config = config
        self._estimates: dict[ResultKey, list[Estimate]] = {}
        self._internal_name = ""
        self._seeds: list[int] = []
        self._decisions: dict[ResultKey, NDArray[np.int64]] = {}
        self._shared: dict[ResultKey, list[SharedMean]] = {}
        self._comparable: dict[ResultKey, list[TargetMean]] = {}
        self._groups: dict[ResultKey, list[SeedGroups]] = {}

    def add(self, measured: MeasuredRun, seed: int) -> None:
        """Add a measured run of one seed; its predictions are not kept."""
        self.add_part(seed_part(measured, self.config), seed)

    def add_part(self, part: SeedPart, seed: int) -> None:
        """Add the numbers of one seed."""
        self._seeds.append(seed)
        self._internal_name = part.internal_name
        self._decisions |= part.decisions
        for key, estimate in part.estimates.items():
            self._estimates.setdefault(key, []).append(estimate)
        for key, shared in part.shared.items():
            self._shared.setdefault(key, []).append(shared)
        for key, comparable in part.comparable.items():
            self._comparable.setdefault(key, []).append(comparable)
        for subject, groups in part.groups.items():
            self._groups.setdefault(subject, []).append(groups)

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
        return Mean(
            key=self.key,
            estimates=means,
            by_seed=by_seed,
            internal_name=self._internal_name,
            seeds=tuple(self._seeds),
            decisions=self._decisions if len(self._seeds) == 1 else {},
            shared=self._shared_over_seeds(),
            comparable={
                key: mean
                for key, of_seeds in self._comparable.items()
                if len(of_seeds) == len(self._seeds) and (mean := over_seeds(of_seeds)) is not None
            },
            gaps=tuple(mean_gaps(self._groups, len(self._seeds), self.config)),
        )

    def _shared_over_seeds(self) -> dict[ResultKey, SharedMean]:
        shared: dict[ResultKey, SharedMean] = {}
        for key, of_seeds in self._shared.items():
            internal = over_seeds([mean.internal for mean in of_seeds])
            shifted = over_seeds([mean.shifted for mean in of_seeds])
            if len(of_seeds) == len(self._seeds) and internal is not None and shifted is not None:
                shared[key] = SharedMean(internal, shifted)
        return shared


def _mean(estimates: list[Estimate], values: Floats | None) -> Estimate:
    """The mean over seeds of their values [S, 1 + R], with the counts of one of them."""
    first = next((e for e in estimates if e.values is None), estimates[0])
    left_out = [e.left_out for e in estimates if e.left_out is not None]
    return changed(
        first,
        values=None if values is None else values.mean(axis=0),
        left_out=np.mean(left_out, axis=0) if len(left_out) == len(estimates) else None,
    )


def mean_results(mean: Mean) -> Iterator[Result]:
    """A rung's means as rows of the results table, without a run id."""
    for key, estimate in mean.estimates.items():
        row = estimate.as_result(key)
        if key in mean.by_seed:
            entry = find_metric(key.metric)
            row = with_seeds(row, mean.seed_terms(key), (entry.low, entry.high))
        yield row
    yield from mean.gaps


def with_seeds(
    row: Result,
    terms: Sequence[SeedTerm | None],
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Result:
    """A row whose interval contains the seeds too, and says so.

    Args:
        row: With an interval of patients, or none.
        terms: The seeds' parts of its variance.
        limits: Range of the value.
    """
    if row.value is None or row.low is None or row.high is None:
        return row
    both = contrast(row.value, (row.low, row.high), terms)
    low, high = max(limits[0], both.low), min(limits[1], both.high)
    return changed(row, low=low, high=high, contains=both.sources)


def drops(mean: Mean) -> Iterator[Result]:
    """Internal test minus shifted cohort, for every overall metric, as rows of `<metric>_drop`.

    The cohorts are resampled independently, so their replicates are too.
    """
    for key, shifted in mean.estimates.items():
        internal = mean.estimates.get(mean.home(key))
        if key.cohort == mean.internal_name or key.attribute != ALL or internal is None:
            continue
        estimate = replace(shifted, reason=internal.reason or shifted.reason)
        drop_key = replace(key, metric=key.metric + DROP_SUFFIX)
        if internal.values is None or shifted.values is None:
            yield estimate.row(drop_key, None)
            continue
        by_seed = drop_by_seed(mean, key)
        if by_seed is None:
            yield replace(estimate, reason=OTHER_TARGETS).row(drop_key, None)
            continue
        sides = internal, shifted
        if key in mean.shared:
            shared = mean.shared[key]
            whole = len(set(internal.targets) | set(shifted.targets))
            names = shared.shifted.targets
            reason = (
                f"{OVER_SHARED} {len(names)} of {whole} targets that both have: {listed(names)}"
            )
            estimate = replace(estimate, reason=reason)
            sides = with_mean(internal, shared.internal), with_mean(shifted, shared.shifted)
        interval, missing = drop_interval(*sides, key.metric)
        row = estimate.row(drop_key, float(by_seed[:, 0].mean()), interval, missing=missing)
        span = find_metric(key.metric).span
        yield with_seeds(row, [seed_term(by_seed[:, 0])], (-span, span))


def with_mean(estimate: Estimate, mean: TargetMean) -> Estimate:
    """An estimate of a mean over targets, of these targets instead."""
    values = mean.values.mean(axis=0)
    return replace(
        estimate, values=values, left_out=None, of_targets=mean.support, targets=mean.targets
    )


def internal_and_shifted(mean: Mean, key: ResultKey) -> tuple[Floats, Floats] | None:
    """Every seed's values on the internal test set and at a shifted cohort, of the same targets.

    Returns:
        Each [S, 1 + R]; None where one is undefined, or no target is shared or they are pooled.
    """
    home = mean.home(key)
    if key in mean.shared:
        return mean.shared[key].internal.values, mean.shared[key].shifted.values
    if home not in mean.by_seed or key not in mean.by_seed:
        return None
    if mean.estimates[home].targets != mean.estimates[key].targets:
        return None
    return mean.by_seed[home], mean.by_seed[key]


def drop_by_seed(mean: Mean, key: ResultKey) -> Floats | None:
    """The drop of every seed at a shifted cohort: its two values are of one network. [S, 1 + R]"""
    pair = internal_and_shifted(mean, key)
    return None if pair is None else pair[0] - pair[1]


def variances(mean: Mean) -> Iterator[Result]:
    """Standard deviations of the headline metric between seeds and between patients."""
    for key, values in mean.by_seed.items():
        if key.metric != HEADLINE or key.attribute != ALL or values.shape[1] < 2:
            continue
        parts = variance_parts(values)
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
