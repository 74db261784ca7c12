"""Linear probe of another hospital: a new head on the features of a network that is not trained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax

from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.arms import LACKS_CLASS, LocalCases
from medtransfer.posthoc.adaptation.folds import patient_folds
from medtransfer.posthoc.adaptation.home_features import Vectors

PENALTIES = (10.0, 1.0, 0.1, 0.01, 0.001, 1e-4)
"""Strengths of the L2 penalty that are tried, the strongest first."""
RARE_CLASS = "the labelled patients of a class are too few to leave some of them out"
MAX_ITERATIONS = 500
MAX_SLOPE = 1e-7
"""Largest slope of the mean loss, along scaled axes, at which a fit is done."""
MIN_SQUARE = 1e-13
"""Square of the smallest singular value that counts, as a share of the largest one's."""


@dataclass(frozen=True, eq=False)
class LocalHead:
    """A linear head.

    Attributes:
        weight: [D] of a binary target, [D, C] of classes.
        bias: One number, or [C].
    """

    weight: Floats
    bias: Floats

    def logits(self, features: Vectors) -> Floats:
        """Of some cases. [N] or [N, C]"""
        return features @ self.weight + self.bias


@dataclass(frozen=True, eq=False)
class LocalProbe:
    """A probe fitted on a hospital's cases.

    Attributes:
        head: Fitted on all of them.
        penalty: Its strength, of the smallest loss in the cross-validation.
        held_out: Logits of each case by a head that was fitted without its patient. [n] or [n, C]
    """

    head: LocalHead
    penalty: float
    held_out: Floats


def fit_local_probe(
    cases: LocalCases,
    features: Vectors,
    *,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
) -> LocalProbe | str:
    """Fit logistic regression on a network's features of a few labelled cases.

    The mean loss plus half the penalty times the squared weights is made small, on features of mean
    0 and deviation 1; the bias is not penalised. The penalty is chosen by the mean log loss in a
    cross-validation that leaves whole patients out, the strongest of equals.

    Args:
        cases: All labelled. Their logits tell a binary target from classes, and nothing else.
        features: Of these cases. [n, D]
        seed: Of the folds.
        penalties: Strengths to try.

    Returns:
        The probe, or the reason that it cannot be fitted.
    """
    classes = 2 if cases.is_binary else cases.logits.shape[1]
    if np.bincount(cases.targets, minlength=classes).min() == 0:
        return LACKS_CLASS
    folds = patient_folds(cases, seed)
    for fold in np.unique(folds).tolist():
        left = np.bincount(cases.targets[folds != fold], minlength=classes)
        if left.min() == 0:
            return RARE_CLASS
    ordered = sorted(penalties, reverse=True)
    held_out = np.empty((len(ordered), *cases.logits.shape))
    for fold in np.unique(folds).tolist():
        rows = folds != fold
        heads = _heads(features[rows], cases.targets[rows], classes, ordered)
        for number, head in enumerate(heads):
            held_out[number, ~rows] = head.logits(features[~rows])
    losses = [
        float(_log_losses(cases.targets, held_out[number]).mean()) for number in range(len(ordered))
    ]
    best = int(np.argmin(losses))  # the first, and so the strongest, of equals
    *_, head = _heads(features, cases.targets, classes, ordered[: best + 1])
    return LocalProbe(head, ordered[best], held_out[best])


def _log_losses(targets: Labels, logits: Floats) -> Floats:
    if logits.ndim == 1:
        return -np.asarray(log_expit(np.where(targets == 1, logits, -logits)))
    return -np.asarray(log_softmax(logits, axis=1))[np.arange(len(targets)), targets]


