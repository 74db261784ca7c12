"""Every metric of some cases, in the sample and in every replicate."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.fitted import Fitted, RunArrays, class_cases, target_cases
from medtransfer.metrics.bootstrap import Floats, Replicates, Weighted, draw_replicates
from medtransfer.metrics.catalog import CATALOG, Metric, spelled
from medtransfer.tables.results import ALL, MACRO

CASE = "case"
"""Name of the target column for numbers of the case as a whole, in single-label tasks."""
NO_INTERVAL = "no interval: undefined in over half of the replicates"
Key = tuple[str, str]
"""Target and metric."""


@dataclass(frozen=True)
class Slice:
    """Some test cases.

    Attributes:
        cohort: The place they come from: a cohort, or all training cohorts together.
        attribute: What they have in common, or `all`.
        group: Its value, or `all`.
        cases: Which of the run's cases they are. [N]
    """

    cohort: str
    attribute: str
    group: str
    cases: NDArray[np.bool_]


@dataclass(frozen=True)
class Number:
    """One metric of one slice.

    Attributes:
        values: In the sample and in every replicate; None where it is undefined. [1 + R]
        cases: Behind it.
        patients: Behind it.
        positives: Among the cases, for a binary target.
        reason: Why it is undefined.
    """

    values: Floats | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None


def measure(
    run: RunArrays, fitted: Fitted, part: Slice, replicates: Replicates, config: EvaluationConfig
) -> dict[Key, Number]:
    """Every metric of one slice, with its replicates.

    Args:
        run: The predictions.
        fitted: Thresholds and temperatures.
        part: The slice.
        replicates: Of the slice's cohort; their cases are the run's test cases of the cohort.
        config: Operating points and least group size.
    """
    numbers: dict[Key, Number] = {}
    here = run.places()[part.cohort]
    for key, _metric, rows, bound in bindings(run, fitted, part.cases, config):
        if part.attribute != ALL and rows.sum() < config.minimum_group:
            bound = f"fewer than {config.minimum_group} cases"  # noqa: PLW2901
        reason, values = (bound, None) if isinstance(bound, str) else (None, bound)
        numbers[key] = Number(
            None if values is None else replicates.values(values, rows[here]),
            int(rows.sum()),
            count_patients(run, rows),
            _positives(run, key[0], rows),
            reason,
        )
    if len(run.names) > 1:
        numbers |= _macro(run, part, numbers)
    return numbers


def bindings(
    run: RunArrays, fitted: Fitted, cases: NDArray[np.bool_], config: EvaluationConfig
) -> Iterator[tuple[Key, Metric, NDArray[np.bool_], Weighted | str]]:
    """Bind every metric of the catalogue to some cases.

    Yields:
        Target and metric name, the catalogue's entry, the labelled cases, and the bound metric,
        or the reason why it is undefined.
    """
    for target, name in enumerate(run.names):
        rows = cases & run.labelled(target)
        data = target_cases(run, fitted, target, rows)
        positives = int(data.targets.sum())
        for metric in CATALOG.values():
            if metric.of_target is None or (run.single_label and not metric.one_against_rest):
                continue
            for spelling, point in spelled(metric, config.operating_points):
                reason = metric.undefined(positives, len(data.targets) - positives)
                limit = fitted.thresholds[target, point] if point else 0.0
                if metric.scaled and data.scaled is None:
                    reason = reason or "no temperature: tune lacks a class"
                if limit is None:
                    reason = reason or "no threshold: tune lacks a class"
                bound = reason or metric.of_target(data, limit or 0.0)
                yield (name, spelling), metric, rows, bound
    if run.single_label:
        yield from _class_bindings(run, fitted, cases)


def _class_bindings(
    run: RunArrays, fitted: Fitted, cases: NDArray[np.bool_]
) -> Iterator[tuple[Key, Metric, NDArray[np.bool_], Weighted | str]]:
    rows = cases & run.classified()
    data = class_cases(run, fitted, rows)
    occurring = len(np.unique(data.classes))
    for metric in CATALOG.values():
        if metric.of_classes is None or (metric.name == "top3_accuracy" and len(run.names) < 4):
            continue
        reason = None if occurring else "no labelled case"
        if metric.needs == "both" and occurring == 1:
            reason = "one class only"
        if metric.scaled and data.scaled is None:
            reason = reason or "no temperature: tune lacks a class"
        yield (CASE, metric.name), metric, rows, reason or metric.of_classes(data)


def slices(run: RunArrays, attributes: pl.DataFrame, place: str) -> Iterator[Slice]:
    """A place's test cases, then each group of each attribute, in text order.

    Where several training cohorts are taken together, the cohort counts as an attribute.
    """
    here = run.places()[place]
    yield Slice(place, ALL, ALL, here)
    table = joined(run, attributes)
    names = attributes.columns[1:]
    if run.frame.filter(pl.Series(here))["cohort"].n_unique() > 1:
        names = ["cohort", *(name for name in names if name != "cohort")]
    for attribute in names:
        for group in table.filter(pl.Series(here))[attribute].drop_nulls().unique().sort():
            member = (table[attribute] == group).fill_null(value=False).to_numpy()
            yield Slice(place, attribute, str(group), here & member)


def joined(run: RunArrays, attributes: pl.DataFrame) -> pl.DataFrame:
    """The run's cases with their attributes, in the run's order."""
    return run.frame.join(attributes, on="case_id", how="left", maintain_order="left")


def place_replicates(run: RunArrays, place: str, config: EvaluationConfig) -> Replicates:
    """A place's replicates: the same for every run, metric and group."""
    patients = run.frame.filter(pl.Series(run.places()[place]))["patient_id"].to_list()
    return draw_replicates(patients, config.replicates, config.seed, place)


def macro_metrics(names: tuple[str, ...], numbers: dict[Key, Number]) -> list[str]:
    """Metrics that have a value per target, in the catalogue's order."""
    return list(dict.fromkeys(metric for target, metric in numbers if target in names))


def _macro(run: RunArrays, part: Slice, numbers: dict[Key, Number]) -> dict[Key, Number]:
    """Means over the targets for which a metric is defined; says how many are left out."""
    means: dict[Key, Number] = {}
    cases, patients = int(part.cases.sum()), count_patients(run, part.cases)
    for metric in macro_metrics(run.names, numbers):
        found = [numbers[name, metric] for name in run.names]
        defined = [number.values for number in found if number.values is not None]
        reason = None
        if len(defined) < len(found):
            why = next(number.reason for number in found if number.values is None)
            reason = f"{len(found) - len(defined)} of {len(found)} targets left out: {why}"
        values = np.mean(defined, axis=0) if defined else None
        means[MACRO, metric] = Number(values, cases, patients, None, reason)
    return means


def count_patients(run: RunArrays, rows: NDArray[np.bool_]) -> int:
    """Patients behind some of the run's cases."""
    return run.frame.filter(pl.Series(rows))["patient_id"].n_unique()


def _positives(run: RunArrays, target: str, rows: NDArray[np.bool_]) -> int | None:
    if target not in run.names:
        return None
    return int((run.targets[rows, run.names.index(target)] == 1).sum())
