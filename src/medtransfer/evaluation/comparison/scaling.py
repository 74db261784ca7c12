"""Summaries over all rungs of a ladder: effective robustness and effects of scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.label_savings import CURVE_AUC, CurveKey, curve_auc_values
from medtransfer.evaluation.comparison.pairs.intervals import difference_interval
from medtransfer.evaluation.comparison.seed_means import (
    HEADLINE,
    Mean,
    drop_by_seed,
    internal_and_shifted,
    with_seeds,
)
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimate, ResultKey
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.contrasts import SeedTerm, seed_term
from medtransfer.statistics.robustness import effective_robustness
from medtransfer.statistics.scaling import ScaleEffect, Term, scale_effects
from medtransfer.tables.results import ALL, Result

ROBUSTNESS = "_effective_robustness"
"""Suffix of a metric's name: how far above the line of all runs a rung's shifted value lies."""
SCALE = "_scale_"
"""Suffix of a metric's name, before `network`, `data` or `interaction`: change per factor 10."""
BIASED_RUNGS = "no interval: chance alone pushes the metric up, in each rung by a different amount"
SCALED = (HEADLINE, "auprc", "nll", "ece_scaled", "aurc", "ood_auroc")
"""Metrics that have effects of scale; the first has them in every group too."""
DROP = f"{HEADLINE}_drop"


@dataclass(frozen=True)
class RungFacts:
    """Scale of a rung: its network and its pre-training data.

    Attributes:
        rung: Its name.
        parameters: Weights of the network; NaN where not known.
        images: Images that it was pre-trained on; 0 for none, NaN where not known.
        architecture: Name of the network.
        pretraining: Name of what it was pre-trained on.
    """

    rung: str
    parameters: float
    images: float
    architecture: str
    pretraining: str


def robustness_results(means: Sequence[Mean]) -> Iterator[tuple[GridKey, Result]]:
    """Effective robustness of every rung at every shifted cohort, over all runs of the ladder.

    Runs that were trained on cases of the shifted cohort are no measure of it and are left out.
    """
    never = [mean for mean in means if mean.key.retrain_fraction is None]
    means = never or [mean for mean in means if mean.key.retrain_fraction == 0]
    if not means or means[0].key.held_out is not None:
        return
    last = {mean.key.rung: mean for mean in sorted(means, key=lambda m: m.key.label_fraction)}
    rungs = list(last)
    for key in _headline_keys(means):
        pairs = [
            (rungs.index(mean.key.rung), mean.key.label_fraction, *of_seed)
            for mean in means
            if key.cohort != mean.internal_name
            for of_seed in _pairs_of_seeds(mean, key)
        ]
        if not pairs:
            continue
        number, fraction, internal, shifted = zip(*pairs, strict=True)
        of_run, of_fraction = np.array(number), np.array(fraction)
        runs = np.stack(internal), np.stack(shifted)
        robustness = effective_robustness(*runs, of_run)
        by_run = effective_robustness(*runs, np.arange(len(of_run))).residuals[:, 0]
        for i, (rung, values) in enumerate(zip(rungs, robustness.residuals, strict=False)):
            mean = last[rung]
            if key in mean.estimates:
                row = _row(mean, key, ROBUSTNESS, values, robustness.reason)
                mine = of_run == i
                yield mean.key, with_seeds(row, _residual_terms(by_run[mine], of_fraction[mine]))


def _residual_terms(residuals: Floats, fractions: Floats) -> list[SeedTerm | None]:
    """The seeds' parts of the variance of a rung's mean residual.

    Args:
        residuals: Of its runs. [N]
        fractions: Label fraction of each: runs of one fraction differ in their seeds alone. [N]
    """
    return [
        seed_term(residuals[same], float(same.mean()))
        for same in (fractions == fraction for fraction in np.unique(fractions))
    ]


def _pairs_of_seeds(mean: Mean, key: ResultKey) -> list[tuple[Floats, Floats]]:
    """Each seed's values on the internal test set and on a shifted one. [1 + R] each"""
    pair = internal_and_shifted(mean, key)
    return [] if pair is None else list(zip(*pair, strict=True))


def scale_results(
    means: Sequence[Mean], facts: Sequence[RungFacts], seed: int
) -> Iterator[tuple[GridKey, Result]]:
    """Effects of network scale, of data scale and of both on the rungs' full-data numbers.

    They are given for every metric in `SCALED` at every cohort, and for the five questions of the
    headline metric's drop, of the height of its curve over label fractions, and of its value in
    every group. Worst groups and gaps are left out: chance alone moves them, in each rung by a
    different amount, and an interval would not hold its rate (docs/explanation/intervals.md).

    Yields:
        Rows of the whole ladder, under the rung name `all`; for each training set separately.
    """
    fact_of = {fact.rung: fact for fact in facts}
    largest = max((mean.key.label_fraction for mean in means), default=0.0)
    full: dict[tuple[float, str | None, float | None], list[Mean]] = {}
    for mean in means:
        if mean.key.label_fraction == largest and mean.key.rung in fact_of:
            full.setdefault(mean.key.training, []).append(mean)
    curve_aucs = curve_auc_values(means, seed)
    for same_training in full.values():
        if len(same_training) > 1:
            quantities = [_quantities(m) | _areas(m, curve_aucs) for m in same_training]
            yield from _effects(same_training, quantities, fact_of)


