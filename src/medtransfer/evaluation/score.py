"""From a predictions table to the results table: transfer, shift, groups, calibration.

Nothing but the table and the cases' attributes is needed. Thresholds and temperatures come from
its tuning split and are carried unchanged to every cohort and group.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.fairness import Numbers, gap_results
from medtransfer.evaluation.fitted import Fitted, RunArrays, fit_on_tune, run_arrays
from medtransfer.evaluation.measure import (
    NO_INTERVAL,
    Key,
    Number,
    Slice,
    count_patients,
    joined,
    measure,
    place_replicates,
    slices,
)
from medtransfer.metrics.bootstrap import Floats, percentile_interval, squared_interval
from medtransfer.metrics.catalog import find_metric
from medtransfer.tables.results import ALL, Result, results_frame


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
    run = run_arrays(predictions, task)
    fitted = fit_on_tune(run, config.operating_points)
    rows = list(_fitted_results(run, fitted))
    for cohort in run.places():
        replicates = place_replicates(run, cohort, config)
        groups: dict[str, dict[str, Numbers]] = {}
        for part in slices(run, attributes, cohort):
            numbers = measure(run, fitted, part, replicates, config)
            rows += [as_result(run.run_id, part, key, number) for key, number in numbers.items()]
            if part.attribute != ALL:
                groups.setdefault(part.attribute, {})[part.group] = numbers
        for name, found in groups.items():
            values = joined(run, attributes)[name]
            rows += gap_results(run, fitted, values, found, cohort=cohort, config=config)
    return results_frame(rows)


def as_result(run_id: str | None, part: Slice, key: Key, number: Number) -> Result:
    """A number as a row of the results table."""
    value, low, high, reason = None, None, None, number.reason
    if number.values is not None:
        value = float(number.values[0]) if np.isfinite(number.values[0]) else None
        if len(number.values) > 1:
            interval = interval_of(number.values, key[1])
            low, high = interval or (None, None)
        if low is None and len(number.values) > 1:
            reason = NO_INTERVAL
        if value is None:
            reason = reason or "undefined in the sample"
    return Result(
        run_id, "test", part.cohort, key[0], key[1], value, low, high,
        number.cases, number.patients, number.positives, reason, part.attribute, part.group,
    )  # fmt: skip


def interval_of(values: Floats, metric: str) -> tuple[float, float] | None:
    """The interval that suits a metric: percentile, or squared where chance alone pushes it up."""
    entry = find_metric(metric)
    if entry.biased:
        return squared_interval(values, entry.high)
    return percentile_interval(values)


def _fitted_results(run: RunArrays, fitted: Fitted) -> Iterator[Result]:
    """Thresholds and temperatures as rows of the tuning split."""
    tune = (run.frame["split"] == "tune").to_numpy()
    labelled = [tune & run.labelled(target) for target in range(len(run.names))]
    counts = [(int(rows.sum()), count_patients(run, rows)) for rows in labelled]
    cohort, why = run.home(), "tune lacks a class"
    for (target, point), limit in fitted.thresholds.items():
        cases, patients = counts[target]
        yield Result(
            run.run_id, "tune", cohort, run.names[target], f"threshold@{point}", limit,
            num_cases=cases, num_patients=patients, reason=None if limit is not None else why,
        )  # fmt: skip
    for target, value in enumerate(fitted.temperatures.tolist()):
        known = np.isfinite(value)
        cases, patients = counts[target]
        yield Result(
            run.run_id, "tune", cohort, run.names[target], "temperature", value if known else None,
            num_cases=cases, num_patients=patients, reason=None if known else why,
        )  # fmt: skip
