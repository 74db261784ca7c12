"""Metrics against labels between 0 and 1, bound for the targets that have any in a test set."""

from collections.abc import Callable, Iterator

import numpy as np

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Binding, Estimate, MetricKey
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet
from medtransfer.metrics.catalog import SOFT_METRICS
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.soft_labels.losses import (
    soft_brier,
    soft_calibration_error,
    soft_class_brier,
    soft_class_calibration_error,
    soft_class_nll,
    soft_nll,
)
from medtransfer.metrics.weighted import Weighted
from medtransfer.tables.results import ALL

ROUNDING = 1e-6
"""Distance of the sum of a case's shares from 1 that counts as none."""
BoundSubgroup = tuple[Flags, list[Binding]]
"""Cases of a subgroup that count, and its metrics."""


def soft_bindings(test_set: TestSet, config: EvaluationConfig) -> Iterator[list[BoundSubgroup]]:
    """Bind the metrics against shares that were asked for by name.

    All labelled cases count, those of a plain 0 or 1 as what they are. A target without a label
    between 0 and 1 has none: they would equal `brier`, `nll` and `ece`. They are not among all
    metrics, as a label can be between 0 and 1 by policy too, as `soft(0.3)` makes it.

    Yields:
        For each target with such a label its bindings, subgroup by subgroup.
    """
    names = [name for name in SOFT_METRICS if name in config.metrics]
    for target in _soft_targets(test_set.run, test_set.cases) if names else ():
        counted = _with_shares(test_set.run, target)
        of_subgroups: list[BoundSubgroup] = []
        for subgroup in test_set.subgroups:
            rows = subgroup.cases & counted
            bindings = _bindings(test_set.run, target, subgroup, rows=rows, names=names)
            of_subgroups.append((rows, list(_large_enough(bindings, subgroup, config))))
        yield of_subgroups


def _soft_targets(run: RunArrays, cases: Flags) -> list[int]:
    """Numbers of the targets with a label between 0 and 1; of classes the case as a whole."""
    labels = run.targets[cases]
    soft = ((labels > 0) & (labels < 1)).any(axis=0)
    if run.single_label:
        return [WHOLE_CASE] if soft.any() else []
    return np.flatnonzero(soft).tolist()


def _with_shares(run: RunArrays, target: int) -> Flags:
    """Cases with a label from 0 to 1; of classes those whose shares have the sum 1. [N]"""
    if target == WHOLE_CASE:
        return np.abs(run.targets.sum(axis=1) - 1) < ROUNDING
    return (run.targets[:, target] >= 0) & (run.targets[:, target] <= 1)


def _bindings(
    run: RunArrays, target: int, subgroup: Subgroup, *, rows: Flags, names: list[str]
) -> Iterator[Binding]:
    shares = run.targets[rows] if target == WHOLE_CASE else run.targets[rows, target]
    logits, probabilities = run.scores(target)[rows], run.probabilities_of(target)[rows]
    bind = CLASS_LOSSES if target == WHOLE_CASE else TARGET_LOSSES
    reason = None if rows.any() else "no labelled case"
    estimate = Estimate(None, int(rows.sum()), run.patients(rows), reason=reason)
    for name in names:
        if subgroup.attribute == ALL or SOFT_METRICS[name].by_group:
            bound = None if reason else bind[name](shares, logits, probabilities)
            yield Binding(MetricKey(run.name_of(target), name), estimate, bound)


def _large_enough(
    bindings: Iterator[Binding], subgroup: Subgroup, config: EvaluationConfig
) -> Iterator[Binding]:
    """The bindings; of a group that is too small to be reported, without their metrics."""
    for binding in bindings:
        least = config.minimum_group
        if subgroup.attribute == ALL or not 0 < binding.estimate.cases < least:
            yield binding
        else:
            yield binding.without(f"fewer than {least} cases")


Loss = Callable[[Floats, Floats, Floats], Weighted]
"""A metric of shares, logits and probabilities."""
TARGET_LOSSES: dict[str, Loss] = {
    "brier_soft": lambda q, _logits, p: soft_brier(q, p),
    "nll_soft": lambda q, logits, _p: soft_nll(q, logits),
    "ece_soft": lambda q, _logits, p: soft_calibration_error(q, p),
}
"""Of a binary target. Each [n]"""
CLASS_LOSSES: dict[str, Loss] = {
    "brier_soft": lambda q, _logits, p: soft_class_brier(q, p),
    "nll_soft": lambda q, logits, _p: soft_class_nll(q, logits),
    "ece_soft": lambda q, _logits, p: soft_class_calibration_error(q, p),
}
"""Of classes. Each [n, C]"""
