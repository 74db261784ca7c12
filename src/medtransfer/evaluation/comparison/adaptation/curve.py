"""Adaptation curves: what a few patients of another hospital are worth to a network.

Every arm is fitted on nested draws of whole patients and tested on the hospital's other patients,
which are the same for all arms, numbers of patients, draws and seeds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import polars as pl

from medtransfer.data.config import TOGETHER, RetrainArm, Task
from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    SELECTED,
    AdaptedRun,
    adapt_run,
    adapted_cases,
    carried_run,
)
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.hospital_division import (
    Division,
    Draw,
    divide,
    nested_draws,
)
from medtransfer.evaluation.comparison.adaptation.probed_run import probed_run
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, MetricKey, mean_support
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays, run_arrays
from medtransfer.evaluation.scoring.test_set import test_set_replicates
from medtransfer.evaluation.scoring.tune_fit import TuneFit, fit_on_tune
from medtransfer.metrics.cases import AnyCases, TargetCases
from medtransfer.metrics.catalog import CATALOG, find_metric, result_names
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates
from medtransfer.posthoc.adaptation.arms import AnyArm
from medtransfer.posthoc.adaptation.home_features import HomeFeatures, Vectors
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.statistics.small_samples import Patients
from medtransfer.tables.results import MACRO

PROBABILITY_METRICS = ("nll", "brier", "ece", "calibration_bias")
DECISION_METRICS = ("auroc", "sensitivity@<point>", "specificity@<point>")
BENEFIT_METRICS = ("net_benefit@<risk>",)
RETRAINED: RetrainArm = TOGETHER
"""Arm of runs that were trained with the home cases and those of the patients together."""
CurveArm = AnyArm | RetrainArm | Literal["selected"]


@dataclass(frozen=True)
class ArmKey:
    """An arm fitted on a number of patients of a hospital.

    Attributes:
        cohort: The hospital.
        arm: The arm, `SELECTED`, or a way to train again.
        patients: 0 for `carried`.
    """

    cohort: str
    arm: CurveArm
    patients: int


@dataclass(frozen=True)
class ArmEstimate:
    """A metric of an arm over the draws, of one run.

    Attributes:
        estimate: Mean over the draws, with its replicates over patients; counts of the test set.
        by_draw: The value of each draw. [D]
    """

    estimate: Estimate
    by_draw: Floats


@dataclass
class ArmCurve:
    """Everything that is known of an arm at a number of patients, of one run.

    Attributes:
        key: Hospital, arm and number of patients.
        pool_patients: Patients to draw from.
        estimates: By target and metric.
        positives: Positive cases fitted on, mean over draws, by target.
        not_fitted: Draws in which it could not be fitted, by target.
        reasons: Why, by target.
    """

    key: ArmKey
    pool_patients: int
    estimates: dict[MetricKey, ArmEstimate] = field(default_factory=dict[MetricKey, "ArmEstimate"])
    positives: dict[str, float] = field(default_factory=dict[str, float])
    not_fitted: dict[str, int] = field(default_factory=dict[str, int])
    reasons: dict[str, str] = field(default_factory=dict[str, str])


def arm_curves(
    predictions: pl.DataFrame,
    task: Task,
    evaluation: EvaluationConfig,
    config: AdaptConfig,
    tested: Mapping[str, pl.Series],
    *,
    features: Sequence[HomeFeatures] = (),
    fit: TuneFit | None = None,
) -> Iterator[ArmCurve]:
    """Measure every arm of one run at its shifted hospitals.

    Args:
        predictions: Rows of one run, with its tuning split.
        task: How the targets relate to each other.
        evaluation: Operating points, decision thresholds, replicates.
        config: Arms, numbers of patients, draws.
        tested: Hospital to the ids of its cases that test, where that is given.
        features: Of each network of the run, for `probe`; none if they could not be had.
        fit: Thresholds and calibrators to carry; fitted on the tuning split by default.
    """
    run = run_arrays(predictions, task)
    fit = fit or fit_on_tune(run, evaluation.operating_points)
    ids = run.frame["case_id"].to_numpy().astype(np.str_)
    values = tuple(of_member.of(ids) for of_member in features)
    for cohort, cases in run.test_cases().items():
        if cohort == run.internal_name():
            continue
        division = divide(run, cohort, cases, config, tested.get(cohort))
        if division.pool.any() and division.test.any():
            measurement = Measurement(run, fit, division, evaluation, values)
            yield measurement.curve(ArmKey(cohort, "carried", 0), [carried_run(run, fit)])
            yield from _fitted_curves(measurement, config)


def retrained_curve(
    predictions: pl.DataFrame,
    task: Task,
    evaluation: EvaluationConfig,
    carried: ArmCurve,
    patients: int,
    *,
    arm: RetrainArm = RETRAINED,
) -> ArmCurve:
    """Measure a run that was trained on a hospital again, with what the home tuning split gave it.

    Args:
        predictions: Rows of one run: its tuning split, and the hospital's test cases.
        task: How the targets relate to each other.
        evaluation: Operating points, decision thresholds, replicates.
        carried: The hospital's curve without retraining, of the same test patients.
        patients: Of the hospital that it was trained on.
        arm: Way in which it was trained.
    """
    run = run_arrays(predictions, task)
    fit = fit_on_tune(run, evaluation.operating_points)
    cohort = carried.key.cohort
    test = run.test_cases()[cohort]
    division = Division(cohort, np.zeros(len(test), dtype=bool), test)
    measurement = Measurement(run, fit, division, evaluation)
    curve = measurement.curve(ArmKey(cohort, arm, patients), [carried_run(run, fit)])
    curve.pool_patients = carried.pool_patients
    return curve


def _fitted_curves(measurement: "Measurement", config: AdaptConfig) -> Iterator[ArmCurve]:
    run, fit, division = measurement.run, measurement.fit, measurement.division
    available = len(division.pool_patients(run))
    sizes = [size for size in config.patients if size <= available]
    draws: dict[int, list[Draw]] = {size: [] for size in sizes}
    for draw in nested_draws(run, division, sizes, config):
        draws[draw.size].append(draw)
    arms: list[AnyArm | Literal["selected"]] = [
        arm for arm in config.arms if arm not in ("carried", "sequential", "shifted-only")
    ]
    arms.append(SELECTED)
    for arm in arms:
        for size in sizes:
            rows = [draw.cases for draw in draws[size]]
            if arm == "probe":
                features = measurement.features
                adapted = [probed_run(run, fit, features, of_draw, config.seed) for of_draw in rows]
            else:
                adapted = [adapt_run(run, fit, arm, of_draw, config) for of_draw in rows]
            key = ArmKey(division.cohort, arm, size)
            yield measurement.curve(key, adapted, draws[size])


@dataclass(frozen=True)
class Measurement:
    """Test patients of a hospital and how adapted runs are measured on them.

    Attributes:
        run: The predictions.
        fit: Fits on the tuning split.
        division: The hospital's patients.
        evaluation: Operating points, decision thresholds, replicates.
        features: Of each network of the run; none if they could not be had. Each [N, D]
    """

    run: RunArrays
    fit: TuneFit
    division: Division
    evaluation: EvaluationConfig
    features: tuple[Vectors, ...] = ()

    def curve(
        self, key: ArmKey, adapted: Sequence[AdaptedRun], draws: Sequence[Draw] = ()
    ) -> ArmCurve:
        """Measure an arm, fitted once for each draw."""
        run = self.run
        curve = ArmCurve(key, len(self.division.pool_patients(run)))
        replicates = test_set_replicates(run, key.cohort, self.division.test, self.evaluation)
        for target in run.numbers():
            name = run.name_of(target)
            fits = [of_draw[target].fit for of_draw in adapted]
            reasons = [fit.reason for fit in fits if fit.reason is not None]
            curve.not_fitted[name] = len(reasons)
            if reasons:
                curve.reasons[name] = reasons[0]
            if draws and target != WHOLE_CASE:
                positive = run.targets[:, target] == 1
                curve.positives[name] = float(np.mean([(positive & d.cases).sum() for d in draws]))
            versions = [adapted_cases(run, of_draw[target], target) for of_draw in adapted]
            curve.estimates |= self._estimates(name, target, versions, replicates)
        if len(run.names) > 1:
            curve.estimates |= _macro(run, curve.estimates)
        return curve

    def _estimates(
        self,
        name: str,
        target: int,
        versions: Sequence[AnyCases],
        replicates: Replicates,
    ) -> dict[MetricKey, ArmEstimate]:
        """Every metric of a target, one version of its cases for each draw."""
        rows = self.division.test & self.run.labelled(target)
        places = np.full(len(rows), -1, dtype=np.int32)
        places[self.division.test] = replicates.patient
        cases = [version.take(rows) for version in versions]
        entries = list(_entries(cases[0], self.evaluation))
        bound = [
            [_bound(entry, of_draw, point) for of_draw in cases] for _, entry, point in entries
        ]
        subgroup = SubgroupMetrics(
            places[rows],
            tuple(metric for of_metric in bound for metric in of_metric if metric is not None),
        )
        values = iter(evaluate_replicates([subgroup], replicates.blocks())[0])
        behind = Patients(cases[0], self.run.patient[rows])
        first = cases[0]
        positives = int((first.targets == 1).sum()) if isinstance(first, TargetCases) else None
        blank = Estimate(None, int(rows.sum()), self.run.patients(rows), positives)
        estimates: dict[MetricKey, ArmEstimate] = {}
        for (metric_name, entry, point), of_metric in zip(entries, bound, strict=True):
            by_draw = [next(values) for metric in of_metric if metric is not None]
            key = MetricKey(name, metric_name)
            reason = _reason(entry, cases, point)
            if reason is not None or len(by_draw) < len(of_metric):
                estimates[key] = ArmEstimate(replace(blank, reason=reason), np.zeros(0))
                continue
            stacked = np.stack(by_draw)
            estimate = replace(
                blank, values=stacked.mean(axis=0), support=behind.behind(entry, point)
            )
            estimates[key] = ArmEstimate(estimate, stacked[:, 0])
        return estimates


def _entries(
    cases: AnyCases, evaluation: EvaluationConfig
) -> Iterator[tuple[str, Metric, str | None]]:
    """Metrics that an arm is measured by: name in the table, entry, operating point."""
    names = PROBABILITY_METRICS
    if isinstance(cases, TargetCases):
        names = (*DECISION_METRICS, *BENEFIT_METRICS)
        names = (*PROBABILITY_METRICS, *names) if cases.from_logits else DECISION_METRICS
    for name in names:
        entry = CATALOG[name]
        of_kind = entry.of_target if isinstance(cases, TargetCases) else entry.of_classes
        if of_kind is not None:
            for result, point in result_names(entry, evaluation.operating_points, evaluation.risks):
                yield result, entry, point


def _bound(entry: Metric, cases: AnyCases, point: str | None) -> Weighted | None:
    """A metric bound to cases; None where it is undefined."""
    if _undefined(entry, cases, point) is not None:
        return None
    if isinstance(cases, TargetCases):
        return None if entry.of_target is None else entry.of_target(cases, point or "")
    return None if entry.of_classes is None else entry.of_classes(cases)


def _reason(entry: Metric, cases: Sequence[AnyCases], point: str | None) -> str | None:
    """Reason that a metric is undefined in any of the draws; None if it is defined in all."""
    reasons = [_undefined(entry, of_draw, point) for of_draw in cases]
    return next((reason for reason in reasons if reason is not None), None)


def _undefined(entry: Metric, cases: AnyCases, point: str | None) -> str | None:
    if isinstance(cases, TargetCases):
        positives = int((cases.targets == 1).sum())
        reason = entry.undefined(positives, len(cases) - positives)
    else:
        reason = None if len(cases) else "no labelled case"
    return reason or entry.lacking(cases, point)


def _macro(
    run: RunArrays, estimates: Mapping[MetricKey, ArmEstimate]
) -> dict[MetricKey, ArmEstimate]:
    """Means over the targets that the test patients have cases enough of.

    Which these are depends on the labels of the test patients alone, so that all arms have the
    same. A metric that is undefined for another reason in one of them has no mean.
    """
    means: dict[MetricKey, ArmEstimate] = {}
    for metric in dict.fromkeys(key.metric for key in estimates):
        of_targets = [
            estimates[key] for name in run.names if (key := MetricKey(name, metric)) in estimates
        ]
        if not of_targets:
            continue
        tested = {
            name: of_target
            for name, of_target in zip(run.names, of_targets, strict=True)
            if _untested(metric, of_target.estimate) is None
        }
        parts = [of_target.estimate for of_target in tested.values()]
        values = [part.values for part in parts if part.values is not None]
        every = [of_target.estimate for of_target in of_targets]
        estimate = Estimate(
            values=None,
            cases=max(part.cases for part in every),
            patients=max(part.patients for part in every),
            reason=_left_out(metric, every),
        )
        if not parts or len(values) < len(parts):
            undefined = [part.reason for part in parts if part.reason]
            missing = replace(estimate, reason=next(iter(undefined), estimate.reason))
            means[MetricKey(MACRO, metric)] = ArmEstimate(missing, np.zeros(0))
            continue
        estimate = replace(
            estimate,
            values=np.mean(values, axis=0),
            of_targets=mean_support(parts, metric),
            targets=tuple(tested),
        )
        by_draw = np.mean([of_target.by_draw for of_target in tested.values()], axis=0)
        means[MetricKey(MACRO, metric)] = ArmEstimate(estimate, by_draw)
    return means


def _untested(metric: str, estimate: Estimate) -> str | None:
    """Reason that the labels of the test patients leave a metric undefined; None if they do not."""
    positives = estimate.positives or 0
    return find_metric(metric).undefined(positives, estimate.cases - positives)


def _left_out(metric: str, estimates: Sequence[Estimate]) -> str | None:
    """Sentence on the targets that are in no mean of a metric; None if all are."""
    left_for = Counter(reason for e in estimates if (reason := _untested(metric, e)) is not None)
    sentences = [
        f"{left} of {len(estimates)} targets left out: {why}" for why, left in left_for.items()
    ]
    return "; ".join(sentences) or None
