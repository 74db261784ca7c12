"""Promises of a bundle: numbers of its own study, and the cases that they were measured on."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from medtransfer.deploy.bundle.facts.targets import PromisedNumber, Split
from medtransfer.deploy.bundle.reader import PromisedCases
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.measure import measure_test_set
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.score import MeasuredRun, estimate_rows
from medtransfer.evaluation.scoring.test_set import Subgroup, TestSet, test_set_replicates
from medtransfer.seeds import generator
from medtransfer.tables.predictions import OOD_PREFIX
from medtransfer.tables.results import ALL, Result

PROMISED_METRICS = (
    "auroc",
    "auprc",
    "prevalence",
    "accuracy",
    "balanced_accuracy",
    "sensitivity@",
    "specificity@",
    "ppv@",
    "npv@",
    "brier",
    "nll",
    "ece",
    "calibration_slope",
    "calibration_intercept",
    "coverage_",
    "set_size_",
    "ood_flag_rate",
)
"""Metrics, or starts of metrics with a point, that a bundle promises."""


def promised_numbers(
    measured: MeasuredRun, config: EvaluationConfig, detectors: Sequence[str]
) -> tuple[PromisedNumber, ...]:
    """Numbers of a run on its test sets, and on the tuning split that the fits were made on.

    Args:
        measured: The run, measured without attributes.
        config: As it was measured.
        detectors: Of the bundle.
    """
    run = measured.run
    tune = Subgroup(run.internal_name(), ALL, ALL, run.tuned())
    tune_set = TestSet(
        run=run,
        name=tune.cohort,
        subgroups=(tune,),
        replicates=test_set_replicates(run, tune.cohort, tune.cases, config),
        fit=measured.fit,
        groups={},
        config=config,
    )
    rows = list(estimate_rows(tune_set, measure_test_set(tune_set, config)))
    numbers = list(_numbers(rows, "tune", detectors))
    for test_set, estimates in zip(measured.test_sets, measured.estimates, strict=True):
        numbers += _numbers(list(estimate_rows(test_set, estimates)), "test", detectors)
    return tuple(numbers)


def promised_cases(
    members: Sequence[pl.DataFrame], run: RunArrays, detectors: Sequence[str], salt: str
) -> PromisedCases:
    """Scores and labels of a run's tuning and test cases, without ids.

    Args:
        members: Predictions of each network; the same cases in each.
        run: All of them together.
        detectors: Of the bundle.
        salt: Decides the numbers that patients get.
    """
    names = [run.internal_name(), *(n for n in run.test_cases() if n != run.internal_name())]
    cohort = np.full(len(run.frame), -1, dtype=np.int64)
    cohort[run.tuned()] = 0
    for name, cases in run.test_cases().items():
        cohort[cases] = names.index(name)
    kept = np.flatnonzero(cohort >= 0)
    patients = int(run.patient.max()) + 1
    numbers = generator(int(salt[:12], 16), "bundle patients").permutation(patients)
    patient = numbers[run.patient]
    is_test = ~run.tuned()
    order = kept[np.lexsort((patient[kept], is_test[kept], cohort[kept]))]
    logits = np.stack(
        [
            table.sort("case_id").select(f"logit_{name}" for name in run.names).to_numpy()
            for table in members
        ]
    )
    ood = run.frame.select(f"{OOD_PREFIX}{name}" for name in detectors).to_numpy()
    return PromisedCases(
        logits=logits[:, order].astype(np.float64),
        targets=run.targets[order],
        patient=patient[order].astype(np.int64),
        cohort=cohort[order],
        is_test=is_test[order],
        ood=ood[order].astype(np.float64).reshape(len(order), len(detectors)),
    )


def _numbers(
    rows: Sequence[Result], split: Split, detectors: Sequence[str]
) -> Iterator[PromisedNumber]:
    for row in rows:
        is_kept = any(
            row.metric == name or (name[-1] in "@_" and row.metric.startswith(name))
            for name in PROMISED_METRICS
        )
        if not is_kept or (row.metric == "ood_flag_rate" and row.target not in detectors):
            continue
        yield PromisedNumber(
            split=split,
            cohort=row.cohort,
            target=row.target,
            metric=row.metric,
            value=_finite(row.value),
            low=_finite(row.low),
            high=_finite(row.high),
            cases=row.num_cases,
            patients=row.num_patients,
            positives=row.num_positive,
            reason=row.reason,
        )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
