"""Logistic regression of many cases: passes over blocks of features, along their principal axes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from medtransfer.training.case_shares import CaseShares, Floats

Features = NDArray[np.float32]
MAX_ITERATIONS = 1000
"""Most iterations of L-BFGS for one penalty."""
MAX_SLOPE = 1e-6
"""Largest slope of the mean loss at which it is done."""
BLOCK_NUMBERS = 2**17
"""Numbers that are made float64 at a time: 1 MiB stays in a processor's cache between the two
products of a block."""
PRODUCT_NUMBERS = 2**20
"""Likewise for the covariance, whose products are worth larger blocks."""
CONSTANT = 1e-12
"""A deviation below so much of the mean is the mean's rounding."""


@dataclass(frozen=True, eq=False)
class StandardFeatures:
    """Features of mean 0 and deviation 1, kept as they are and read in blocks.

    Attributes:
        values: As they are. [N, D]
        mean: [D]
        spread: Deviation, 1 where a feature is constant. [D]
    """

    values: Features
    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, values: Features) -> "StandardFeatures":
        """Take mean and deviation of features by sums in float64. [N, D]"""
        total, squares = np.zeros(values.shape[1]), np.zeros(values.shape[1])
        for _, block in blocks_of(values):
            total += block.sum(axis=0)
        mean = total / len(values)
        for _, block in blocks_of(values):
            centred = np.subtract(block, mean, out=block)
            squares += np.einsum("nd,nd->d", centred, centred)
        spread = np.sqrt(squares / len(values))
        spread[spread <= CONSTANT * np.abs(mean)] = 1.0
        return cls(values, mean, spread)

    def covariance(self) -> Floats:
        """Products in float32, summed in float64: enough to choose coordinates by. [D, D]"""
        total = np.zeros((self.values.shape[1],) * 2)
        for _, block in blocks_of(self.values, PRODUCT_NUMBERS):
            centred = np.subtract(block, self.mean, out=block)
            small = np.divide(centred, self.spread, out=centred).astype(np.float32)
            total += small.T @ small
        return total / len(self.values)

    def as_they_are(self, weights: Floats) -> Floats:
        """Weights and bias for the features as they are. [D + 1, T]"""
        inner = weights[:-1] / self.spread[:, None]
        return np.vstack([inner, weights[-1:] - self.mean @ inner])

    def slope(self, products: Floats, total: Floats) -> Floats:
        """Slope by the weights of standard features, from products with those as they are.

        Args:
            products: Features times the slope by the logits. [D, T]
            total: Sum of the latter. [T]

        Returns:
            [D + 1, T]
        """
        return np.vstack([(products - np.outer(self.mean, total)) / self.spread[:, None], total])


