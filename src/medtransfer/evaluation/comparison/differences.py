"""Paired differences of rungs: on the same resampled patients, so that shared noise cancels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from medtransfer.errors import listed
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.pairs.intervals import (
    difference_intervals,
    few_patients,
    paired_ends,
)
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import UNDEFINED, Estimate, ResultKey, changed
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import two_sided_ps
from medtransfer.statistics.contrasts import (
    Contrast,
    SeedTerm,
    contrast,
    seed_term,
    within_span,
)
from medtransfer.statistics.sample_size import detectable_difference, detectable_margin
from medtransfer.statistics.tests import (
    equivalence,
    false_discoveries,
    holm,
    mcnemar,
    non_inferiority,
    simultaneous,
)
from medtransfer.tables.results import ALL, RungComparison

NONE_SHARED = "no test case that both answered"
OTHER_RUNG_TARGETS = "the two rungs have different targets"


@dataclass(frozen=True)
class Pairing:
    """Two rungs on the test cases that both answered.

    Attributes:
        mean: The rung there; None without such a case.
        base: The reference there.
        whole: Both on all that each answered.
        rest: Both on what it alone answered; None without such a case.
    """

    mean: Mean | None
    base: Mean | None
    whole: tuple[Mean, Mean]
    rest: tuple[Mean | None, Mean | None] = (None, None)


@dataclass(frozen=True)
class Compared:
    """A row of a difference with what corrections over rungs need.

    Attributes:
        row: The row.
        both: Its contrast, if it has an interval.
        errors: Draws of its error, of the same patients and seeds for every rung. [R]
    """

    row: RungComparison
    both: Contrast | None = None
    errors: Floats | None = None


def same_cases(mean: Mean, base: Mean) -> Pairing:
    """Two rungs that answered the same test cases."""
    return Pairing(mean, base, (mean, base))


def comparisons(
    means: Sequence[Mean],
    reference: str,
    config: EvaluationConfig,
    paired: Callable[[Mean, Mean], Pairing] = same_cases,
) -> list[RungComparison]:
    """Paired differences of every rung from the reference on the same training set.

    Args:
        means: Of every rung and training set.
        reference: The rung that others are compared with.
        config: The margin for non-inferiority and equivalence.
        paired: Brings two means to the test cases that both answered.
    """
    references = {mean.key.training: mean for mean in means if mean.key.rung == reference}
    rows: list[list[RungComparison]] = [[] for _ in means]
    for training, base in references.items():  # one after the other: draws of errors are large
        numbers = [
            number
            for number, mean in enumerate(means)
            if mean.key.training == training and mean.key.rung != reference
        ]
        draws = _SeedDraws(config.seed)
        compared = [_of_rung(paired(means[number], base), config, draws) for number in numbers]
        corrected = iter(_corrected([row for of_rung in compared for row in of_rung]))
        for number, of_rung in zip(numbers, compared, strict=True):
            rows[number] = list(islice(corrected, len(of_rung)))
    return [row for of_rung in rows for row in of_rung]


@dataclass(frozen=True)
class _Measured:
    """A difference that has replicates.

    Attributes:
        values: In the sample and in every replicate. [1 + R]
        interval: Of the replicates; None where they give none.
        p: By the replicates.
    """

    values: Floats
    interval: tuple[float, float] | None
    p: float | None


def _of_rung(pairing: Pairing, config: EvaluationConfig, draws: "_SeedDraws") -> list[Compared]:
    """Differences of one rung from the reference, before corrections."""
    mean, base = pairing.whole
    keys = [key for key in mean.estimates if key.attribute == ALL and key in base.estimates]
    measured = _measured(pairing, keys)
    return [_comparison(pairing, key, measured.get(key), config, draws) for key in keys]


def _measured(pairing: Pairing, keys: Sequence[ResultKey]) -> dict[ResultKey, _Measured]:
    """Differences of all keys at once: their quantiles are taken in one pass."""
    values: dict[ResultKey, Floats] = {}
    for key in keys:
        sides = _sides(pairing, key)
        if sides is None or sides[0].targets != sides[1].targets:
            continue
        first, second = sides[0].values, sides[1].values
        if first is not None and second is not None:
            values[key] = first - second
    if not values:
        return {}
    stacked = np.stack(list(values.values()))
    intervals = difference_intervals(stacked, [key.metric for key in values])
    both = zip(values, stacked, intervals, two_sided_ps(stacked), strict=True)
    return {key: _Measured(of_key, interval, p) for key, of_key, interval, p in both}


def _sides(pairing: Pairing, key: ResultKey) -> tuple[Estimate, Estimate] | None:
    """Both estimates on the cases that both answered; None without such a case."""
    mean, base = pairing.mean, pairing.base
    if mean is None or base is None or key not in mean.estimates or key not in base.estimates:
        return None
    return mean.estimate(key), base.estimate(key)


def _comparison(
    pairing: Pairing,
    key: ResultKey,
    measured: _Measured | None,
    config: EvaluationConfig,
    draws: "_SeedDraws",
) -> Compared:
    """A difference before corrections."""
    row = _without_difference(pairing, key)
    mean, base, sides = pairing.mean, pairing.base, _sides(pairing, key)
    if mean is None or base is None or sides is None:
        return Compared(changed(row, reason=NONE_SHARED))
    estimate, of_base = sides
    counts = {"num_cases": estimate.cases, "num_patients": estimate.patients}
    if measured is None:
        reason = estimate.reason or of_base.reason or UNDEFINED
        if estimate.values is not None and of_base.values is not None:
            reason = OTHER_RUNG_TARGETS
        return Compared(changed(row, **counts, reason=reason))
    value = float(measured.values[0])
    interval, missing = paired_ends(sides, key.metric, value, measured.interval)
    if np.isnan(value):
        reason = estimate.reason or of_base.reason or UNDEFINED
        return Compared(changed(row, **counts, reason=reason))
    notes = [_left_out_targets(mean, key), missing]
    cells: dict[str, object] = {
        **counts,
        "difference": value,
        "p_mcnemar": _p_of_decisions(mean, base, key),
        "reason": "; ".join(note for note in notes if note) or None,
    }
    if interval is None:
        return Compared(changed(row, **cells))
    terms = seed_terms(mean, base, key)
    both = contrast(value, interval, terms)
    fewest = few_patients(estimate, of_base, key.metric)
    low, high = within_span(both.low, both.high, find_metric(key.metric).span)
    cells |= {
        "low": low,
        "high": high,
        "p": _p_value(measured, both) if fewest is None else both.p,
        "contains": both.sources,
    }
    if config.margin is not None and key.metric == HEADLINE:
        cells |= _margin_cells(both, config.margin)
    errors = measured.values[1:] - measured.values[0]
    of_seeds = [
        draws.of(side, key, len(errors)) * np.sqrt(term.variance)
        for side, term in zip((mean, base), terms, strict=False)
        if term is not None
    ]
    if of_seeds:
        errors += sum(of_seeds)
    return Compared(changed(row, **cells), both, errors)


def _without_difference(pairing: Pairing, key: ResultKey) -> RungComparison:
    """Row of a comparison with the share that each side answered, before the difference."""
    whole = [side.estimates[key].cases for side in pairing.whole]
    shared = 0
    if pairing.mean is not None and key in pairing.mean.estimates:
        shared = pairing.mean.estimates[key].cases
    union = sum(whole) - shared
    coverage = [cases / union if union else None for cases in whole]
    rest = [_value(side, key) for side in pairing.rest]
    training = pairing.whole[0].key
    return RungComparison(
        rung=training.rung,
        reference=pairing.whole[1].key.rung,
        label_fraction=training.label_fraction,
        held_out=training.held_out,
        retrain_fraction=training.retrain_fraction,
        cohort=key.cohort,
        target=key.target,
        metric=key.metric,
        difference=None,
        low=None,
        high=None,
        p=None,
        coverage=coverage[0],
        coverage_reference=coverage[1],
        rest=rest[0],
        rest_reference=rest[1],
    )


def _value(mean: Mean | None, key: ResultKey) -> float | None:
    """A mean's value in the sample; None where it has none."""
    values = None if mean is None or key not in mean.estimates else mean.estimate(key).values
    return float(values[0]) if values is not None and np.isfinite(values[0]) else None


