"""Curves of a run with its replicates: ROC, precision, calibration, risk, OOD scores.

Of several targets the mean curve is drawn.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from medtransfer.evaluation.scoring.ood import DetectorScores, detectors
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.calibration import BINS, bin_numbers, outcome_of
from medtransfer.metrics.calibration_curves import Answers, local_curve
from medtransfer.metrics.cases import AnyCases, Labels, Order, TargetCases
from medtransfer.metrics.decisions import net_benefit, odds_of
from medtransfer.metrics.kernels.curve_points import precision_points, risk_points, roc_points
from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array, binned_sums
from medtransfer.metrics.weighted import ratio, run_ends
from medtransfer.tables.results import CASE, MACRO, Curve

GRID = np.linspace(0, 1, 101)
MAX_DRAWN = 100
"""Replicates that pointwise intervals are taken from: they are for the eye."""
DECILES = 10
NONE, TEMPERATURE, PLATT, TREAT_ALL = "none", "temperature", "platt", "treat_all"
DECISION_STEP = 0.01
"""Step between the threshold probabilities of a decision curve."""
CurveFunction = Callable[[AnyCases, Int32Array, Counts], Floats]
"""A curve of cases, by their patients [n] and the counts of patients [P, W]. -> [W, G]"""
LineKey = tuple[Curve, str, str, str | None]
"""Kind, cohort, target, series."""


@dataclass(frozen=True)
class Line:
    """One curve of one run.

    Attributes:
        x: Positions. [G]
        y: In the sample and in every replicate, NaN where undefined. [1 + W, G]
        count: Cases behind each point, where that differs. [G]
    """

    x: Floats
    y: Floats
    count: Floats | None = None


def run_lines(measured: MeasuredRun) -> dict[LineKey, Line]:
    """Every curve of one run."""
    lines: dict[LineKey, Line] = {}
    run = measured.run
    for test_set in measured.test_sets:
        counts = test_set.replicates.first(MAX_DRAWN)
        overall = MACRO if len(run.names) > 1 else "".join(run.names)
        each = list(range(len(run.names)))
        lines["roc", test_set.name, overall, None] = Line(GRID, _mean(test_set, each, counts, roc))
        pr = _mean(test_set, each, counts, precision_recall)
        lines["pr", test_set.name, overall, None] = Line(GRID, pr)
        whole, name = ([WHOLE_CASE], CASE) if run.single_label else (each, overall)
        risk = _mean(test_set, whole, counts, risk_coverage)
        lines["risk_coverage", test_set.name, name, None] = Line(GRID, risk)
        lines |= _calibration_lines(test_set, whole, name, counts)
        lines |= _decision_lines(test_set, overall, counts)
        for detector in detectors(run):
            line = _deciles(test_set, detector, counts)
            if line is not None:
                lines["ood", test_set.name, CASE, detector.name] = line
    return lines


def _decision_lines(test_set: TestSet, overall: str, counts: Counts) -> dict[LineKey, Line]:
    """Net benefit over the stated range of thresholds, of each target and of their mean."""
    thresholds = decision_grid(test_set.config.decision_thresholds)
    if not len(thresholds):
        return {}
    of_targets: dict[str, list[Floats]] = {}
    lines: dict[LineKey, Line] = {}
    names = test_set.run.names
    parts = _parts(test_set, list(range(len(names))))
    for name, (cases, patient) in zip(names, parts, strict=True):
        if not isinstance(cases, TargetCases):
            continue
        by_series: dict[str, Floats | None] = {
            NONE: cases.probabilities,
            PLATT: cases.calibrated.get(PLATT),
            TREAT_ALL: np.ones(len(cases)),
        }
        for series, probabilities in by_series.items():
            if probabilities is not None:
                y = net_benefits(cases.targets, probabilities, thresholds, patient, counts)
                lines["decision", test_set.name, name, series] = Line(thresholds, y)
                of_targets.setdefault(series, []).append(y)
    if len(names) > 1:
        for series, curves in of_targets.items():
            defined = [curve for curve in curves if np.isfinite(curve[0]).any()]
            if defined:
                mean = Line(thresholds, np.mean(defined, axis=0))
                lines["decision", test_set.name, overall, series] = mean
    return lines


def decision_grid(thresholds: Sequence[float]) -> Floats:
    """Threshold probabilities of a decision curve: percents of the range, and the stated ones."""
    if not thresholds:
        return np.zeros(0)
    first, last = thresholds[0], thresholds[-1]
    steps = range(math.ceil(first / DECISION_STEP), math.floor(last / DECISION_STEP) + 1)
    grid = {round(threshold, 9) for threshold in (*thresholds, *(k * DECISION_STEP for k in steps))}
    return np.array(sorted(grid), dtype=np.float64)


def net_benefits(
    targets: Labels, probabilities: Floats, thresholds: Floats, patient: Int32Array, counts: Counts
) -> Floats:
    """Net benefit at each threshold, in the sample and in every replicate. -> [W, G].

    Args:
        targets: 0 or 1. [n]
        probabilities: [n]
        thresholds: Rising. [G]
        patient: Of each case. [n]
        counts: [P, W]
    """
    reached = np.searchsorted(thresholds, probabilities, side="right").astype(np.int32)
    values = np.stack([targets == 1, targets == 0], axis=1).astype(np.float64)
    sums = binned_sums(patient, reached, values, len(thresholds) + 1, counts)
    # cases that reach a threshold are those of its bin and of all later ones
    tp, fp = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1][:, 1:]
    total = np.broadcast_to(sums.sum(axis=(0, 1)), tp.shape)
    positives = np.broadcast_to(sums[0].sum(axis=0), tp.shape)
    return net_benefit(odds_of(thresholds)[:, None], tp, fp, positives, total).T


def _deciles(test_set: TestSet, detector: DetectorScores, counts: Counts) -> Line | None:
    """Share of a test set's cases between the deciles of tune's scores: a tenth if alike."""
    tune, scores = np.sort(detector.scores[test_set.run.tuned()]), detector.scores[test_set.cases]
    if not len(tune) or not np.isfinite(tune).all() or not np.isfinite(scores).all():
        return None
    passed = np.searchsorted(tune, scores, side="right") / len(tune)
    number = np.minimum((passed * DECILES).astype(np.int32), DECILES - 1)
    drawn = binned_sums(
        test_set.replicates.patient, number, np.ones((len(scores), 1)), DECILES, counts
    )[0]
    centres = (np.arange(DECILES) + 0.5) / DECILES
    return Line(centres, ratio(drawn, np.broadcast_to(drawn.sum(axis=0), drawn.shape)).T)


def roc(cases: AnyCases, patient: Int32Array, counts: Counts) -> Floats:
    """True over false positive rate. [W, G]"""
    order = _ranked(cases)
    return roc_points(order.patients(patient), order.positive, order.last, counts, GRID)


def precision_recall(cases: AnyCases, patient: Int32Array, counts: Counts) -> Floats:
    """Precision at the largest threshold that reaches a recall. [W, G]"""
    order, recalls = _ranked(cases), GRID - 1e-12
    return precision_points(order.patients(patient), order.positive, order.last, counts, recalls)


def risk_coverage(cases: AnyCases, patient: Int32Array, counts: Counts) -> Floats:
    """Share of wrong answers among the most certain share of the cases. [W, G]"""
    order = np.argsort(-cases.confidence, kind="stable")
    last = run_ends(cases.confidence[order])
    return risk_points(patient[order], ~cases.correct[order], last, counts, GRID)


def _ranked(cases: AnyCases) -> Order:
    """Cases by falling logit."""
    if not isinstance(cases, TargetCases):
        raise TypeError("a ranking is of one target")
    return cases.order


def _mean(test_set: TestSet, targets: Sequence[int], counts: Counts, draw: CurveFunction) -> Floats:
    """The mean of the targets' curves, over those that have one. [1 + W, G]"""

    def of_part(part: tuple[AnyCases, Int32Array]) -> Floats:
        return draw(*part, counts)

    threads = min(len(targets), len(os.sched_getaffinity(0)))
    parts = _parts(test_set, targets)
    curves: list[Floats] = []
    if threads == 1:  # a thread takes longer to start than a small curve to draw
        curves += map(of_part, parts)
    else:
        with ThreadPoolExecutor(threads) as pool:
            # no more targets at once than threads: each holds all of its cases
            while batch := list(islice(parts, threads)):
                curves += pool.map(of_part, batch)
    defined = [curve for curve in curves if np.isfinite(curve[0]).any()]
    return np.mean(defined, axis=0) if defined else np.full((counts.shape[1], len(GRID)), np.nan)


