"""Fits on a run's tuning split, and its cases with these fits applied."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays
from medtransfer.metrics.cases import COST, UNFITTED, AnyCases, ClassCases, TargetCases
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.calibrators import CalibratorKind
from medtransfer.posthoc.label_shift import estimated_shares
from medtransfer.posthoc.target_fit import TargetFit, fit_classes, fit_target, fit_thresholds

TuneFit = dict[int, TargetFit]
"""By number of the target; `WHOLE_CASE` for the case as a whole."""
Groups = Mapping[str, pl.Series]
"""Attribute to its value of each of the run's cases, null where it is not known. Each [N]"""


def fit_for_metrics(
    run: RunArrays, config: EvaluationConfig, groups: Mapping[str, Groups]
) -> TuneFit:
    """Fit on the tuning split what the metrics that are computed need.

    Args:
        run: The predictions.
        config: Metrics and operating points.
        groups: For each test set its attributes.

    Raises:
        TableError: A case of another split got in.
    """
    thresholds_only = not config.needs_fits
    points = config.operating_points
    return fit_on_tune(run, points, *groups.values(), thresholds_only=thresholds_only)


def fit_on_tune(
    run: RunArrays, points: tuple[str, ...], *groups: Groups, thresholds_only: bool = False
) -> TuneFit:
    """Fit operating points, calibrators and prediction sets on the tuning split alone.

    Args:
        run: The predictions.
        points: Operating points, as `sens90`.
        groups: Attributes for whose groups prediction sets are fitted too.
        thresholds_only: Fit no calibrator and no prediction set.

    Raises:
        TableError: A case of another split got in.
    """
    names = {
        attribute: group_names(values)
        for of_test_set in groups
        for attribute, values in of_test_set.items()
    }
    fit: TuneFit = {}
    for target in run.numbers():
        rows = run.tuned() & run.labelled(target)
        truth, probabilities = run.truth(target)[rows], run.probabilities_of(target)[rows]
        logits, splits = run.scores(target)[rows], run.splits[rows]
        patients = run.frame["patient_id"].to_numpy().astype(np.str_)[rows]
        tune_names = {attribute: values[rows] for attribute, values in names.items()}
        if target == WHOLE_CASE and thresholds_only:
            fit[target] = TargetFit()
        elif target == WHOLE_CASE:
            fit[target] = fit_classes(
                truth,
                logits,
                probabilities,
                splits=splits,
                groups=tune_names,
                patients=patients,
            )
        elif run.single_label or thresholds_only:  # a class is calibrated with the others
            fit[target] = fit_thresholds(
                truth, probabilities, splits=splits, points=points, patients=patients
            )
        else:
            fit[target] = fit_target(
                truth,
                logits,
                probabilities,
                splits=splits,
                points=points,
                groups=tune_names,
                patients=patients,
            )
    return fit


def group_names(values: pl.Series) -> NDArray[np.str_]:
    """Group of each case as text, empty where it is not known. [N]"""
    return values.fill_null("").to_numpy().astype(np.str_)


def cases_of_target(
    run: RunArrays, fit: TuneFit, target: int, config: EvaluationConfig | None = None
) -> AnyCases:
    """All cases of a target, or of the whole run for `WHOLE_CASE`, labelled or not. [N]

    Args:
        run: The predictions.
        fit: Fits on its tuning split.
        target: Number of the target, or `WHOLE_CASE`.
        config: Targets that mean "no finding", order of the classes, costs; the default settings
            if left out.
    """
    config = config or EvaluationConfig()
    of_target = fit[target]
    probabilities, scores = run.probabilities_of(target), run.scores(target)
    sets = {
        method: conformal.sets(probabilities) for method, conformal in of_target.conformal.items()
    }
    calibrated = {kind: c.probabilities(scores) for kind, c in of_target.calibrators.items()}
    recalibrated = {kind: c.logits(scores) for kind, c in of_target.calibrators.items()}
    if target == WHOLE_CASE:
        return ClassCases(
            classes=run.truth(WHOLE_CASE),
            logits=run.logits,
            probabilities=probabilities,
            calibrated=calibrated,
            recalibrated=recalibrated,
            sets=sets,
            spread={name: value[:, 0] for name, value in run.spread.items()},
            missing={**of_target.missing, **_unfitted(of_target)},
            grades=_grades(run, config),
            costs=config.cost_table(run.names),
        )
    name = run.names[target]
    return TargetCases(
        targets=_truth_or_unknown(run, target),
        logits=_ranked_by(run, target),
        probabilities=probabilities,
        calibrated=calibrated,
        recalibrated=recalibrated,
        predicted_positive=_predicted_positive(run, fit, target),
        thresholds=_thresholds(fit, target),
        sets=sets,
        spread={name: value[:, target] for name, value in run.spread.items()},
        prevalence=of_target.prevalence,
        from_logits=not run.single_label,
        healthy=name in config.healthy_targets,
        missing={**of_target.missing, **_unfitted(of_target), **_cost_missing(config, name)},
        miss_cost=config.cost_of_miss(name),
    )


