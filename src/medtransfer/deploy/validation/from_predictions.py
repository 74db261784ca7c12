"""Validation of a network at another hospital, from predictions tables alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.judgement import Judgement, Measured, judge
from medtransfer.deploy.validation.local_network import LocalNetwork, local_network
from medtransfer.deploy.validation.verdict import Verdict, decide
from medtransfer.errors import ConfigError, listed
from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    SELECTED,
    AdaptedRun,
    adapt_run,
    carried_run,
)
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.hospital_division import Division, divide
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import MetricKey
from medtransfer.evaluation.scoring.tune_fit import TuneFit
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.posthoc.adaptation.arms import AnyArm, TrainedArm
from medtransfer.posthoc.calibrators import Calibrator, Platt, Temperature

Numbers = Mapping[MetricKey, Measured]
AUROC = "auroc"


@dataclass(frozen=True)
class Recalibration:
    """A network recalibrated on some patients of a hospital and measured on the others.

    Attributes:
        arm: The arm of the first target that has one, or `carried`.
        keeps_order: True if it cannot change the order of the cases.
        fit_patients: Patients it was fitted on.
        fit_positives: Positive cases among theirs, by target.
        adapted: Calibrators and thresholds.
        test: Cases of the other patients. [N]
        numbers: Metrics of the other patients.
        reason: Reason that the arm could not be fitted.
    """

    arm: AnyArm | TrainedArm
    keeps_order: bool
    fit_patients: int
    fit_positives: Mapping[str, int]
    adapted: AdaptedRun
    test: Flags
    numbers: Numbers
    reason: str | None


@dataclass(frozen=True)
class LocalValidation:
    """Validation of a network at a hospital.

    Attributes:
        network: Predictions at home and here.
        config: How it was judged.
        verdict: The answer.
        promised: Metrics of the bundle's own test patients, as carried.
        here: Metrics of this hospital's patients, as carried.
        recalibration: None if the network holds as it is, or if the patients are too few to divide.
    """

    network: LocalNetwork
    config: ValidationConfig
    verdict: Verdict
    promised: Numbers
    here: Numbers
    recalibration: Recalibration | None


def validate_predictions(
    promised: pl.DataFrame,
    here: pl.DataFrame,
    task: Task,
    *,
    evaluation: EvaluationConfig | None = None,
    config: ValidationConfig | None = None,
    fit: TuneFit | None = None,
) -> LocalValidation:
    """Judge a network at another hospital against what was promised.

    Args:
        promised: Predictions of the home hospital: its tuning and test cases.
        here: Labelled predictions of one other hospital.
        task: How the targets relate to each other.
        evaluation: Operating points, replicates, seed.
        config: Margin, judged metrics, recalibration.
        fit: Thresholds and calibrators to carry; fitted on the promised tuning cases by default.

    Returns:
        The verdict with all numbers behind it.

    Raises:
        TableError: The tables do not fit together, or no case has a label.
        ConfigError: A judged metric is of an operating point that the network does not have.
    """
    evaluation, config = evaluation or EvaluationConfig(), config or ValidationConfig()
    metrics = judged_metrics(config, evaluation)
    network = local_network(promised, here, task, evaluation, fit=fit)
    carried = carried_run(network.run, network.fit)
    home = network.run.internal_name()
    there = network.measured(home, network.promised_cases, carried)
    numbers = network.measured(network.hospital, network.cases, carried)
    judged = _judged(network, metrics, there, numbers, config=config)
    recalibration = None
    again: list[Judgement] = []
    if not all(judgement.side == "above" for judgement in judged):
        recalibration = recalibrate(network, config)
        if recalibration is not None:
            after = _with_order_kept(recalibration, numbers)
            again = _judged(network, metrics, there, after, config=config)
    verdict = decide(judged, again)
    return LocalValidation(
        network=network,
        config=config,
        verdict=verdict,
        promised=there,
        here=numbers,
        recalibration=recalibration,
    )


def judged_metrics(config: ValidationConfig, evaluation: EvaluationConfig) -> tuple[str, ...]:
    """Metrics that are judged: the stated ones, or three at the first operating point.

    Raises:
        ConfigError: One is of an operating point that the network does not have.
    """
    points = evaluation.operating_points
    unknown = [
        name for name in config.judged if "@" in name and name.partition("@")[2] not in points
    ]
    if unknown:
        raise ConfigError(
            f"judged names {listed(unknown)}, but the network has the operating points "
            f"{listed(points) or 'none'}."
        )
    if config.judged:
        return config.judged
    return (AUROC, *(f"{name}@{points[0]}" for name in ("sensitivity", "specificity") if points))


def _judged(
    network: LocalNetwork,
    metrics: tuple[str, ...],
    promised: Numbers,
    here: Numbers,
    *,
    config: ValidationConfig,
) -> list[Judgement]:
    missing = Measured(None, None, None, 0, 0, reason="undefined")
    return [
        judge(
            metric,
            network.target,
            promised.get(MetricKey(network.target, metric), missing),
            here.get(MetricKey(network.target, metric), missing),
            margin=config.margin,
            tests=len(metrics),
        )
        for metric in metrics
    ]


def recalibrate(network: LocalNetwork, config: ValidationConfig) -> Recalibration | None:
    """Fit an arm on some of a hospital's patients and measure it on the others.

    Returns:
        None if there are fewer than two patients to fit on or to judge by.
    """
    run, cases = network.run, network.cases
    patients = len(np.unique(run.patient[cases]))
    share = min(0.5, config.fit_patients / max(patients, 1))
    settings = AdaptConfig(pool=share, seed=config.seed, min_isotonic=config.min_isotonic, draws=1)
    division = divide(run, network.hospital, cases, settings, None)
    fitted_on = len(division.pool_patients(run))
    if min(fitted_on, patients - fitted_on) < 2:
        return None
    adapted = _fitted(network, config, division, settings)
    arms: list[AnyArm] = [of_target.fit.arm for of_target in adapted.values()]
    reasons = [of_target.fit.reason for of_target in adapted.values()]
    changed: list[AnyArm] = [arm for arm in arms if arm != "carried"]
    return Recalibration(
        arm=changed[0] if changed else arms[0],
        keeps_order=not run.single_label
        and all(_rises(of_target.calibrator) for of_target in adapted.values()),
        fit_patients=fitted_on,
        fit_positives={
            name: int((division.pool & (run.targets[:, number] == 1)).sum())
            for number, name in enumerate(run.names)
        },
        adapted=adapted,
        test=division.test,
        numbers=network.measured(network.hospital, division.test, adapted),
        reason=next((reason for reason in reasons if reason is not None), None),
    )


def _fitted(
    network: LocalNetwork, config: ValidationConfig, division: Division, settings: AdaptConfig
) -> AdaptedRun:
    """The arm of the settings; new thresholds where the cross-validation selects `carried`."""
    run, fit, pool = network.run, network.fit, division.pool
    adapted = dict(adapt_run(run, fit, config.arm, pool, settings))
    if config.arm == SELECTED:
        thresholds = adapt_run(run, fit, "threshold", pool, settings)
        for number, of_target in adapted.items():
            if of_target.fit.arm == "carried":
                adapted[number] = thresholds[number]
    return adapted


def _rises(calibrator: Calibrator) -> bool:
    """True for a calibrator that keeps the order of the cases, ties included."""
    is_line = isinstance(calibrator, Platt) and calibrator.slope > 0
    return is_line or isinstance(calibrator, Temperature)


def _with_order_kept(recalibration: Recalibration, here: Numbers) -> Numbers:
    """Numbers after recalibration, the AUROC of all patients where the arm keeps their order.

    An arm that keeps the order of the cases cannot change the AUROC, so no patient need be kept
    apart for it.
    """
    if not recalibration.keeps_order:
        return recalibration.numbers
    unchanged = {key: value for key, value in here.items() if key.metric == AUROC}
    return {**recalibration.numbers, **unchanged}
