"""Performance by period: promised, expected without labels, and measured where labels came."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.monitoring.cases import WatchedCases
from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.monitoring.expected import METRICS, Expected, expected_performance
from medtransfer.deploy.monitoring.periods import periods_of
from medtransfer.deploy.validation.judgement import Measured
from medtransfer.deploy.validation.local_network import LocalNetwork, local_network
from medtransfer.evaluation.comparison.adaptation.adapted_run import carried_run
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import MetricKey
from medtransfer.evaluation.scoring.run import run_arrays
from medtransfer.seeds import generator
from medtransfer.tables.predictions import OOD_PREFIX, target_columns

ALL_PERIODS = "all"
HERE = "watched"
NO_CALIBRATOR = "the tuning cases of the bundle determine no calibrator"
Real = Mapping[MetricKey, Measured]


@dataclass(frozen=True)
class PerformanceNumber:
    """A metric of a target in a period.

    Attributes:
        period: A month, a table, or `all`.
        target: The target.
        metric: `auroc`, `sensitivity@<point>` or `specificity@<point>`.
        promised: By the bundle, for its own test cases.
        expected: From calibrated probabilities, without labels.
        measured: From labels; None if no case of the period has one.
        cases: Number of cases.
        reason: Reason that no value is expected.
    """

    period: str
    target: str
    metric: str
    promised: float | None
    expected: Expected
    measured: Measured | None
    cases: int
    reason: str | None = None


def performance_numbers(
    watched: WatchedCases, home: pl.DataFrame, config: MonitorConfig
) -> Iterator[PerformanceNumber]:
    """Performance of every period, and of all together.

    Args:
        watched: Cases of the watch, with labels as far as they are known.
        home: The bundle's own cases, from `validate.home_predictions`.
        config: Replicates, and the least size of a period.
    """
    facts, frame = watched.facts, watched.frame
    network = _local(watched, home, config)
    cohort = facts.training.test_cohorts[0]
    for period in (*periods_of(watched), ALL_PERIODS):
        is_in = pl.lit(value=True) if period == ALL_PERIODS else pl.col("period") == period
        cases = frame.filter(is_in)
        if len(cases) < config.min_period:
            continue
        real: Real = {} if network is None else _measured(network, cases)
        for target in facts.targets:
            expected = _expected(cases, facts, target.name, config)
            for metric in _metrics(facts, target.name):
                yield PerformanceNumber(
                    period=period,
                    target=target.name,
                    metric=metric,
                    promised=facts.promise(metric, target.name, cohort),
                    expected=expected.get(metric, Expected(None)),
                    measured=real.get(MetricKey(target.name, metric)),
                    cases=len(cases),
                    reason=None if expected else NO_CALIBRATOR,
                )


def _metrics(facts: BundleFacts, target: str) -> list[str]:
    points = [p for p, t in facts.target(target).thresholds.items() if t is not None]
    first, *at_points = METRICS
    return [first, *(f"{metric}@{point}" for point in points for metric in at_points)]


def _expected(
    cases: pl.DataFrame, facts: BundleFacts, name: str, config: MonitorConfig
) -> dict[str, Expected]:
    calibrator = facts.case.calibrator if facts.case is not None else facts.target(name).calibrator
    if calibrator is None:
        return {}
    points = [metric.partition("@")[2] for metric in _metrics(facts, name)[1:]]
    patient = np.unique(cases["patient"].to_numpy().astype(np.str_), return_inverse=True)[1]
    return expected_performance(
        cases[f"probability_{name}"].to_numpy(),
        cases[f"logit_{name}"].to_numpy(),
        {point: cases[f"call_{name}_{point}"].to_numpy() == 1 for point in dict.fromkeys(points)},
        patient.astype(np.int64),
        replicates=config.replicates,
        rng=generator(config.seed, "expected performance", name),
    )


def _local(watched: WatchedCases, home: pl.DataFrame, config: MonitorConfig) -> LocalNetwork | None:
    """Promised and labelled cases together; None if no case has a label."""
    facts = watched.facts
    targets = [f"target_{name}" for name in facts.names]
    labelled = watched.frame.filter(pl.any_horizontal(pl.col(targets).is_not_null()))
    if labelled.is_empty():
        return None
    points = tuple(dict.fromkeys(p for target in facts.targets for p in target.thresholds))
    evaluation = EvaluationConfig(
        operating_points=points,
        decision_thresholds=(),
        replicates=config.replicates,
        permutations=0,
        seed=config.seed,
    )
    local_cases = labelled.with_columns(
        pl.col("patient").alias("patient_id"),
        pl.lit(HERE).alias("cohort"),
        pl.lit(0, pl.Int64).alias("member"),
    )
    return local_network(
        _as_one(home, facts), local_cases, facts.task, evaluation, fit=carried_fit(facts)
    )


def _as_one(home: pl.DataFrame, facts: BundleFacts) -> pl.DataFrame:
    """An ensemble's predictions as those of one network."""
    run = run_arrays(home, facts.task)
    logits = {
        f"logit_{name}": pl.Series(np.ascontiguousarray(run.logits[:, i]))
        for i, name in enumerate(facts.names)
    }
    detectors = [c for c in run.frame.columns if c.startswith(OOD_PREFIX)]
    return run.frame.select("case_id", "patient_id", "cohort", "split", *detectors).with_columns(
        pl.lit(run.run_id).alias("run_id"),
        pl.lit(0, pl.Int64).alias("member"),
        **target_columns(run.targets, facts.names),
        **logits,
    )


def _measured(network: LocalNetwork, cases: pl.DataFrame) -> Real:
    """Metrics of some labelled cases; empty if none has a label."""
    rows = network.cases & network.run.frame["case_id"].is_in(cases["case_id"].implode()).to_numpy()
    if not rows.any():
        return {}
    return network.measured(network.hospital, rows, carried_run(network.run, network.fit))
