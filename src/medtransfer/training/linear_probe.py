"""The head alone, as logistic regression on features: L-BFGS, its L2 penalty chosen on tune."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from medtransfer.training.loop import Diverged, TuneScore
from medtransfer.training.losses import Loss

Floats = NDArray[np.float64]
MAX_ITERATIONS = 1000
"""Most iterations of L-BFGS for one penalty."""
MAX_SLOPE = 1e-6
"""Largest slope of the mean loss at which it is done."""
PRECONDITIONED_CASES = 4096
"""With so many cases, at least twice as many as features, the fit goes along the principal axes."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear head.

    Attributes:
        weight: [T, D]
        bias: [T]
    """

    weight: Floats
    bias: Floats

    def logits(self, features: NDArray[np.float32]) -> Floats:
        """Of some cases. [N, D] -> [N, T]"""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class ProbeCheck:
    """Outcome of one setting of a head.

    Attributes:
        step: Its number, from 1; of an MLP the epoch.
        penalty: Strength of the L2 penalty of a linear head; None for other heads.
        train_loss: Mean loss on the training cases, without the penalty.
        tune_loss: Mean loss on the tuning split.
        tune_auroc: Macro AUROC on the tuning split; None where it is undefined.
        neighbours: Training cases that vote; None for other heads.
    """

    step: int
    penalty: float | None
    train_loss: float
    tune_loss: float
    tune_auroc: float | None
    neighbours: int | None = None


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted head and what else was tried.

    Attributes:
        head: Of the best penalty.
        selected: Number of that penalty's check.
        checks: One per penalty, the strongest first.
    """

    head: LinearHead
    selected: int
    checks: list[ProbeCheck] = field(default_factory=list[ProbeCheck])


def fit_probe(
    features: NDArray[np.float32],
    targets: Floats,
    loss: Loss,
    penalties: Sequence[float],
    tune: Callable[[LinearHead], TuneScore],
    on_check: Callable[[ProbeCheck], None] = lambda _check: None,
    heartbeat: Callable[[], None] = lambda: None,
    case_weights: Floats | None = None,
) -> Probe:
    """Fit a head with each penalty and take the best on the tuning split; the strongest of equals.

    For each target, or for the classes of a single-label task together, what is made small is the
    mean loss of the cases whose target is known plus half the penalty times the squared weights.
    The bias is not penalised. Features are brought to mean 0 and deviation 1 over the training
    cases, so that a penalty means the same for every network; the head takes them as they are.

    Args:
        features: Of the training cases. [N, D]
        targets: 0 to 1, NaN where masked. [N, T]
        loss: The task and its weights; nothing else of it is used.
        penalties: Strengths to try.
        tune: Scores a head on the tuning split.
        on_check: Called with the check of each penalty.
        heartbeat: Called after every iteration; an exception that it raises ends the fit.
        case_weights: Weight of each case in the mean loss; None for 1. [N]

    Raises:
        Diverged: Features or losses are no numbers.
    """
    if not np.isfinite(features).all():
        raise Diverged(0)
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1.0
    inputs, turn = _in_spanned_space((features - mean) / spread)
    is_large = len(inputs) >= max(PRECONDITIONED_CASES, 2 * inputs.shape[1])
    axes = _PrincipalAxes.of(inputs, is_large)
    problem = _Problem(inputs, targets, loss, heartbeat, axes, case_weights=case_weights)
    solution = np.zeros((inputs.shape[1] + 1, targets.shape[1]))
    best: tuple[tuple[float, float], LinearHead, int] | None = None
    checks: list[ProbeCheck] = []
    for step, penalty in enumerate(sorted(penalties, reverse=True), start=1):
        solution = problem.solve(penalty, solution)  # from where the stronger penalty ended
        weight = ((turn.T @ solution[:-1] if turn is not None else solution[:-1]).T) / spread
        head = LinearHead(weight, solution[-1] - weight @ mean)
        score = tune(head)
        if not np.isfinite(score.loss):
            raise Diverged(step)
        checks.append(ProbeCheck(step, penalty, problem.loss(solution), score.loss, score.auroc))
        on_check(checks[-1])
        if best is None or score.rank > best[0]:
            best = score.rank, head, step
    assert best is not None  # noqa: S101 — there is at least one penalty
    return Probe(best[1], best[2], checks)


@dataclass(frozen=True, eq=False)
class _PrincipalAxes:
    """Coordinates in which the penalised loss has about the same curvature in all directions.

    Features are correlated, with condition numbers of 10^5 and more, and the steps of L-BFGS grow
    with them. Along the principal axes, each scaled by the root of its curvature, 95 evaluations do
    what took 2,800 (20,000 cases of 768 features, 9 penalties: 26 s to 1.8 s of CPU time;
    benchmarks/embeddings.py). The optimum is the same.

    Attributes:
        axes: Orthonormal. [D, D]
        variances: Of the features along them. [D]
    """

    axes: Floats
    variances: Floats

    @classmethod
    def of(cls, inputs: Floats, is_large: bool) -> "_PrincipalAxes | None":
        """The axes of standardised features [N, D]; None for a problem that is solved as it is."""
        if not is_large:
            return None
        variances, axes = np.linalg.eigh(inputs.T @ inputs / len(inputs))
        return cls(axes, np.maximum(variances, 0.0))

    def scales(self, penalty: float, curvature: float) -> Floats:
        """Lengths of the axes for one penalty. [D, 1]"""
        return 1 / np.sqrt(curvature * self.variances + penalty)[:, None]