def seed_terms(mean: Mean, base: Mean, key: ResultKey) -> list[SeedTerm | None]:
    """The seeds' parts of the variance of a difference.

    Seeds are drawn for each rung alone. Below the full label fraction the seed also draws the
    training patients, so that two rungs of one seed share them: there seeds are paired.
    """
    if mean.key.label_fraction < 1 and mean.seeds == base.seeds:
        return [seed_term(mean.seed_values(key)[:, 0] - base.seed_values(key)[:, 0])]
    return [seed_term(side.seed_values(key)[:, 0]) for side in (mean, base)]


class _SeedDraws:
    """Standard normal draws for the seeds of each rung; the reference's are of all comparisons."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._draws: dict[tuple[GridKey, ResultKey], Floats] = {}

    def of(self, side: Mean, key: ResultKey, number: int) -> Floats:
        """The draws for one number of a rung. [R]"""
        place = side.key, key
        if place not in self._draws:
            purpose = "simultaneous", side.key.rung, str(side.key.training), str(key)
            self._draws[place] = generator(self._seed, *purpose).standard_normal(number)
        return self._draws[place]


def _left_out_targets(mean: Mean, key: ResultKey) -> str | None:
    """Note on targets that a difference of means leaves out."""
    if key not in mean.comparable:
        return None
    names, whole = mean.comparable[key].targets, mean.estimates[key].targets
    return f"over the {len(names)} of {len(whole)} targets with enough patients: {listed(names)}"


def _p_value(measured: _Measured, both: Contrast) -> float | None:
    """The contrast's p-value; with one seed that of the replicates, down to their floor."""
    if both.sources != "patients":
        return both.p
    p, floor = measured.p, 2 / len(measured.values)
    return min(p, both.p) if p is not None and p <= floor else p


