"""Distributions of the features of training cases: Gaussians of classes, a principal subspace.

Statistics are float64. Features are converted a batch of cases at a time, so that memory holds no
second copy of the float32 features.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, pinv, svd
from scipy.spatial.distance import cdist

from medtransfer.metrics.kernels.sums import Floats

Features = NDArray[np.floating[Any]]
"""Features of cases, pooled over their images, before the head. [N, D]"""

BATCH_CASES = 512
"""Cases converted to float64 at once."""
MIN_VARIANCE = 1e-12
"""Share of the mean square below which a variance is the rounding of float32 features."""


@dataclass(frozen=True, eq=False)
class CovarianceMap:
    """A linear map under which a covariance is the identity.

    Attributes:
        axes: Orthonormal directions, of the scatter it was fitted to. [D, r]
        scales: One over the standard deviation along each. [r]
        rest: One over the standard deviation along all directions orthogonal to them.
    """

    axes: Floats
    scales: Floats
    rest: float

    @classmethod
    def fit(
        cls, deviations: Iterable[Floats], rows: int, freedom: int, shrinkage: float | None = None
    ) -> "CovarianceMap":
        """The covariance (1 - s) Σ + s (tr Σ / D) I, Σ the mean of outer products.

        s is given by oracle approximating shrinkage (`oas_shrinkage`). So there is an inverse even
        with fewer cases than dimensions, and s goes to 0 as cases increase. Without any variation
        the covariance is the identity.

        Args:
            deviations: Cases about their mean, in batches. [n, D]
            rows: Total number of cases.
            freedom: Degrees of freedom: cases minus fitted means.
            shrinkage: Fixed value of s, 0 to 1.
        """
        variances, axes = _axes(deviations, rows)
        width, level = len(axes), float(variances.sum()) / len(axes)
        if level == 0:
            return cls(axes[:, :0], np.ones(0), 1.0)
        if shrinkage is None:
            shrinkage = oas_shrinkage(variances, width, freedom)
        floor = MIN_VARIANCE * level
        shrunk = np.maximum((1 - shrinkage) * variances + shrinkage * level, floor)
        return cls(axes, 1 / np.sqrt(shrunk), float(1 / np.sqrt(max(shrinkage * level, floor))))

    def of(self, deviations: Floats) -> Floats:
        """Deviations in units of the covariance. [n, D]"""
        along = (deviations @ self.axes) * (self.scales - self.rest)
        return deviations * self.rest + along @ self.axes.T


@dataclass(frozen=True, eq=False)
class Gaussians:
    """A Gaussian for each class, all with one covariance.

    Attributes:
        centre: Mean of all training cases. [D]
        map: Of their covariance within classes.
        means: Of the classes that occur, about the centre, mapped. [K, D]
        shares: Of the training cases that are in each. [K]
    """

    centre: Floats
    map: CovarianceMap
    means: Floats
    shares: Floats

    @classmethod
    def fit(
        cls, features: Features, memberships: Floats, shrinkage: float | None = None
    ) -> "Gaussians":
        """Means of the classes, and the covariance about them.

        Args:
            features: [N, D]
            memberships: Membership of each case in each class; rows add up to 1. [N, K]
            shrinkage: Fixed shrinkage of the covariance.
        """
        weights = memberships[:, memberships.sum(axis=0) > 0]
        sizes = weights.sum(axis=0)
        sums = np.zeros((len(sizes), features.shape[1]))
        for part, share in _batches(features, weights):
            sums += share.T @ part
        means = sums / sizes[:, None]
        centre = sums.sum(axis=0) / len(features)
        scatter = CovarianceMap.fit(
            _about_classes(features, weights, means),
            int(np.count_nonzero(weights)),
            max(1, len(features) - len(sizes)),
            shrinkage,
        )
        return cls(centre, scatter, scatter.of(means - centre), sizes / len(features))

    def mapped(self, features: Features) -> Floats:
        """Features about the centre, in units of the covariance. [n, D]"""
        return self.map.of(features.astype(np.float64) - self.centre)

    def distances(self, mapped: Floats) -> Floats:
        """Squared Mahalanobis distance of mapped features from each class. [n, K]"""
        return cdist(mapped, self.means, "sqeuclidean")

    def background(self, mapped: Floats) -> Floats:
        """Squared Mahalanobis distance of mapped features from all training cases together. [n]

        Their covariance is that within classes plus the scatter of the means.
        """
        between = np.sqrt(self.shares)[:, None] * self.means
        onto = mapped @ between.T
        inner = np.eye(len(between)) + between @ between.T
        return (mapped**2).sum(axis=1) - (onto * np.linalg.solve(inner, onto.T).T).sum(axis=1)


@dataclass(frozen=True, eq=False)
class PrincipalSpace:
    """Subspace in which features vary most, about the origin of the head (Wang et al. 2022).

    Attributes:
        origin: Point at which all logits are 0: -W⁺ b. [D]
        axes: Orthonormal directions of the subspace. [D, d]
    """

    origin: Floats
    axes: Floats

    @classmethod
    def fit(
        cls, features: Features, weight: Floats, bias: Floats, dimensions: int | None = None
    ) -> "PrincipalSpace":
        """The largest principal directions of training cases about the origin.

        Args:
            features: [N, D]
            weight: Of the head. [T, D]
            bias: Of the head. [T]
            dimensions: Fixed d instead of `principal_dimensions`.
        """
        # the rows of a softmax head add up to 0 except for rounding, which must not be inverted
        tolerance = max(weight.shape) * float(np.finfo(np.float32).eps)
        origin = -np.asarray(pinv(weight, rtol=tolerance)) @ bias
        deviations = (part - origin for part, _ in _batches(features, None))
        _, axes = _axes(deviations, len(features))
        if dimensions is None:
            dimensions = principal_dimensions(features.shape[1], len(features))
        return cls(origin, axes[:, :dimensions])

    def residual(self, features: Features) -> Floats:
        """Length of the component outside the subspace. [n, D] to [n]"""
        deviations = features.astype(np.float64) - self.origin
        return np.linalg.norm(deviations - (deviations @ self.axes) @ self.axes.T, axis=1)


def oas_shrinkage(variances: Floats, width: int, freedom: int) -> float:
    """The s of oracle approximating shrinkage (Chen et al. 2010, equation 23, for large D).

    Args:
        variances: Eigenvalues of the covariance that are not 0. [r]
        width: Number of dimensions D.
        freedom: Number of independent cases n.

    Returns:
        (tr Σ² + tr² Σ) / ((n + 1) (tr Σ² - tr² Σ / D)), at most 1.
    """
    squares, square = float((variances**2).sum()), float(variances.sum()) ** 2
    spread = (freedom + 1) * (squares - square / width)
    return min(1.0, (squares + square) / spread) if spread > 0 else 1.0


def principal_dimensions(width: int, cases: int) -> int:
    """Number of principal directions.

    1,000 for 2,048 features or more, 512 for fewer, as in the code of Wang et al. 2022; half for
    fewer than 768. At most half the number of training cases, which else would have no residual.
    """
    kept = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
    return min(kept, cases // 2)


def in_batches(features: Features, of: Callable[[Floats], Floats]) -> Floats:
    """Apply a function to cases in float64 batches. [N, D] to [N, …]"""
    return np.concatenate([of(part) for part, _ in _batches(features, None)])


def mean_square(features: Features) -> float:
    """Mean squared length of the features of a case."""
    return float(in_batches(features, lambda part: (part**2).sum(axis=1)).mean())


def _batches(features: Features, weights: Floats | None) -> Iterator[tuple[Floats, Floats]]:
    """Cases and their weights, in float64 batches."""
    for start in range(0, len(features), BATCH_CASES):
        rows = slice(start, start + BATCH_CASES)
        part = features[rows].astype(np.float64)
        yield part, np.ones((len(part), 1)) if weights is None else weights[rows]


def _about_classes(features: Features, weights: Floats, means: Floats) -> Iterator[Floats]:
    """Deviations of cases from their class means, times the root of their membership.

    Divided by the root of the number of cases, so that outer products add up to a covariance.
    """
    smallest = MIN_VARIANCE * mean_square(features)
    total = np.sqrt(len(features))
    for part, shares in _batches(features, weights):
        for share, mean in zip(shares.T, means, strict=True):
            within = share > 0
            deviations = part[within] - mean
            deviations[(deviations**2).sum(axis=1) <= smallest] = 0.0
            yield deviations * np.sqrt(share[within, None]) / total


def _axes(deviations: Iterable[Floats], rows: int) -> tuple[Floats, Floats]:
    """Principal variances, falling, and their directions. [r], [D, r], r the smaller of n and D

    Args:
        deviations: In batches. [n, D]
        rows: Total number of cases.
    """
    scatter: Floats | None = None
    kept: list[Floats] = []
    for part in deviations:
        if rows < part.shape[1]:
            kept.append(part)
        else:
            scatter = part.T @ part if scatter is None else scatter + part.T @ part
    if scatter is None:
        _, lengths, across = svd(np.concatenate(kept), full_matrices=False)
        return lengths**2, across.T
    variances, axes = eigh(scatter, overwrite_a=True)
    return np.maximum(variances[::-1], 0.0), axes[:, ::-1]
