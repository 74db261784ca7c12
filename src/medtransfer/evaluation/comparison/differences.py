"""Paired differences of rungs: measured on the same resampled patients, what they share cancels."""

from collections.abc import Sequence
from dataclasses import replace

from medtransfer.evaluation.comparison.seed_means import (
    HEADLINE,
    Mean,
    ResultKey,
    difference_interval,
    no_interval,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import two_sided_p
from medtransfer.statistics.tests import (
    MarginTest,
    benjamini_hochberg,
    equivalence,
    holm,
    non_inferiority,
)
from medtransfer.tables.results import ALL, RungComparison


def comparisons(
    means: Sequence[Mean], reference: str, config: EvaluationConfig
) -> list[RungComparison]:
    """Paired differences of every rung from the reference on the same training set.

    Args:
        means: Of every rung and training set.
        reference: The rung that others are compared with.
        config: The margin that a difference is held against.
    """
    rows: list[RungComparison] = []
    bases = {m.key.training: m for m in means if m.key.rung == reference}
    for mean in means:
        base = bases.get(mean.key.training)
        if base is None or mean.key.rung == reference:
            continue
        for place, number in mean.numbers.items():
            if place[1] == ALL and place in base.numbers:
                rows.append(_difference(mean, base, place, number, config.margin))
    return _corrected(rows)


def _difference(
    mean: Mean, base: Mean, place: ResultKey, number: Estimate, margin: float | None
) -> RungComparison:
    mine, other = number.values, base.numbers[place].values
    difference = None if mine is None or other is None else mine - other
    interval = None if difference is None else difference_interval(difference, place[4])
    value = None if difference is None or difference[0] != difference[0] else float(difference[0])
    cohort, _attribute, _group, target, metric = place
    row = RungComparison(
        mean.key.rung,
        base.key.rung,
        *mean.key.training,
        cohort,
        target,
        metric,
        value,
        *(interval or (None, None)),
        None if difference is None or interval is None else two_sided_p(difference),
        num_cases=number.cases,
        num_patients=number.patients,
        reason=_reason(number, base.numbers[place], value, interval, metric),
    )
    if margin is None or difference is None or interval is None or metric != HEADLINE:
        return row
    return _held_against(row, difference, margin)


def _reason(
    mine: Estimate, other: Estimate, value: float | None, interval: object, metric: str
) -> str | None:
    """Why the difference or its interval is undefined."""
    if value is None:
        return mine.reason or other.reason or "undefined in the sample"
    drawn = mine.values is not None and len(mine.values) > 1
    return no_interval(metric) if drawn and interval is None else None


def _held_against(row: RungComparison, difference: Floats, margin: float) -> RungComparison:
    no_worse: MarginTest = non_inferiority(difference, margin, higher_is_better=True)
    same: MarginTest = equivalence(difference, margin)
    return replace(
        row,
        margin=margin,
        no_worse=no_worse.verdict,
        p_no_worse=no_worse.p,
        equal=same.verdict,
        p_equal=same.p,
    )


def _corrected(rows: list[RungComparison]) -> list[RungComparison]:
    """Corrections over the rungs compared on the same cohort, metric and training set."""
    families: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(rows):
        family = (row.label_fraction, row.held_out, row.retrain_fraction)
        families.setdefault((*family, row.cohort, row.target, row.metric), []).append(place)
    corrected = list(rows)
    for places in families.values():
        found = [rows[i].p for i in places]
        both = zip(places, holm(found), benjamini_hochberg(found), strict=True)
        for place, family_wise, false_discovery in both:
            corrected[place] = replace(rows[place], p_holm=family_wise, p_bh=false_discovery)
    return corrected
