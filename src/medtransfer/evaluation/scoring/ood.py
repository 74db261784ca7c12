"""Whether foreign inputs are noticed: detectors' scores at home against every other cohort."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import plural
from medtransfer.evaluation.scoring.estimate import ONE_PATIENT, Estimate, Estimates
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.cases import Order
from medtransfer.metrics.catalog import DETECTOR_ENTRIES, OOD_RECALL
from medtransfer.metrics.discrimination import auroc_of, average_precision_of
from medtransfer.metrics.kernels.ranking import false_shares
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array
from medtransfer.metrics.weighted import Scan, SubgroupMetrics, Weighted, evaluate, mean_of, of_rows
from medtransfer.posthoc.ood_detectors import flag_threshold
from medtransfer.posthoc.ood_logit_scores import energy, max_logit, max_probability
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.tables.predictions import OOD_PREFIX

MEASURES = tuple(entry.name for entry in DETECTOR_ENTRIES)
"""Metrics whose target is a detector."""


@dataclass(frozen=True)
class Scored:
    """A detector's scores. Larger is more foreign.

    Attributes:
        name: Of the detector.
        scores: NaN where there is none. [N]
    """

    name: str
    scores: Floats


def detectors(run: RunArrays) -> list[Scored]:
    """Scores in the table's `ood_<name>` columns, and those that logits alone give."""
    found = {
        name.removeprefix(OOD_PREFIX): run.frame[name].to_numpy().astype(np.float64)
        for name in run.frame.columns
        if name.startswith(OOD_PREFIX)
    }
    single = run.single_label
    found.setdefault("max_probability", max_probability(run.logits, single_label=single))
    found.setdefault("max_logit", max_logit(run.logits))
    found.setdefault("energy", energy(run.logits, single_label=single))
    return [Scored(name, scores) for name, scores in found.items()]


def ood_estimates(places: Sequence[TestSet]) -> list[Estimates]:
    """How well each detector tells each other cohort from home, and how much it flags.

    Args:
        places: Of one run.

    Returns:
        For each place, by detector and metric. The cohorts are resampled independently, each by
        its patients.
    """
    if not places:
        return []
    run = places[0].run
    scored = detectors(run)
    home = next((place for place in places if place.name == run.internal_name()), None)
    found: list[Estimates] = []
    for place in places:
        numbers = _flagged(place, scored)
        if home is not None and place is not home:
            numbers |= _told_apart(home, place, scored)
        found.append(numbers)
    return found


def _missing(one: Scored, rows: Flags) -> str | None:
    """Why a detector's numbers of some cases are undefined."""
    without = int((~np.isfinite(one.scores[rows])).sum())
    return f"no score of {plural(without, 'case')}" if without else None


def _flagged(place: TestSet, scored: Sequence[Scored]) -> Estimates:
    run, here = place.run, place.subgroups[0].cases
    found: Estimates = {}
    for one in scored:
        reason = _missing(one, here | run.tuned())
        limit = None if reason else flag_threshold(one.scores[run.tuned()])
        values = None
        if limit is None:
            reason = reason or "no case in tune"
        else:
            above = mean_of((one.scores[here] > limit).astype(np.float64))
            values = place.replicates.values(above, np.ones(int(here.sum()), dtype=np.bool_))
        patients = place.replicates.num_patients
        found[one.name, MEASURES[3]] = _number(run, here, values, reason, patients)
    return found


def _told_apart(home: TestSet, other: TestSet, scored: Sequence[Scored]) -> Estimates:
    run = home.run
    one, two = home.replicates, other.replicates
    inside, outside = home.subgroups[0].cases, other.subgroups[0].cases
    patient = np.concatenate([one.patient, two.patient + one.num_patients])
    foreign = np.repeat([False, True], [len(one.patient), len(two.patient)])
    reasons = {s.name: _missing(s, inside | outside) for s in scored}
    known = [s for s in scored if reasons[s.name] is None]
    bound = [
        metric
        for s in known
        for metric in _bound(np.concatenate([s.scores[inside], s.scores[outside]]), foreign)
    ]
    values = iter(evaluate([SubgroupMetrics(patient, tuple(bound))], _both(one, two))[0])
    fewest = min(one.num_patients, two.num_patients)
    found: Estimates = {}
    for s in scored:
        for measure in MEASURES[:3]:
            of_measure = next(values) if reasons[s.name] is None else None
            found[s.name, measure] = _number(
                run, inside | outside, of_measure, reasons[s.name], fewest
            )
    return found


def _bound(scores: Floats, foreign: NDArray[np.bool_]) -> tuple[Weighted, ...]:
    order = Order.of(scores, foreign)

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return false_shares(order.patients(patient), order.positive, order.last, OOD_RECALL, counts)

    alarms = of_rows(Scan(run), lambda rows: rows[0])
    return auroc_of(order.ranking), average_precision_of(order.ranking), alarms


def _both(one: Replicates, two: Replicates) -> Iterator[Counts]:
    for first, second in zip(one.blocks(), two.blocks(), strict=True):
        counts: NDArray[np.float64] = np.concatenate([first, second])  # type: ignore[assignment]
        yield counts


def _number(
    run: RunArrays, rows: Flags, values: Floats | None, reason: str | None, fewest: int
) -> Estimate:
    """A number; `fewest` patients are in the smallest cohort that was resampled."""
    if values is not None and fewest < 2:
        values[1:] = np.nan
        reason = ONE_PATIENT
    return Estimate(values, int(rows.sum()), run.patients(rows), None, reason)
