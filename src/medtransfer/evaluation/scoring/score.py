"""From a predictions table to the results table: transfer, shift, groups, calibration.

Nothing but the table and the cases' attributes is needed. Thresholds and calibrators come from its
tuning split and are carried unchanged to every cohort and group.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, ONE_PATIENT, Estimate, Key
from medtransfer.evaluation.scoring.fairness import gap_results
from medtransfer.evaluation.scoring.measure import MeasuredRun, measure_run
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet
from medtransfer.evaluation.scoring.tune_fit import WHOLE_CASE, TuneFit
from medtransfer.metrics.catalog import find_metric
from medtransfer.statistics.bootstrap import (
    additive_interval,
    bca_interval,
    percentile_interval,
    squared_interval,
)
from medtransfer.statistics.delong import delong, logit_intervals
from medtransfer.tables.results import CASE, Result, results_frame

DELONG = "auroc_delong"
"""AUROC with the interval of DeLong et al. 1988, clustered by patient (Obuchowski 1997)."""

NO_VARIANCE = "no interval: DeLong's variance is 0"


def delong_results(place: TestSet) -> Iterator[Result]:
    """AUROC of every target of a place, with the clustered DeLong interval on the logit scale."""
    run = place.run
    for target, name in enumerate(run.names):
        rows = place.subgroups[0].cases & run.labelled(target)
        truth = run.targets[rows, target].astype(np.int64)
        chances = run.probabilities if run.single_label else run.logits
        found = delong(truth, chances[None, rows, target], place.patient[rows].astype(np.int64))
        low, high = logit_intervals(found)[0].tolist()
        value = float(found.values[0])
        known = np.isfinite(value)
        reason = found.reason or (None if np.isfinite(low) else NO_VARIANCE)
        if not rows.any():
            reason = "no labelled case"
        yield Result(
            run.run_id,
            "test",
            place.name,
            name,
            DELONG,
            value if known else None,
            low if np.isfinite(low) else None,
            high if np.isfinite(high) else None,
            int(rows.sum()),
            run.patients(rows),
            int(truth.sum()),
            reason,
        )


ROUNDING = 1e-9
"""Sums of many shares can end beyond their range by so much."""
ONE_SIDE = "no interval: all replicates lie on one side of the value"


def score(
    predictions: pl.DataFrame, attributes: pl.DataFrame, task: Task, config: EvaluationConfig
) -> pl.DataFrame:
    """Every number of one run.

    Args:
        predictions: Its rows of the predictions table.
        attributes: `case_id` and the attributes to report by, from `cases.case_attributes`.
        task: What the targets are to each other.
        config: Intervals, operating points, least group size.

    Returns:
        The results table.
    """
    return score_measured(measure_run(predictions, attributes, task, config), config)


def score_measured(measured: MeasuredRun, config: EvaluationConfig) -> pl.DataFrame:
    """The results table of a run that was measured."""
    run = measured.run
    rows = list(_fitted_results(run, measured.fitted))
    for place, numbers in zip(measured.places, measured.numbers, strict=True):
        for part, of_slice in zip(place.subgroups, numbers, strict=True):
            rows += [as_result(run.run_id, part, key, n) for key, n in of_slice.items()]
        rows += gap_results(place, numbers, config)
        rows += delong_results(place)
    return results_frame(rows)


def as_result(run_id: str | None, part: Subgroup, key: Key, number: Estimate) -> Result:
    """A number as a row of the results table."""
    value, low, high, reason = None, None, None, number.reason
    if number.values is not None:
        value = _within(float(number.values[0]), key[1])
        if len(number.values) > 1:
            low, high = interval_of(number, key[1]) or (None, None)
        if value is None:
            reason = reason or "undefined in the sample"
        elif low is None and len(number.values) > 1 and reason != ONE_PATIENT:
            reason = "; ".join(why for why in (reason, _no_interval(number)) if why)
    return Result(
        run_id,
        "test",
        part.cohort,
        key[0],
        key[1],
        value,
        low,
        high,
        number.cases,
        number.patients,
        number.positives,
        reason,
        part.attribute,
        part.group,
    )


def _within(value: float, metric: str) -> float | None:
    """A value without what rounding put beyond its range; None where it is undefined."""
    if not np.isfinite(value):
        return None
    entry = find_metric(metric)
    inside = min(max(value, entry.low), entry.high)
    return inside if abs(inside - value) < ROUNDING else value


def interval_of(number: Estimate, metric: str) -> tuple[float, float] | None:
    """The interval that suits a metric.

    Squared where chance alone pushes it up; else BCa where it was asked for, or percentile.
    """
    if number.values is None:
        return None
    entry = find_metric(metric)
    if entry.biased:
        ends = additive_interval if entry.of_squares else squared_interval
        return ends(number.values, entry.high)
    if number.left_out is not None:
        return bca_interval(number.values, number.left_out)
    return percentile_interval(number.values)


def _no_interval(number: Estimate) -> str:
    if number.patients < 2:
        return ONE_PATIENT
    defined = number.values is not None and percentile_interval(number.values) is not None
    return ONE_SIDE if defined else NO_INTERVAL


def _fitted_results(run: RunArrays, fitted: TuneFit) -> Iterator[Result]:
    """Thresholds and temperatures as rows of the tuning split."""
    for target, own in fitted.items():
        name = CASE if target == WHOLE_CASE else run.names[target]
        known = run.classified() if target == WHOLE_CASE else run.labelled(target)
        rows = run.tuned() & known
        found = {f"threshold@{point}": limit for point, limit in own.thresholds.items()}
        if target == WHOLE_CASE or not run.single_label:
            found["temperature"] = own.temperature
        for metric, value in found.items():
            yield Result(
                run.run_id,
                "tune",
                run.internal_name(),
                name,
                metric,
                value,
                num_cases=int(rows.sum()),
                num_patients=run.patients(rows),
                reason=None if value is not None else own.reason,
            )
