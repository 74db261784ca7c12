"""Whom a run serves worse: worst group, gap and ratio per attribute, with a permutation test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimate, Estimates, Key
from medtransfer.evaluation.scoring.measure import bindings
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet
from medtransfer.evaluation.scoring.tune_fit import WHOLE_CASE
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.groups import (
    gap,
    gap_interval,
    permutation_ps,
    ratio_of_groups,
    worst_group,
    worst_interval,
)
from medtransfer.tables.results import ALL, CASE, MACRO, MICRO, Result

COMPARED = (
    "auroc",
    "balanced_accuracy",
    "accuracy",
    "ece",
    "sensitivity",
    "specificity",
    "ppv",
    "predicted_prevalence",
    "underdiagnosis",
)
"""Metrics, without their operating point, that groups are compared by."""


@dataclass(frozen=True)
class Compared:
    """The groups of one attribute that are large enough for a metric.

    Attributes:
        place: Where.
        attribute: Whose groups.
        key: Target and metric.
        targets: Whose mean it is, for `macro`: those for which every group has the metric.
        groups: Their slices. G
        numbers: The metric of each. G
    """

    place: TestSet
    attribute: str
    key: Key
    targets: tuple[str, ...]
    groups: tuple[Subgroup, ...]
    numbers: tuple[Estimate, ...]

    @property
    def cases(self) -> Flags:
        """Cases of these groups. [N]"""
        if not self.groups:
            return np.zeros(len(self.place.run.frame), dtype=np.bool_)
        return np.logical_or.reduce([part.cases for part in self.groups])

    @property
    def left_out(self) -> str | None:
        """Which targets a mean is not over."""
        without = len(self.place.run.names) - len(self.targets)
        if self.key[0] != MACRO or not without or not self.targets:
            return None
        return f"{without} of {len(self.place.run.names)} targets left out: undefined in a group"

    @property
    def values(self) -> list[Floats]:
        """The metric of each group, in the sample and in every replicate. G times [1 + R]"""
        return [n.values for n in self.numbers if n.values is not None]

    def row(
        self,
        metric: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        """A row of the results table."""
        low, high = interval or (None, None)
        run, cases = self.place.run, self.cases
        return Result(
            run.run_id,
            "test",
            self.place.name,
            self.key[0],
            metric,
            value,
            low,
            high,
            int(cases.sum()),
            run.patients(cases),
            None,
            reason or self.left_out,
            self.attribute,
            ALL,
        )


def compared_keys(numbers: Sequence[Estimates]) -> list[Key]:
    """What groups are compared by."""
    keys = dict.fromkeys(key for own in numbers for key in own)
    return [key for key in keys if key[0] != MICRO and key[1].split("@")[0] in COMPARED]


def compare_groups(
    place: TestSet, attribute: str, key: Key, found: Sequence[tuple[Subgroup, Estimates]]
) -> Compared:
    """Gather the groups that have a metric; for `macro`, over the targets that all of them have.

    Args:
        place: Where.
        attribute: Whose groups.
        key: Target and metric.
        found: The attribute's groups with their numbers.
    """
    targets = _shared_targets(place, key[1], found) if key[0] == MACRO else ()
    large = [
        (part, own[key] if key[0] != MACRO else _mean_of([own[name, key[1]] for name in targets]))
        for part, own in found
        if _is_defined(own, key) and (targets or key[0] != MACRO)
    ]
    groups, numbers = zip(*large, strict=True) if large else ((), ())
    return Compared(place, attribute, key, targets, groups, numbers)


def _is_defined(own: Estimates, key: Key) -> bool:
    return key in own and (v := own[key].values) is not None and bool(np.isfinite(v[0]))


def _shared_targets(
    place: TestSet, metric: str, found: Sequence[tuple[Subgroup, Estimates]]
) -> tuple[str, ...]:
    """The targets for which every group has a metric that has it for any.

    Means over other targets in one group than in its neighbour would differ without a cause.
    """
    names = place.run.names
    large = [own for _, own in found if any(_is_defined(own, (name, metric)) for name in names)]
    return tuple(n for n in names if all(_is_defined(own, (n, metric)) for own in large))


def _mean_of(numbers: Sequence[Estimate]) -> Estimate:
    """The mean over targets of one group. Their values are known."""
    values = np.mean([n.values for n in numbers if n.values is not None], axis=0)
    return replace(numbers[0], values=values, positives=None)


GAP, GAP_P, WORST, RATIO = "_gap", "_gap_p", "_worst_group", "_ratio"
"""What is added to a metric's name: largest minus smallest, p-value of no gap, worst group,
smallest over largest."""
ODDS = "equalized_odds"
"""The larger of the gaps in sensitivity and specificity (Hardt et al. 2016)."""
TOO_FEW = "fewer than two groups large enough"
BIASED = "no interval: chance alone pushes the metric up, in groups of different size differently"


def gap_results(
    place: TestSet, numbers: Sequence[Estimates], config: EvaluationConfig
) -> Iterator[Result]:
    """Worst group, gap, ratio and p-values for every attribute of a place.

    Args:
        place: Its slices.
        numbers: Every metric of each slice.
        config: Least group size, permutations.
    """
    for attribute in dict.fromkeys(part.attribute for part in place.subgroups[1:]):
        found = [
            (part, own)
            for part, own in zip(place.subgroups, numbers, strict=True)
            if part.attribute == attribute
        ]
        compared = [compare_groups(place, attribute, key, found) for key in compared_keys(numbers)]
        for one in compared:
            yield from _rows(one)
        yield from _odds(compared)
        yield from _tests(place, attribute, compared, config)


def _rows(about: Compared) -> Iterator[Result]:
    name = about.key[1]
    metric = find_metric(name)
    judged = metric.better != "neither"
    if len(about.groups) < 2:
        for suffix in (WORST, GAP, RATIO) if judged else (GAP, RATIO):
            yield about.row(name + suffix, None, None, TOO_FEW)
        return
    values = about.values
    better = metric.better == "higher"
    ends = (metric.low, metric.high)
    ratio = ratio_of_groups(values)
    found = [
        (GAP, gap(values)[0], gap_interval(values, metric.high - metric.low)),
        (RATIO, ratio[0], None if metric.biased else percentile_interval(ratio)),
    ]
    if judged:
        worst = worst_group(values, higher_is_better=better)[0]
        interval = worst_interval(values, higher_is_better=better, ends=ends)
        found.insert(0, (WORST, worst, interval))
    for suffix, number, interval in found:
        why = BIASED if suffix == RATIO and metric.biased else NO_INTERVAL
        yield _row(about, name + suffix, float(number), interval, why)


def _row(
    about: Compared,
    name: str,
    number: float,
    interval: tuple[float, float] | None,
    why: str = NO_INTERVAL,
) -> Result:
    if not np.isfinite(number):
        return about.row(name, None, None, "undefined: no group is above 0")
    missing = interval is None and len(about.values[0]) > 1
    return about.row(name, number, interval, why if missing else None)


def _odds(compared: Sequence[Compared]) -> Iterator[Result]:
    """Equalised odds: the larger of the gaps in sensitivity and specificity."""
    by_key = {about.key: about for about in compared}
    for (target, name), sens in by_key.items():
        point = name.removeprefix("sensitivity@")
        spec = by_key.get((target, f"specificity@{point}"))
        if name == point or spec is None:
            continue
        if len(sens.groups) < 2 or len(spec.groups) < 2:
            yield sens.row(f"{ODDS}@{point}", None, None, TOO_FEW)
            continue
        value = max(float(gap(sens.values)[0]), float(gap(spec.values)[0]))
        ends = [gap_interval(about.values, 1.0) for about in (sens, spec)]
        known = [end for end in ends if end is not None]
        # each gap's interval holds it alone: the larger gap lies within the larger of both ends
        interval = (max(e[0] for e in known), max(e[1] for e in known)) if len(known) == 2 else None
        yield _row(sens, f"{ODDS}@{point}", value, interval)


def _tests(
    place: TestSet, attribute: str, compared: Sequence[Compared], config: EvaluationConfig
) -> Iterator[Result]:
    """P-values of "the groups do not differ" for the overall numbers."""
    wanted = [c for c in compared if c.key[0] in place.run.overall]
    families: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Compared]] = {}
    for about in wanted:
        names = tuple(part.group for part in about.groups)
        families.setdefault((about.key[0], about.targets, names), []).append(about)
    for (_, _, names), family in families.items():
        if len(names) < 2:
            found = dict.fromkeys((about.key for about in family), TOO_FEW)
        elif not config.permutations:
            found = dict.fromkeys((about.key for about in family), "no permutations were asked for")
        else:
            found = _permuted(place, attribute, family, config)
        for about in family:
            p = found[about.key]
            value, reason = (None, p) if isinstance(p, str) else (p, None)
            yield about.row(about.key[1] + GAP_P, value, None, reason)


def _permuted(
    place: TestSet, attribute: str, family: Sequence[Compared], config: EvaluationConfig
) -> dict[Key, float | str]:
    keys = [about.key for about in family]
    target, metrics = keys[0][0], [name for _, name in keys]
    targets = family[0].targets if target == MACRO else (target,)
    member = family[0].cases
    groups = place.groups[attribute].filter(pl.Series(member))
    names = [part.group for part in family[0].groups]
    codes = groups.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
    ids = place.patient[member]
    patients, patient = np.unique(ids, return_inverse=True)
    of_patient = np.zeros(len(patients), dtype=np.int64)
    of_patient[patient] = codes
    if (of_patient[patient] != codes).any():
        return dict.fromkeys(keys, "a patient is in two groups")
    number_of = np.full(len(place.run.frame), -1, dtype=np.int32)
    number_of[member] = patient
    found: dict[Key, float | str] = {}
    for names, parts in _parts(place, targets, metrics, member, number_of, config):
        rng = generator(config.seed, "permutation", place.name, attribute)
        ps = permutation_ps(parts, of_patient, permutations=config.permutations, rng=rng)
        for name, p in zip(names, ps, strict=True):
            found[target, name] = p if p is not None else "a target is undefined in a group"
    return found


def _parts(
    place: TestSet,
    targets: Sequence[str],
    metrics: Sequence[str],
    member: Flags,
    number_of: NDArray[np.int32],
    config: EvaluationConfig,
) -> Iterator[tuple[list[str], list[SubgroupMetrics]]]:
    """The metrics bound to all groups' cases, of each of the targets whose mean is compared.

    Yields:
        Metrics that are defined for the same targets, and a part for each of these.
    """
    run = place.run
    numbers = [run.names.index(name) if name in run.names else WHOLE_CASE for name in targets]
    whole = Subgroup(place.name, ALL, ALL, member)
    bound: list[tuple[Flags, dict[str, Weighted]]] = []
    for number in numbers:
        known = run.classified() if number == WHOLE_CASE else run.labelled(number)
        rows = member & known
        cases = place.cases(number, ALL).take(rows)
        name = CASE if number == WHOLE_CASE else run.names[number]
        found = bindings(run, whole, name, cases, rows, config)
        bound.append((rows, {b.key[1]: b.bound for b in found if b.bound is not None}))
    families: dict[tuple[int, ...], list[str]] = {}
    for metric in metrics:
        where = tuple(i for i, (_, of_target) in enumerate(bound) if metric in of_target)
        families.setdefault(where, []).append(metric)
    for where, names in families.items():
        each = [(rows, of_target) for rows, of_target in (bound[i] for i in where)]
        yield (
            names,
            [SubgroupMetrics(number_of[rows], tuple(own[m] for m in names)) for rows, own in each],
        )
