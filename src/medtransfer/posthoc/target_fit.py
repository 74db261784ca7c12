"""Fits for one target on the tuning split: thresholds, calibrators, prediction sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.cases import Labels
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.metrics.ensembles import SET_COVERAGE
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.calibrators import Calibrator, CalibratorKind, Temperature, fit_calibrator
from medtransfer.posthoc.conformal import (
    LAC,
    Condition,
    Conformal,
    ScoreKind,
    SetScore,
    fit_conformal,
)
from medtransfer.posthoc.label_shift import TunedScores, tuned_scores
from medtransfer.posthoc.risk_control import guarantee_of, guaranteed_threshold
from medtransfer.posthoc.tuning_split import require_tune

BINARY: tuple[CalibratorKind, ...] = ("temperature", "platt", "beta", "isotonic")
CLASSES: tuple[CalibratorKind, ...] = ("temperature", "vector")
ALPHA = 1 - SET_COVERAGE
ADAPTIVE: tuple[ScoreKind, ...] = ("aps", "raps")
LACKS_CLASS = "tune lacks a class"
NO_TUNE = "tune has no labelled case"
Texts = NDArray[np.str_]


@dataclass(frozen=True)
class TargetFit:
    """Fits for one target, or for the case as a whole in single-label tasks.

    Attributes:
        thresholds: Operating point to the probability from which a case is called positive; None
            where none could be fixed.
        calibrators: By kind; those that tune determines.
        conformal: Prediction sets by method.
        by_group: Prediction sets that hold for every group of an attribute, by attribute.
        tuned: Scores of the tuning cases, for sets at other frequencies of the classes.
        prevalence: Share of positives in tune.
        reason: Why thresholds, the temperature and sets are missing.
        missing: Calibrator, or guaranteed operating point, to why tune does not determine it.
    """

    thresholds: dict[str, float | None] = field(default_factory=dict[str, "float | None"])
    calibrators: dict[CalibratorKind, Calibrator] = field(
        default_factory=dict[CalibratorKind, Calibrator]
    )
    conformal: dict[str, Conformal] = field(default_factory=dict[str, Conformal])
    by_group: dict[str, Conformal] = field(default_factory=dict[str, Conformal])
    tuned: TunedScores | None = None
    prevalence: float | None = None
    reason: str | None = None
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def temperature(self) -> float | None:
        """Temperature of temperature scaling, if it could be fitted."""
        scaling = self.calibrators.get("temperature")
        return scaling.temperature if isinstance(scaling, Temperature) else None


@dataclass(frozen=True)
class SetFit:
    """Tuning cases that prediction sets are fitted on.

    Attributes:
        classes: True class of each case. [n]
        probabilities: Of the positive class, or of all classes. [n] or [n, C]
        splits: Of each case; all are tune. [n]
        patients: Patient of each case; None if each has a patient of its own. [n]
    """

    classes: Labels
    probabilities: Floats
    splits: Texts
    patients: Texts | None

    def fit(
        self, condition: Condition = "all", groups: Texts | None = None, score: SetScore = LAC
    ) -> Conformal:
        """Thresholds for a condition. Groups: [n]"""
        return fit_conformal(
            self.classes,
            self.probabilities,
            splits=self.splits,
            alpha=ALPHA,
            condition=condition,
            score=score,
            groups=groups,
            patients=self.patients,
        )

    def tuned(self) -> TunedScores | None:
        """Scores for sets at other frequencies of the classes; None if a class has no case."""
        return tuned_scores(self.classes, self.probabilities, splits=self.splits, alpha=ALPHA)

    def methods(self) -> dict[str, Conformal]:
        """Sets with one threshold for all cases, and with one for each class."""
        return {"split": self.fit(), "class": self.fit("class")}

    def by_group(self, groups: Mapping[str, Texts]) -> dict[str, Conformal]:
        """Sets with a threshold for each group, by attribute. Each [n]"""
        return {attribute: self.fit("group", values) for attribute, values in groups.items()}


def fit_thresholds(
    targets: Labels,
    probabilities: Floats,
    *,
    splits: Texts,
    points: tuple[str, ...],
    patients: Texts | None = None,
) -> TargetFit:
    """Fit the operating points of a target alone, as of one class of several.

    Args:
        targets: 0 or 1. [n]
        probabilities: Of the positive class. [n]
        splits: Of each case; all are tune. [n]
        points: Operating points, as `sens90`.
        patients: Patient of each case, for guaranteed points; None if each has its own. [n]

    Raises:
        TableError: A case is not of the tuning split.
    """
    require_tune(splits, len(targets), "An operating point")
    reason = _undetermined(targets)
    guaranteed = {
        point: guaranteed_threshold(targets, probabilities, patients, point)
        for point in points
        if guarantee_of(point)
    }
    thresholds = {
        point: guaranteed[point].threshold
        if point in guaranteed
        else operating_threshold(targets, probabilities, point)
        for point in points
    }
    return TargetFit(
        thresholds=thresholds,
        prevalence=None if reason else float(targets.mean()),
        reason=reason,
        missing={point: fit.reason for point, fit in guaranteed.items() if fit.reason},
    )


def fit_target(
    targets: Labels,
    logits: Floats,
    probabilities: Floats,
    *,
    splits: Texts,
    points: tuple[str, ...],
    groups: Mapping[str, Texts],
    patients: Texts | None = None,
) -> TargetFit:
    """Fit operating points, calibrators and prediction sets of a binary target.

    Args:
        targets: 0 or 1. [n]
        logits: [n]
        probabilities: Of the positive class. [n]
        splits: Of each case; all are tune. [n]
        points: Operating points, as `sens90`.
        groups: Attribute to each case's group, an empty text for none. Each [n]
        patients: Patient of each case; None if each has a patient of its own. [n]

    Raises:
        TableError: A case is not of the tuning split.
    """
    fit = fit_thresholds(targets, probabilities, splits=splits, points=points, patients=patients)
    calibrators, missing = _fit_calibrators(BINARY, targets, logits, splits)
    sets = SetFit(targets, probabilities, splits, patients)
    conformal = {} if fit.reason else sets.methods()
    return TargetFit(
        thresholds=fit.thresholds,
        calibrators=calibrators,
        conformal=conformal,
        by_group=sets.by_group(groups) if conformal else {},
        tuned=sets.tuned(),
        prevalence=fit.prevalence,
        reason=fit.reason,
        missing={**missing, **fit.missing},
    )


def fit_classes(
    classes: Labels,
    logits: Floats,
    probabilities: Floats,
    *,
    splits: Texts,
    groups: Mapping[str, Texts],
    patients: Texts | None = None,
) -> TargetFit:
    """Fit calibrators and prediction sets of a case as a whole, in single-label tasks.

    Args:
        classes: True class of each case. [n]
        logits: [n, C]
        probabilities: [n, C]
        splits: Of each case; all are tune. [n]
        groups: Attribute to each case's group, an empty text for none. Each [n]
        patients: Patient of each case; None if each has a patient of its own. [n]

    Raises:
        TableError: A case is not of the tuning split.
    """
    calibrators, missing = _fit_calibrators(CLASSES, classes, logits, splits)
    if reason := _undetermined(classes):
        return TargetFit(calibrators=calibrators, reason=reason, missing=missing)
    sets = SetFit(classes, probabilities, splits, patients)
    adaptive = {method: sets.fit(score=SetScore(method)) for method in ADAPTIVE}
    return TargetFit(
        calibrators=calibrators,
        conformal={**sets.methods(), **adaptive},
        by_group=sets.by_group(groups),
        tuned=sets.tuned(),
        missing=missing,
    )


def _undetermined(classes: Labels) -> str | None:
    """Reason that tuning cases determine nothing; None if they have two classes. [n]"""
    if not len(classes):
        return NO_TUNE
    return LACKS_CLASS if len(np.unique(classes)) < 2 else None


def _fit_calibrators(
    kinds: tuple[CalibratorKind, ...], targets: Labels, logits: Floats, splits: Texts
) -> tuple[dict[CalibratorKind, Calibrator], dict[str, str]]:
    """Calibrators that tune determines, and the reasons why others are missing."""
    fits = [fit_calibrator(kind, targets, logits, splits=splits) for kind in kinds]
    missing = {str(fit.kind): fit.reason.split(": ")[-1] for fit in fits if fit.reason is not None}
    return {fit.kind: fit.calibrator for fit in fits if fit.calibrator is not None}, missing
