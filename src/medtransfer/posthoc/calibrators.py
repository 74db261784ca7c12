"""Calibrators: maps from logits to calibrated probabilities, fitted on the tuning split.

Each map gives calibrated ``logits`` too: a loss computed from them stays finite when a
probability has rounded to 0 or 1. Explained in docs/explanation/calibration.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, logit, logsumexp, softmax

from medtransfer.errors import plural
from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.tuning_split import require_tune

CalibratorKind = Literal["temperature", "platt", "beta", "isotonic", "vector"]

TEMPERATURES = (0.05, 20.0)
"""Range of the search for a temperature."""
MAX_SLOPE = 1 / TEMPERATURES[0]
"""Largest slope of a logit: that of the smallest temperature. Separable classes would need more."""
TITLES: dict[CalibratorKind, str] = {
    "temperature": "A temperature",
    "platt": "Platt scaling",
    "beta": "Beta calibration",
    "isotonic": "Isotonic regression",
    "vector": "Vector scaling",
}


@dataclass(frozen=True)
class Temperature:
    """``logit / T`` (Guo et al. 2017); of a binary target [n] or of classes [n, C].

    Attributes:
        temperature: 0.05 to 20.
    """

    temperature: float

    def logits(self, logits: Floats) -> Floats:
        """Calibrated logits. [n] or [n, C]"""
        return logits / self.temperature

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities: of the positive class, or of all classes. [n] or [n, C]"""
        scaled = self.logits(logits)
        return expit(scaled) if logits.ndim == 1 else softmax(scaled, axis=1)


@dataclass(frozen=True)
class Platt:
    """``slope · logit + intercept`` (Platt 1999).

    Attributes:
        slope: -20 to 20; negative if high logits go with negatives.
        intercept: Added to the logit.
    """

    slope: float
    intercept: float

    def logits(self, logits: Floats) -> Floats:
        """Calibrated logits. [n]"""
        return self.slope * logits + self.intercept

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities. [n]"""
        return expit(self.logits(logits))


@dataclass(frozen=True)
class Beta:
    """``a ln p - b ln(1 - p) + c`` of the probability p (Kull, Silva Filho and Flach 2017).

    With a = b it is `Platt`; with a = b = 1 and c = 0 nothing changes.

    Attributes:
        a: Slope for low logits; 0 to 20.
        b: Slope for high logits; 0 to 20.
        c: Added to the logit.
    """

    a: float
    b: float
    c: float

    def logits(self, logits: Floats) -> Floats:
        """Calibrated logits. [n]"""
        return self.a * log_expit(logits) - self.b * log_expit(-logits) + self.c

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities. [n]"""
        return expit(self.logits(logits))


@dataclass(frozen=True)
class Isotonic:
    """Isotonic regression of the targets (Zadrozny and Elkan 2002), linear between tuning logits.

    Beyond the tuning logits the probability is constant.

    Attributes:
        knots: The tuning logits, rising. [K]
        levels: The probability at each knot, never falling. With n tuning cases it is between
            1 / (n + 2) and 1 - 1 / (n + 2) (Laplace's rule of succession), so that no loss is
            infinite. [K]
    """

    knots: Floats
    levels: Floats

    def logits(self, logits: Floats) -> Floats:
        """Calibrated logits. [n]"""
        return logit(self.probabilities(logits))

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities. [n]"""
        return np.interp(logits, self.knots, self.levels)


@dataclass(frozen=True)
class Vector:
    """``slope_c · logit_c + intercept_c`` for each class (Guo et al. 2017).

    Attributes:
        slopes: -20 to 20. [C]
        intercepts: Their mean is 0, since only differences count. [C]
    """

    slopes: Floats
    intercepts: Floats

    def logits(self, logits: Floats) -> Floats:
        """Calibrated logits. [n, C]"""
        return logits * self.slopes + self.intercepts

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities. [n, C]"""
        return softmax(self.logits(logits), axis=1)


Calibrator = Temperature | Platt | Beta | Isotonic | Vector


