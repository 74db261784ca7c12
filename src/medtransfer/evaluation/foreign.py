"""Whether foreign inputs are noticed: detectors' scores at home against every other cohort."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import plural
from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.measure import NO_INTERVAL, ONE_PATIENT
from medtransfer.evaluation.place import place_replicates
from medtransfer.evaluation.runs import RunArrays
from medtransfer.metrics.bootstrap import Replicates, percentile_interval
from medtransfer.metrics.cases import Order
from medtransfer.metrics.detection import flag_threshold
from medtransfer.metrics.detection_logits import energy, max_logit, max_probability
from medtransfer.metrics.discrimination import area_of, precision_of
from medtransfer.metrics.kernels import Counts, Flags, Floats, Numbers
from medtransfer.metrics.ranking_kernels import false_shares
from medtransfer.metrics.weighted import Part, Scan, Weighted, evaluate, mean_of, of_rows
from medtransfer.tables.predictions import FOREIGN
from medtransfer.tables.results import Result

FOUND = 0.95
"""Share of foreign cases that must be found where false alarms are counted."""
MEASURES = {
    "foreign_auroc": "P(score of a foreign case above that of a case at home) + ½ P(equal)",
    "foreign_auprc": "average precision, foreign cases positive",
    "foreign_fpr95": "share of cases at home flagged when 95 % of the foreign ones are",
    "flagged": "share of cases above the score that 95 % of tune stay below",
}
"""Metrics whose target is a detector, to their formulae."""


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
        name.removeprefix(FOREIGN): run.frame[name].to_numpy().astype(np.float64)
        for name in run.frame.columns
        if name.startswith(FOREIGN)
    }
    single = run.single_label
    found.setdefault("max_probability", max_probability(run.logits, single_label=single))
    found.setdefault("max_logit", max_logit(run.logits))
    found.setdefault("energy", energy(run.logits, single_label=single))
    return [Scored(name, scores) for name, scores in found.items()]


def foreign_results(run: RunArrays, config: EvaluationConfig) -> Iterator[Result]:
    """How well each detector tells each other cohort from home, and how much it flags."""
    places = run.places()
    home = places.get(run.home())
    scored = detectors(run)
    for name, here in places.items():
        yield from _flagged(run, name, here, scored, config)
        if home is not None and name != run.home():
            yield from _told_apart(run, (run.home(), home), (name, here), scored, config)


def _missing(one: Scored, rows: Flags) -> str | None:
    """Why a detector's numbers of some cases are undefined."""
    without = int((~np.isfinite(one.scores[rows])).sum())
    return f"no score of {plural(without, 'case')}" if without else None


def _flagged(
    run: RunArrays, name: str, here: Flags, scored: list[Scored], config: EvaluationConfig
) -> Iterator[Result]:
    replicates = place_replicates(run, name, here, config)
    for one in scored:
        reason = _missing(one, here | run.tuned())
        limit = None if reason else flag_threshold(one.scores[run.tuned()])
        if limit is None:
            why = reason or "no case in tune"
            yield _result(run, name, one.name, "flagged", None, here, why)
            continue
        above = mean_of((one.scores[here] > limit).astype(np.float64))
        values = replicates.values(above, np.ones(int(here.sum()), dtype=np.bool_))
        yield _result(run, name, one.name, "flagged", values, here)


def _told_apart(
    run: RunArrays,
    home: tuple[str, Flags],
    other: tuple[str, Flags],
    scored: list[Scored],
    config: EvaluationConfig,
) -> Iterator[Result]:
    """The two cohorts are resampled independently, each by its patients."""
    one, two = (place_replicates(run, name, here, config) for name, here in (home, other))
    patient = np.concatenate([one.patient, two.patient + one.num_patients])
    foreign = np.repeat([False, True], [len(one.patient), len(two.patient)])
    rows = home[1] | other[1]
    reasons = {s.name: _missing(s, rows) for s in scored}
    known = [s for s in scored if reasons[s.name] is None]
    bound = [
        metric
        for s in known
        for metric in _bound(np.concatenate([s.scores[home[1]], s.scores[other[1]]]), foreign)
    ]
    values = iter(evaluate([Part(patient, tuple(bound))], _both(one, two))[0])
    fewest = min(one.num_patients, two.num_patients)
    for s in scored:
        for measure in list(MEASURES)[:3]:
            reason = reasons[s.name]
            found = next(values) if reason is None else None
            yield _result(run, other[0], s.name, measure, found, rows, reason, fewest)


def _bound(scores: Floats, foreign: NDArray[np.bool_]) -> tuple[Weighted, ...]:
    order = Order.of(scores, foreign)

    def run(patient: Numbers, counts: Counts) -> Floats:
        return false_shares(order.patients(patient), order.positive, order.last, FOUND, counts)

    alarms = of_rows(Scan(run), lambda rows: rows[0])
    return area_of(order.ranking), precision_of(order.ranking), alarms


def _both(one: Replicates, two: Replicates) -> Iterator[Counts]:
    for first, second in zip(one.blocks(), two.blocks(), strict=True):
        counts: NDArray[np.float64] = np.concatenate([first, second])  # type: ignore[assignment]
        yield counts


def _result(
    run: RunArrays,
    place: str,
    detector: str,
    metric: str,
    values: Floats | None,
    rows: Flags,
    reason: str | None = None,
    fewest: int | None = None,
) -> Result:
    """A row; `fewest` patients are in the smallest cohort that was resampled."""
    interval = None
    if values is not None and len(values) > 1:
        few = (run.patients(rows) if fewest is None else fewest) < 2
        interval = None if few else percentile_interval(values)
        reason = (ONE_PATIENT if few else NO_INTERVAL) if interval is None else None
    return Result(
        run.run_id, "test", place, detector, metric,
        None if values is None else float(values[0]), *(interval or (None, None)),
        int(rows.sum()), run.patients(rows), None, reason,
    )  # fmt: skip
