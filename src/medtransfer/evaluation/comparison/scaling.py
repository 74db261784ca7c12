"""What only all rungs together tell: effective robustness, and what scale does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.label_savings import CURVE_AUC, area_values
from medtransfer.evaluation.comparison.seed_means import (
    HEADLINE,
    Mean,
    ResultKey,
    difference_interval,
)
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.robustness import effective_robustness
from medtransfer.statistics.scaling import scale_effects
from medtransfer.tables.results import ALL, Result

ROBUSTNESS = "_effective_robustness"
"""Added to a metric's name: how far above the line of all runs a rung's shifted value lies."""
SCALE = "_scale_"
"""Added to a metric's name, before `network`, `data` or `interaction`: its change per factor 10."""
BIASED = "no interval: chance alone pushes the metric up, in each rung by its own amount"
SCALED = (HEADLINE, "auprc", "nll", "ece_scaled", "aurc", "ood_auroc")
"""Metrics that the effects of scale are asked of; of the first also in every group."""
DROP = f"{HEADLINE}_drop"


@dataclass(frozen=True)
class RungFacts:
    """What is known of a rung's scale.

    Attributes:
        rung: Its name.
        parameters: Weights of the network; NaN where not known.
        images: That it was pre-trained on; 0 for none, NaN where not known.
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
    for place in _headline_places(means):
        pairs = [
            (rungs.index(mean.key.rung), inside, outside)
            for mean in means
            if (home := mean.by_seed.get((mean.internal_name, *place[1:]))) is not None
            and (there := mean.by_seed.get(place)) is not None
            and place[0] != mean.internal_name
            for inside, outside in zip(home, there, strict=True)
        ]
        if not pairs:
            continue
        number, internal, shifted = zip(*pairs, strict=True)
        found = effective_robustness(np.stack(internal), np.stack(shifted), np.array(number))
        for rung, values in zip(rungs, found.residuals, strict=False):
            mean = last[rung]
            if place in mean.numbers:
                yield mean.key, _row(mean, place, ROBUSTNESS, values, found.reason)


def scale_results(
    means: Sequence[Mean], facts: Sequence[RungFacts], seed: int
) -> Iterator[tuple[GridKey, Result]]:
    """Effects of network scale, of data scale and of both on the rungs' full-data numbers.

    Asked of every metric in `SCALED` at every cohort, and for the five questions of the headline
    metric's drop, of the height of its curve over label fractions, and of its value in every
    group. Worst groups and gaps are not asked: chance alone moves them, in each rung by its own
    amount, and an interval would not hold its rate (docs/explanation/intervals.md).

    Yields:
        Rows of the whole ladder, under the rung name `all`; for each training set of their own.
    """
    known = {fact.rung: fact for fact in facts}
    most = max((mean.key.label_fraction for mean in means), default=0.0)
    full: dict[tuple[float, str | None, float | None], list[Mean]] = {}
    for mean in means:
        if mean.key.label_fraction == most and mean.key.rung in known:
            full.setdefault(mean.key.training, []).append(mean)
    areas = area_values(means, seed)
    for alike in full.values():
        if len(alike) > 1:
            asked = [_quantities(mean) | areas.get(mean.key.curve, {}) for mean in alike]
            yield from _effects(alike, asked, known)


def _quantities(mean: Mean) -> dict[ResultKey, Floats]:
    """What effects of scale are asked of, in the sample and in every replicate. [1 + R] each"""
    found: dict[ResultKey, Floats] = {}
    for place, number in mean.numbers.items():
        cohort, attribute, group, target, metric = place
        if number.values is None or not _is_asked(attribute, metric):
            continue
        found[place] = number.values
        home = mean.numbers.get((mean.internal_name, attribute, group, target, metric))
        shifted = metric == HEADLINE and attribute == ALL and cohort != mean.internal_name
        if shifted and home is not None and home.values is not None:
            found[(*place[:4], DROP)] = home.values - number.values
    return found


def _is_asked(attribute: str, metric: str) -> bool:
    return metric == HEADLINE or (attribute == ALL and metric in SCALED)


def _effects(
    full: Sequence[Mean], asked: Sequence[dict[ResultKey, Floats]], known: dict[str, RungFacts]
) -> Iterator[tuple[GridKey, Result]]:
    """What scale does to rungs of one training set."""
    for place in dict.fromkeys(place for own in asked for place in own):
        rungs = [i for i, own in enumerate(asked) if place in own]
        if len(rungs) < 2:
            continue
        about = [known[full[i].key.rung] for i in rungs]
        effects = scale_effects(
            np.stack([asked[i][place] for i in rungs]),
            np.array([fact.parameters for fact in about]),
            np.array([fact.images for fact in about]),
            [fact.architecture for fact in about],
            [fact.pretraining for fact in about],
        )
        first = full[rungs[0]]
        runs = replace(first.key, rung=ALL)
        for term, effect in effects.items():
            yield runs, _row(first, place, SCALE + term, effect.slopes, effect.reason)


def _headline_places(means: Sequence[Mean]) -> list[ResultKey]:
    places = dict.fromkeys(place for mean in means for place in mean.by_seed)
    return [place for place in places if place[4] == HEADLINE and place[1] == ALL]


def _row(mean: Mean, place: ResultKey, suffix: str, values: Floats, reason: str | None) -> Result:
    cohort, attribute, group, target, metric = place
    measured = HEADLINE if metric in (DROP, CURVE_AUC) else metric
    number = mean.numbers[cohort, attribute, group, target, measured]
    known = bool(np.isfinite(values[0]))
    ends = difference_interval(values, measured)
    if known and ends is None and len(values) > 1:
        why = BIASED if find_metric(measured).biased else NO_INTERVAL
        reason = f"{reason}; {why}" if reason else why
    return Result(
        None,
        "test",
        cohort,
        target,
        metric + suffix,
        float(values[0]) if known else None,
        *(ends or (None, None)),
        number.cases,
        number.patients,
        None,
        reason or (None if known else "undefined in the sample"),
        attribute,
        group,
    )
