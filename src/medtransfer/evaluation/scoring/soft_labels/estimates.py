"""Estimates against labels between 0 and 1, of the targets that have any in a test set."""

from collections.abc import Iterator

import numpy as np

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import ONE_PATIENT, Estimate, Estimates, MetricKey
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.metrics.soft_labels.losses import (
    SOFT_ENTRIES,
    soft_brier,
    soft_calibration_error,
    soft_class_brier,
    soft_class_calibration_error,
    soft_class_nll,
    soft_nll,
)
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.tables.results import ALL

ROUNDING = 1e-6
"""Distance of the sum of a case's shares from 1 that counts as none."""


def soft_estimates(test_set: TestSet, config: EvaluationConfig) -> list[Estimates]:
    """Losses against shares that were asked for by name, for targets with such a label.

    All labelled cases count, those of a plain 0 or 1 as what they are. A target without a label
    between 0 and 1 has none: they would equal `brier`, `nll` and `ece`. They are not among all
    metrics, as a label can be between 0 and 1 by policy too, as `soft(0.3)` makes it.

    Returns:
        For each subgroup of the test set.
    """
    run = test_set.run
    estimates: list[Estimates] = [{} for _ in test_set.subgroups]
    asked = [(n, entry) for n, entry in enumerate(SOFT_ENTRIES) if entry.name in config.metrics]
    for target in _soft_targets(test_set) if asked else ():
        counted = _with_shares(run, target)
        for i, subgroup in enumerate(test_set.subgroups):
            rows = subgroup.cases & counted
            wanted = [
                (number, entry)
                for number, entry in asked
                if subgroup.attribute == ALL or entry.by_group
            ]
            too_small = subgroup.attribute != ALL and rows.sum() < config.minimum_group
            reason = f"fewer than {config.minimum_group} cases" if too_small else None
            reason = reason if rows.any() else "no labelled case"
            bound = () if reason else _bound(run, target, rows)
            chosen = tuple(bound[number] for number, _ in wanted) if bound else ()
            values = _values(test_set.replicates, test_set.patient[rows], chosen)
            patients = run.patients(rows)
            for k, (_, entry) in enumerate(wanted):
                key = MetricKey(run.name_of(target), entry.name)
                alone = reason or (ONE_PATIENT if patients < 2 else None)
                estimates[i][key] = Estimate(
                    values=values[k] if chosen else None,
                    cases=int(rows.sum()),
                    patients=patients,
                    reason=alone,
                )
                if chosen and patients < 2:
                    values[k][1:] = np.nan
    return estimates


def _soft_targets(test_set: TestSet) -> Iterator[int]:
    """Numbers of the targets with a label between 0 and 1; of classes the case as a whole."""
    run = test_set.run
    labels = run.targets[test_set.cases]
    soft = ((labels > 0) & (labels < 1)).any(axis=0)
    if run.single_label:
        yield from [WHOLE_CASE] if soft.any() else []
    else:
        yield from np.flatnonzero(soft).tolist()


def _with_shares(run: RunArrays, target: int) -> Flags:
    """Cases with a label from 0 to 1; of classes those whose shares have the sum 1. [N]"""
    if target == WHOLE_CASE:
        return np.abs(run.targets.sum(axis=1) - 1) < ROUNDING
    return (run.targets[:, target] >= 0) & (run.targets[:, target] <= 1)


def _bound(run: RunArrays, target: int, rows: Flags) -> tuple[Weighted, ...]:
    """The metrics of `SOFT_ENTRIES`, bound to some cases of a target."""
    logits, probabilities = run.scores(target)[rows], run.probabilities_of(target)[rows]
    if target == WHOLE_CASE:
        shares = run.targets[rows]
        return (
            soft_class_brier(shares, probabilities),
            soft_class_nll(shares, logits),
            soft_class_calibration_error(shares, probabilities),
        )
    of_target = run.targets[rows, target]
    return (
        soft_brier(of_target, probabilities),
        soft_nll(of_target, logits),
        soft_calibration_error(of_target, probabilities),
    )


def _values(
    replicates: Replicates, patient: np.ndarray, bound: tuple[Weighted, ...]
) -> list[np.ndarray]:
    """Values of some metrics in the sample and in every replicate. Each [1 + R]"""
    if not bound:
        return []
    return evaluate_replicates([SubgroupMetrics(patient, bound)], replicates.blocks())[0]