@dataclass(frozen=True)
class CalibratorFit:
    """Result of fitting a calibrator.

    Attributes:
        kind: Kind of calibrator.
        calibrator: None if tune does not determine one.
        reason: Reason that there is none; None if there is one.
    """

    kind: CalibratorKind
    calibrator: Calibrator | None
    reason: str | None


def fit_calibrator(
    kind: CalibratorKind, targets: Labels, logits: Floats, *, splits: NDArray[np.str_]
) -> CalibratorFit:
    """Fit a calibrator on the tuning split, by plain maximum likelihood.

    Nothing is smoothed or penalised: Platt's smoothed targets are not used. If the classes are
    separable, so that the likelihood has no maximum, slopes stay within ±20. Isotonic regression
    minimises the squared error, and among rising maps also the loss.

    Args:
        kind: ``platt``, ``beta`` and ``isotonic`` are for a binary target, ``vector`` for classes,
            ``temperature`` for both.
        targets: 0 or 1, or the true class. [n]
        logits: Of a binary target, or of all classes. [n] or [n, C]
        splits: Split of each case; all must be tune. [n]

    Raises:
        TableError: A case is not in the tuning split.
        ValueError: The kind does not fit the shape of the logits.
    """
    require_tune(splits, len(targets), TITLES[kind])
    if kind != "temperature" and (kind == "vector") != (logits.ndim == 2):
        raise ValueError(f"{kind} is not for logits of {plural(logits.ndim, 'dimension')}")
    reason = _undetermined(kind, targets, logits)
    return CalibratorFit(kind, None if reason else _FITS[kind](targets, logits), reason)


def _undetermined(kind: CalibratorKind, targets: Labels, logits: Floats) -> str | None:
    """Reason that tune does not determine a calibrator, or None."""
    num_classes = len(np.unique(targets))
    if not num_classes:
        return "no calibrator: tune has no labelled case"
    if num_classes < 2 or (kind == "vector" and num_classes < logits.shape[1]):
        return "no calibrator: tune lacks a class"
    # equal logits determine the frequency of a class, not its dependence on the logit
    if kind in ("platt", "beta", "vector") and bool((logits == logits[0]).all()):
        return "no calibrator: all tune cases have the same logits"
    return None


def _fit_temperature(targets: Labels, logits: Floats) -> Temperature | None:
    fit = binary_temperature if logits.ndim == 1 else class_temperature
    temperature = fit(targets, logits)
    return None if temperature is None else Temperature(temperature)


def binary_temperature(targets: Labels, logits: Floats) -> float | None:
    """The T that minimises the negative log-likelihood of ``sigmoid(logit / T)`` (Guo et al. 2017).

    Args:
        targets: 0 or 1, of the tuning split. [n]
        logits: [n]

    Returns:
        0.05 to 20; None without a positive or without a negative.
    """
    if len(np.unique(targets)) < 2:
        return None
    signed = np.where(targets == 1, logits, -logits)

    def loss(temperature: float) -> float:
        return -float(log_expit(signed / temperature).mean())

    return _minimise(loss)


def class_temperature(classes: Labels, logits: Floats) -> float | None:
    """The T that minimises the negative log-likelihood of ``softmax(logits / T)``.

    Args:
        classes: True class of each case of the tuning split. [n]
        logits: [n, C]

    Returns:
        0.05 to 20; None if fewer than two classes occur.
    """
    if len(np.unique(classes)) < 2:
        return None
    true_logits = logits[np.arange(len(classes)), classes]

    def loss(temperature: float) -> float:
        return float((logsumexp(logits / temperature, axis=1) - true_logits / temperature).mean())

    return _minimise(loss)


