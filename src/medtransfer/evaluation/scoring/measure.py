"""Estimates: every metric of a test set's subgroups, in the sample and in every replicate."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import listed
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import (
    UNDEFINED,
    Binding,
    Estimate,
    Estimates,
    MetricKey,
    mean_support,
)
from medtransfer.evaluation.scoring.ood import ood_estimates
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.soft_labels.bindings import soft_bindings
from medtransfer.evaluation.scoring.test_set import COHORT, Subgroup, TestSet
from medtransfer.evaluation.scoring.tune_fit import plain_cases_of
from medtransfer.metrics.cases import AnyCases, ClassCases, TargetCases, pooled
from medtransfer.metrics.catalog import CATALOG, result_names
from medtransfer.metrics.kernels.sums import Flags, Int32Array
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates
from medtransfer.posthoc.risk_control import guarantee_of
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.statistics.small_samples import Patients
from medtransfer.tables.results import ALL, CASE, MACRO, MICRO

NO_SHARES = Estimate(None, 0, 0, reason="no label between 0 and 1")
"""Of a target against shares, where only other targets have them."""


def measure(test_sets: Sequence[TestSet], config: EvaluationConfig) -> tuple[list[Estimates], ...]:
    """Every metric of every subgroup of a run's test sets, with its replicates.

    Returns:
        For each test set and each of its subgroups its estimates; those of OOD detectors are with
        all cases of the test set.
    """
    estimates = tuple(measure_test_set(test_set, config) for test_set in test_sets)
    for of_test_set, of_detectors in zip(estimates, ood_estimates(test_sets), strict=True):
        of_test_set[0].update(of_detectors)
    return estimates


def measure_test_set(test_set: TestSet, config: EvaluationConfig) -> list[Estimates]:
    """Every metric of every subgroup of a test set, with its replicates.

    Returns:
        For each subgroup, in order, its estimates: of each target, their mean (`macro`), all
        targets pooled (`micro`), and the case as a whole in single-label tasks.
    """
    run = test_set.run
    estimates: list[Estimates] = [{} for _ in test_set.subgroups]
    for target in run.numbers():
        by_attribute = test_set.run_cases_by_attribute(target)
        labelled = run.labelled(target)
        bindings_of: list[tuple[Flags, list[Binding]]] = []
        for subgroup in test_set.subgroups:
            rows = subgroup.cases & labelled
            cases = by_attribute[subgroup.attribute].take(rows)
            bindings = bind_metrics(
                run, subgroup, run.name_of(target), cases=cases, rows=rows, config=config
            )
            bindings_of.append((rows, list(bindings)))
        evaluated = _evaluated(test_set, bindings_of, config)
        for of_subgroup, of_target in zip(estimates, evaluated, strict=True):
            of_subgroup.update(of_target)
    estimates[0] |= _within_cohorts(test_set, estimates)
    for bindings_of in soft_bindings(test_set, config):
        for of_subgroup, of_shares in zip(
            estimates, _evaluated(test_set, bindings_of, config), strict=True
        ):
            of_subgroup.update(of_shares)
    if len(run.names) > 1:
        for i, subgroup in enumerate(test_set.subgroups):
            estimates[i] |= _macro(run, subgroup, estimates[i])
            estimates[i] |= _micro(test_set, subgroup, config)
    return estimates


def bind_metrics(
    run: RunArrays,
    subgroup: Subgroup,
    name: str,
    *,
    cases: AnyCases,
    rows: Flags,
    config: EvaluationConfig,
    patient: NDArray[np.int64] | Int32Array | None = None,
) -> Iterator[Binding]:
    """Bind every metric of the catalogue that a subgroup is reported by.

    Args:
        run: The predictions.
        subgroup: The subgroup.
        name: Of the target, or `case`, or `micro`.
        cases: The subgroup's labelled cases.
        rows: Their mask over the run's cases; for `micro` any of their targets is labelled.
        config: Operating points and smallest group size.
        patient: Number of each case's patient; by default those of `rows`. [n]
    """
    behind = Patients(cases, run.patient[rows] if patient is None else patient)
    positives = int((cases.targets == 1).sum()) if isinstance(cases, TargetCases) else None
    blank = Estimate(None, len(cases), run.patients(rows), positives)
    for metric in CATALOG.values():
        if not _is_reported(metric, run, subgroup, name, config):
            continue
        for result_name, point in result_names(metric, config.operating_points, config.risks):
            # what a cohort's own guarantee would be is no drift of the threshold
            if metric.name.startswith("threshold_drift") and point and guarantee_of(point):
                continue
            reason = _undefined(metric, cases, point)
            if subgroup.attribute != ALL:
                reason = _too_few(metric, cases, int(rows.sum()), config.minimum_group) or reason
            bound = None if reason else _bound(metric, cases, point)
            support = None if reason else behind.behind(metric, point)
            estimate = replace(blank, reason=reason, support=support)
            yield Binding(MetricKey(name, result_name), estimate, bound)


def _too_few(metric: Metric, cases: AnyCases, count: int, least: int) -> str | None:
    """Reason that a group is too small for a metric: in cases, and in those of a class it needs."""
    if count < least:
        return f"fewer than {least} cases"
    if not isinstance(cases, TargetCases):
        return None
    positives = int((cases.targets == 1).sum())
    for side, of_side in (("positive", positives), ("negative", len(cases) - positives)):
        if metric.needs in (side, "both") and 0 < of_side < least:
            return f"fewer than {least} {side} cases"
    return None


def _is_reported(
    metric: Metric, run: RunArrays, subgroup: Subgroup, name: str, config: EvaluationConfig
) -> bool:
    if not config.computes(metric) or (subgroup.attribute != ALL and not metric.by_group):
        return False
    # what has to be stated first is left out rather than listed as missing
    if (metric.costs and not _costs_stated(name, config)) or (metric.ordinal and not config.grades):
        return False
    if (metric.spread is not None and run.members == 1) or (
        metric.conformal == "group" and subgroup.attribute == ALL
    ):
        return False
    if name == CASE:
        few = metric.name == "top3_accuracy" and len(run.names) < 4
        return metric.of_classes is not None and not few
    if name == MICRO and not metric.micro:
        return False
    return metric.of_target is not None and (metric.one_against_rest or not run.single_label)


def _costs_stated(name: str, config: EvaluationConfig) -> bool:
    """True if costs are stated; for a case as a whole, whose errors are all misses, by class."""
    return isinstance(config.miss_cost, dict) or (config.miss_cost is not None and name != CASE)


def _undefined(metric: Metric, cases: AnyCases, point: str | None) -> str | None:
    """Reason why a metric of some cases is undefined."""
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
    test_set: TestSet,
    bindings_of: Sequence[tuple[Flags, list[Binding]]],
    config: EvaluationConfig,
) -> list[Estimates]:
    """Evaluate what is bound, all subgroups in one pass over the replicates."""
    patient = test_set.patient
    metrics = [
        SubgroupMetrics(patient[rows], tuple(b.bound for b in bindings if b.bound is not None))
        for rows, bindings in bindings_of
    ]
    bindings_only = [bindings for _, bindings in bindings_of]
    return _with_values(test_set.replicates, metrics, bindings_only, config)


def _with_values(
    replicates: Replicates,
    metrics: Sequence[SubgroupMetrics],
    bindings_of: Sequence[list[Binding]],
    config: EvaluationConfig,
) -> list[Estimates]:
    values = evaluate_replicates(metrics, replicates.blocks())
    is_bca = config.interval == "bca"
    left_out = evaluate_replicates(metrics, replicates.left_out()) if is_bca else values
    estimates: list[Estimates] = []
    for bindings, of_subgroup, without in zip(bindings_of, values, left_out, strict=True):
        pairs = iter(zip(of_subgroup, without, strict=True))
        by_key: Estimates = {}
        for binding in bindings:
            estimate = binding.estimate
            if binding.bound is not None:
                of_metric, of_metric_without = next(pairs)
                if estimate.patients < 2:
                    of_metric[1:] = np.nan
                estimate = replace(
                    estimate, values=of_metric, left_out=of_metric_without if is_bca else None
                )
            by_key[binding.key] = estimate
        estimates.append(by_key)
    return estimates


def _within_cohorts(test_set: TestSet, estimates: Sequence[Estimates]) -> Estimates:
    """AUROC within the cohorts of a test set of several, and what pooling them adds.

    Pooled cohorts of different prevalence can be told apart without a look at the disease. Weights
    are the cohorts' shares of the positive cases (Janes and Pepe 2009).
    """
    of_cohorts = [
        (subgroup.group, of_cohort)
        for subgroup, of_cohort in zip(test_set.subgroups, estimates, strict=True)
        if subgroup.attribute == COHORT
    ]
    derived: Estimates = {}
    if len(of_cohorts) < 2 or not test_set.pools_cohorts:
        return derived
    for name in test_set.run.names:
        together = estimates[0].get(MetricKey(name, "auroc"))
        if together is None:
            continue
        within = _within({group: of[MetricKey(name, "auroc")] for group, of in of_cohorts})
        between = within
        if within.values is not None and together.values is not None:
            between = replace(within, values=together.values - within.values)
        derived[MetricKey(name, "auroc_within")] = within
        derived[MetricKey(name, "auroc_between")] = between
    return derived


def _within(of_cohorts: dict[str, Estimate]) -> Estimate:
    """The mean of the cohorts that have an AUROC, by positive cases; names those that have none."""
    defined = [estimate for estimate in of_cohorts.values() if estimate.is_defined]
    left = [
        f"{name} ({e.reason or UNDEFINED})" for name, e in of_cohorts.items() if not e.is_defined
    ]
    within = Estimate(
        values=None,
        cases=sum(e.cases for e in defined),
        patients=sum(e.patients for e in defined),
        positives=sum(e.positives or 0 for e in defined),
        reason=f"without {listed(left)}" if left else None,
    )
    if not defined:
        return within
    weights = [(e.positives or 0) / (within.positives or 1) for e in defined]
    parts = [w * e.values for w, e in zip(weights, defined, strict=True) if e.values is not None]
    support = mean_support(defined, "auroc", weights)
    return replace(within, values=np.sum(parts, axis=0), of_targets=support)


def _macro(run: RunArrays, subgroup: Subgroup, estimates: Estimates) -> Estimates:
    """Means over the targets for which a metric is defined; says how many are left out."""
    means: Estimates = {}
    numbers = range(len(run.names))
    rows = subgroup.cases & np.logical_or.reduce([run.labelled(target) for target in numbers])
    cases, patients = int(rows.sum()), run.patients(rows)
    for metric in dict.fromkeys(key.metric for key in estimates if key.target in run.names):
        of_targets = [estimates.get(MetricKey(name, metric), NO_SHARES) for name in run.names]
        names = [n for n, e in zip(run.names, of_targets, strict=True) if e.is_defined]
        defined = [estimates[MetricKey(name, metric)] for name in names]
        left_for = Counter(e.reason or UNDEFINED for e in of_targets if not e.is_defined)
        reason = "; ".join(
            f"{left} of {len(of_targets)} targets left out: {why}" for why, left in left_for.items()
        )
        values = [e.values for e in defined if e.values is not None]
        left_out = [e.left_out for e in defined if e.left_out is not None]
        means[MetricKey(MACRO, metric)] = Estimate(
            values=np.mean(values, axis=0) if values else None,
            cases=cases,
            patients=patients,
            reason=reason or None,
            left_out=np.mean(left_out, axis=0) if left_out else None,
            of_targets=mean_support(defined, metric),
            targets=tuple(names),
        )
    return means


def _micro(test_set: TestSet, subgroup: Subgroup, config: EvaluationConfig) -> Estimates:
    """All targets pooled as if each labelled target were a separate case."""
    run, patient_of_case = test_set.run, test_set.patient
    rows = [subgroup.cases & run.labelled(target) for target in range(len(run.names))]
    patient = np.concatenate([patient_of_case[of_target] for of_target in rows])
    # made of the run again, one after the other: kept from the targets they are held twice
    cases = (
        plain_cases_of(run, test_set.fit, target).take(of_target)
        for target, of_target in enumerate(rows)
    )
    bindings = list(
        bind_metrics(
            run,
            subgroup,
            MICRO,
            cases=pooled(cases, len(patient)),
            rows=np.logical_or.reduce(rows),
            config=config,
            patient=patient,
        )
    )
    bound = tuple(b.bound for b in bindings if b.bound is not None)
    metrics = [SubgroupMetrics(patient, bound)]
    # a target of one class adds cases of that class alone
    pooled_targets = tuple(
        run.names[target]
        for target, of_target in enumerate(rows)
        if len(np.unique(run.truth(target)[of_target])) > 1
    )
    estimates = _with_values(test_set.replicates, metrics, [bindings], config)[0]
    return {key: replace(e, targets=pooled_targets) for key, e in estimates.items()}
