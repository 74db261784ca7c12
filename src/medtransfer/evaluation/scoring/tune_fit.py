"""What is fitted on a run's tuning split, and its cases as the metrics take them."""

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.metrics.cases import AnyCases, ClassCases, TargetCases
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.metrics.ensembles import SET_COVERAGE
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.calibrators import Calibrator, CalibratorKind, Temperature, fit_calibrator
from medtransfer.posthoc.conformal import Conformal, SetScore, fit_conformal
from medtransfer.posthoc.tuning_split import require_tune

BINARY: tuple[CalibratorKind, ...] = ("temperature", "platt", "beta", "isotonic")
CLASSES: tuple[CalibratorKind, ...] = ("temperature", "vector")
ALPHA = 1 - SET_COVERAGE
LACKS = "tune lacks a class"
WHOLE_CASE = -1
"""Stands for the case as a whole where targets are numbered."""


@dataclass(frozen=True)
class TargetFit:
    """What was fitted for one target, or for the case as a whole in single-label tasks.

    Attributes:
        thresholds: Operating point to the probability from which a case is called positive; None
            where none could be fixed.
        calibrators: By kind; those that tune determines.
        conformal: By method.
        prevalence: Share of positives in tune.
        reason: Why thresholds, the temperature and sets are missing.
        missing: Calibrator to why tune does not determine it.
    """

    thresholds: dict[str, float | None] = field(default_factory=dict[str, "float | None"])
    calibrators: dict[CalibratorKind, Calibrator] = field(
        default_factory=dict[CalibratorKind, Calibrator]
    )
    conformal: dict[str, Conformal] = field(default_factory=dict[str, Conformal])
    prevalence: float | None = None
    reason: str | None = None
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def temperature(self) -> float | None:
        """Of temperature scaling, if it could be fitted."""
        found = self.calibrators.get("temperature")
        return found.temperature if isinstance(found, Temperature) else None


TuneFit = dict[int, TargetFit]
"""By number of the target; `CASE` for the case as a whole."""


def fit_on_tune(run: RunArrays, points: tuple[str, ...]) -> TuneFit:
    """Fit operating points, calibrators and prediction sets on the tuning split alone.

    Raises:
        TableError: A case of another split got in.
    """
    fitted = {target: _fit_target(run, target, points) for target in range(len(run.names))}
    if run.single_label:
        fitted[WHOLE_CASE] = _fit_case(run)
    return fitted


def fit_groups(run: RunArrays, fitted: TuneFit, groups: pl.Series) -> TuneFit:
    """The same with prediction sets that hold for every group of an attribute.

    Args:
        run: The predictions.
        fitted: From `fit_on_tune`.
        groups: The attribute's value of each case, null where it is not known. [N]
    """
    names = groups.fill_null("").to_numpy().astype(np.str_)
    found: TuneFit = {}
    for target, own in fitted.items():
        if not own.conformal:
            found[target] = own
            continue
        rows = run.tuned() & _known(run, target)
        classes, chances = _truth(run, target, rows), _chances(run, target, rows)
        by_group = fit_conformal(
            classes,
            chances,
            splits=_splits(run, rows),
            alpha=ALPHA,
            condition="group",
            groups=names[rows],
        )
        found[target] = replace(own, conformal={**own.conformal, "group": by_group})
    return found


def cases_of_target(
    run: RunArrays,
    fitted: TuneFit,
    target: int,
    groups: pl.Series | None = None,
    healthy: tuple[str, ...] = (),
) -> AnyCases:
    """All cases of a target, or of the whole run for `CASE`, labelled or not; take of them. [N]

    Args:
        run: The predictions.
        fitted: What was fitted on its tuning split.
        target: Number of the target, or `CASE`.
        groups: Of each case, where `fit_groups` was asked. [N]
        healthy: Targets that mean "no finding".
    """
    own = fitted[target]
    everyone = np.ones(len(run.frame), dtype=np.bool_)
    chances = _chances(run, target, everyone)
    names = None if groups is None else groups.fill_null("").to_numpy().astype(np.str_)
    sets = {
        method: found.sets(chances, groups=names if found.condition == "group" else None)
        for method, found in own.conformal.items()
    }
    scores = _scores(run, target)
    calibrated = {kind: map_.probabilities(scores) for kind, map_ in own.calibrators.items()}
    again = {kind: map_.logits(scores) for kind, map_ in own.calibrators.items()}
    if target == WHOLE_CASE:
        spread = {name: value[:, 0] for name, value in run.spread.items()}
        return ClassCases(
            _truth(run, WHOLE_CASE, everyone),
            run.logits,
            chances,
            calibrated,
            again,
            sets,
            spread,
            own.missing,
        )
    limits = {point: limit for point, limit in own.thresholds.items() if limit is not None}
    return TargetCases(
        np.nan_to_num(run.targets[:, target], nan=-1).astype(np.int64),
        scores if not run.single_label else chances,
        chances,
        calibrated,
        again,
        {point: chances >= limit for point, limit in limits.items()},
        limits,
        sets,
        {name: value[:, target] for name, value in run.spread.items()},
        own.prevalence,
        not run.single_label,
        run.names[target] in healthy,
        own.missing,
    )


