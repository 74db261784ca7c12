"""Effect of scale on convergence: steps to 95 % against the size of network and pre-training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.analysis.interval import Interval
from medtransfer.analysis.table import AskedRun, UnderstandingRow
from medtransfer.errors import plural
from medtransfer.evaluation.comparison.scaling import SCALE, RungFacts
from medtransfer.statistics.contrasts import NEGLIGIBLE, contrast, seed_term
from medtransfer.statistics.scaling import ScaleEffect, Term, scale_effects
from medtransfer.tables.results import ALL

STEPS = "steps_to_95"
ONE_SEED = "a rung has one seed: an interval needs several of each"
NO_SPREAD = "the seeds of every rung took the same steps: no interval"
NO_EFFECT = "fewer than 2 pre-trained rungs of known scale"
Floats = NDArray[np.float64]


def convergence_scale_rows(
    rows: pl.DataFrame, facts: Sequence[RungFacts]
) -> list[UnderstandingRow]:
    """Change of log10 of the steps to 95 % for a factor of ten, as effects of scale on metrics.

    Rungs are taken as they are; the interval holds the seeds that each of them was trained with.

    Args:
        rows: Table of understanding, of single runs.
        facts: Scale of the rungs.

    Returns:
        Rows of the rung `all`, one for each of network, data and interaction; none where fewer than
        two pre-trained rungs have converged.
    """
    steps = _log_steps(rows)
    scaled = [fact for fact in facts if fact.rung in steps and fact.images > 0]
    if len(scaled) < 2:
        return []
    means = np.array([[steps[fact.rung].mean()] for fact in scaled])
    effects = _effects(means, scaled)
    # a slope is linear in the rungs' values: its values at unit changes are their weights
    weights = _effects(np.eye(len(scaled)), scaled)
    note = _left_out(rows)
    return [
        AskedRun(ALL).row(
            "convergence",
            (0, "network"),
            "after",
            STEPS + SCALE + term,
            _noted(
                _interval(effect, weights[term].slopes, [steps[fact.rung] for fact in scaled]), note
            ),
            cases=0,
        )
        for term, effect in effects.items()
    ]


def _log_steps(rows: pl.DataFrame) -> Mapping[str, Floats]:
    """log10 of the steps of each run that came above chance, by rung. [S] each"""
    converged = rows.filter(
        (pl.col("question") == "convergence") & (pl.col("metric") == STEPS) & (pl.col("value") > 0)
    )
    return {
        str(rung): np.log10(of_rung["value"].to_numpy())
        for (rung,), of_rung in converged.group_by("rung", maintain_order=True)
    }


def _left_out(rows: pl.DataFrame) -> str:
    """Number of runs without steps to 95 %; empty if there are none."""
    asked = rows.filter((pl.col("question") == "convergence") & (pl.col("metric") == STEPS))
    without = asked["value"].null_count()
    if not without:
        return ""
    return f"{without} of {plural(len(asked), 'run')} never came above chance and are left out"


def _noted(result: Interval, note: str) -> Interval:
    return replace(result, reason="; ".join(filter(None, (result.reason, note))) or None)


def _effects(values: Floats, facts: Sequence[RungFacts]) -> dict[Term, ScaleEffect]:
    """Effects of scale on values of rungs. [K, R]"""
    return scale_effects(
        values,
        np.array([fact.parameters for fact in facts]),
        np.array([fact.images for fact in facts]),
        [fact.architecture for fact in facts],
        [fact.pretraining for fact in facts],
    )


def _interval(effect: ScaleEffect, weights: Floats, steps: Sequence[Floats]) -> Interval:
    """The slope with the interval of its seeds.

    Args:
        effect: On the means over seeds.
        weights: Of each rung in the slope. [K]
        steps: Of each rung's seeds. [S] each
    """
    value = float(effect.slopes[0])
    if not np.isfinite(value):
        return Interval.undefined(effect.reason or NO_EFFECT)
    terms = [
        seed_term(of_rung, float(weight))
        for of_rung, weight in zip(steps, weights, strict=True)
        if abs(weight) > NEGLIGIBLE
    ]
    if any(term is None for term in terms):
        return Interval.without_interval(value, ONE_SEED)
    if not any(term is not None and term.variance > NEGLIGIBLE for term in terms):
        return Interval.without_interval(value, NO_SPREAD)
    both = contrast(value, (value, value), terms)
    return Interval(value, both.low, both.high, effect.reason)
