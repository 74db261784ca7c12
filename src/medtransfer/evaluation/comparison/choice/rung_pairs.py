"""Pairs of rungs: differences in AUROC of every two, with intervals that hold for all together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Literal

import numpy as np
import polars as pl
from scipy.special import stdtrit

from medtransfer.evaluation.comparison.differences import NONE_SHARED, seed_terms
from medtransfer.evaluation.comparison.pairs.intervals import few_patients, paired_interval
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean
from medtransfer.evaluation.scoring.estimate import NO_SPREAD, UNDEFINED, ResultKey, is_point
from medtransfer.metrics.catalog import find_metric
from medtransfer.statistics.bootstrap import LEVEL
from medtransfer.statistics.contrasts import ENDLESS, SeedTerm, contrast, within_span
from medtransfer.statistics.sample_size import detectable_difference
from medtransfer.tables.results import ALL, MACRO, MICRO
from medtransfer.tables.schema import Column, Contract, records_frame

PairUse = Literal["choice", "shift"]
"""`choice`: the internal test set, or all held-out cohorts; `shift`: one other cohort."""
OTHER_CASES = "the two rungs were tested on different cases"
OTHER_TARGETS = "the two rungs have different targets"
OTHER_TRAINING = "the two rungs are not known to have been trained on the same cohorts"

PAIRS_CONTRACT = Contract(
    "Pairs of rungs",
    (
        Column("rung", "text", "The first rung."),
        Column("reference", "text", "The second rung."),
        Column("use", "text", "`choice`, or `shift` for a shifted or held-out cohort."),
        Column("label_fraction", "number", "Share of the training patients used by both."),
        Column("cohort", "text", "Source of the test cases, or `all` held-out cohorts."),
        Column("target", "text", "The target, or `macro`."),
        Column("difference", "number", "AUROC of the first minus the second.", filled=False),
        Column(
            "low",
            "number",
            "Lower end of the interval that holds for all pairs of a cohort at once, in 95 %.",
            filled=False,
        ),
        Column("high", "number", "Upper end of that interval.", filled=False),
        Column(
            "contains",
            "text",
            "Random variation in the interval: `patients`, or `patients and seeds`.",
            filled=False,
        ),
        Column(
            "detectable",
            "number",
            "Smallest true difference that such a study detects with 80 % power.",
            filled=False,
        ),
        Column(
            "seed_share",
            "number",
            "Share of the seeds in the squared width of the interval; 0 if patients alone make it.",
            filled=False,
        ),
        Column("num_cases", "integer", "Number of test cases."),
        Column("num_patients", "integer", "Number of patients."),
        Column("reason", "text", "Reason if the interval is empty.", filled=False),
    ),
)


@dataclass(frozen=True)
class RungPair:
    """Difference between two rungs; fields as in the contract."""

    rung: str
    reference: str
    use: PairUse
    label_fraction: float
    cohort: str
    target: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    contains: str | None = None
    detectable: float | None = None
    seed_share: float | None = None
    num_cases: int = 0
    num_patients: int = 0
    reason: str | None = None

    def reversed(self) -> "RungPair":
        """The same difference, seen from the other rung."""
        return replace(
            self,
            rung=self.reference,
            reference=self.rung,
            difference=None if self.difference is None else -self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
        )


@dataclass(frozen=True)
class Part:
    """Two means on one cohort.

    Attributes:
        mean: Of the first rung.
        base: Of the second.
        key: The AUROC of the cohort.
    """

    mean: Mean
    base: Mean
    key: ResultKey


@dataclass(frozen=True)
class PairedRungs:
    """A pair of rungs before it has its interval.

    Attributes:
        row: With the difference, or the reason why there is no interval.
        interval: Its own 95 % interval over patients.
        terms: The seeds' parts of the variance; None for a rung with one seed.
        fewest: Patients of the class that has the fewest, where those are few.
    """

    row: RungPair
    interval: tuple[float, float] | None = None
    terms: tuple[SeedTerm | None, ...] = ()
    fewest: int | None = None

    @property
    def seed_variance(self) -> float:
        """Variance of the difference over seeds."""
        return sum(term.variance for term in self.terms if term is not None)

    def terms_of(self, least: float) -> list[SeedTerm | None]:
        """The seeds' parts, raised to a least sum."""
        of_seeds = [term for term in self.terms if term is not None]
        total = self.seed_variance
        if len(of_seeds) < len(self.terms) or total >= least:
            return list(self.terms)
        equal = least / len(of_seeds)
        scaled = least / total if total > 0 else 0.0
        return [replace(t, variance=t.variance * scaled if scaled else equal) for t in of_seeds]


