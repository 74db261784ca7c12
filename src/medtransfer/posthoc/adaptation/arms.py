"""Arms: ways to adapt a network's answers to another hospital without training it.

An arm changes the probabilities by a calibrator that is fitted on cases of that hospital, or the
thresholds alone. Explained in docs/explanation/adaptation.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_softmax, logit

from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.adaptation.prevalence import (
    estimate_binary_prevalence,
    estimate_prevalence,
)
from medtransfer.posthoc.calibrators import Calibrator, Platt, Vector, fit_calibrator
from medtransfer.posthoc.tuning_split import TUNE

Arm = Literal["carried", "threshold", "intercept", "platt", "temperature", "isotonic", "prevalence"]
ARMS: tuple[Arm, ...] = get_args(Arm)
NetworkArm = Literal["probe"]
"""Arms that change the network too, and so need more of it than its logits."""
AnyArm = Arm | NetworkArm
TrainedArm = Literal["sequential", "shifted-only"]
"""Arms that train a network on the patients, in runs of their own."""
TRAINED_ARMS: tuple[TrainedArm, ...] = get_args(TrainedArm)
MEANINGS: dict[AnyArm, str] = {
    "carried": "nothing is changed",
    "threshold": "the thresholds are set anew on labelled cases",
    "intercept": "a constant is added to the logit",
    "platt": "the logit gets a new slope and a new constant",
    "temperature": "the logit is divided by a constant",
    "isotonic": "the probability is an isotonic regression on the logit",
    "prevalence": "the probabilities are moved to a prevalence that is estimated without labels",
    "probe": "a new linear head is fitted on the network's features",
}
TRAINED_MEANINGS: dict[TrainedArm, str] = {
    "sequential": "the network is trained further",
    "shifted-only": "a network is trained from the rung's weights",
}
MIN_ISOTONIC = 50
"""Positive and negative cases from which isotonic regression is fitted: its steps are means of few
cases below that."""
LACKS_CLASS = "the labelled cases lack a class"


@dataclass(frozen=True)
class LocalCases:
    """Cases of another hospital that an arm is fitted on.

    Attributes:
        targets: 0 or 1, or the true class; -1 for a case without a label. [n]
        logits: As the network is carried there. [n] or [n, C]
        patients: Number of each case's patient. [n]
    """

    targets: Labels
    logits: Floats
    patients: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of cases, n."""
        return len(self.targets)

    @property
    def labelled(self) -> Flags:
        """Cases with a label. [n]"""
        return self.targets >= 0

    @property
    def is_binary(self) -> bool:
        """True for a binary target, False for several classes."""
        return self.logits.ndim == 1

    def take(self, rows: Flags) -> "LocalCases":
        """Some of the cases."""
        return LocalCases(self.targets[rows], self.logits[rows], self.patients[rows])


@dataclass(frozen=True)
class ArmFit:
    """Result of fitting an arm.

    Attributes:
        arm: The arm.
        calibrator: Map of the carried logits; the identity if the arm changes no probability or
            could not be fitted.
        reason: Reason that it could not be fitted; None if it was.
    """

    arm: AnyArm
    calibrator: Calibrator
    reason: str | None = None


def identity_calibrator(classes: int | None = None) -> Calibrator:
    """Calibrator that changes nothing: of a binary target, or of some classes."""
    return Platt(1.0, 0.0) if classes is None else Vector(np.ones(classes), np.zeros(classes))


def fit_arm(
    arm: Arm, cases: LocalCases, home: Floats | None, *, min_isotonic: int = MIN_ISOTONIC
) -> ArmFit:
    """Fit an arm by plain maximum likelihood on cases of another hospital.

    Args:
        arm: The arm.
        cases: Those to fit it on; unlabelled ones serve `prevalence` alone.
        home: Prevalence at which the carried probabilities are calibrated, of the positive class
            [1] or of all classes [C]; None if it is not known. For `prevalence`.
        min_isotonic: Positive and negative cases that `isotonic` needs.
    """
    classes = None if cases.is_binary else cases.logits.shape[1]
    same = identity_calibrator(classes)
    if arm in ("carried", "threshold"):
        return ArmFit(arm, same)
    reason = _lacking(arm, cases, home, min_isotonic)
    if reason is not None:
        return ArmFit(arm, same, reason)
    if arm == "prevalence" and home is not None:
        return ArmFit(arm, _prevalence_shift(cases.logits, home))
    labelled = cases.take(cases.labelled)
    calibrator, reason = _FITS[arm](labelled)
    return ArmFit(arm, calibrator or same, reason)


