"""Out-of-distribution detection: detectors' scores on the internal test set against every other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import plural
from medtransfer.evaluation.scoring.estimate import (
    ONE_PATIENT,
    Estimate,
    Estimates,
    MetricKey,
)
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.cases import Order
from medtransfer.metrics.catalog import DETECTOR_ENTRIES, OOD_RECALL
from medtransfer.metrics.discrimination import auroc_of, average_precision_of
from medtransfer.metrics.kernels.ranking import false_shares
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array
from medtransfer.metrics.weighted import (
    Scan,
    SubgroupMetrics,
    Weighted,
    evaluate_replicates,
    mean_of,
    of_rows,
)
from medtransfer.posthoc.ood_detectors import flag_threshold
from medtransfer.posthoc.ood_logit_scores import energy, max_logit, max_probability
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.tables.predictions import OOD_PREFIX

MEASURES = tuple(entry.name for entry in DETECTOR_ENTRIES)
"""Metrics whose target is a detector."""


@dataclass(frozen=True)
class DetectorScores:
    """A detector's scores; larger is farther out of distribution.

    Attributes:
        name: Of the detector.
        scores: NaN where there is none. [N]
    """

    name: str
    scores: Floats


def detectors(run: RunArrays) -> list[DetectorScores]:
    """Scores in the table's `ood_<name>` columns, and those that logits alone give."""
    by_name = {
        name.removeprefix(OOD_PREFIX): run.frame[name].to_numpy().astype(np.float64)
        for name in run.frame.columns
        if name.startswith(OOD_PREFIX)
    }
    single = run.single_label
    by_name.setdefault("max_probability", max_probability(run.logits, single_label=single))
    by_name.setdefault("max_logit", max_logit(run.logits))
    by_name.setdefault("energy", energy(run.logits, single_label=single))
    return [DetectorScores(name, scores) for name, scores in by_name.items()]


def ood_estimates(test_sets: Sequence[TestSet]) -> list[Estimates]:
    """Discrimination of each other cohort from the internal test set, and flag rates.

    Args:
        test_sets: Of one run.

    Returns:
        For each test set, by detector and metric. The cohorts are resampled independently, each by
        its patients.
    """
    if not test_sets:
        return []
    run = test_sets[0].run
    scored = detectors(run)
    internal = next((t for t in test_sets if t.name == run.internal_name()), None)
    estimates: list[Estimates] = []
    for test_set in test_sets:
        of_test_set = _flag_rates(test_set, scored)
        if internal is not None and test_set is not internal:
            of_test_set |= _discrimination(internal, test_set, scored)
        estimates.append(of_test_set)
    return estimates


def _missing(detector: DetectorScores, rows: Flags) -> str | None:
    """Reason why a detector's metrics on some cases are undefined."""
    without = int((~np.isfinite(detector.scores[rows])).sum())
    return f"no score of {plural(without, 'case')}" if without else None


def _flag_rates(test_set: TestSet, scored: Sequence[DetectorScores]) -> Estimates:
    run, cases = test_set.run, test_set.cases
    replicates = test_set.replicates
    estimates: Estimates = {}
    for detector in scored:
        reason = _missing(detector, cases | run.tuned())
        threshold = None if reason else flag_threshold(detector.scores[run.tuned()])
        values = None
        if threshold is None:
            reason = reason or "no case in tune"
        else:
            flagged = mean_of((detector.scores[cases] > threshold).astype(np.float64))
            values = replicates.values(flagged, np.ones(int(cases.sum()), dtype=np.bool_))
        key = MetricKey(detector.name, MEASURES[3])
        estimates[key] = _estimate(run, cases, values, reason, replicates.num_patients)
    return estimates


def _discrimination(
    internal: TestSet, other: TestSet, scored: Sequence[DetectorScores]
) -> Estimates:
    run = internal.run
    inside, outside = internal.cases, other.cases
    first, second = internal.replicates, other.replicates
    patient = np.concatenate([first.patient, second.patient + first.num_patients])
    is_other = np.repeat([False, True], [len(first.patient), len(second.patient)])
    reasons = {d.name: _missing(d, inside | outside) for d in scored}
    bound = [
        metric
        for d in scored
        if reasons[d.name] is None
        for metric in _bound(np.concatenate([d.scores[inside], d.scores[outside]]), is_other)
    ]
    evaluated = evaluate_replicates(
        [SubgroupMetrics(patient, tuple(bound))], _paired_blocks(first, second)
    )
    values = iter(evaluated[0])
    fewest = min(first.num_patients, second.num_patients)
    estimates: Estimates = {}
    for detector in scored:
        reason = reasons[detector.name]
        for measure in MEASURES[:3]:
            of_measure = next(values) if reason is None else None
            estimates[MetricKey(detector.name, measure)] = _estimate(
                run, inside | outside, of_measure, reason, fewest
            )
    return estimates


def _bound(scores: Floats, is_other: NDArray[np.bool_]) -> tuple[Weighted, ...]:
    order = Order.of(scores, is_other)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return false_shares(order.patients(patient), order.positive, order.last, OOD_RECALL, counts)

    false_alarms = of_rows(Scan(run), lambda rows: rows[0])
    return auroc_of(order.ranking), average_precision_of(order.ranking), false_alarms


def _paired_blocks(first: Replicates, second: Replicates) -> Iterator[Counts]:
    """Counts of the patients of both, those of the second after those of the first."""
    for of_first, of_second in zip(first.blocks(), second.blocks(), strict=True):
        counts: NDArray[np.float64] = np.concatenate([of_first, of_second])  # type: ignore[assignment]
        yield counts


def _estimate(
    run: RunArrays, rows: Flags, values: Floats | None, reason: str | None, fewest: int
) -> Estimate:
    """An estimate; `fewest` patients are in the smallest cohort that was resampled."""
    if values is not None and fewest < 2:
        values[1:] = np.nan
        reason = ONE_PATIENT
    return Estimate(
        values=values, cases=int(rows.sum()), patients=run.patients(rows), reason=reason
    )
