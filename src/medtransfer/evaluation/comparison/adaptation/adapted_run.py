"""A run adapted to a hospital: calibrators and thresholds of one arm, for every target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays
from medtransfer.evaluation.scoring.tune_fit import TuneFit
from medtransfer.metrics.cases import AnyCases, ClassCases, TargetCases
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.adaptation.arms import (
    Arm,
    ArmFit,
    LocalCases,
    fit_arm,
    identity_calibrator,
)
from medtransfer.posthoc.adaptation.composition import composed
from medtransfer.posthoc.adaptation.selection import SIMPLEST_FIRST, select_arm
from medtransfer.posthoc.adaptation.thresholds import (
    LocalThreshold,
    expected_threshold,
    observed_threshold,
)
from medtransfer.posthoc.calibrators import Calibrator, Platt, Vector
from medtransfer.posthoc.target_fit import TargetFit

ArmOrSelected = Arm | Literal["selected"]
"""An arm, or the one that a cross-validation selects."""
SELECTED: Literal["selected"] = "selected"


@dataclass(frozen=True)
class AdaptedTarget:
    """A target as an arm leaves it.

    Attributes:
        fit: The arm, and the reason if it could not be fitted: the target is then as carried.
        calibrator: Map of the network's logits: the home hospital's, then the arm's.
        thresholds: Operating point to threshold; None where there is none.
        missing: Operating point to the reason that it has no threshold.
        on_network: True if thresholds are on the network's own probabilities, as at home; False if
            they are on the calibrated ones.
        scores: Logits in place of the network's; None if those stay. [N], or of classes [N, C]
    """

    fit: ArmFit
    calibrator: Calibrator
    thresholds: Mapping[str, float | None]
    missing: Mapping[str, str]
    on_network: bool
    scores: Floats | None = None


AdaptedRun = Mapping[int, AdaptedTarget]
"""By number of the target; `WHOLE_CASE` for the case as a whole."""


def home_calibrator(run: RunArrays, fit: TuneFit, target: int) -> Calibrator:
    """Calibrator that a network is carried with: Platt scaling on tune, vector scaling of classes.

    Both make the mean probability on tune the prevalence there, which temperature scaling does not
    and the arm `prevalence` needs. Without one on tune, or if it falls with the logit, the
    network's own probabilities are carried.
    """
    if target == WHOLE_CASE:
        vector = fit[target].calibrators.get("vector")
        rises = isinstance(vector, Vector) and bool((vector.slopes > 0).all())
        return vector if vector and rises else identity_calibrator(len(run.names))
    platt = fit[target].calibrators.get("platt")
    return platt if isinstance(platt, Platt) and platt.slope > 0 else identity_calibrator()


def home_prevalence(run: RunArrays, fit: TuneFit, target: int) -> Floats | None:
    """Prevalence in the tuning split: of a target [1], or of all classes [C]; None if unknown."""
    numbers = range(len(run.names)) if target == WHOLE_CASE else [target]
    shares = [fit[number].prevalence for number in numbers]
    defined = [share for share in shares if share is not None]
    return np.array(defined) if len(defined) == len(shares) else None


def local_cases(run: RunArrays, fit: TuneFit, target: int, rows: Flags) -> LocalCases:
    """Some cases of a target as the arms take them, with carried logits."""
    labels = np.where(run.labelled(target), run.truth(target), -1)[rows]
    logits = home_calibrator(run, fit, target).logits(run.scores(target)[rows])
    return LocalCases(labels, logits, run.patient[rows])


def adapt_run(
    run: RunArrays, fit: TuneFit, arm: ArmOrSelected, rows: Flags, config: AdaptConfig
) -> AdaptedRun:
    """Adapt a run to a hospital, on some of its cases.

    Args:
        run: The predictions.
        fit: Fits on its tuning split.
        arm: An arm, or `SELECTED`.
        rows: Cases to fit on. [N]
        config: Cases that isotonic regression needs, seed of the cross-validation.
    """
    if run.single_label:
        whole = _fit(run, fit, arm, WHOLE_CASE, rows=rows, config=config)
        fits = dict.fromkeys([*range(len(run.names)), WHOLE_CASE], whole)
    else:
        fits = {
            number: _fit(run, fit, arm, number, rows=rows, config=config)
            for number in range(len(run.names))
        }
    return {number: _with_thresholds(run, fit, number, fits[number], rows) for number in fits}


def carried_run(run: RunArrays, fit: TuneFit) -> AdaptedRun:
    """A run as it is carried, without a case of the hospital."""
    nobody = np.zeros(len(run.frame), dtype=bool)
    return adapt_run(run, fit, "carried", nobody, AdaptConfig())


def _fit(
    run: RunArrays,
    fit: TuneFit,
    arm: ArmOrSelected,
    target: int,
    *,
    rows: Flags,
    config: AdaptConfig,
) -> ArmFit:
    cases, home = local_cases(run, fit, target, rows), home_prevalence(run, fit, target)
    least = config.min_isotonic
    if arm == SELECTED:
        arms: list[Arm] = [name for name in SIMPLEST_FIRST if name in config.arms]
        return select_arm(cases, home, arms, seed=config.seed, min_isotonic=least)
    return fit_arm(arm, cases, home, min_isotonic=least)


def _with_thresholds(
    run: RunArrays, fit: TuneFit, target: int, arm: ArmFit, rows: Flags
) -> AdaptedTarget:
    """Thresholds of an arm: carried, observed on labels, or expected from its probabilities."""
    calibrator_of = WHOLE_CASE if run.single_label else target
    calibrator = composed(home_calibrator(run, fit, calibrator_of), arm.calibrator)
    of_target = fit[target]
    carried = arm.arm == "carried" or arm.reason is not None
    if carried or target == WHOLE_CASE:
        return AdaptedTarget(arm, calibrator, of_target.thresholds, of_target.missing, carried)
    points = list(of_target.thresholds)
    if arm.arm == "threshold":
        return _observed(run, of_target, target, arm, calibrator=calibrator, rows=rows)
    probabilities = adapted_probabilities(run, calibrator, target)[rows]
    expected = {point: expected_threshold(probabilities, point) for point in points}
    return AdaptedTarget(arm, calibrator, _values(expected), _reasons(expected), on_network=False)


def _observed(
    run: RunArrays,
    home: TargetFit,
    target: int,
    arm: ArmFit,
    *,
    calibrator: Calibrator,
    rows: Flags,
) -> AdaptedTarget:
    """Thresholds set anew on labels; what they do not determine is carried."""
    labelled = rows & run.labelled(target)
    truth, patients = run.truth(target)[labelled], run.patient[labelled]
    probabilities = run.probabilities_of(target)[labelled]
    observed = {
        point: observed_threshold(truth, probabilities, patients, point)
        for point in home.thresholds
    }
    reasons = _reasons(observed)
    thresholds = {
        point: home.thresholds[point] if point in reasons else value
        for point, value in _values(observed).items()
    }
    missing = {point: reason for point, reason in home.missing.items() if point in reasons}
    reason = next(iter(reasons.values()), None)
    fitted = ArmFit(arm.arm, arm.calibrator, reason)
    return AdaptedTarget(fitted, calibrator, thresholds, missing, on_network=True)


def _values(thresholds: Mapping[str, LocalThreshold]) -> dict[str, float | None]:
    return {point: fit.threshold for point, fit in thresholds.items()}


def _reasons(thresholds: Mapping[str, LocalThreshold]) -> dict[str, str]:
    return {point: fit.reason for point, fit in thresholds.items() if fit.reason is not None}


def adapted_probabilities(
    run: RunArrays, calibrator: Calibrator, target: int, scores: Floats | None = None
) -> Floats:
    """Probabilities of a target after calibration [N]; of all classes for `WHOLE_CASE` [N, C].

    Args:
        run: The predictions.
        calibrator: Map of the logits.
        target: Number of the target.
        scores: Logits in place of the network's. [N], or of classes [N, C]
    """
    if not run.single_label:
        return calibrator.probabilities(run.scores(target) if scores is None else scores)
    classes = calibrator.probabilities(run.logits if scores is None else scores)
    return classes if target == WHOLE_CASE else classes[:, target]


def adapted_cases(run: RunArrays, adapted: AdaptedTarget, target: int) -> AnyCases:
    """All cases of a target as the arm predicts them, labelled or not. [N]"""
    probabilities = adapted_probabilities(run, adapted.calibrator, target, adapted.scores)
    scores = run.scores(target) if adapted.scores is None else adapted.scores
    if target == WHOLE_CASE:
        return ClassCases(
            classes=run.truth(WHOLE_CASE),
            logits=adapted.calibrator.logits(scores),
            probabilities=probabilities,
        )
    deciding = run.probabilities_of(target) if adapted.on_network else probabilities
    thresholds = {point: t for point, t in adapted.thresholds.items() if t is not None}
    return TargetCases(
        targets=np.nan_to_num(run.targets[:, target], nan=-1).astype(np.int64),
        logits=probabilities if run.single_label else adapted.calibrator.logits(scores),
        probabilities=probabilities,
        predicted_positive={point: deciding >= t for point, t in thresholds.items()},
        thresholds=thresholds,
        from_logits=not run.single_label,
        missing=adapted.missing,
    )