def rung_pairs(means: Sequence[Mean]) -> list[RungPair]:
    """Pairs of the rungs of a study at its largest label fraction.

    In a leave-cohort-out study the rungs are chosen by the mean difference over the cohorts.

    Args:
        means: Of every rung and training set; those trained again on a shifted cohort are left out.
    """
    means = [mean for mean in means if mean.key.retrain_fraction is None]
    most = max((mean.key.label_fraction for mean in means), default=1.0)
    by_rung: dict[str, list[Mean]] = {}
    for mean in means:
        if mean.key.label_fraction == most:
            by_rung.setdefault(mean.key.rung, []).append(mean)
    rows: list[PairedRungs] = []
    for first, second in combinations(by_rung.values(), 2):
        parts = list(_parts(first, second))
        choice = [part for part in parts if _is_choice(part)]
        row = RungPair(
            rung=first[0].key.rung,
            reference=second[0].key.rung,
            use="choice",
            label_fraction=most,
            cohort=ALL,
            target=_target(parts),
        )
        apart = any(part.mean.internal_name != part.base.internal_name for part in parts)
        rows.append(
            PairedRungs(replace(row, reason=OTHER_TRAINING)) if apart else _paired(row, choice)
        )
        for part in parts:
            if not _is_choice(part) or part.key.cohort == part.mean.key.held_out:
                rows.append(_paired(replace(row, use="shift", cohort=part.key.cohort), [part]))
    return _simultaneous(rows)


def _parts(first: Sequence[Mean], second: Sequence[Mean]) -> Iterator[Part]:
    """Cohorts on which two rungs have an AUROC; of a held-out one, of the runs without it."""
    others = {mean.key.held_out: mean for mean in second}
    for mean in first:
        base = others.get(mean.key.held_out)
        if base is None:
            continue
        keys = [k for k in mean.estimates if k.metric == HEADLINE and k.attribute == ALL]
        overall = {k.target for k in keys}
        target = MACRO if MACRO in overall else next(iter(overall - {MICRO}), None)
        for key in keys:
            held_out = mean.key.held_out
            if key.target == target and held_out in (None, key.cohort):
                # of several training hospitals the AUROC within each, as everywhere
                inside = mean.home(key) if key.cohort == mean.internal_name else key
                yield Part(mean, base, inside if inside in base.estimates else key)


def _is_choice(part: Part) -> bool:
    """True if a cohort decides between rungs: the internal test set, or one that was held out."""
    if part.mean.internal_name != part.base.internal_name:
        return False  # each would be judged at the home of the first
    return part.key.cohort in (part.mean.internal_name, part.mean.key.held_out)


def _target(parts: Sequence[Part]) -> str:
    return parts[0].key.target if parts else MACRO


def _paired(row: RungPair, parts: Sequence[Part]) -> PairedRungs:
    """Mean difference over cohorts with its 95 % interval over patients.

    Cohorts have no patient in common, nor a training: squares of the distances to the ends add up.
    """
    if not parts:
        return PairedRungs(replace(row, reason=NONE_SHARED))
    cohorts = sorted({part.key.cohort for part in parts})
    row = replace(row, cohort=cohorts[0] if len(cohorts) == 1 else ALL)
    ends: list[tuple[float, float, float]] = []
    for part in parts:
        reason = _incomparable(part)
        if reason is not None:
            return PairedRungs(replace(row, reason=reason))
        first, second = part.mean.estimate(part.key), part.base.estimate(part.key)
        interval, missing = paired_interval(first, second, HEADLINE)
        if first.values is None or second.values is None:
            return PairedRungs(replace(row, reason=missing))
        difference = float(first.values[0] - second.values[0])
        if missing == NO_SPREAD:  # equal whichever patients are drawn: the seeds alone are left
            interval = difference, difference
        if interval is None:
            return PairedRungs(replace(row, reason=missing))
        ends.append((difference, difference - interval[0], interval[1] - difference))
    value = float(np.mean([difference for difference, _, _ in ends]))
    down = np.sqrt(sum(below**2 for _, below, _ in ends)) / len(parts)
    up = np.sqrt(sum(above**2 for _, _, above in ends)) / len(parts)
    terms = [
        None if term is None else replace(term, variance=term.variance / len(parts) ** 2)
        for part in parts
        for term in seed_terms(part.mean, part.base, part.key)
    ]
    estimates = [part.mean.estimate(part.key) for part in parts]
    row = replace(
        row,
        difference=value,
        num_cases=sum(estimate.cases for estimate in estimates),
        num_patients=sum(estimate.patients for estimate in estimates),
    )
    few = [_few(part) for part in parts]
    fewest = min((count for count in few if count is not None), default=None)
    return PairedRungs(row, (value - float(down), value + float(up)), tuple(terms), fewest)


