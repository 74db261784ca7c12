"""Corrupted internal test cases against the same cases as they are.

The patients are the same on both sides, and so are their replicates: differences are paired.
Thresholds and calibrators come from the tuning split, which is not corrupted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.corruptions.table import CorruptionRow
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.policies.paired_mean import paired_mean
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, Estimates, MetricKey, ResultKey
from medtransfer.evaluation.scoring.score import measure_run
from medtransfer.tables.results import ALL, MICRO

METRICS = ("auroc", "auprc", "sensitivity", "specificity", "brier", "ece")
"""Metrics of the table; sensitivity and specificity at the carried operating points."""


@dataclass(frozen=True)
class CorruptedRun:
    """A finished run with what it predicted of its corrupted internal test cases.

    Attributes:
        key: Rung and training set.
        seed: Of its training.
        predictions: Reads its predictions, with its tuning split and its internal test cases.
        corrupted: Reads the logits of corrupted cases, by name of their cohort: `case_id` and
            `logit_<name>`.
    """

    key: GridKey
    seed: int
    predictions: Callable[[], pl.DataFrame]
    corrupted: Mapping[str, Callable[[], pl.DataFrame]]


@dataclass(frozen=True)
class _Measured:
    """Estimates of one run: of the cases as they are, and by corrupted cohort."""

    clean: Estimates
    corrupted: dict[str, Estimates]


def corruption_rows(
    runs: Sequence[CorruptedRun], task: Task, evaluation: EvaluationConfig
) -> list[CorruptionRow]:
    """Rows of the table: means over seeds, and paired differences from the uncorrupted images.

    Args:
        runs: Of any rungs.
        task: How the targets relate to each other.
        evaluation: Operating points and replicates.
    """
    config = evaluation.model_copy(
        update={"metrics": METRICS, "intersections": (), "permutations": 0}
    )
    groups: dict[GridKey, list[CorruptedRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        groups.setdefault(run.key, []).append(run)
    rows: list[CorruptionRow] = []
    for key, of_rung in groups.items():
        measured = [_measure(run, task, config) for run in of_rung]
        names = [n for n in measured[0].corrupted if all(n in m.corrupted for m in measured)]
        rows += [row for name in names for row in _rows_of(key, name, measured)]
    return rows


def with_logits_of(predictions: pl.DataFrame, corrupted: pl.DataFrame) -> pl.DataFrame:
    """Predictions with the logits of corrupted cases in place of their own.

    Args:
        predictions: Of the cases as they are, and of the tuning split.
        corrupted: `case_id` and `logit_<name>`.
    """
    logits = [name for name in predictions.columns if name.startswith("logit_")]
    values = corrupted.select("case_id", *logits)
    tune = predictions.filter(pl.col("split") == "tune")
    tests = predictions.filter(pl.col("split") == "test").drop(logits)
    tests = tests.join(values, on="case_id", how="inner").select(predictions.columns)
    return pl.concat([tune, tests])


def _measure(run: CorruptedRun, task: Task, config: EvaluationConfig) -> _Measured:
    predictions = run.predictions()
    tuned = predictions.filter(pl.col("split") == "tune")["cohort"].unique()
    predictions = predictions.filter(pl.col("cohort").is_in(tuned.implode()))
    predictions = predictions.select(pl.exclude("^ood_.*$"))
    corrupted = {
        name: _estimates(with_logits_of(predictions, table()), task, config)
        for name, table in run.corrupted.items()
    }
    return _Measured(_estimates(predictions, task, config), corrupted)


def _estimates(predictions: pl.DataFrame, task: Task, config: EvaluationConfig) -> Estimates:
    """Estimates of the internal test cases, all together."""
    nothing = predictions.select("case_id").unique()
    measured = measure_run(predictions, nothing, task, config)
    if not measured.estimates:
        return {}
    return {
        key: estimate
        for key, estimate in measured.estimates[0][0].items()
        if key.target != MICRO and key.metric.partition("@")[0] in METRICS
    }


def _rows_of(key: GridKey, cohort: str, measured: Sequence[_Measured]) -> Iterator[CorruptionRow]:
    kind, _, severity = cohort.rpartition("+")[2].partition("@")
    for metric_key in measured[0].clean:
        draft = CorruptionRow(
            rung=key.rung,
            label_fraction=key.label_fraction,
            held_out=key.held_out,
            cohort=cohort,
            corruption=kind,
            severity=int(severity),
            target=metric_key.target,
            metric=metric_key.metric,
            num_seeds=len(measured),
        )
        pairs = [(m.corrupted[cohort].get(metric_key), m.clean.get(metric_key)) for m in measured]
        present = [(c, p) for c, p in pairs if c is not None and p is not None]
        if len(present) == len(pairs):
            yield _row(draft, metric_key, present)


def _row(
    draft: CorruptionRow, key: MetricKey, pairs: Sequence[tuple[Estimate, Estimate]]
) -> CorruptionRow:
    """A row with its numbers: the mean, and the difference on the same patients."""
    first = pairs[0][0]
    draft = replace(
        draft,
        num_cases=first.cases,
        num_patients=first.patients,
        num_positive=first.positives,
        reason=first.reason,
    )
    paired = paired_mean(pairs, ResultKey(draft.cohort, ALL, ALL, key.target, key.metric))
    return replace(
        draft,
        value=paired.value,
        low=paired.low,
        high=paired.high,
        clean=paired.other,
        difference=paired.difference,
        difference_low=paired.difference_low,
        difference_high=paired.difference_high,
        reason=paired.reason,
        contains=paired.contains,
    )
