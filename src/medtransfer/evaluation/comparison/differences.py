"""Paired differences of rungs: on the same resampled patients, so that shared noise cancels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from medtransfer.errors import listed
from medtransfer.evaluation.comparison.seed_means import (
    HEADLINE,
    Mean,
    few_patients,
    paired_interval,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import UNDEFINED, ResultKey
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import two_sided_p
from medtransfer.statistics.contrasts import (
    Contrast,
    SeedTerm,
    contrast,
    seed_term,
)
from medtransfer.statistics.sample_size import detectable_difference, detectable_margin
from medtransfer.statistics.tests import (
    equivalence,
    false_discovery,
    holm,
    mcnemar,
    non_inferiority,
    simultaneous,
)
from medtransfer.tables.results import ALL, RungComparison

NONE_SHARED = "no test case that both answered"


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
        compared = [_of_rung(paired(means[number], base), config) for number in numbers]
        corrected = iter(_corrected([row for of_rung in compared for row in of_rung]))
        for number, of_rung in zip(numbers, compared, strict=True):
            rows[number] = list(islice(corrected, len(of_rung)))
    return [row for of_rung in rows for row in of_rung]


def _of_rung(pairing: Pairing, config: EvaluationConfig) -> list[Compared]:
    """Differences of one rung from the reference, before corrections."""
    mean, base = pairing.whole
    return [
        _comparison(pairing, key, config)
        for key in mean.estimates
        if key.attribute == ALL and key in base.estimates
    ]


def _comparison(pairing: Pairing, key: ResultKey, config: EvaluationConfig) -> Compared:
    """A difference before corrections."""
    row = _without_difference(pairing, key)
    mean, base = pairing.mean, pairing.base
    if mean is None or base is None or key not in mean.estimates or key not in base.estimates:
        return Compared(replace(row, reason=NONE_SHARED))
    estimate, of_base = mean.estimate(key), base.estimate(key)
    reason = estimate.reason or of_base.reason or UNDEFINED
    row = replace(row, num_cases=estimate.cases, num_patients=estimate.patients, reason=reason)
    if estimate.values is None or of_base.values is None:
        return Compared(row)
    if estimate.targets != of_base.targets:
        return Compared(replace(row, reason="the two rungs have different targets"))
    difference = estimate.values - of_base.values
    interval, missing = paired_interval(estimate, of_base, key.metric)
    if not np.isnan(difference[0]):
        notes = [_left_out_targets(mean, key), missing]
        row = replace(
            row,
            difference=float(difference[0]),
            p_mcnemar=_p_of_decisions(mean, base, key),
            reason="; ".join(note for note in notes if note) or None,
        )
    if interval is None:
        return Compared(row)
    both = contrast(float(difference[0]), interval, seed_terms(mean, base, key))
    fewest = few_patients(estimate, of_base, key.metric)
    row = replace(
        row,
        low=both.low,
        high=both.high,
        p=_p_value(difference, both) if fewest is None else both.p,
        contains=both.sources,
    )
    if config.margin is not None and key.metric == HEADLINE:
        row = _with_margin(row, both, config.margin)
    errors = difference[1:] - difference[0]
    errors += _seed_errors(mean, base, key, num_replicates=len(errors), seed=config.seed)
    return Compared(row, both, errors)


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


def _seed_errors(
    mean: Mean, base: Mean, key: ResultKey, *, num_replicates: int, seed: int
) -> Floats:
    """Draws of what the seeds of both rungs add to a difference; the reference's are of all rungs.

    Returns:
        Normal, with the variances of `seed_terms`. [R]
    """
    terms = seed_terms(mean, base, key)
    errors = np.zeros(num_replicates)
    for side, term in zip((mean, base), terms, strict=False):
        if term is not None:
            rng = generator(seed, "simultaneous", side.key.rung, str(side.key.training), str(key))
            errors += rng.standard_normal(len(errors)) * np.sqrt(term.variance)
    return errors


def _left_out_targets(mean: Mean, key: ResultKey) -> str | None:
    """Note on targets that a difference of means leaves out."""
    if key not in mean.comparable:
        return None
    names, whole = mean.comparable[key].targets, mean.estimates[key].targets
    return f"over the {len(names)} of {len(whole)} targets with enough patients: {listed(names)}"


def _p_value(difference: Floats, both: Contrast) -> float | None:
    """The contrast's p-value; with one seed that of the replicates, down to their floor."""
    if both.sources != "patients":
        return both.p
    p = two_sided_p(difference)
    floor = 2 / len(difference)
    return min(p, both.p) if p is not None and p <= floor else p


def _p_of_decisions(mean: Mean, base: Mean, key: ResultKey) -> float | None:
    """McNemar's test of the decisions at a carried threshold; None with several seeds."""
    right, of_base = mean.decisions.get(key), base.decisions.get(key)
    if right is None or of_base is None or len(right) != len(of_base):
        return None
    return mcnemar(right - of_base)


def _with_margin(row: RungComparison, both: Contrast, margin: float) -> RungComparison:
    no_worse, same = non_inferiority(both, margin), equivalence(both, margin)
    return replace(
        row,
        margin=margin,
        no_worse=no_worse.verdict,
        p_no_worse=no_worse.p,
        equal=same.verdict,
        p_equal=same.p,
        detectable_margin=detectable_margin(both.error, both.degrees),
    )


def _corrected(rows: Sequence[Compared]) -> list[RungComparison]:
    """Corrections over the rungs of a training set compared on the same cohort and metric."""
    families: dict[tuple[str, str, str], list[int]] = {}
    for index, compared in enumerate(rows):
        row = compared.row
        families.setdefault((row.cohort, row.target, row.metric), []).append(index)
    corrected = [compared.row for compared in rows]
    for family in families.values():
        for index, row in zip(family, _family([rows[index] for index in family]), strict=True):
            corrected[index] = row
    return corrected


def _family(family: Sequence[Compared]) -> Iterator[RungComparison]:
    """Rows of comparisons that are corrected together."""
    p_values = [compared.row.p for compared in family]
    tests = sum(p is not None for p in p_values)
    drawn = [(c.both, c.errors) for c in family if c.both is not None and c.errors is not None]
    together = iter(simultaneous([both for both, _ in drawn], [errors for _, errors in drawn]))
    for compared, p_holm, p_bh in zip(
        family, holm(p_values), false_discovery(p_values), strict=True
    ):
        row, both = compared.row, compared.both
        if both is None:
            yield replace(row, p_holm=p_holm, p_bh=p_bh)
            continue
        of_all = next(together)
        detectable = row.detectable
        if both.error > 0:
            detectable = detectable_difference(both.error, both.degrees, comparisons=tests)
        yield replace(
            row,
            p_holm=p_holm,
            p_bh=p_bh,
            low_all=of_all.low,
            high_all=of_all.high,
            p_all=of_all.p,
            detectable=detectable,
        )