def plain_cases_of(run: RunArrays, fit: TuneFit, target: int) -> TargetCases:
    """All cases of a target without calibrators and sets, as pooled targets need them. [N]"""
    return TargetCases(
        targets=_truth_or_unknown(run, target),
        logits=_ranked_by(run, target),
        probabilities=run.probabilities_of(target),
        predicted_positive=_predicted_positive(run, fit, target),
        missing=_unfitted(fit[target]),
    )


def _unfitted(fit: TargetFit) -> dict[str, str]:
    """Reason that the tuning split determines nothing, under its name; empty if it does."""
    return {UNFITTED: fit.reason} if fit.reason else {}


def _truth_or_unknown(run: RunArrays, target: int) -> NDArray[np.int64]:
    """Labels of a target, -1 where they are not known. [N]"""
    return np.nan_to_num(run.targets[:, target], nan=-1).astype(np.int64)


def _ranked_by(run: RunArrays, target: int) -> Floats:
    """Scores of a target that cases are ranked by. [N]"""
    return run.probabilities_of(target) if run.single_label else run.scores(target)


def _predicted_positive(run: RunArrays, fit: TuneFit, target: int) -> dict[str, Flags]:
    """Cases predicted positive at the operating points that have a threshold. Each [N]"""
    probabilities, thresholds = run.probabilities_of(target), _thresholds(fit, target)
    return {point: probabilities >= threshold for point, threshold in thresholds.items()}


def _thresholds(fit: TuneFit, target: int) -> dict[str, float]:
    """Operating points of a target that could be fixed on the tuning split."""
    thresholds = fit[target].thresholds
    return {point: value for point, value in thresholds.items() if value is not None}


def _cost_missing(config: EvaluationConfig, name: str) -> dict[str, str]:
    """Reason that a target has no cost of a miss, where others have."""
    if not isinstance(config.miss_cost, dict) or config.cost_of_miss(name) is not None:
        return {}
    stated = name in config.miss_cost
    why = "depends on the class called instead" if stated else "is not in evaluation.miss_cost"
    return {COST: f"the cost of a missed positive {why}"}


def _grades(run: RunArrays, config: EvaluationConfig) -> NDArray[np.int64] | None:
    """Grade of each target, 0 for the lowest; None if they have no order. [T]"""
    if not config.grades:
        return None
    return np.array([config.grades.index(name) for name in run.names], dtype=np.int64)


SHIFTED = "shifted"
"""Sets for the frequencies of the classes that answers to a test set show, without its labels."""
AT_HOME: tuple[CalibratorKind, ...] = ("platt", "vector")
"""Calibrators after which probabilities are right at the frequencies of the tuning split."""


def with_shifted_sets(cases: AnyCases, fit: TargetFit, tested: Flags) -> AnyCases:
    """The same cases with the prediction sets for the frequencies of a test set's classes.

    The frequencies are estimated from the network's answers alone. They are those to cases with a
    label, though the label is not used: other cases are behind no number.

    Args:
        cases: From `cases_of_target`. [N]
        fit: Of the target.
        tested: Mask of the test set's labelled cases. [N]
    """
    kind = next((kind for kind in AT_HOME if kind in cases.recalibrated), None)
    if fit.tuned is None or not fit.conformal or not tested.any():
        return cases
    if kind is None:
        missing = next((fit.missing[kind] for kind in AT_HOME if kind in fit.missing), "")
        reason = f"the frequencies need a calibration{': ' if missing else ''}{missing}"
        return replace(cases, missing={**cases.missing, SHIFTED: reason})
    shares = estimated_shares(cases.recalibrated[kind][tested], fit.tuned.shares)
    sets = fit.tuned.sets(cases.probabilities, shares)
    return replace(cases, sets={**cases.sets, SHIFTED: sets})


def with_group_sets(cases: AnyCases, fit: TargetFit, attribute: str, values: pl.Series) -> AnyCases:
    """The same cases with the prediction sets that hold for every group of an attribute.

    Args:
        cases: From `cases_of_target`. [N]
        fit: Of the target.
        attribute: Among those that `fit_on_tune` was given.
        values: The attribute's value of each case. [N]
    """
    if attribute not in fit.by_group:
        return cases
    sets = fit.by_group[attribute].sets(cases.probabilities, groups=group_names(values))
    return replace(cases, sets={**cases.sets, "group": sets})