def blocks_of(values: Features, numbers: int = BLOCK_NUMBERS) -> Iterator[tuple[slice, Floats]]:
    """Rows of features as float64, in a place that every block reuses.

    Args:
        values: [N, D]
        numbers: Of a block.
    """
    rows = max(1, numbers // max(1, values.shape[1]))
    place = np.empty((min(rows, len(values)), values.shape[1]))
    for start in range(0, len(values), rows):
        part = slice(start, min(start + rows, len(values)))
        block = place[: part.stop - start]
        np.copyto(block, values[part])
        yield part, block


@dataclass(frozen=True, eq=False)
class ScaledAxes:
    """Coordinates in which a penalised loss has about the same curvature in all directions.

    Attributes:
        axes: Principal axes of the features, orthonormal. [D, D]
        scales: Their lengths. [D, 1]
        bias_scale: Length of the bias.
    """

    axes: Floats
    scales: Floats
    bias_scale: float

    def natural(self, weights: Floats) -> Floats:
        """Weights of the features, from those along the scaled axes. [D + 1, T]"""
        return np.vstack([self.axes @ (self.scales * weights[:-1]), weights[-1:] * self.bias_scale])

    def along(self, weights: Floats) -> Floats:
        """The inverse of `natural`. [D + 1, T]"""
        inner = (self.axes.T @ weights[:-1]) / self.scales
        return np.vstack([inner, weights[-1:] / self.bias_scale])

    def slope(self, slope: Floats) -> Floats:
        """Slope along the scaled axes, from that by the weights of the features. [D + 1, T]"""
        inner = self.scales * (self.axes.T @ slope[:-1])
        return np.vstack([inner, slope[-1:] * self.bias_scale])


class LargeProblem:
    """The loss of many training cases and its slope, as L-BFGS asks for them.

    Features are correlated, with condition numbers of 10^5 and more, and the steps of L-BFGS grow
    with them. Along the principal axes, each scaled by the root of its curvature, it takes 80
    evaluations in place of 2,800 (20,000 cases of 768 features, 9 penalties). The optimum is that
    of `fit_probe`, to the same slope.
    """

    def __init__(
        self, features: Features, cases: CaseShares, heartbeat: Callable[[], None]
    ) -> None:
        """Take the principal axes of the features.

        Args:
            features: Of the training cases. [N, D]
            cases: Their shares in the mean loss.
            heartbeat: Called after every iteration; an exception that it raises ends the fit.
        """
        self._features, self._cases = StandardFeatures.of(features), cases
        self._heartbeat = heartbeat
        variances, self._axes = np.linalg.eigh(self._features.covariance())
        self._variances = np.maximum(variances, 0.0)
        self._latest = np.zeros(0), 0.0

    def start(self) -> Floats:
        """Weights of 0, and a bias of 0. [D + 1, T]"""
        return np.zeros((self._features.values.shape[1] + 1, self._cases.positive.shape[1]))

    def solve(self, penalty: float, start: Floats) -> Floats:
        """Weights of standard features, and the bias as their last row. [D + 1, T]"""
        curvature = self._cases.curvature
        scales = 1 / np.sqrt(curvature * self._variances + penalty)[:, None]
        axes = ScaledAxes(self._axes, scales, 1 / curvature**0.5)

        def at(flat: Floats) -> tuple[float, Floats]:
            weights = axes.natural(flat.reshape(start.shape))
            value, slope = self._at(weights)
            self._latest = weights, value
            slope[:-1] += penalty * weights[:-1]
            value += 0.5 * penalty * float((weights[:-1] ** 2).sum())
            return value, axes.slope(slope).ravel()

        def each(_place: Floats) -> None:
            self._heartbeat()

        options = {"maxiter": MAX_ITERATIONS, "gtol": MAX_SLOPE, "ftol": 0.0, "maxcor": 20}
        optimum = cast("Any", minimize)(
            at,
            axes.along(start).ravel(),
            jac=True,
            method="L-BFGS-B",
            options=options,
            callback=each,
        )
        return axes.natural(cast("Floats", optimum.x).reshape(start.shape))

    def loss(self, weights: Floats) -> float:
        """Mean over the targets of the mean loss; of a single-label task that of a case."""
        latest, value = self._latest  # nearly always where the optimum was found
        if not np.array_equal(latest, weights):
            value = self._at(weights)[0]
        return self._cases.mean_loss(value)

    def head(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weights and bias for the features as they are. [T, D], [T]"""
        natural = self._features.as_they_are(weights)
        return np.ascontiguousarray(natural[:-1].T), natural[-1]

    def _at(self, weights: Floats) -> tuple[float, Floats]:
        """Sum of the mean losses of the targets, and its slope. [D + 1, T]"""
        natural = self._features.as_they_are(weights)
        value, total = 0.0, np.zeros(natural.shape[1])
        products = np.zeros((len(natural) - 1, natural.shape[1]))
        for rows, block in blocks_of(self._features.values):
            part, slope = self._loss_of(block @ natural[:-1] + natural[-1], rows)
            value += part
            products += block.T @ slope
            total += slope.sum(axis=0)
        return value, self._features.slope(products, total)

    def _loss_of(self, logits: Floats, rows: slice) -> tuple[float, Floats]:
        """Loss of some cases and its slope by their logits. [n, T]"""
        positive, negative = self._cases.positive[rows], self._cases.negative[rows]
        if self._cases.single_label:
            logs = np.asarray(log_softmax(logits, axis=1))
            slope = np.exp(logs) * positive.sum(axis=1, keepdims=True) - positive
            return -float((positive * logs).sum()), slope
        # log(1 + exp(z)) = log(1 + exp(-z)) + z
        both = positive + negative
        value = float((both * np.logaddexp(0, -logits) + negative * logits).sum())
        return value, both * expit(logits) - positive