def _parts(test_set: TestSet, targets: Sequence[int]) -> Iterator[tuple[AnyCases, Int32Array]]:
    for target in targets:
        rows = test_set.cases & test_set.run.labelled(target)
        yield test_set.run_cases(target).take(rows), test_set.patient[rows]


def _calibration_lines(
    test_set: TestSet, targets: Sequence[int], name: str, counts: Counts
) -> dict[LineKey, Line]:
    """Bins of the calibration error and the curve of the ICI, before and after scaling."""
    lines: dict[LineKey, Line] = {}
    for series in (NONE, TEMPERATURE):
        both = _calibration(test_set, targets, counts, None if series == NONE else series)
        if both is not None:
            lines["reliability", test_set.name, name, series] = both[0]
            lines["calibration", test_set.name, name, series] = both[1]
    return lines


def _calibration(
    test_set: TestSet, targets: Sequence[int], counts: Counts, calibrator: str | None
) -> tuple[Line, Line] | None:
    """Observed over predicted, in bins and as a smooth curve; all targets pooled.

    None if a target has no such calibrator.
    """
    sums = np.zeros((3, BINS, counts.shape[1]))
    pooled: list[Answers] = []
    for cases, patient in _parts(test_set, targets):
        if calibrator is not None and calibrator not in cases.calibrated:
            return None
        outcomes, confidences = outcome_of(cases, calibrator)
        number = bin_numbers(confidences).astype(np.int32)
        values: Floats = np.stack(
            [np.ones(len(outcomes)), outcomes.astype(np.float64), confidences], axis=1
        )
        sums += binned_sums(patient, number, values, BINS, counts)
        pooled.append((outcomes, confidences, patient))
    curve = local_curve(pooled, counts, GRID)
    weight, outcome, confidence = sums
    with np.errstate(invalid="ignore"):
        mean = confidence[:, 0] / weight[:, 0]
    return Line(mean, ratio(outcome, weight).T, weight[:, 0]), Line(GRID, curve)
