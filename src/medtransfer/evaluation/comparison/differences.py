"""Paired differences of rungs: on the same resampled patients, so that shared noise cancels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medtransfer.evaluation.comparison.seed_means import (
    HEADLINE,
    Mean,
    difference_interval,
    missing_interval,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import UNDEFINED, ResultKey
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import two_sided_p
from medtransfer.statistics.tests import (
    MarginTest,
    equivalence,
    false_discovery,
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
        config: The margin for non-inferiority and equivalence.
    """
    rows: list[RungComparison] = []
    references = {mean.key.training: mean for mean in means if mean.key.rung == reference}
    for mean in means:
        base = references.get(mean.key.training)
        if base is None or mean.key.rung == reference:
            continue
        for key in mean.estimates:
            if key.attribute == ALL and key in base.estimates:
                rows.append(_comparison(mean, base, key, config.margin))
    return _corrected(rows)


def _comparison(mean: Mean, base: Mean, key: ResultKey, margin: float | None) -> RungComparison:
    estimate, of_base = mean.estimates[key], base.estimates[key]
    row = RungComparison(
        rung=mean.key.rung,
        reference=base.key.rung,
        label_fraction=mean.key.label_fraction,
        held_out=mean.key.held_out,
        retrain_fraction=mean.key.retrain_fraction,
        cohort=key.cohort,
        target=key.target,
        metric=key.metric,
        difference=None,
        low=None,
        high=None,
        p=None,
        num_cases=estimate.cases,
        num_patients=estimate.patients,
        reason=estimate.reason or of_base.reason or UNDEFINED,
    )
    if estimate.values is None or of_base.values is None:
        return row
    difference = estimate.values - of_base.values
    interval = difference_interval(difference, key.metric)
    if not np.isnan(difference[0]):
        reason = None if interval else missing_interval(difference, key.metric)
        row = replace(row, difference=float(difference[0]), reason=reason)
    if interval is None:
        return row
    low, high = interval
    row = replace(row, low=low, high=high, p=two_sided_p(difference))
    if margin is None or key.metric != HEADLINE:
        return row
    return _with_margin(row, difference, margin)


def _with_margin(row: RungComparison, difference: Floats, margin: float) -> RungComparison:
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
    for index, row in enumerate(rows):
        training = (row.label_fraction, row.held_out, row.retrain_fraction)
        families.setdefault((*training, row.cohort, row.target, row.metric), []).append(index)
    corrected = list(rows)
    for family in families.values():
        p_values = [rows[index].p for index in family]
        for index, p_holm, p_bh in zip(
            family, holm(p_values), false_discovery(p_values), strict=True
        ):
            corrected[index] = replace(rows[index], p_holm=p_holm, p_bh=p_bh)
    return corrected