class _Problem:
    """The loss of the training cases and its slope, as L-BFGS asks for them."""

    def __init__(
        self,
        inputs: Floats,
        targets: Floats,
        loss: Loss,
        alive: Callable[[], None],
        axes: _PrincipalAxes | None = None,
        *,
        case_weights: Floats | None = None,
    ) -> None:
        self._inputs, self._alive, self._axes = inputs, alive, axes
        labelled = ~np.isnan(targets)
        if loss.task == "single-label":
            labelled = np.broadcast_to(labelled.all(axis=1, keepdims=True), labelled.shape)
        self._targets = np.where(labelled, targets, 0.0)
        self._single = loss.task == "single-label"
        ones = (1.0,) * targets.shape[1]
        positive = loss.weights.positive if loss.weights else ones
        negative = loss.weights.negative if loss.weights else ones
        share = labelled / np.maximum(labelled.sum(axis=0), 1)
        if case_weights is not None:
            weighted = share * case_weights[:, None]
            share = weighted / np.maximum(weighted.sum(axis=0), np.finfo(np.float64).tiny)
        self._positive = share * np.array(positive)
        self._negative = share * np.array(negative)
        prevalence = (share * self._targets).sum(axis=0)
        self._curvature = max(float((prevalence * (1 - prevalence)).mean()), 1e-3)

    def solve(self, penalty: float, start: Floats) -> Floats:
        """Weights, and the bias as their last row. [D + 1, T]"""
        scales = None if self._axes is None else self._axes.scales(penalty, self._curvature)

        def at(flat: Floats) -> tuple[float, Floats]:
            weights = self._natural(flat.reshape(start.shape), scales)
            value, slope = self._at(weights)
            slope[:-1] += penalty * weights[:-1]
            value += 0.5 * penalty * float((weights[:-1] ** 2).sum())
            return value, self._scaled_slope(slope, scales).ravel()

        def each(_place: Floats) -> None:
            self._alive()

        options = {"maxiter": MAX_ITERATIONS, "gtol": MAX_SLOPE, "ftol": 0.0, "maxcor": 20}
        optimum = cast("Any", minimize)(
            at,
            self._along_axes(start, scales).ravel(),
            jac=True,
            method="L-BFGS-B",
            options=options,
            callback=each,
        )
        return self._natural(cast("Floats", optimum.x).reshape(start.shape), scales)

    def _natural(self, weights: Floats, scales: Floats | None) -> Floats:
        """Weights of the features, from those along the scaled axes. [D + 1, T]"""
        if self._axes is None or scales is None:
            return weights
        return np.vstack([self._axes.axes @ (scales * weights[:-1]), weights[-1:]])

    def _along_axes(self, weights: Floats, scales: Floats | None) -> Floats:
        """The inverse of `_natural`. [D + 1, T]"""
        if self._axes is None or scales is None:
            return weights
        return np.vstack([(self._axes.axes.T @ weights[:-1]) / scales, weights[-1:]])

    def _scaled_slope(self, slope: Floats, scales: Floats | None) -> Floats:
        """Slope along the scaled axes, from that of the weights of the features. [D + 1, T]"""
        if self._axes is None or scales is None:
            return slope
        return np.vstack([scales * (self._axes.axes.T @ slope[:-1]), slope[-1:]])

    def loss(self, weights: Floats) -> float:
        """Mean over the targets of the mean loss; of a single-label task that of a case."""
        value = self._at(weights)[0]
        return value if self._single else value / weights.shape[1]

    def _at(self, weights: Floats) -> tuple[float, Floats]:
        logits = self._inputs @ weights[:-1] + weights[-1]
        if self._single:
            logs = np.asarray(log_softmax(logits, axis=1))
            weighted = self._positive * self._targets
            value = -float((weighted * logs).sum())
            slope = np.exp(logs) * weighted.sum(axis=1, keepdims=True) - weighted
        else:
            positive = self._positive * self._targets
            negative = self._negative * (1 - self._targets)
            value = float(
                (positive * np.logaddexp(0, -logits) + negative * np.logaddexp(0, logits)).sum()
            )
            probabilities = cast("Floats", expit(logits))
            slope = negative * probabilities - positive * (1 - probabilities)
        return value, np.vstack([self._inputs.T @ slope, slope.sum(axis=0)])


def _in_spanned_space(inputs: Floats) -> tuple[Floats, Floats | None]:
    """Fewer cases than features: the same cases in the space they span, where the answer lies.

    Returns:
        The cases [N, R], and what turns weights in that space back, [R, D]; None if not needed.
    """
    if len(inputs) >= inputs.shape[1]:
        return inputs, None
    left, sizes, right = np.linalg.svd(inputs, full_matrices=False)
    return left * sizes, right