def _minimise(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar  # slow to import, and predictions need none

    def of_log(log_temperature: float) -> float:
        return loss(float(np.exp(log_temperature)))

    low, high = np.log(TEMPERATURES)
    optimum = minimize_scalar(of_log, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(optimum.x))


def _fit_platt(targets: Labels, logits: Floats) -> Platt:
    (slope,), intercept = _logistic(targets, logits[:, None], -MAX_SLOPE)
    return Platt(float(slope), intercept)


def _fit_beta(targets: Labels, logits: Floats) -> Beta:
    logs = np.stack([log_expit(logits), -log_expit(-logits)], axis=1)
    (a, b), c = _logistic(targets, logs, 0.0)
    return Beta(float(a), float(b), c)


def _fit_isotonic(targets: Labels, logits: Floats) -> Isotonic:
    from scipy.optimize import isotonic_regression  # slow to import, and predictions need none

    knots, knot = np.unique(logits, return_inverse=True)
    counts = np.bincount(knot)
    means = np.bincount(knot, targets) / counts
    rising = isotonic_regression(means, weights=counts).x
    minimum = 1 / (len(targets) + 2)
    return Isotonic(knots, np.clip(rising, minimum, 1 - minimum))


def _fit_vector(classes: Labels, logits: Floats) -> Vector:
    means, spreads = _mean_and_spread(logits)
    standard = (logits - means) / spreads
    number = logits.shape[1]
    truth = np.eye(number)[classes]

    def loss(parts: Floats) -> tuple[float, Floats]:
        scores = standard * parts[:number] + parts[number:]
        logs = log_softmax(scores, axis=1)
        excess = (np.exp(logs) - truth) / len(classes)
        mean = -float(logs[np.arange(len(classes)), classes].mean())
        return mean, np.concatenate([(excess * standard).sum(axis=0), excess.sum(axis=0)])

    bounds = [*(MAX_SLOPE * spreads), *np.full(number, np.inf)]
    optimum = _minimum(loss, np.append(spreads, means), [-limit for limit in bounds], bounds)
    slopes = np.clip(
        optimum[:number] / spreads, -MAX_SLOPE, MAX_SLOPE
    )  # rounding can exceed a bound
    intercepts = optimum[number:] - slopes * means
    return Vector(slopes, intercepts - intercepts.mean())


_FITS: dict[CalibratorKind, Callable[[Labels, Floats], Calibrator | None]] = {
    "temperature": _fit_temperature,
    "platt": _fit_platt,
    "beta": _fit_beta,
    "isotonic": _fit_isotonic,
    "vector": _fit_vector,
}


def _logistic(targets: Labels, features: Floats, lowest: float) -> tuple[Floats, float]:
    """Logistic regression with slopes from a lowest one to 20. [n], [n, k] to [k] and intercept."""
    means, spreads = _mean_and_spread(features)
    sign = np.where(targets == 1, 1.0, -1.0)
    signed = sign[:, None] * np.column_stack([(features - means) / spreads, np.ones(len(targets))])

    def loss(parts: Floats) -> tuple[float, Floats]:
        margins = signed @ parts
        return -float(log_expit(margins).mean()), -(expit(-margins) @ signed) / len(targets)

    start = np.append(spreads, means.sum())  # slope 1 and intercept 0: the identity
    low = [*(lowest * spreads), -np.inf]
    optimum = _minimum(loss, start, low, [*(MAX_SLOPE * spreads), np.inf])
    slopes = np.clip(optimum[:-1] / spreads, lowest, MAX_SLOPE)  # rounding can exceed a bound
    return slopes, float(optimum[-1] - slopes @ means)


def _mean_and_spread(columns: Floats) -> tuple[Floats, Floats]:
    """Mean and spread of each column; the spread of a constant column is 1. [n, k] to [k], [k]"""
    spreads = columns.std(axis=0)
    # the deviation of equal numbers can round up from 0, and that of nearly equal ones down to it
    varies = (np.ptp(columns, axis=0) > 0) & (spreads > 0)
    return columns.mean(axis=0), np.where(varies, spreads, 1.0)


def _minimum(
    loss: Callable[[Floats], tuple[float, Floats]],
    start: Floats,
    low: list[float],
    high: list[float],
) -> Floats:
    """Minimiser within bounds of a convex loss, which is given with its gradient."""
    from scipy.optimize import minimize  # slow to import, and predictions need none

    optimum = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"ftol": 0.0, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000},
    )
    return optimum.x
