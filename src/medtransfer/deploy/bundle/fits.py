"""Fits on the tuning split, to and from the records of a bundle."""

import math
from collections.abc import Mapping

import numpy as np

from medtransfer.data.config import LabelPolicy
from medtransfer.deploy.bundle.facts.targets import CalibratorFacts, SetFacts, TargetFacts
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.errors import BundleError
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.evaluation.scoring.tune_fit import TuneFit
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.calibrators import (
    Beta,
    Calibrator,
    CalibratorKind,
    Isotonic,
    Platt,
    Temperature,
    Vector,
)
from medtransfer.posthoc.conformal import Conformal, SetScore
from medtransfer.posthoc.target_fit import TargetFit

FIELDS: dict[CalibratorKind, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "platt": ("slope", "intercept"),
    "beta": ("a", "b", "c"),
    "isotonic": ("knots", "levels"),
    "vector": ("slopes", "intercepts"),
}
"""Parameters of each kind; those of `isotonic` and `vector` are arrays."""


def target_facts(
    name: str, fit: TargetFit, calibrator: CalibratorKind, policy: LabelPolicy
) -> TargetFacts:
    """Record of the fits for one target.

    Args:
        name: Of the target, or `case`.
        fit: From `posthoc.target_fit`.
        calibrator: The one that predictions report, if tune determines it.
        policy: Meaning of uncertain and empty labels in the study.
    """
    missing = dict(fit.missing)
    if fit.reason is not None:
        missing["sets"] = fit.reason
        missing |= {point: fit.reason for point, t in fit.thresholds.items() if t is None}
    return TargetFacts(
        name=name,
        uncertain=policy.uncertain,
        empty=policy.empty,
        prevalence=fit.prevalence,
        thresholds=dict(fit.thresholds),
        calibrators=tuple(calibrator_facts(kind, c) for kind, c in fit.calibrators.items()),
        calibrator=calibrator if calibrator in fit.calibrators else None,
        sets=tuple(set_facts(method, sets) for method, sets in fit.conformal.items()),
        missing=missing,
    )


def all_target_facts(
    policies: Mapping[str, LabelPolicy], fits: TuneFit, calibrator: CalibratorKind
) -> tuple[TargetFacts, ...]:
    """Records of the fits of all targets, in their order.

    Args:
        policies: By name of the target, of the study.
        fits: By number of the target.
        calibrator: As for `reported_facts`.
    """
    return tuple(
        reported_facts(name, fits[number], calibrator, policy)
        for number, (name, policy) in enumerate(policies.items())
    )


def reported_facts(
    name: str, fit: TargetFit, calibrator: CalibratorKind, policy: LabelPolicy
) -> TargetFacts:
    """Record of the fits for one target, with the calibrator that is reported.

    Args:
        name: Of the target, or `case`.
        fit: From `posthoc.target_fit`.
        calibrator: The wanted one; temperature scaling takes its place if tune does not
            determine it.
        policy: Meaning of uncertain and empty labels in the study.
    """
    wanted = calibrator if calibrator in fit.calibrators else "temperature"
    return target_facts(name, fit, wanted, policy)


def target_fit(facts: TargetFacts) -> TargetFit:
    """The fits that a record holds.

    Raises:
        BundleError: A calibrator's parameters are not those of its kind.
    """
    sets = {record.method: conformal_of(record) for record in facts.sets}
    return TargetFit(
        thresholds=dict(facts.thresholds),
        calibrators={record.kind: calibrator_of(record) for record in facts.calibrators},
        conformal=sets,
        prevalence=facts.prevalence,
        reason=None if sets or facts.prevalence is not None else facts.missing.get("sets"),
        missing=dict(facts.missing),
    )


def carried_fit(facts: BundleFacts) -> TuneFit:
    """All fits of a bundle, as scoring and decisions take them: by number of the target."""
    fit: TuneFit = {number: target_fit(target) for number, target in enumerate(facts.targets)}
    if facts.case is not None:
        fit[WHOLE_CASE] = target_fit(facts.case)
    return fit


def calibrator_facts(kind: CalibratorKind, calibrator: Calibrator) -> CalibratorFacts:
    """Record of a calibrator."""
    parameters = {
        name: tuple(np.atleast_1d(np.asarray(value, dtype=np.float64)).tolist())
        for name, value in vars(calibrator).items()
    }
    return CalibratorFacts(kind, parameters)


def calibrator_of(facts: CalibratorFacts) -> Calibrator:
    """The calibrator that a record holds.

    Raises:
        BundleError: Its parameters are not those of its kind.
    """
    names = FIELDS[facts.kind]
    arrays = {name: np.array(values, dtype=np.float64) for name, values in facts.parameters.items()}
    sizes = {len(values) for values in arrays.values()}
    has_arrays = facts.kind in ("isotonic", "vector")
    if set(arrays) != set(names) or len(sizes) != 1 or sizes == {0}:
        raise _wrong(facts)
    if not has_arrays and sizes != {1}:
        raise _wrong(facts)
    first, *others = (arrays[name] for name in names)
    match facts.kind:
        case "temperature" if first[0] > 0:
            return Temperature(float(first[0]))
        case "platt":
            return Platt(float(first[0]), float(others[0][0]))
        case "beta":
            return Beta(float(first[0]), float(others[0][0]), float(others[1][0]))
        case "isotonic" if _is_rising(first, others[0]):
            return Isotonic(first, others[0])
        case "vector":
            return Vector(first, others[0])
        case _:
            raise _wrong(facts)


def _is_rising(knots: Floats, levels: Floats) -> bool:
    """True if the knots rise and the levels are probabilities that never fall."""
    rises = bool((np.diff(knots) > 0).all() and (np.diff(levels) >= 0).all())
    return rises and bool(((levels > 0) & (levels < 1)).all())


def _wrong(facts: CalibratorFacts) -> BundleError:
    return BundleError(
        f"The bundle's calibrator '{facts.kind}' has parameters that are not of its kind. Ask for "
        "the bundle again."
    )


def set_facts(method: str, sets: Conformal) -> SetFacts:
    """Record of prediction sets."""
    return SetFacts(
        method=method,
        alpha=sets.alpha,
        score=sets.score.kind,
        penalty=sets.score.penalty,
        free_ranks=sets.score.free_ranks,
        condition=sets.condition,
        names=sets.names,
        thresholds=tuple(t if math.isfinite(t) else None for t in sets.thresholds.tolist()),
        counts=tuple(sets.counts.tolist()),
    )


def conformal_of(facts: SetFacts) -> Conformal:
    """The prediction sets that a record holds; the draw behind the thresholds is not kept."""
    thresholds = [math.inf if t is None else t for t in facts.thresholds]
    return Conformal(
        alpha=facts.alpha,
        score=SetScore(facts.score, penalty=facts.penalty, free_ranks=facts.free_ranks),
        condition=facts.condition,
        names=facts.names,
        thresholds=np.array(thresholds, dtype=np.float64),
        counts=np.array(facts.counts, dtype=np.int64),
        draws=(),
    )
