"""Estimates of decisions and scores on cases that readers have read."""

from collections.abc import Iterator, Mapping

import numpy as np

from medtransfer.evaluation.comparison.readers.read_cases import ReadCases
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.catalog import CATALOG
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.metric import POINT
from medtransfer.statistics.small_samples import Patients
from medtransfer.tables.results import ALL

SHARES = ("sensitivity", "specificity")
AUROC = "auroc"
KeyedEstimate = tuple[ResultKey, Estimate]


def share_estimates(
    read: ReadCases, target: str, called: Mapping[str, Flags], truth: Floats, rows: Flags
) -> Iterator[KeyedEstimate]:
    """Sensitivity and specificity of decisions on some of the cases.

    Args:
        read: Cases that readers have read.
        target: Name of the target.
        called: Operating point to True for cases called positive. Each [n]
        truth: 0 or 1 in the rows. [n]
        rows: Mask of the cases that count. [n]
    """
    cases = TargetCases(
        truth[rows].astype(np.int64),
        truth[rows],
        truth[rows],
        predicted_positive={point: flags[rows] for point, flags in called.items()},
    )
    for point in called:
        for share in SHARES:
            yield _estimate(read, target, f"{share}{POINT}", cases, rows=rows, point=point)


def auroc_estimate(
    read: ReadCases, target: str, truth: Floats, probabilities: Floats
) -> KeyedEstimate:
    """AUROC of a run against the labels of one reader, NaN where there is none. [n], [n]"""
    rows = np.isfinite(truth)
    scores = probabilities[rows]
    cases = TargetCases(truth[rows].astype(np.int64), scores, scores)
    return _estimate(read, target, AUROC, cases, rows=rows)


def _estimate(
    read: ReadCases,
    target: str,
    metric: str,
    cases: TargetCases,
    *,
    rows: Flags,
    point: str | None = None,
) -> KeyedEstimate:
    """A metric of the catalogue of some of the cases, with its replicates and support."""
    entry = CATALOG[metric]
    positives = int((cases.targets == 1).sum())
    reason = entry.undefined(positives, len(cases) - positives)
    patient = read.patients(rows)
    bound = None if reason or entry.of_target is None else entry.of_target(cases, point or "")
    estimate = Estimate(
        values=None if bound is None else read.values(bound, rows),
        cases=len(cases),
        patients=len(np.unique(patient)),
        positives=positives,
        reason=reason,
        support=None if reason else Patients(cases, patient).behind(entry, point),
    )
    name = metric.replace(POINT, f"@{point}")
    return ResultKey(read.cohort, ALL, ALL, target, name), estimate
