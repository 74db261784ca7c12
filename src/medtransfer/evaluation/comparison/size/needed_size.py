"""Patients that a study needs, from assumptions or from a predictions table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medtransfer.data.config import Task
from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.evaluation.comparison.evaluate_table import infer_task, ladder_runs, rung_names
from medtransfer.evaluation.comparison.size.goals import (
    PATIENTS_ALONE,
    ExpectedPerformance,
    SizeGoals,
    assumption_notes,
    require_sizes,
)
from medtransfer.evaluation.comparison.size.sample import DesignEffects, Sample, common_cases
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.statistics.delong import delong
from medtransfer.statistics.sample_size import (
    auroc_cases,
    difference_cases,
    expected_logits,
    net_benefit_cases,
    observed_expected_cases,
    proportion_cases,
    scaled_size,
    slope_cases,
    slope_influence,
)
from medtransfer.tables.imported.score_cells import Scores
from medtransfer.tables.other_predictions import Completion, read_other_predictions
from medtransfer.tables.values.value_map import ValueMap

DEFAULT_POINT = "sens90"
UNMEASURED = {"correlation": 0.5, "cases_per_patient": 1.0, "design_effect": 1.0}
"""Assumptions without a table, unless others are given."""


@dataclass(frozen=True)
class NeededSize:
    """Size that one goal needs.

    Attributes:
        target: The target; empty if no table was given.
        goal: The goal, as ``AUROC within ±0.03``.
        assumed: Basis of the size.
        patients: Number of patients; None where it cannot be computed.
        cases: Number of cases, of all patients.
        positives: Number of positive cases among them.
        design_effect: Factor for cases that share a patient.
        reason: Why there is no number.
    """

    target: str
    goal: str
    assumed: str
    patients: int | None
    cases: int | None
    positives: int | None
    design_effect: float
    reason: str | None = None


@dataclass(frozen=True)
class SampleSizes:
    """Sizes of every goal.

    Attributes:
        rows: One per goal and target.
        notes: What was read from the table and what was assumed, in sentences.
    """

    rows: tuple[NeededSize, ...]
    notes: tuple[str, ...]


def sample_size(
    predictions: Path | None = None,
    *,
    expected: ExpectedPerformance | None = None,
    goals: SizeGoals | None = None,
    columns: dict[str, str] | None = None,
    scores: Scores | None = None,
    task: Task | None = None,
    reference: str | None = None,
    cohort: str | None = None,
    point: str | None = None,
    values: ValueMap | None = None,
) -> SampleSizes:
    """Compute the patients needed for a precision or a difference.

    With a predictions table prevalence, performance, cases per patient and the design effects are
    those of the reference rung's test cases; what `expected` names overrides it. The difference is
    of each other rung from the reference, with the standard error measured on the cases of both.
    Sizes are of patients alone: they hold for these trained networks.

    Args:
        predictions: ``.csv`` or ``.parquet``, one row per case and run.
        expected: Performance to expect. Needed without a table: prevalence and AUROC.
        goals: Precision to reach.
        columns: Our column names to theirs, as for `evaluate`.
        scores: Content of the score columns, if their names do not say it.
        task: Relation of the targets; inferred from the table by default.
        reference: Rung to measure; the first by default.
        cohort: Test cohort to measure; the training cohorts' test cases by default.
        point: Operating point of sensitivity and specificity; `sens90` by default.
        values: Values to read in place of others, by column of the table.

    Returns:
        A row for each goal and target, and notes on what was measured and assumed.

    Raises:
        ConfigError: A goal or an assumption is out of range, one that is needed is missing, or
            an option has no use with or without a table.
        TableError: The table cannot be read, or a rung or cohort does not exist.
    """
    expected, goals = expected or ExpectedPerformance(), goals or SizeGoals()
    require_sizes(
        expected,
        goals,
        point or DEFAULT_POINT,
        table_options={
            "cohort": cohort,
            "reference": reference,
            "point": point,
            "columns": columns,
            "scores": scores,
            "task": task,
            "values": values or None,
        },
        has_table=predictions is not None,
    )
    if predictions is None:
        expected = expected.completed(UNMEASURED)
        effects = DesignEffects.same(expected.design_effect or 1.0)
        rows = tuple(_precision_rows("", expected, goals, effects, None))
        return SampleSizes(
            (*rows, _assumed_difference(expected, goals)), assumption_notes(expected)
        )
    single = None if task is None else task == "single-label"
    table = read_other_predictions(
        predictions,
        columns or {},
        scores,
        single_label=single,
        completion=Completion(values=values or {}),
    )
    inferred, _ = infer_task(table.frame)
    rungs = rung_names(table.frame)
    if reference is not None and reference not in rungs:
        hint = suggestion(reference, rungs) or f"Rungs: {listed(rungs)}."
        raise TableError(f"reference '{reference}' is not a rung of the table. {hint}")
    first = reference or rungs[0]
    runs = [run for run in ladder_runs(table.frame) if run.key.retrain_fraction is None]
    # of several runs of a rung the last one here stays: all labels, the first seed
    runs.sort(key=lambda run: (run.key.label_fraction, -(run.seed or 0)))
    arrays = {run.key.rung: run_arrays(run.predictions(), task or inferred) for run in runs}
    sizes = _measured(arrays, first, cohort, point or DEFAULT_POINT, expected=expected, goals=goals)
    notes = (*table.notes, *sizes.notes)
    if len(runs) == len(arrays):
        return replace(sizes, notes=notes)
    one = (
        f"Of {plural(len(runs), 'run')} of {plural(len(arrays), 'rung')}, one of each rung was "
        "measured: that with the most labels and the first seed."
    )
    return replace(sizes, notes=(*notes, one))


def _measured(
    arrays: dict[str, RunArrays],
    reference: str,
    cohort: str | None,
    point: str,
    *,
    expected: ExpectedPerformance,
    goals: SizeGoals,
) -> SampleSizes:
    run = arrays[reference]
    tests = run.test_cases()
    if cohort is not None and cohort not in tests:
        raise TableError(f"cohort '{cohort}' has no test cases (cohorts: {listed(tests)}).")
    name = cohort or next(iter(tests))
    others = [rung for rung in sorted(arrays) if rung != reference]
    rows: list[NeededSize] = []
    notes: list[str] = []
    for target, title in enumerate(run.names):
        sample = Sample(run, tests[name] & run.labelled(target), target, point)
        if not sample.has_both:
            reason = "its test cases lack a positive or a negative"
            rows.append(_Sizer(title, expected).without("every goal", "", 1.0, reason))
            continue
        notes += sample.cautions(title)
        filled = sample.performance(expected)
        effects = sample.effects(expected.design_effect)
        rows += _precision_rows(title, filled, goals, effects, sample)
        rows += [
            _paired_difference(
                sample,
                arrays[rung],
                rung=rung,
                expected=filled,
                goals=goals,
                comparisons=len(others),
            )
            for rung in others
        ]
    cases, patients = plural(int(tests[name].sum()), "test case"), run.patients(tests[name])
    of_whom = f"{cases} of {plural(patients, 'patient')}, {name}, rung {reference}"
    return SampleSizes(tuple(rows), (f"Measured: {of_whom}.", PATIENTS_ALONE, *notes))


def _precision_rows(
    target: str,
    expected: ExpectedPerformance,
    goals: SizeGoals,
    effects: DesignEffects,
    sample: Sample | None,
) -> Iterator[NeededSize]:
    prevalence = expected.prevalence or 0.0
    size = _Sizer(target, expected)
    yield _auroc_row(size, expected, goals, effects)
    for name, share, rate, effect in (
        ("sensitivity", expected.sensitivity, prevalence, effects.sensitivity),
        ("specificity", expected.specificity, 1 - prevalence, effects.specificity),
    ):
        goal = f"{name} within ±{goals.recall:g}"
        if share is None and sample is not None:
            yield size.without(goal, "", effect, f"no threshold in tune: give a plausible {name}")
        elif share is not None:
            yield size.of(
                goal,
                f"{name} {share:.3f}, prevalence {prevalence:.3f}",
                proportion_cases(share, goals.recall) / rate,
                effect,
            )
    yield size.of(
        f"observed / expected within ±{goals.observed_expected:g}",
        f"prevalence {prevalence:.3f}",
        observed_expected_cases(prevalence, goals.observed_expected),
        effects.mean,
    )
    yield _slope_row(size, expected, goals, effects, sample)
    if expected.threshold is not None:
        yield _net_benefit_row(size, expected, goals, effects, sample)


def _net_benefit_row(
    size: "_Sizer",
    expected: ExpectedPerformance,
    goals: SizeGoals,
    effects: DesignEffects,
    sample: Sample | None,
) -> NeededSize:
    prevalence, threshold = expected.prevalence or 0.0, expected.threshold or 0.0
    goal = f"standardised net benefit within ±{goals.net_benefit:g}"
    rates = (expected.sensitivity, expected.specificity)
    if sample is not None:
        rates = sample.rates(threshold)
    sensitivity, specificity = rates
    if sensitivity is None or specificity is None:
        reason = "sensitivity and specificity at the threshold are not given"
        return size.without(goal, "", effects.mean, reason)
    cases = net_benefit_cases(sensitivity, specificity, prevalence, threshold, goals.net_benefit)
    assumed = f"sensitivity {sensitivity:.3f}, specificity {specificity:.3f} at {threshold:g}"
    return size.of(goal, assumed, cases, effects.mean)


def _auroc_row(
    size: "_Sizer", expected: ExpectedPerformance, goals: SizeGoals, effects: DesignEffects
) -> NeededSize:
    auroc, prevalence = expected.auroc or 0.0, expected.prevalence or 0.0
    goal, assumed = f"AUROC within ±{goals.auroc:g}", f"AUROC {auroc:.3f}"
    if auroc in (0.0, 1.0):
        reason = f"an AUROC of {auroc:g} has no standard error: give a plausible one"
        return size.without(goal, assumed, effects.auroc, reason)
    cases = auroc_cases(auroc, prevalence, goals.auroc)
    return size.of(goal, f"{assumed}, prevalence {prevalence:.3f}", cases, effects.auroc)


def _slope_row(
    size: "_Sizer",
    expected: ExpectedPerformance,
    goals: SizeGoals,
    effects: DesignEffects,
    sample: Sample | None,
) -> NeededSize:
    goal = f"calibration slope within ±{goals.slope:g}"
    try:
        if sample is None:
            logits = expected_logits(expected.auroc or 0.0, expected.prevalence or 0.0)
            cases = slope_cases(logits, goals.slope)
            return size.of(goal, "calibrated, normal logits in each class", cases, effects.slope)
        intercept, slope, _ = slope_influence(sample.truth, sample.logits)
        cases = slope_cases(sample.logits, goals.slope, intercept, slope)
    except ValueError as error:
        return size.without(goal, "", effects.slope, str(error))
    return size.of(goal, f"slope {slope:.2f}, the table's logits", cases, effects.slope)


def _assumed_difference(expected: ExpectedPerformance, goals: SizeGoals) -> NeededSize:
    auroc, prevalence = expected.auroc or 0.0, expected.prevalence or 0.0
    goal = f"difference of {goals.difference:g} AUROC, {goals.power:.0%} power"
    better = auroc + goals.difference
    size, effect = _Sizer("", expected), expected.design_effect or 1.0
    correlation = expected.correlation or 0.0
    if better >= 1:
        reason = f"no AUROC is {goals.difference:g} over {auroc:g}"
        return size.without(goal, "", effect, reason)
    cases = difference_cases((auroc, better), prevalence, correlation, power=goals.power)
    assumed = f"AUROC {auroc:.3f} and {better:.3f}, correlation {correlation:g}"
    return size.of(goal, assumed, cases, effect)


def _paired_difference(
    sample: Sample,
    other: RunArrays,
    *,
    rung: str,
    expected: ExpectedPerformance,
    goals: SizeGoals,
    comparisons: int,
) -> NeededSize:
    """Size for the difference of a rung from the reference, on the cases that both have."""
    title = sample.run.names[sample.target]
    goal = f"difference of {goals.difference:g} AUROC, {goals.power:.0%} power, {rung}"
    both = common_cases(sample, other)
    if both is None:
        reason = "the rungs share no positive and negative test case"
        return _Sizer(title, expected).without(goal, "", 1.0, reason)
    truth, scores, patient = both
    contrast = np.array([1.0, -1.0])
    clustered, independent = (
        float(contrast @ delong(truth, scores, unit).covariance @ contrast)
        for unit in (patient, None)
    )
    if not np.isfinite(clustered) or clustered <= 0 or independent <= 0:
        reason = "the difference has no variance in this sample"
        return _Sizer(title, expected).without(goal, "", 1.0, reason)
    patients = int(patient.max()) + 1
    error = float(np.sqrt(max(clustered, independent)))
    needed = scaled_size(
        patients, error, goals.difference, power=goals.power, comparisons=comparisons
    )
    cases = round(needed * len(truth) / patients)
    shared = f", level shared by {comparisons} comparisons" if comparisons > 1 else ""
    return NeededSize(
        target=title,
        goal=goal,
        assumed=f"standard error {error:.4f} with {patients:,} patients{shared}",
        patients=needed,
        cases=cases,
        positives=round(cases * (expected.prevalence or 0.0)),
        design_effect=max(1.0, clustered / independent),
    )


@dataclass(frozen=True)
class _Sizer:
    """From independent cases to patients."""

    target: str
    expected: ExpectedPerformance

    def of(self, goal: str, assumed: str, cases: float, effect: float) -> NeededSize:
        """Row of a goal.

        Args:
            goal: The goal.
            assumed: Basis of the size.
            cases: Independent cases that it needs.
            effect: Design effect.
        """
        per_patient = self.expected.cases_per_patient or 1.0
        patients = int(np.ceil(cases * effect / per_patient - 1e-9))
        needed = round(patients * per_patient)
        return NeededSize(
            target=self.target,
            goal=goal,
            assumed=assumed,
            patients=patients,
            cases=needed,
            positives=round(needed * (self.expected.prevalence or 0.0)),
            design_effect=effect,
        )

    def without(self, goal: str, assumed: str, effect: float, reason: str) -> NeededSize:
        """Row of a goal whose size cannot be computed; arguments as for `of`, and the reason."""
        return NeededSize(
            target=self.target,
            goal=goal,
            assumed=assumed,
            patients=None,
            cases=None,
            positives=None,
            design_effect=effect,
            reason=reason,
        )
