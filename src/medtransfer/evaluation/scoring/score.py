"""From a predictions table to the results table: transfer, shift, groups, calibration.

Nothing but the table and the cases' attributes is needed. Thresholds and calibrators come from its
tuning split and are carried unchanged to every cohort and group.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.coverage import coverage_rows
from medtransfer.evaluation.scoring.estimate import Estimate, Estimates, ResultKey
from medtransfer.evaluation.scoring.fairness import subgroup_gaps
from medtransfer.evaluation.scoring.measure import measure
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays, run_arrays
from medtransfer.evaluation.scoring.test_set import (
    FindGroups,
    TestSet,
    attribute_groups,
    make_test_sets,
)
from medtransfer.evaluation.scoring.tune_fit import TuneFit, fit_for_metrics
from medtransfer.statistics.delong import Aurocs, delong, logit_intervals
from medtransfer.statistics.small_samples import FEW_PATIENTS, MIN_PATIENTS, auroc_interval
from medtransfer.tables.results import ALL, Result, results_frame

DELONG = "auroc_delong"
"""AUROC with the interval of DeLong et al. 1988, clustered by patient (Obuchowski 1997)."""
TOO_FEW_PATIENTS = f"no interval: fewer than {MIN_PATIENTS} patients with or without"
NO_VARIANCE = "no interval: DeLong's variance is 0"

Measure = Callable[[Sequence[TestSet], EvaluationConfig], tuple[list[Estimates], ...]]
"""From test sets to the estimates of each of their subgroups, as `measure.measure`."""


@dataclass(frozen=True)
class MeasuredRun:
    """A run with all its estimates.

    Attributes:
        run: The predictions.
        fit: Fits on its tuning split.
        test_sets: The training cohorts together, then every shifted cohort.
        estimates: For each test set and each of its subgroups; a detector's are with all cases.
    """

    run: RunArrays
    fit: TuneFit
    test_sets: tuple[TestSet, ...]
    estimates: tuple[list[Estimates], ...]


def score(
    predictions: pl.DataFrame,
    attributes: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
    measure: Measure = measure,
) -> pl.DataFrame:
    """Every number of one run.

    Args:
        predictions: Its rows of the predictions table.
        attributes: `case_id` and the attributes to report by, from `cases.case_attributes`.
        task: How the targets relate to each other.
        config: Intervals, operating points, smallest group size.
        measure: Of test sets.

    Returns:
        The results table.
    """
    return results_of(measure_run(predictions, attributes, task, config, measure), config)


def measure_run(
    predictions: pl.DataFrame,
    attributes: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
    measure: Measure = measure,
    *,
    find_groups: FindGroups = attribute_groups,
) -> MeasuredRun:
    """Measure a run on all of its test sets; arguments as for `score`.

    With the `find_groups` of `SharedGroups`, runs of the same cases look their groups up once.
    """
    run = run_arrays(predictions, task)
    groups = find_groups(run, attributes, config)
    fit = fit_for_metrics(run, config, groups)
    test_sets = make_test_sets(run, fit, groups, config)
    estimates = measure(test_sets, config)
    return MeasuredRun(run, fit, test_sets, estimates)


def results_of(measured: MeasuredRun, config: EvaluationConfig) -> pl.DataFrame:
    """Results table of a measured run."""
    rows = list(tune_rows(measured.run, measured.fit, temperatures=config.needs_fits))
    for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True):
        rows += estimate_rows(test_set, estimates)
        rows += subgroup_gaps(test_set, estimates, config)
        rows += delong_rows(test_set)
        rows += coverage_rows(test_set)
    return results_frame(rows)


def estimate_rows(test_set: TestSet, estimates: list[Estimates]) -> Iterator[Result]:
    """Every estimate of every subgroup, with its interval."""
    for subgroup, of_subgroup in zip(test_set.subgroups, estimates, strict=True):
        for key, estimate in of_subgroup.items():
            yield estimate.as_result(subgroup.key(key), test_set.run.run_id)


def delong_rows(test_set: TestSet) -> Iterator[Result]:
    """AUROC of every target, with the clustered DeLong interval on the logit scale."""
    run = test_set.run
    for target, name in enumerate(run.names):
        rows = test_set.cases & run.labelled(target)
        truth = run.truth(target)[rows]
        scores = run.probabilities if run.single_label else run.logits
        auroc = delong(truth, scores[None, rows, target], test_set.patient[rows].astype(np.int64))
        estimate = Estimate(
            values=auroc.values,
            cases=int(rows.sum()),
            patients=run.patients(rows),
            positives=int(truth.sum()),
            reason=auroc.reason if rows.any() else "no labelled case",
        )
        sides = [run.patients(rows & (run.targets[:, target] == side)) for side in (1, 0)]
        few = min(sides) < MIN_PATIENTS
        yield estimate.row(
            ResultKey(test_set.name, ALL, ALL, name, DELONG),
            float(auroc.values[0]),
            None if few else _delong_interval(auroc, sides),
            missing=None if auroc.reason else TOO_FEW_PATIENTS if few else NO_VARIANCE,
            run_id=run.run_id,
        )


def _delong_interval(auroc: Aurocs, sides: list[int]) -> tuple[float, float] | None:
    """On the logit scale; of few patients of a class, and at 0 and 1, the score interval."""
    value, variance = float(auroc.values[0]), float(auroc.covariance[0, 0])
    if not np.isfinite(value):
        return None
    if min(sides) < FEW_PATIENTS or value in (0.0, 1.0):
        return auroc_interval(value, sides[0], sides[1], variance)
    low, high = logit_intervals(auroc)[0].tolist()
    return (low, high) if np.isfinite(low) else None


def tune_rows(run: RunArrays, fit: TuneFit, *, temperatures: bool = True) -> Iterator[Result]:
    """Thresholds and temperatures as rows of the tuning split."""
    for target, of_target in fit.items():
        rows = run.tuned() & run.labelled(target)
        fitted = {f"threshold@{point}": value for point, value in of_target.thresholds.items()}
        if temperatures and (target == WHOLE_CASE or not run.single_label):
            fitted["temperature"] = of_target.temperature
        for metric, value in fitted.items():
            point = metric.partition("@")[2]
            why = of_target.missing.get(point, of_target.reason)
            estimate = Estimate(
                values=None,
                cases=int(rows.sum()),
                patients=run.patients(rows),
                reason=why if value is None else None,
            )
            key = ResultKey(run.internal_name(), ALL, ALL, run.name_of(target), metric)
            yield estimate.row(key, value, run_id=run.run_id, split="tune")
