"""Every metric of a place's cases and groups, in the sample and in every replicate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, Estimates, Key
from medtransfer.evaluation.scoring.ood import ood_estimates
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet, make_place
from medtransfer.evaluation.scoring.tune_fit import WHOLE_CASE, TuneFit, fit_on_tune
from medtransfer.metrics.cases import AnyCases, ClassCases, TargetCases, pooled
from medtransfer.metrics.catalog import CATALOG, result_names
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.tables.results import ALL, CASE, MACRO, MICRO


@dataclass(frozen=True)
class MeasuredRun:
    """A run with all its numbers.

    Attributes:
        run: The predictions.
        fitted: What was fitted on its tuning split.
        places: Where it was tested.
        numbers: For each place and each of its slices; what is of a detector is with all cases.
    """

    run: RunArrays
    fitted: TuneFit
    places: tuple[TestSet, ...]
    numbers: tuple[list[Estimates], ...]


def measure_run(
    predictions: pl.DataFrame, attributes: pl.DataFrame, task: Task, config: EvaluationConfig
) -> MeasuredRun:
    """Measure a run everywhere it was tested.

    Args:
        predictions: Its rows of the predictions table.
        attributes: `case_id` and the attributes to report by.
        task: What the targets are to each other.
        config: Intervals, operating points, least group size.
    """
    run = run_arrays(predictions, task)
    fitted = fit_on_tune(run, config.operating_points)
    places = tuple(make_place(run, fitted, attributes, name, config) for name in run.places())
    numbers = tuple(measure(place, config) for place in places)
    for of_place, of_detectors in zip(numbers, ood_estimates(places), strict=True):
        of_place[0].update(of_detectors)
    return MeasuredRun(run, fitted, places, numbers)


@dataclass(frozen=True)
class Binding:
    """A metric of one slice before it is evaluated: bound, or the reason why it is undefined."""

    key: Key
    number: Estimate
    bound: Weighted | None


def measure(place: TestSet, config: EvaluationConfig) -> list[Estimates]:
    """Every metric of every slice of a place, with its replicates.

    Returns:
        For each slice, in order, its numbers: of each target, their mean (`macro`), all targets
        pooled (`micro`), and the case as a whole in single-label tasks.
    """
    run = place.run
    found: list[Estimates] = [{} for _ in place.subgroups]
    data: list[list[TargetCases]] = [[] for _ in place.subgroups]
    rows_of: list[list[Flags]] = [[] for _ in place.subgroups]
    for target, name in [
        *enumerate(run.names),
        *([(WHOLE_CASE, CASE)] if run.single_label else []),
    ]:
        by_attribute = {attribute: place.cases(target, attribute) for attribute in place.fitted}
        known = run.classified() if target == WHOLE_CASE else run.labelled(target)
        of_slices: list[tuple[Flags, list[Binding]]] = []
        for i, part in enumerate(place.subgroups):
            rows = part.cases & known
            cases = by_attribute[part.attribute].take(rows)
            of_slices.append((rows, list(bindings(run, part, name, cases, rows, config))))
            if isinstance(cases, TargetCases):
                data[i].append(cases)
                rows_of[i].append(rows)
        for numbers, new in zip(found, _evaluated(place, of_slices, config), strict=True):
            numbers.update(new)
    if len(run.names) > 1:
        for i, part in enumerate(place.subgroups):
            found[i] |= _macro(run, part, found[i])
            found[i] |= _micro(place, part, data[i], rows_of[i], config)
    return found


def bindings(
    run: RunArrays,
    part: Subgroup,
    name: str,
    cases: AnyCases,
    rows: Flags,
    config: EvaluationConfig,
) -> Iterator[Binding]:
    """Bind every metric of the catalogue that a slice is reported by.

    Args:
        run: The predictions.
        part: The slice.
        name: Of the target, or `case`, or `micro`.
        cases: The slice's labelled cases.
        rows: Which of the run's cases they are; for `micro` any of their targets is labelled.
        config: Operating points and least group size.
    """
    positives = int((cases.targets == 1).sum()) if isinstance(cases, TargetCases) else None
    blank = Estimate(None, len(cases), run.patients(rows), positives)
    small = part.attribute != ALL and rows.sum() < config.minimum_group
    for metric in CATALOG.values():
        if not _is_reported(metric, run, part, name):
            continue
        for spelling, point in result_names(metric, config.operating_points):
            reason = f"fewer than {config.minimum_group} cases" if small else None
            reason = reason or _reason(metric, cases, point)
            bound = None if reason else _bound(metric, cases, point)
            yield Binding((name, spelling), replace(blank, reason=reason), bound)


def _is_reported(metric: Metric, run: RunArrays, part: Subgroup, name: str) -> bool:
    if part.attribute != ALL and not metric.by_group:
        return False
    if (metric.spread is not None and run.members == 1) or (
        metric.conformal == "group" and part.attribute == ALL
    ):
        return False
    if name == CASE:
        few = metric.name == "top3_accuracy" and len(run.names) < 4
        return metric.of_classes is not None and not few
    if name == MICRO and not metric.micro:
        return False
    return metric.of_target is not None and (metric.one_against_rest or not run.single_label)


def _reason(metric: Metric, cases: AnyCases, point: str | None) -> str | None:
    if isinstance(cases, TargetCases):
        positives = int((cases.targets == 1).sum())
        reason = metric.undefined(positives, len(cases) - positives)
    else:
        occurring = len(np.unique(cases.classes))
        reason = None if occurring else "no labelled case"
        if metric.needs == "both" and occurring == 1:
            reason = "one class only"
    return reason or metric.lacking(cases, point)


def _bound(metric: Metric, cases: AnyCases, point: str | None) -> Weighted | None:
    if isinstance(cases, ClassCases):
        return None if metric.of_classes is None else metric.of_classes(cases)
    return None if metric.of_target is None else metric.of_target(cases, point or "")


def _evaluated(
    place: TestSet, of_slices: Sequence[tuple[Flags, list[Binding]]], config: EvaluationConfig
) -> list[Estimates]:
    """Evaluate what is bound, all slices in one pass over the replicates."""
    patient = place.patient
    parts = [
        SubgroupMetrics(patient[rows], tuple(b.bound for b in bound if b.bound is not None))
        for rows, bound in of_slices
    ]
    return _with_values(place.replicates, parts, [bound for _, bound in of_slices], config)


def _with_values(
    replicates: Replicates,
    parts: Sequence[SubgroupMetrics],
    of_slices: Sequence[list[Binding]],
    config: EvaluationConfig,
) -> list[Estimates]:
    values = evaluate(parts, replicates.blocks())
    left_out = evaluate(parts, replicates.left_out()) if config.interval == "bca" else values
    found: list[Estimates] = []
    for bound, of_part, without in zip(of_slices, values, left_out, strict=True):
        given = iter(zip(of_part, without, strict=True))
        numbers: Estimates = {}
        for binding in bound:
            number = binding.number
            if binding.bound is not None:
                own, rest = next(given)
                if number.patients < 2:
                    own[1:] = np.nan
                number = replace(
                    number, values=own, left_out=rest if config.interval == "bca" else None
                )
            numbers[binding.key] = number
        found.append(numbers)
    return found


def _macro(run: RunArrays, part: Subgroup, numbers: Estimates) -> Estimates:
    """Means over the targets for which a metric is defined; says how many are left out."""
    means: Estimates = {}
    cases, patients = int(part.cases.sum()), run.patients(part.cases)
    for metric in dict.fromkeys(metric for target, metric in numbers if target in run.names):
        found = [numbers[name, metric] for name in run.names]
        defined = [n for n in found if n.values is not None and np.isfinite(n.values[0])]
        reason = None
        if len(defined) < len(found):
            why = next((n.reason for n in found if n.reason), "undefined in the sample")
            reason = f"{len(found) - len(defined)} of {len(found)} targets left out: {why}"
        values = [n.values for n in defined if n.values is not None]
        left_out = [n.left_out for n in defined if n.left_out is not None]
        means[MACRO, metric] = Estimate(
            np.mean(values, axis=0) if values else None,
            cases,
            patients,
            None,
            reason,
            np.mean(left_out, axis=0) if left_out else None,
        )
    return means


def _micro(
    place: TestSet,
    part: Subgroup,
    data: Sequence[TargetCases],
    rows: Sequence[Flags],
    config: EvaluationConfig,
) -> Estimates:
    """All targets pooled as if each labelled target were a case of its own."""
    patient = np.concatenate([place.patient[own] for own in rows])
    any_labelled = np.logical_or.reduce(rows)
    bound = list(bindings(place.run, part, MICRO, pooled(data), any_labelled, config))
    parts = [SubgroupMetrics(patient, tuple(b.bound for b in bound if b.bound is not None))]
    return _with_values(place.replicates, parts, [bound], config)[0]