def _lacking(arm: Arm, cases: LocalCases, home: Floats | None, min_isotonic: int) -> str | None:
    """Reason that an arm cannot be fitted; None if nothing is lacking."""
    if arm == "prevalence":
        is_known = home is not None and bool(((home > 0) & (home < 1)).all())
        if not is_known:
            return "the prevalence in the tuning split is not known"
        return None if len(cases) else "there is no case"
    if arm == "isotonic" and not cases.is_binary:
        return "isotonic regression is for binary targets"
    classes = 2 if cases.is_binary else cases.logits.shape[1]
    counts = np.bincount(cases.targets[cases.labelled], minlength=classes)
    # one temperature is determined by any two classes
    is_enough = arm == "temperature" and (counts > 0).sum() > 1
    if counts.min() == 0 and not is_enough:
        return LACKS_CLASS
    if arm == "isotonic" and counts.min() < min_isotonic:
        return (
            f"isotonic regression takes {min_isotonic} positive and {min_isotonic} negative "
            f"cases, and there are {counts[1]} and {counts[0]}"
        )
    return None


Fitted = tuple[Calibrator | None, str | None]


def _fit_intercept(cases: LocalCases) -> Fitted:
    if cases.is_binary:
        return Platt(1.0, binary_intercept(cases.targets, cases.logits)), None
    shifts = class_intercepts(cases.targets, cases.logits)
    return Vector(np.ones(len(shifts)), shifts), None


def _fit_known(cases: LocalCases, arm: Literal["platt", "temperature", "isotonic"]) -> Fitted:
    kind = "vector" if arm == "platt" and not cases.is_binary else arm
    splits = np.full(len(cases), TUNE)  # these cases are the tuning split of the hospital
    fit = fit_calibrator(kind, cases.targets, cases.logits, splits=splits)
    reason = None if fit.reason is None else fit.reason.split(": ")[-1].replace("tune", "local")
    return fit.calibrator, reason


_FITS: dict[Arm, Callable[[LocalCases], Fitted]] = {
    "intercept": _fit_intercept,
    "platt": lambda cases: _fit_known(cases, "platt"),
    "temperature": lambda cases: _fit_known(cases, "temperature"),
    "isotonic": lambda cases: _fit_known(cases, "isotonic"),
}


def binary_intercept(targets: Labels, logits: Floats) -> float:
    """Constant b of largest likelihood of ``sigmoid(logit + b)``: the means of p and y agree.

    Args:
        targets: 0 or 1; both occur. [n]
        logits: [n]
    """
    observed = float(targets.mean())
    level = float(logit(observed))

    def excess(shift: float) -> float:
        return float(expit(logits + shift).mean()) - observed

    # all probabilities are below the observed share at one end, and above it at the other
    low, high = level - float(logits.max()) - 1e-9, level - float(logits.min()) + 1e-9
    return float(brentq(excess, low, high, xtol=1e-12))


def class_intercepts(classes: Labels, logits: Floats) -> Floats:
    """Constants of largest likelihood of ``softmax(logits + b)``; their mean is 0.

    Args:
        classes: True class of each case; all occur. [n]
        logits: [n, C]
    """
    number = logits.shape[1]
    observed = np.bincount(classes, minlength=number) / len(classes)
    rows = np.arange(len(classes))

    def loss(shifts: Floats) -> tuple[float, Floats]:
        logs = np.asarray(log_softmax(logits + shifts, axis=1))
        return -float(logs[rows, classes].mean()), np.exp(logs).mean(axis=0) - observed

    optimum = minimize(
        loss,
        np.zeros(number),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 0.0, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000},
    )
    return optimum.x - optimum.x.mean()


def _prevalence_shift(logits: Floats, home: Floats) -> Calibrator:
    """Shift of the logits from the home prevalence to the one estimated here."""
    if logits.ndim == 1:
        share = estimate_binary_prevalence(logits, float(home[0]))
        return Platt(1.0, float(logit(share)) - float(logit(float(home[0]))))
    shifts = np.log(estimate_prevalence(logits, home).shares) - np.log(home)
    return Vector(np.ones(len(home)), shifts - shifts.mean())
