"""Readers with each other, and rungs and readers against the same truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.answered import pool_folds
from medtransfer.evaluation.comparison.evaluate_table import run_keys
from medtransfer.evaluation.comparison.readers.agreement import (
    Codes,
    agreement_interval,
    krippendorff_alpha,
    pair_kappa,
)
from medtransfer.evaluation.comparison.readers.read_cases import ReadCases
from medtransfer.evaluation.comparison.readers.table import Readings
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.evaluation.scoring.test_set import test_set_replicates
from medtransfer.evaluation.scoring.tune_fit import TuneFit, fit_on_tune
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.catalog import CATALOG
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.metric import POINT
from medtransfer.metrics.weighted import Weighted
from medtransfer.statistics.small_samples import MIN_BOOTSTRAP, Patients
from medtransfer.tables.results import ALL, Result

ALL_READERS = "all readers"
OTHERS = "majority without {}"
SHARES = ("sensitivity", "specificity")
DECIDED = "decided"
"""Operating point of a reader, who decides without a score."""
AUROC = "auroc"
SUBJECT = dict.fromkeys(("cohort", "target", "subject", "run_id", "against"), pl.String)
NUMBERS = {
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "num_cases": pl.Int64,
    "num_patients": pl.Int64,
    "num_positive": pl.Int64,
    "reason": pl.String,
}
SCHEMA = pl.Schema(SUBJECT | NUMBERS)
"""Columns of the table of readers; intervals are 95 % over patients."""


@dataclass(frozen=True)
class Judged:
    """Somebody judged against a truth.

    Attributes:
        subject: A reader, a pair of readers, all readers, or a rung.
        against: A reader, or the majority of the readers without one; themselves for agreement.
        run_id: The run of a rung; None for readers.
    """

    subject: str
    against: str
    run_id: str | None = None


Row = tuple[Judged, Result]


def compare_readers(
    predictions: pl.DataFrame, readings: Readings, task: Task, config: EvaluationConfig
) -> pl.DataFrame:
    """Agreement of the readers, and each rung and reader against the other readers.

    A reader is judged by the majority of the other readers, as no truth may hold the reader's own
    vote. Rungs are judged on the same cases by the same majority, at thresholds fixed on tune, and
    by AUROC against each reader alone. Every run is judged by itself, folds of a cross-validation
    as one run; readers are judged on the test cases of all runs.

    Args:
        predictions: Of one or several runs.
        readings: Of its cases.
        task: How the targets relate to each other.
        config: Replicates and operating points.

    Returns:
        One row per number, with the columns of `SCHEMA`.
    """
    pooled, _ = pool_folds(predictions, run_keys(predictions))
    every_case = pooled.unique("case_id", maintain_order=True)
    alone = run_arrays(every_case.with_columns(run_id=pl.lit(ALL_READERS)), task)
    rows: list[Row] = []
    for read in _read_cases(alone, readings, config):
        rows += [*agreement_rows(read), *reader_rows(read)]
    for _, of_run in pooled.group_by("run_id", maintain_order=True):
        rung = str(of_run["rung" if "rung" in of_run.columns else "run_id"][0])
        run = run_arrays(of_run, task)
        fit = fit_on_tune(run, config.operating_points, thresholds_only=True)
        for read in _read_cases(run, readings, config):
            rows += rung_rows(read, rung, fit)
    return pl.DataFrame([_record(*row) for row in rows], schema=SCHEMA)


def agreement_rows(read: ReadCases) -> Iterator[Row]:
    """Cohen's kappa of every pair of readers, Krippendorff's alpha of all."""
    for target, codes, classes in read.codes():
        for i, j in combinations(range(len(read.names)), 2):
            both = (codes[i] >= 0) & (codes[j] >= 0)
            pair = f"{read.names[i]} and {read.names[j]}"
            of_pair = codes[[i, j]][:, both]
            bound = pair_kappa(of_pair[0], of_pair[1], classes)
            yield (
                Judged(pair, pair),
                _agreement(read, target, "kappa", bound=bound, rows=both, codes=of_pair),
            )
        several = (codes >= 0).sum(axis=0) >= 2
        of_all = codes[:, several]
        alpha = krippendorff_alpha(of_all, classes)
        judged = Judged(ALL_READERS, ALL_READERS)
        yield judged, _agreement(read, target, "alpha", bound=alpha, rows=several, codes=of_all)


def reader_rows(read: ReadCases) -> Iterator[Row]:
    """Sensitivity and specificity of every reader against the majority of the others."""
    for target, name in enumerate(read.run.names):
        for number, reader in enumerate(read.names):
            labels = read.labels[number, :, target]
            called = {DECIDED: labels == 1}
            judged = Judged(reader, OTHERS.format(reader))
            for result in _shares(read, name, called, *_truth(read, number, target)):
                yield judged, result


def rung_rows(read: ReadCases, rung: str, fit: TuneFit) -> Iterator[Row]:
    """A rung on each reader's cases against the same majority, and against the reader.

    Args:
        read: Test cases that one of its runs has predicted.
        rung: Its name.
        fit: Operating points of the run.
    """
    run = read.run
    for target, name in enumerate(run.names):
        probabilities = run.probabilities_of(target)[read.cases]
        thresholds = fit[target].thresholds
        called = {p: probabilities >= t for p, t in thresholds.items() if t is not None}
        for number, reader in enumerate(read.names):
            judged = Judged(rung, OTHERS.format(reader), run.run_id)
            for result in _shares(read, name, called, *_truth(read, number, target)):
                yield judged, result
            truth = read.labels[number, :, target]
            result = _auroc(read, name, truth, probabilities)
            yield Judged(rung, reader, run.run_id), result


def _read_cases(
    run: RunArrays, readings: Readings, config: EvaluationConfig
) -> Iterator[ReadCases]:
    """The run's test cases, cohort by cohort."""
    for cohort, cases in run.test_cases().items():
        replicates = test_set_replicates(run, cohort, cases, config)
        yield ReadCases(run, cohort, cases, readings, replicates)