def _quantities(mean: Mean) -> dict[ResultKey, Floats]:
    """Quantities that have effects of scale, of every seed. [S, 1 + R] each"""
    quantities: dict[ResultKey, Floats] = {}
    for key in mean.by_seed:
        if not _has_effects(key):
            continue
        quantities[key] = mean.seed_values(key)
        at_home = key.cohort == mean.internal_name
        if at_home or replace(key, cohort=mean.internal_name) not in mean.by_seed:
            continue
        if key.metric == HEADLINE and key.attribute == ALL:
            drop = drop_by_seed(mean, key)
            if drop is not None:
                quantities[replace(key, metric=DROP)] = drop
    return quantities


def _areas(
    mean: Mean, curve_aucs: dict[CurveKey, dict[ResultKey, Floats]]
) -> dict[ResultKey, Floats]:
    """Heights of a rung's curves: the same for every seed, their replicates contain the seeds."""
    seeds = len(next(iter(mean.by_seed.values()), np.empty(1)))
    areas = curve_aucs.get(mean.key.curve, {})
    return {key: np.tile(values, (seeds, 1)) for key, values in areas.items()}


def _has_effects(key: ResultKey) -> bool:
    return key.metric == HEADLINE or (key.attribute == ALL and key.metric in SCALED)


def _effects(
    means: Sequence[Mean],
    quantities: Sequence[dict[ResultKey, Floats]],
    fact_of: dict[str, RungFacts],
) -> Iterator[tuple[GridKey, Result]]:
    """Effects of scale over rungs of one training set."""
    for key in dict.fromkeys(key for of_rung in quantities for key in of_rung):
        rungs = [i for i, of_rung in enumerate(quantities) if key in of_rung]
        if len(rungs) < 2:
            continue
        facts = [fact_of[means[i].key.rung] for i in rungs]
        by_seed = [quantities[i][key] for i in rungs]
        means_of_seeds = np.stack([values.mean(axis=0) for values in by_seed])
        effects = _slopes(means_of_seeds, facts)
        weights = _slopes(_unit_changes(means_of_seeds[:, 0]), facts)
        first = means[rungs[0]]
        for term, effect in effects.items():
            row = _row(first, key, SCALE + term, effect.slopes, effect.reason)
            terms = [
                seed_term(values[:, 0], float(weight))
                for values, weight in zip(by_seed, weights[term].slopes[1:], strict=True)
                if weight  # a rung that the slope leaves out adds nothing
            ]
            yield replace(first.key, rung=ALL), with_seeds(row, terms)


def _slopes(values: Floats, facts: Sequence[RungFacts]) -> dict[Term, ScaleEffect]:
    """Effects of scale on some values of rungs. [K, 1 + R]"""
    return scale_effects(
        values,
        np.array([fact.parameters for fact in facts]),
        np.array([fact.images for fact in facts]),
        [fact.architecture for fact in facts],
        [fact.pretraining for fact in facts],
    )


def _unit_changes(values: Floats) -> Floats:
    """A column of zeros, then one for a change of 1 in each rung; NaN where undefined. [K, 1 + K]

    A slope is linear in the rungs' values, so that its values here are their weights.
    """
    changes = np.concatenate([np.zeros((len(values), 1)), np.eye(len(values))], axis=1)
    changes[~np.isfinite(values)] = np.nan
    return changes


def _headline_keys(means: Sequence[Mean]) -> list[ResultKey]:
    keys = dict.fromkeys(key for mean in means for key in mean.by_seed)
    return [key for key in keys if key.metric == HEADLINE and key.attribute == ALL]


def _row(mean: Mean, key: ResultKey, suffix: str, values: Floats, reason: str | None) -> Result:
    measured = HEADLINE if key.metric in (DROP, CURVE_AUC) else key.metric
    estimate = mean.estimates[replace(key, metric=measured)]
    counts = Estimate(
        values=values, cases=estimate.cases, patients=estimate.patients, reason=reason
    )
    lacking = mean.estimate(replace(key, metric=measured)).lacking(measured)
    missing = lacking or (BIASED_RUNGS if find_metric(measured).biased else NO_INTERVAL)
    return counts.row(
        replace(key, metric=key.metric + suffix),
        float(values[0]),
        None if lacking else difference_interval(values, measured),
        missing=missing if len(values) > 1 else None,
    )