def _heads(
    features: Vectors, targets: Labels, classes: int, penalties: Sequence[float]
) -> Iterator[LocalHead]:
    """Heads of falling penalties, each from where the one before it ended.

    The cases are turned to the axes of their own singular values: there are at most as many axes as
    cases, and each is scaled by the root of its curvature, so that features that are alike cost no
    more steps. The optimum is the same.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1.0
    axes = _Axes.of((features - mean) / spread)
    problem = _Problem(axes.inputs, targets, classes)
    solution = problem.start()
    for penalty in penalties:
        solution = problem.solve(penalty, axes.sizes, solution)
        weight = axes.weights(solution[:-1]) / spread[:, None]
        bias = solution[-1] - mean @ weight
        is_binary = classes == 2 and solution.shape[1] == 1
        yield LocalHead(weight[:, 0] if is_binary else weight, bias[0] if is_binary else bias)


@dataclass(frozen=True, eq=False)
class _Axes:
    """Axes of the singular values of cases.

    Attributes:
        inputs: Cases along the axes. [n, R]
        sizes: Singular values. [R]
        back: Matrix from weights along the axes to those of the features. [D, R]
    """

    inputs: Floats
    sizes: Floats
    back: Floats

    @classmethod
    def of(cls, cases: Floats) -> "_Axes":
        """Axes of cases. [n, D]"""
        number, width = cases.shape
        if width <= number:
            left, sizes, right = np.linalg.svd(cases, full_matrices=False)
            return cls(left * sizes, sizes, right.T)
        # Few cases of many features: the products of the cases have the same axes. Singular values
        # of 400 cases of 1,280 features took half of a fit's time. Axes without spread have no
        # weight.
        squares, left = np.linalg.eigh(cases @ cases.T)
        kept = squares > MIN_SQUARE * squares[-1]
        left, sizes = left[:, kept], np.sqrt(squares[kept])
        return cls(left * sizes, sizes, cases.T @ (left / sizes))

    def weights(self, along: Floats) -> Floats:
        """Weights of the features from those along the axes. [D, outputs]"""
        return self.back @ along


class _Problem:
    """Penalised mean log loss of cases along their axes. [n, R]"""

    def __init__(self, inputs: Floats, targets: Labels, classes: int) -> None:
        self._inputs, self._targets = inputs, targets
        self._classes, self._outputs = classes, 1 if classes == 2 else classes
        shares = np.bincount(targets, minlength=classes) / len(targets)
        self._curvature = max(float((shares * (1 - shares)).mean()), 1e-3)
        self._is_class, self._rows = np.eye(classes)[targets], np.arange(len(targets))

    def start(self) -> Floats:
        """Weights, and the bias as their last row, all 0. [R + 1, outputs]"""
        return np.zeros((self._inputs.shape[1] + 1, self._outputs))

    def solve(self, penalty: float, sizes: Floats, start: Floats) -> Floats:
        """The optimum for one penalty. [R + 1, outputs]"""
        variances = sizes**2 / len(self._inputs)
        scales = 1 / np.sqrt(self._curvature * variances + penalty)
        scales = np.append(scales, 1.0)[:, None]

        def at(flat: Floats) -> tuple[float, Floats]:
            weights = flat.reshape(start.shape) * scales
            value, slope = self._at(weights)
            slope[:-1] += penalty * weights[:-1]
            value += 0.5 * penalty * float((weights[:-1] ** 2).sum())
            return value, (slope * scales).ravel()

        options = {"maxiter": MAX_ITERATIONS, "gtol": MAX_SLOPE, "ftol": 0.0, "maxcor": 20}
        optimum = cast("Any", minimize)(
            at, (start / scales).ravel(), jac=True, method="L-BFGS-B", options=options
        )
        return cast("Floats", optimum.x).reshape(start.shape) * scales

    def _at(self, weights: Floats) -> tuple[float, Floats]:
        logits = self._inputs @ weights[:-1] + weights[-1]
        number = len(logits)
        if self._outputs == 1:
            value = float(_log_losses(self._targets, logits[:, 0]).mean())
            slope = (cast("Floats", expit(logits)) - self._targets[:, None]) / number
        else:
            # softmax and its logarithm at once: each alone finds maximum and exponentials anew
            shifted = logits - logits.max(axis=1, keepdims=True)
            shares = np.exp(shifted)
            totals = shares.sum(axis=1, keepdims=True)
            value = float((np.log(totals[:, 0]) - shifted[self._rows, self._targets]).mean())
            slope = (shares / totals - self._is_class) / number
        return value, np.vstack([self._inputs.T @ slope, slope.sum(axis=0)])