def _truth(read: ReadCases, reader: int, target: int) -> tuple[Floats, Flags]:
    """Majority without a reader, and the cases that it and the reader have judged. [n], [n]"""
    truth = read.majority_without(reader, target)
    return truth, np.isfinite(truth) & np.isfinite(read.labels[reader, :, target])


def _agreement(
    read: ReadCases, target: str, metric: str, *, bound: Weighted, rows: Flags, codes: Codes
) -> Result:
    """A coefficient of agreement with its interval, if enough patients are behind it."""
    patient = read.patients(rows)
    values = read.values(bound, rows) if rows.any() else np.full(1, np.nan)
    defined = bool(np.isfinite(values[0]))
    ends = agreement_interval(values, codes, patient)
    reason = None
    if not defined:
        reason = "only one class was said" if rows.any() else "no case was read by both"
    elif ends is None:
        reason = f"no interval: fewer than {MIN_BOOTSTRAP} patients with or without the finding"
    return Result(
        run_id=None,
        split="test",
        cohort=read.cohort,
        target=target,
        metric=metric,
        value=float(values[0]) if defined else None,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        num_cases=int(rows.sum()),
        num_patients=len(np.unique(patient)),
        reason=reason,
    )


def _shares(
    read: ReadCases, target: str, called: Mapping[str, Flags], truth: Floats, rows: Flags
) -> Iterator[Result]:
    """Sensitivity and specificity of decisions on some of the cases. Each [n]"""
    cases = TargetCases(
        truth[rows].astype(np.int64),
        truth[rows],
        truth[rows],
        predicted_positive={point: flags[rows] for point, flags in called.items()},
    )
    for point in called:
        for share in SHARES:
            yield _estimated(read, target, f"{share}{POINT}", cases, rows=rows, point=point)


def _auroc(read: ReadCases, target: str, truth: Floats, probabilities: Floats) -> Result:
    """AUROC of a rung against the labels of one reader. [n], [n]"""
    rows = np.isfinite(truth)
    scores = probabilities[rows]
    cases = TargetCases(truth[rows].astype(np.int64), scores, scores)
    return _estimated(read, target, AUROC, cases, rows=rows)


def _estimated(
    read: ReadCases,
    target: str,
    metric: str,
    cases: TargetCases,
    *,
    rows: Flags,
    point: str | None = None,
) -> Result:
    """A metric of the catalogue of some of the cases, with the interval of the results table."""
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
    return estimate.as_result(ResultKey(read.cohort, ALL, ALL, target, name))


def _record(judged: Judged, result: Result) -> dict[str, object]:
    """A row of the table."""
    of_result = {name: getattr(result, name) for name in ("cohort", "target", *NUMBERS)}
    of_result["metric"] = result.metric.removesuffix(f"@{DECIDED}")
    return {**vars(judged), **of_result}