def _p_of_decisions(mean: Mean, base: Mean, key: ResultKey) -> float | None:
    """McNemar's test of the decisions at a carried threshold; None with several seeds."""
    right, of_base = mean.decisions.get(key), base.decisions.get(key)
    if right is None or of_base is None or len(right) != len(of_base):
        return None
    return mcnemar(right - of_base)


def _margin_cells(both: Contrast, margin: float) -> dict[str, object]:
    no_worse, same = non_inferiority(both, margin), equivalence(both, margin)
    return {
        "margin": margin,
        "no_worse": no_worse.verdict,
        "p_no_worse": no_worse.p,
        "equal": same.verdict,
        "p_equal": same.p,
        "detectable_margin": detectable_margin(both.error, both.degrees),
    }


def _corrected(rows: Sequence[Compared]) -> list[RungComparison]:
    """Corrections over the rungs of a training set compared on the same cohort and metric."""
    families: dict[tuple[str, str, str], list[int]] = {}
    for index, compared in enumerate(rows):
        row = compared.row
        families.setdefault((row.cohort, row.target, row.metric), []).append(index)
    corrected = [compared.row for compared in rows]
    p_values = [[rows[index].row.p for index in family] for family in families.values()]
    for family, p_bh in zip(families.values(), false_discoveries(p_values), strict=True):
        of_family = _family([rows[index] for index in family], p_bh)
        for index, row in zip(family, of_family, strict=True):
            corrected[index] = row
    return corrected


def _family(family: Sequence[Compared], p_bh: Sequence[float | None]) -> Iterator[RungComparison]:
    """Rows of comparisons that are corrected together."""
    p_values = [compared.row.p for compared in family]
    tests = sum(p is not None for p in p_values)
    drawn = [(c.both, c.errors) for c in family if c.both is not None and c.errors is not None]
    together = iter(simultaneous([both for both, _ in drawn], [errors for _, errors in drawn]))
    for compared, p_holm, of_bh in zip(family, holm(p_values), p_bh, strict=True):
        row, both = compared.row, compared.both
        if both is None:
            yield changed(row, p_holm=p_holm, p_bh=of_bh)
            continue
        of_all, span = next(together), find_metric(row.metric).span
        low_all, high_all = within_span(of_all.low, of_all.high, span)
        detectable = row.detectable
        if both.error > 0:
            amount = detectable_difference(both.error, both.degrees, comparisons=tests)
            detectable = amount if amount < span else None
        yield changed(
            row,
            p_holm=p_holm,
            p_bh=of_bh,
            low_all=low_all,
            high_all=high_all,
            p_all=of_all.p,
            detectable=detectable,
        )
