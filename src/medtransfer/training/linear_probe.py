"""The head alone, as logistic regression on features: L-BFGS, its L2 penalty chosen on tune."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from medtransfer.training.case_shares import CaseShares, Floats
from medtransfer.training.large_probe import MAX_ITERATIONS, MAX_SLOPE, LargeProblem
from medtransfer.training.loop import Diverged, TuneScore
from medtransfer.training.losses import Loss

PRECONDITIONED_CASES = 4096
"""With so many cases, at least twice as many as features, the fit goes along the principal axes of
the features: there its tolerance says how far two fits may differ, not the order of its sums."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear head.

    Attributes:
        weight: [T, D]
        bias: [T]
    """

    weight: Floats
    bias: Floats

    def logits(self, features: NDArray[np.float32] | Floats) -> Floats:
        """Of some cases; float64 gives the same and is not converted. [N, D] -> [N, T]"""
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
    shares = CaseShares(targets, loss, case_weights)
    is_large = len(features) >= max(PRECONDITIONED_CASES, 2 * features.shape[1])
    problem = (LargeProblem if is_large else _Problem)(features, shares, heartbeat)
    solution = problem.start()
    best: tuple[tuple[float, float], LinearHead, int] | None = None
    checks: list[ProbeCheck] = []
    for step, penalty in enumerate(sorted(penalties, reverse=True), start=1):
        solution = problem.solve(penalty, solution)  # from where the stronger penalty ended
        head = LinearHead(*problem.head(solution))
        score = tune(head)
        if not np.isfinite(score.loss):
            raise Diverged(step)
        checks.append(ProbeCheck(step, penalty, problem.loss(solution), score.loss, score.auroc))
        on_check(checks[-1])
        if best is None or score.rank > best[0]:
            best = score.rank, head, step
    assert best is not None  # noqa: S101 — there is at least one penalty
    return Probe(best[1], best[2], checks)


class _Problem:
    """The loss of a few training cases and its slope, as L-BFGS asks for them."""

    def __init__(
        self, features: NDArray[np.float32], cases: CaseShares, heartbeat: Callable[[], None]
    ) -> None:
        self._mean = features.mean(axis=0, dtype=np.float64)
        self._spread = features.std(axis=0, dtype=np.float64)
        self._spread[self._spread == 0] = 1.0
        self._inputs, self._turn = _in_spanned_space((features - self._mean) / self._spread)
        self._cases, self._heartbeat = cases, heartbeat

    def start(self) -> Floats:
        """Weights of 0, and a bias of 0. [D + 1, T]"""
        return np.zeros((self._inputs.shape[1] + 1, self._cases.positive.shape[1]))

    def solve(self, penalty: float, start: Floats) -> Floats:
        """Weights, and the bias as their last row. [D + 1, T]"""

        def at(flat: Floats) -> tuple[float, Floats]:
            weights = flat.reshape(start.shape)
            value, slope = self._at(weights)
            slope[:-1] += penalty * weights[:-1]
            value += 0.5 * penalty * float((weights[:-1] ** 2).sum())
            return value, slope.ravel()

        def each(_place: Floats) -> None:
            self._heartbeat()

        options = {"maxiter": MAX_ITERATIONS, "gtol": MAX_SLOPE, "ftol": 0.0, "maxcor": 20}
        optimum = cast("Any", minimize)(
            at, start.ravel(), jac=True, method="L-BFGS-B", options=options, callback=each
        )
        return cast("Floats", optimum.x).reshape(start.shape)

    def loss(self, weights: Floats) -> float:
        """Mean over the targets of the mean loss; of a single-label task that of a case."""
        return self._cases.mean_loss(self._at(weights)[0])

    def head(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weights and bias for the features as they are. [T, D], [T]"""
        inner = weights[:-1] if self._turn is None else self._turn.T @ weights[:-1]
        weight = inner.T / self._spread
        return weight, weights[-1] - weight @ self._mean

    def _at(self, weights: Floats) -> tuple[float, Floats]:
        logits = self._inputs @ weights[:-1] + weights[-1]
        positive, negative = self._cases.positive, self._cases.negative
        if self._cases.single_label:
            logs = np.asarray(log_softmax(logits, axis=1))
            value = -float((positive * logs).sum())
            slope = np.exp(logs) * positive.sum(axis=1, keepdims=True) - positive
        else:
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