def _few(part: Part) -> int | None:
    first, second = part.mean.estimate(part.key), part.base.estimate(part.key)
    return few_patients(first, second, HEADLINE)


def _incomparable(part: Part) -> str | None:
    """Reason why two rungs cannot be compared on a cohort; None if they can."""
    if part.key not in part.base.estimates:
        return NONE_SHARED
    first, second = part.mean.estimate(part.key), part.base.estimate(part.key)
    if first.values is None or second.values is None:
        return first.reason or second.reason or UNDEFINED
    if first.cases != second.cases or len(first.values) != len(second.values):
        return OTHER_CASES
    if first.targets != second.targets:
        return OTHER_TARGETS
    return None if np.isfinite(first.values[0] - second.values[0]) else UNDEFINED


def _simultaneous(rows: Sequence[PairedRungs]) -> list[RungPair]:
    """Intervals that hold for all pairs of a cohort at once, in 95 % of studies (Bonferroni)."""
    families: dict[tuple[PairUse, str], list[PairedRungs]] = {}
    for paired in rows:
        if paired.interval is not None:
            families.setdefault((paired.row.use, paired.row.cohort), []).append(paired)
    return [
        _with_interval(paired, paired.interval, families[paired.row.use, paired.row.cohort])
        if paired.interval is not None
        else paired.row
        for paired in rows
    ]


def _with_interval(
    paired: PairedRungs, interval: tuple[float, float], family: Sequence[PairedRungs]
) -> RungPair:
    """A pair with its interval.

    Two or three seeds may agree by chance; among many pairs some do, and would look better than
    they are. So the seeds' variance of a pair is at least the mean over all pairs.

    Args:
        paired: The pair.
        interval: Its own 95 % interval over patients.
        family: All pairs of its cohort that have one.
    """
    value = paired.row.difference or 0.0
    least = float(np.mean([other.seed_variance for other in family]))
    both = contrast(value, interval, paired.terms_of(least))
    count = len(family)
    limit = ENDLESS if paired.fewest is None else paired.fewest - 1.0
    factor = _widening(min(both.degrees, limit), count)
    width = factor * (both.high - both.low)
    without_seeds = _widening(limit, count) * (interval[1] - interval[0])
    has_error = both.error > 0
    if is_point((both.low, both.high)):
        return replace(paired.row, reason=NO_SPREAD)
    ends = value - factor * (value - both.low), value + factor * (both.high - value)
    span = find_metric(HEADLINE).span
    low, high = within_span(*ends, span)
    amount = detectable_difference(both.error, both.degrees, comparisons=count)
    return replace(
        paired.row,
        low=low,
        high=high,
        contains=both.sources,
        detectable=amount if has_error and amount < span else None,
        seed_share=max(0.0, 1 - (without_seeds / width) ** 2) if has_error else None,
    )


def _widening(degrees: float, count: int) -> float:
    """Factor from an interval of one pair to intervals that hold for several (Bonferroni)."""
    tail = (1 - LEVEL) / 2
    return float(stdtrit(degrees, 1 - tail / count) / stdtrit(degrees, 1 - tail))


def pairs_frame(pairs: Sequence[RungPair]) -> pl.DataFrame:
    """Pairs as a table in the contract's column order."""
    return records_frame(pairs, PAIRS_CONTRACT)


def pairs_of(frame: pl.DataFrame) -> list[RungPair]:
    """Rows of a table of pairs."""
    names = [field.name for field in fields(RungPair)]
    return [RungPair(**row) for row in frame.select(names).to_dicts()]
