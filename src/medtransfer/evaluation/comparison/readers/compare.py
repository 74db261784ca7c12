"""Readers with each other, and rungs and readers against the same truth."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.answered import (
    answered,
    pool_folds,
    restricted,
    shared_cases,
)
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.evaluate_table import ladder_runs, run_keys
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.readers.agreement import (
    Codes,
    agreement_interval,
    krippendorff_alpha,
    pair_kappa,
)
from medtransfer.evaluation.comparison.readers.estimates import share_estimates
from medtransfer.evaluation.comparison.readers.judged import (
    ALL_READERS,
    DECIDED,
    OTHERS,
    Judged,
    ReaderRow,
    reader_row,
    readers_frame,
)
from medtransfer.evaluation.comparison.readers.read_cases import ReadCases
from medtransfer.evaluation.comparison.readers.rungs import (
    BesideReader,
    Place,
    run_estimates,
    rung_rows,
)
from medtransfer.evaluation.comparison.readers.table import CASE_ID, Readings
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.evaluation.scoring.test_set import test_set_replicates
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.metrics.weighted import Weighted
from medtransfer.statistics.small_samples import MIN_BOOTSTRAP
from medtransfer.tables.results import Result


def compare_readers(
    predictions: pl.DataFrame, readings: Readings, task: Task, config: EvaluationConfig
) -> pl.DataFrame:
    """Table of readers of a predictions table; folds of a cross-validation are one run.

    Args:
        predictions: Of one or several runs.
        readings: Of its cases.
        task: How the targets relate to each other.
        config: Replicates and operating points.

    Returns:
        One row per number, as `READERS_CONTRACT` has it.
    """
    pooled, _ = pool_folds(predictions, run_keys(predictions))
    return readers_table(ladder_runs(pooled), readings, task, config)


def readers_table(
    runs: Sequence[LadderRun], readings: Readings, task: Task, config: EvaluationConfig
) -> pl.DataFrame:
    """Agreement of the readers, and each rung and reader against the other readers.

    A reader is judged by the majority of the other readers, as no truth may hold the reader's own
    vote. Rungs are judged on the same cases by the same majority, at thresholds fixed on tune, and
    by each reader alone. A rung has a row for every run, and one for their mean with
    an interval of patients and seeds. Readers are judged on the test cases of all runs.

    Args:
        runs: Of any grid; those with most labels are judged, as far as there are any that were
            not trained on another hospital again.
        readings: Of their cases.
        task: How the targets relate to each other.
        config: Replicates and operating points.

    Returns:
        One row per number, as `READERS_CONTRACT` has it.
    """
    groups = _with_most_labels(runs)
    every_case = pl.DataFrame()
    of_rungs: list[ReaderRow] = []
    for key, of_rung in groups.items():
        frames = [run.predictions() for run in of_rung]
        every_case = _with_cases(every_case, frames)
        shared = shared_cases([answered(frame) for frame in frames])
        kept = frames if shared is None else [restricted(frame, shared) for frame in frames]
        estimates = [
            (run.run_id, _run_estimates(frame, readings, task, config, key))
            for run, frame in zip(of_rung, kept, strict=True)
        ]
        of_rungs += rung_rows(key.rung, estimates)
    rows: list[ReaderRow] = []
    if not every_case.is_empty():
        alone = run_arrays(every_case.with_columns(run_id=pl.lit(ALL_READERS), member=0), task)
        for read in _read_cases(alone, readings, config):
            rows += [*agreement_rows(read), *reader_rows(read)]
    return readers_frame([*rows, *of_rungs])


def _with_most_labels(runs: Sequence[LadderRun]) -> dict[GridKey, list[LadderRun]]:
    """Runs with most labels by rung and training set, in the order in which rungs come."""
    plain = [run for run in runs if run.key.retrain_fraction is None] or list(runs)
    most = max((run.key.label_fraction for run in plain), default=1.0)
    groups: dict[GridKey, list[LadderRun]] = {}
    for run in plain:
        if run.key.label_fraction == most:
            groups.setdefault(run.key, []).append(run)
    return groups


def _with_cases(seen: pl.DataFrame, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Every case once, with the new ones of some predictions; one that tests in any run tests."""
    tables = [frame for frame in (seen, *frames) if not frame.is_empty()]
    together = pl.concat(tables, how="diagonal_relaxed")
    first_tests = together.sort(pl.col("split") != "test", maintain_order=True)
    return first_tests.unique(CASE_ID, keep="first", maintain_order=True)


def _run_estimates(
    predictions: pl.DataFrame,
    readings: Readings,
    task: Task,
    config: EvaluationConfig,
    key: GridKey,
) -> dict[Place, BesideReader]:
    """Numbers of a run beside the readers; of one trained without a hospital only there."""
    run = run_arrays(predictions, task)
    fit = fit_on_tune(run, config.operating_points, thresholds_only=True)
    estimates: dict[Place, BesideReader] = {}
    for read in _read_cases(run, readings, config):
        if key.held_out in (None, read.cohort):
            estimates |= run_estimates(read, fit)
    return estimates


def agreement_rows(read: ReadCases) -> Iterator[ReaderRow]:
    """Cohen's kappa of every pair of readers, Krippendorff's alpha of all."""
    for target, codes, classes in read.codes():
        for i, j in combinations(range(len(read.names)), 2):
            both = (codes[i] >= 0) & (codes[j] >= 0)
            pair = f"{read.names[i]} and {read.names[j]}"
            of_pair = codes[[i, j]][:, both]
            bound = pair_kappa(of_pair[0], of_pair[1], classes)
            yield reader_row(
                Judged(pair, reader=pair),
                _agreement(read, target, "kappa", bound=bound, rows=both, codes=of_pair),
            )
        several = (codes >= 0).sum(axis=0) >= 2
        of_all = codes[:, several]
        alpha = krippendorff_alpha(of_all, classes)
        yield reader_row(
            Judged(ALL_READERS, reader=ALL_READERS),
            _agreement(read, target, "alpha", bound=alpha, rows=several, codes=of_all),
        )


def reader_rows(read: ReadCases) -> Iterator[ReaderRow]:
    """Sensitivity and specificity of every reader against the majority of the others."""
    for target, name in enumerate(read.run.names):
        for number, reader in enumerate(read.names):
            called = {DECIDED: read.labels[number, :, target] == 1}
            judged = Judged(OTHERS.format(reader), reader=reader)
            truth, rows = read.truth_without(number, target)
            for key, estimate in share_estimates(read, name, called, truth, rows):
                yield reader_row(judged, estimate.as_result(key))


def _read_cases(
    run: RunArrays, readings: Readings, config: EvaluationConfig
) -> Iterator[ReadCases]:
    """The run's test cases, cohort by cohort."""
    for cohort, cases in run.test_cases().items():
        replicates = test_set_replicates(run, cohort, cases, config)
        yield ReadCases(run, cohort, cases, readings, replicates)


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
        contains="patients" if ends else None,
    )
