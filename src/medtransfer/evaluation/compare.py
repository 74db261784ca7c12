"""From the predictions of a study's runs to what is said of its rungs.

Means over seeds, paired differences from the reference rung. All of them on the same resampled
patients, so what rungs share cancels in their differences.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.fairness import compared_keys
from medtransfer.evaluation.fitted import fit_on_tune, run_arrays
from medtransfer.evaluation.measure import (
    CASE,
    NO_INTERVAL,
    Number,
    Slice,
    measure,
    place_replicates,
    slices,
)
from medtransfer.evaluation.score import as_result
from medtransfer.metrics.bootstrap import Floats, percentile_interval, two_sided_p
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.compare import holm
from medtransfer.tables.comparisons import Comparison
from medtransfer.tables.results import ALL, MACRO, Result

HEADLINE = "auroc"
"""The metric that curves over label fractions are drawn in."""
BIASED = "no interval: chance alone pushes the metric up, in cohorts of different size differently"
Place = tuple[str, str, str, str, str]
"""Cohort, attribute, group, target, metric."""


@dataclass(frozen=True)
class RungRuns:
    """The runs of one rung at one label fraction: one per seed.

    Attributes:
        rung: Its name.
        label_fraction: Share of the training patients used.
        held_out: Cohort left out of training, if the study does that.
        predictions: Gives the predictions table of each seed.
    """

    rung: str
    label_fraction: float
    held_out: str | None
    predictions: tuple[Callable[[], pl.DataFrame], ...]


@dataclass(frozen=True)
class Mean:
    """A rung's numbers, mean over its seeds.

    Attributes:
        runs: What it is the mean of.
        slices: By cohort, attribute and group.
        numbers: Seed means; replicates are of patients.
        by_seed: The values before the mean. [S, 1 + R]
        home: The place of the training cohorts.
    """

    runs: RungRuns
    slices: dict[tuple[str, str, str], Slice]
    numbers: dict[Place, Number]
    by_seed: dict[Place, Floats]
    home: str


def mean_over_seeds(
    runs: RungRuns, attributes: pl.DataFrame, task: Task, config: EvaluationConfig
) -> Mean:
    """Score each seed's predictions and take the mean of every overall number.

    Args:
        runs: The seeds of one rung.
        attributes: `case_id` and the attributes to report by.
        task: What the targets are to each other.
        config: Intervals, operating points, least group size.
    """
    found: dict[Place, list[Number]] = {}
    parts: dict[tuple[str, str, str], Slice] = {}
    home = ""
    for predictions in runs.predictions:
        run = run_arrays(predictions(), task)
        home = run.home()
        fitted = fit_on_tune(run, config.operating_points)
        overall = {MACRO, CASE} if len(run.names) > 1 else set(run.names)
        for cohort in run.places():
            replicates = place_replicates(run, cohort, config)
            for part in slices(run, attributes, cohort):
                numbers = measure(run, fitted, part, replicates, config)
                keys = [k for k in numbers if k[0] in overall]
                if part.attribute != ALL:
                    keys = compared_keys(run, {part.group: numbers})
                place = (cohort, part.attribute, part.group)
                parts[place] = part
                for key in keys:
                    found.setdefault((*place, *key), []).append(numbers[key])
    by_seed = {
        place: np.stack([n.values for n in numbers if n.values is not None])
        for place, numbers in found.items()
        if all(n.values is not None for n in numbers)
    }
    means = {
        place: replace(
            next((n for n in numbers if n.values is None), numbers[0]),
            values=by_seed[place].mean(axis=0) if place in by_seed else None,
        )
        for place, numbers in found.items()
    }
    return Mean(runs, parts, means, by_seed, home)


def mean_results(mean: Mean) -> Iterator[Result]:
    """A rung's means as rows of the results table, without a run id."""
    for (*place, target, metric), number in mean.numbers.items():
        cohort, attribute, group = place
        part = mean.slices[cohort, attribute, group]
        yield as_result(None, part, (target, metric), number)


def drops(mean: Mean) -> Iterator[Result]:
    """Internal test minus shifted cohort, for every overall metric, as rows of `<metric>_drop`.

    The cohorts are resampled independently, so their replicates are too.
    """
    for (cohort, attribute, group, target, metric), number in mean.numbers.items():
        inside = mean.numbers.get((mean.home, attribute, group, target, metric))
        if cohort == mean.home or attribute != ALL or inside is None:
            continue
        part = mean.slices[cohort, attribute, group]
        row = as_result(None, part, (target, metric), number)
        reason = inside.reason or number.reason
        row = replace(row, metric=f"{metric}_drop", value=None, low=None, high=None, reason=reason)
        if inside.values is not None and number.values is not None:
            drop = inside.values - number.values
            low, high = difference_interval(drop, metric) or (None, None)
            missing = low is None and len(drop) > 1
            reason = (BIASED if find_metric(metric).biased else NO_INTERVAL) if missing else reason
            row = replace(row, value=float(drop[0]), low=low, high=high, reason=reason)
        yield row


def difference_interval(difference: Floats, metric: str) -> tuple[float, float] | None:
    """The percentile interval of a difference; none where chance pushes both sides up.

    What chance adds to two calibration errors cancels only between cohorts of one size and
    networks that are calibrated alike.
    """
    return None if find_metric(metric).biased else percentile_interval(difference)


def comparisons(means: Sequence[Mean], reference: str) -> list[Comparison]:
    """Paired differences of every rung from the reference at the same label fraction."""
    rows: list[Comparison] = []
    bases = {(m.runs.label_fraction, m.runs.held_out): m for m in means if m.runs.rung == reference}
    for mean in means:
        base = bases.get((mean.runs.label_fraction, mean.runs.held_out))
        if base is None or mean.runs.rung == reference:
            continue
        for place, number in mean.numbers.items():
            if place[1] == ALL and place in base.numbers:
                rows.append(_difference(mean, base, place, number))
    return _corrected(rows)


def _difference(mean: Mean, base: Mean, place: Place, number: Number) -> Comparison:
    mine, other = number.values, base.numbers[place].values
    difference = None if mine is None or other is None else mine - other
    interval = None if difference is None else difference_interval(difference, place[4])
    cohort, _attribute, _group, target, metric = place
    return Comparison(
        mean.runs.rung,
        base.runs.rung,
        mean.runs.label_fraction,
        mean.runs.held_out,
        cohort,
        target,
        metric,
        None if difference is None else float(difference[0]),
        *(interval or (None, None)),
        None if difference is None or interval is None else two_sided_p(difference),
        None,
        number.cases,
        number.patients,
    )


def _corrected(rows: list[Comparison]) -> list[Comparison]:
    """Holm's correction over the rungs compared on the same cohort, metric and fraction."""
    families: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(rows):
        family = (row.label_fraction, row.held_out, row.cohort, row.target, row.metric)
        families.setdefault(family, []).append(place)
    corrected = list(rows)
    for places in families.values():
        for place, p in zip(places, holm([rows[i].p for i in places]), strict=True):
            corrected[place] = replace(rows[place], p_holm=p)
    return corrected
