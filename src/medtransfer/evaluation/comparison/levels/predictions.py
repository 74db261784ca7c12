"""Predictions of one level from those of the level below: exams from their breasts.

A column of the manifest says which cases belong together. Nothing is trained or predicted again:
every number of the level comes from these predictions by the same functions as those of cases.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from medtransfer.data.config import LevelRule
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.tables.predictions import target_names

MAX_LOGIT = 700.0
"""Largest logit whose exponential a double holds."""


def level_predictions(
    predictions: pl.DataFrame, units: pl.DataFrame, rule: LevelRule
) -> pl.DataFrame:
    """Predictions table with a row for each unit of a level, in place of its cases.

    A unit is positive for a target if any of its cases is, negative if all of them are, and else
    has no label.

    Args:
        predictions: Of one run, every member.
        units: `case_id` and `unit`; cases without a unit are left out.
        rule: `max`: the highest logit of the cases; `mean`: the logit of the mean of their
            probabilities.
    """
    table = predictions.join(units.drop_nulls("unit"), on="case_id", how="inner")
    names = target_names(predictions)
    return (
        table.group_by("run_id", "member", "unit")
        .agg(
            *(pl.col(name).first() for name in ("patient_id", "cohort", "split")),
            *(_label(f"target_{name}") for name in names),
            *(_logit(f"logit_{name}", rule) for name in names),
        )
        .rename({"unit": "case_id"})
        .select(
            "run_id",
            "member",
            "case_id",
            "patient_id",
            "cohort",
            "split",
            *(f"target_{name}" for name in names),
            *(f"logit_{name}" for name in names),
        )
        .sort("run_id", "member", "case_id")
    )


def level_runs(runs: Sequence[LadderRun], units: pl.DataFrame, rule: LevelRule) -> list[LadderRun]:
    """Runs with the predictions of a level; those that were trained again elsewhere are left out.

    Args:
        runs: Of cases.
        units: `case_id` and `unit`.
        rule: From the logits of cases to that of their unit.
    """

    def read(run: LadderRun) -> Callable[[], pl.DataFrame]:
        return lambda: level_predictions(run.predictions(), units, rule)

    return [
        replace(run, predictions=read(run), results=None)
        for run in runs
        if run.key.retrain_fraction is None
    ]


def _label(name: str) -> pl.Expr:
    target = pl.col(name).fill_nan(None)
    is_negative = (target == 0).fill_null(value=False).all()
    return (
        pl.when((target == 1).any()).then(1.0).when(is_negative).then(0.0).otherwise(None)
    ).alias(name)


def _logit(name: str, rule: LevelRule) -> pl.Expr:
    logit = pl.col(name).cast(pl.Float64)
    if rule == "max":
        return logit.max().alias(name)
    # by both sides: a mean near 1 keeps its order; beyond the limit a probability is 0 or 1
    logit = logit.clip(-MAX_LOGIT, MAX_LOGIT)
    above, below = (1 / (1 + (sign * logit).exp()) for sign in (-1, 1))
    return (above.mean().log() - below.mean().log()).alias(name)
