"""Rungs beside readers: on a reader's cases by the truth of the others, and by the reader's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.comparison.policies.paired_mean import paired_mean
from medtransfer.evaluation.comparison.readers.estimates import auroc_estimate, share_estimates
from medtransfer.evaluation.comparison.readers.judged import (
    DIFFERENCE,
    OTHERS,
    Judged,
    ReaderRow,
    reader_row,
)
from medtransfer.evaluation.comparison.readers.read_cases import ReadCases
from medtransfer.evaluation.comparison.seed_means import with_seeds
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.tune_fit import TuneFit
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.statistics.contrasts import seed_term
from medtransfer.tables.results import Result


@dataclass(frozen=True)
class Place:
    """Subject of a number of a rung.

    Attributes:
        against: The truth.
        key: Cohort, target and metric.
    """

    against: str
    key: ResultKey


@dataclass(frozen=True)
class BesideReader:
    """A number of one run, and the reader's on the same cases by the same truth.

    Attributes:
        run: Of the run.
        reader: Of the reader; None where the reader is the truth.
    """

    run: Estimate
    reader: Estimate | None


def run_estimates(read: ReadCases, fit: TuneFit) -> dict[Place, BesideReader]:
    """Numbers of a run on each reader's cases.

    Args:
        read: Test cases that the run has predicted.
        fit: Operating points of the run.
    """
    estimates: dict[Place, BesideReader] = {}
    for target, name in enumerate(read.run.names):
        probabilities = read.run.probabilities_of(target)[read.cases]
        thresholds = fit[target].thresholds
        called = {p: probabilities >= t for p, t in thresholds.items() if t is not None}
        for number, reader in enumerate(read.names):
            labels = read.labels[number, :, target]
            truth, rows = read.truth_without(number, target)
            of_run = share_estimates(read, name, called, truth, rows)
            positive: Flags = labels == 1
            decided = dict.fromkeys(called, positive)
            of_reader = dict(share_estimates(read, name, decided, truth, rows))
            for key, estimate in of_run:
                place = Place(OTHERS.format(reader), key)
                estimates[place] = BesideReader(estimate, of_reader[key])
            by_reader = [
                auroc_estimate(read, name, labels, probabilities),
                *share_estimates(read, name, called, labels, np.isfinite(labels)),
            ]
            estimates |= {Place(reader, k): BesideReader(e, None) for k, e in by_reader}
    return estimates


def rung_rows(
    rung: str, runs: Sequence[tuple[str, Mapping[Place, BesideReader]]]
) -> Iterator[ReaderRow]:
    """Rows of a rung: of every run, then their means with intervals of patients and seeds.

    Args:
        rung: Its name.
        runs: Name and numbers of the run of each seed, on the same test cases.
    """
    for run_id, estimates in runs:
        for place, beside in estimates.items():
            judged = Judged(place.against, rung=rung, run_id=run_id)
            yield reader_row(judged, beside.run.as_result(place.key))
    for place in runs[0][1]:
        of_seeds = [estimates[place] for _, estimates in runs if place in estimates]
        if len(of_seeds) < len(runs):
            continue  # no threshold in one of the seeds: its tuning split lacks a class
        judged = Judged(place.against, rung=rung, num_seeds=len(runs))
        yield reader_row(judged, seed_mean([b.run for b in of_seeds], place.key))
        pairs = [(b.run, b.reader) for b in of_seeds if b.reader is not None]
        if pairs:
            yield reader_row(judged, reader_difference(pairs, place.key))


def seed_mean(estimates: Sequence[Estimate], key: ResultKey) -> Result:
    """Mean over seeds, with an interval of patients and seeds."""
    first = next((e for e in estimates if e.values is None), estimates[0])
    values = [e.values for e in estimates if e.values is not None]
    if first.values is None:
        return first.as_result(key)
    mean = replace(first, values=np.mean(values, axis=0), left_out=None)
    entry = find_metric(key.metric)
    term = seed_term(np.array([value[0] for value in values]))
    return with_seeds(mean.as_result(key), [term], (entry.low, entry.high))


def reader_difference(pairs: Sequence[tuple[Estimate, Estimate]], key: ResultKey) -> Result:
    """The rung's mean minus the reader's number, on the same patients.

    Args:
        pairs: Of the run and of the reader, for each seed.
        key: Of the rung's number.
    """
    paired = paired_mean(pairs, key)
    metric, _, point = key.metric.partition("@")
    named = replace(key, metric=f"{metric}{DIFFERENCE}@{point}")
    interval = None
    if paired.difference_low is not None and paired.difference_high is not None:
        interval = paired.difference_low, paired.difference_high
    first = pairs[0][0]
    row = replace(first, reason=paired.reason).row(named, paired.difference, interval)
    return replace(row, contains=paired.contains if interval else None)