def _fit_target(run: RunArrays, target: int, points: tuple[str, ...]) -> TargetFit:
    rows = run.tuned() & run.labelled(target)
    truth, chances = _truth(run, target, rows), _chances(run, target, rows)
    splits = _splits(run, rows)
    require_tune(splits, len(truth), "An operating point")
    thresholds = {point: operating_threshold(truth, chances, point) for point in points}
    lacks = len(np.unique(truth)) < 2
    # a class of a single-label task is calibrated with the others, not alone
    kinds: tuple[CalibratorKind, ...] = () if run.single_label else BINARY
    calibrators, missing = _calibrators(kinds, truth, _scores(run, target)[rows], splits)
    conformal = {} if lacks or run.single_label else _conformal(truth, chances, splits)
    prevalence = None if lacks else float(truth.mean())
    reason = LACKS if lacks else None
    return TargetFit(thresholds, calibrators, conformal, prevalence, reason, missing)


def _fit_case(run: RunArrays) -> TargetFit:
    rows = run.tuned() & run.classified()
    classes, splits = _truth(run, WHOLE_CASE, rows), _splits(run, rows)
    calibrators, missing = _calibrators(CLASSES, classes, run.logits[rows], splits)
    if len(np.unique(classes)) < 2:
        return TargetFit({}, calibrators, {}, None, LACKS, missing)
    chances = run.probabilities[rows]
    conformal = _conformal(classes, chances, splits)
    for kind in ("aps", "raps"):
        scoring = SetScore(kind)
        conformal[kind] = fit_conformal(classes, chances, splits=splits, alpha=ALPHA, score=scoring)
    return TargetFit({}, calibrators, conformal, None, None, missing)


def _calibrators(
    kinds: tuple[CalibratorKind, ...],
    truth: NDArray[np.int64],
    logits: Floats,
    splits: NDArray[np.str_],
) -> tuple[dict[CalibratorKind, Calibrator], dict[str, str]]:
    """The calibrators that tune determines, and why the others are missing."""
    fits = [fit_calibrator(kind, truth, logits, splits=splits) for kind in kinds]
    missing = {str(fit.kind): fit.reason.split(": ")[-1] for fit in fits if fit.reason is not None}
    return {fit.kind: fit.calibrator for fit in fits if fit.calibrator is not None}, missing


def _conformal(
    truth: NDArray[np.int64], chances: Floats, splits: NDArray[np.str_]
) -> dict[str, Conformal]:
    return {
        "split": fit_conformal(truth, chances, splits=splits, alpha=ALPHA),
        "class": fit_conformal(truth, chances, splits=splits, alpha=ALPHA, condition="class"),
    }


def _known(run: RunArrays, target: int) -> Flags:
    return run.classified() if target == WHOLE_CASE else run.labelled(target)


def _truth(run: RunArrays, target: int, rows: Flags) -> NDArray[np.int64]:
    """Labels or classes of some cases; of an unlabelled case nothing is meant."""
    if target == WHOLE_CASE:
        return np.nan_to_num(run.targets[rows], nan=0.0).argmax(axis=1)
    return np.nan_to_num(run.targets[rows, target], nan=0.0).astype(np.int64)


def _chances(run: RunArrays, target: int, rows: Flags) -> Floats:
    return run.probabilities[rows] if target == WHOLE_CASE else run.probabilities[rows, target]


def _scores(run: RunArrays, target: int) -> Floats:
    return run.logits if target == WHOLE_CASE else run.logits[:, target]


def _splits(run: RunArrays, rows: Flags) -> NDArray[np.str_]:
    return run.frame["split"].to_numpy()[rows].astype(np.str_)
