"""What only all rungs together tell: effective robustness, and what scale does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.means import (
    HEADLINE,
    Mean,
    Place,
    RungRuns,
    difference_interval,
)
from medtransfer.evaluation.numbers import NO_INTERVAL
from medtransfer.metrics.bootstrap import percentile_interval
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels import Floats
from medtransfer.metrics.scale import scale_effects
from medtransfer.metrics.shift import effective_robustness
from medtransfer.tables.results import ALL, Result

ROBUSTNESS = "_effective_robustness"
"""Added to a metric's name: how far above the line of all runs a rung's shifted value lies."""
SCALE = "_scale_"
"""Added to a metric's name, before `network`, `data` or `interaction`: its change per factor 10."""
BIASED = "no interval: chance alone pushes the metric up, in each rung by its own amount"
SCALED = (HEADLINE, "auprc", "nll", "ece_scaled", "aurc")
"""Metrics that the effects of scale are asked of."""


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


def robustness_results(means: Sequence[Mean]) -> Iterator[tuple[RungRuns, Result]]:
    """Effective robustness of every rung at every shifted cohort, over all runs of the ladder.

    Runs that were trained on cases of the shifted cohort are no measure of it and are left out.
    """
    never = [mean for mean in means if mean.runs.retrain_fraction is None]
    means = never or [mean for mean in means if mean.runs.retrain_fraction == 0]
    if not means or means[0].runs.held_out is not None:
        return
    last = {mean.runs.rung: mean for mean in sorted(means, key=lambda m: m.runs.label_fraction)}
    rungs = list(last)
    for place in _headline_places(means):
        pairs = [
            (rungs.index(mean.runs.rung), inside, outside)
            for mean in means
            if (home := mean.by_seed.get((mean.home, *place[1:]))) is not None
            and (there := mean.by_seed.get(place)) is not None
            and place[0] != mean.home
            for inside, outside in zip(home, there, strict=True)
        ]
        if not pairs:
            continue
        number, internal, shifted = zip(*pairs, strict=True)
        found = effective_robustness(np.stack(internal), np.stack(shifted), np.array(number))
        for rung, values in zip(rungs, found.residuals, strict=False):
            mean = last[rung]
            if place in mean.numbers:
                yield mean.runs, _row(mean, place, ROBUSTNESS, values, found.reason)


def scale_results(
    means: Sequence[Mean], facts: Sequence[RungFacts]
) -> Iterator[tuple[RungRuns, Result]]:
    """Effects of network scale, of data scale and of both on the rungs' full-data numbers.

    Yields:
        Rows of the whole ladder, under the rung name `all`; for each training set of their own.
    """
    known = {fact.rung: fact for fact in facts}
    most = max((mean.runs.label_fraction for mean in means), default=0.0)
    full: dict[tuple[float, str | None, float | None], list[Mean]] = {}
    for mean in means:
        if mean.runs.label_fraction == most and mean.runs.rung in known:
            full.setdefault(mean.runs.training, []).append(mean)
    for alike in full.values():
        if len(alike) > 1:
            yield from _effects(alike, known)


def _effects(
    full: Sequence[Mean], known: dict[str, RungFacts]
) -> Iterator[tuple[RungRuns, Result]]:
    """What scale does to rungs of one training set."""
    places = [p for p in full[0].numbers if p[1] == ALL and p[4] in SCALED]
    for place in places:
        own = [mean for mean in full if (n := mean.numbers.get(place)) and n.values is not None]
        if len(own) < 2:
            continue
        about = [known[mean.runs.rung] for mean in own]
        values = np.stack([v for m in own if (v := m.numbers[place].values) is not None])
        effects = scale_effects(
            values,
            np.array([fact.parameters for fact in about]),
            np.array([fact.images for fact in about]),
            [fact.architecture for fact in about],
            [fact.pretraining for fact in about],
        )
        runs = replace(own[0].runs, rung=ALL, predictions=())
        for term, effect in effects.items():
            yield runs, _row(own[0], place, SCALE + term, effect.slopes, effect.reason)


def _headline_places(means: Sequence[Mean]) -> list[Place]:
    places = dict.fromkeys(place for mean in means for place in mean.by_seed)
    return [place for place in places if place[4] == HEADLINE and place[1] == ALL]


def _row(mean: Mean, place: Place, suffix: str, values: Floats, reason: str | None) -> Result:
    cohort, attribute, group, target, metric = place
    number = mean.numbers[place]
    known = bool(np.isfinite(values[0]))
    biased = find_metric(metric).biased
    ends = difference_interval(values, metric) if biased else percentile_interval(values)
    if known and ends is None and len(values) > 1:
        why = BIASED if biased else NO_INTERVAL
        reason = f"{reason}; {why}" if reason else why
    return Result(
        None, "test", cohort, target, metric + suffix, float(values[0]) if known else None,
        *(ends or (None, None)), number.cases, number.patients, None,
        reason or (None if known else "undefined in the sample"), attribute, group,
    )  # fmt: skip
