"""OOD scores of cases from their features before the head, relative to the training cases.

Every score increases with the distance from the training cases. Each is fitted on training cases
alone, with the constants of its source: no choice was made on OOD cases.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.ood_gaussians import (
    Features,
    Gaussians,
    PrincipalSpace,
    in_batches,
    mean_square,
)
from medtransfer.posthoc.ood_logit_scores import energy
from medtransfer.seeds import generator

NEIGHBOUR = 50
"""k of `Neighbours`: that of Sun et al. 2022 for CIFAR-10."""
NEIGHBOUR_SHARE = 10
"""With fewer than this times `NEIGHBOUR` training cases, k is this fraction of them, at least 1."""
MAX_BANK = 20_000
"""Largest number of training cases that `Neighbours` keeps."""
MIN_RESIDUAL = 1e-6
"""Minimum residual of training cases, as a share of their length: the rounding of float32."""


@dataclass(frozen=True, eq=False)
class OODReference:
    """Outputs of a trained network for its training cases, and its head.

    Attributes:
        features: At least one case. [N, D]
        logits: [N, T]
        targets: 0 to 1, NaN where masked. [N, T]
        weight: Of the head. [T, D]
        bias: Of the head. [T]
        single_label: True if each case has one class of several.
    """

    features: Features
    logits: Floats
    targets: Floats
    weight: Floats
    bias: Floats
    single_label: bool

    @cached_property
    def memberships(self) -> Floats:
        """Membership of each case in each class; rows add up to 1. [N, T], or [N, T + 1]

        In a single-label task the targets are the classes. Otherwise there is a class for each
        target, of the cases in which it is positive (½ or more), and a last one for cases without a
        positive target. A case with several positive targets belongs to their classes in equal
        shares.
        """
        targets = np.nan_to_num(self.targets)
        if self.single_label:
            return np.eye(targets.shape[1])[targets.argmax(axis=1)]
        positive = targets >= 0.5
        classes = np.column_stack([positive, ~positive.any(axis=1)]).astype(np.float64)
        return classes / classes.sum(axis=1, keepdims=True)

    @cached_property
    def gaussians(self) -> Gaussians:
        """Gaussians of the classes."""
        return Gaussians.fit(self.features, self.memberships)

    @cached_property
    def principal(self) -> PrincipalSpace:
        """Principal space of the features about the head's origin."""
        return PrincipalSpace.fit(self.features, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class Mahalanobis:
    """Squared Mahalanobis distance from the nearest class, covariance shared (Lee et al. 2018).

    The covariance is shrunk: see `CovarianceMap.fit`.
    """

    gaussians: Gaussians

    @classmethod
    def fit(cls, reference: OODReference) -> "Mahalanobis":
        """Fit to the features and targets of training cases."""
        return cls(reference.gaussians)

    def score(self, features: Features, _logits: object, /) -> Floats:
        """Minimum over classes of (f - μ)ᵀ Σ⁻¹ (f - μ); from 0. [N, D] to [N]"""
        gaussians = self.gaussians
        return in_batches(
            features, lambda part: gaussians.distances(gaussians.mapped(part)).min(axis=1)
        )


@dataclass(frozen=True, eq=False)
class RelativeMahalanobis:
    """Mahalanobis distance from the nearest class minus that from all cases (Ren et al. 2021).

    The covariance of the background is the shrunk one within classes plus the scatter of the means,
    so that directions in which no class differs cancel out, as they do without shrinkage.
    """

    gaussians: Gaussians

    @classmethod
    def fit(cls, reference: OODReference) -> "RelativeMahalanobis":
        """Fit to the features and targets of training cases."""
        return cls(reference.gaussians)

    def score(self, features: Features, _logits: object, /) -> Floats:
        """Distance from the nearest class minus that from the background. [N, D] to [N]"""

        def relative(part: Floats) -> Floats:
            mapped = self.gaussians.mapped(part)
            nearest = self.gaussians.distances(mapped).min(axis=1)
            return nearest - self.gaussians.background(mapped)

        return in_batches(features, relative)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Distance from the k-th nearest training case, features normalised (Sun et al. 2022).

    k is 50, or a tenth of the training cases if there are fewer than 500. Of more than 20,000
    training cases, a fixed random sample of 20,000 is used.

    Attributes:
        bank: Features of training cases. [B, D]
        k: 1 to B.
    """

    bank: Features
    k: int

    @classmethod
    def fit(cls, reference: OODReference) -> "Neighbours":
        """Fit to the features of training cases."""
        bank = reference.features
        if len(bank) > MAX_BANK:
            drawn = generator(0, "neighbours").choice(len(bank), MAX_BANK, replace=False)
            bank = bank[np.sort(drawn)]
        return cls(bank, max(1, min(NEIGHBOUR, len(bank) // NEIGHBOUR_SHARE)))

    def score(self, features: Features, _logits: object, /) -> Floats:
        """0 to 2. [N, D] to [N]"""

        def kth(part: Floats) -> Floats:
            unit = _unit(part)
            cosines = in_batches(self.bank, lambda other: _unit(other) @ unit.T)
            near = -np.partition(-cosines, self.k - 1, axis=0)[self.k - 1]
            return np.sqrt(np.maximum(2 - 2 * near, 0.0))

        return in_batches(features, kth)


@dataclass(frozen=True, eq=False)
class Residual:
    """Length outside the principal subspace (Wang et al. 2022; Ndiour et al. 2020)."""

    principal: PrincipalSpace

    @classmethod
    def fit(cls, reference: OODReference) -> "Residual":
        """Fit to the features of training cases and the head."""
        return cls(reference.principal)

    def score(self, features: Features, _logits: object, /) -> Floats:
        """From 0. [N, D] to [N]"""
        return in_batches(features, self.principal.residual)


@dataclass(frozen=True, eq=False)
class VirtualLogit:
    """The residual as a virtual logit, against the energy of the others (Wang et al. 2022).

    Attributes:
        principal: As in `Residual`.
        factor: α, which scales the residual of training cases to the size of their largest logit.
        single_label: Selects the energy; see `energy`.
    """

    principal: PrincipalSpace
    factor: float
    single_label: bool

    @classmethod
    def fit(cls, reference: OODReference) -> "VirtualLogit":
        """Fit to training cases and the head.

        α is their mean largest logit (not below 0) over their mean residual. With a sigmoid for
        each target, absolute logits are used.
        """
        sizes = reference.logits if reference.single_label else np.abs(reference.logits)
        residuals = in_batches(reference.features, reference.principal.residual)
        minimum = MIN_RESIDUAL * float(np.sqrt(mean_square(reference.features)))
        residual = max(float(residuals.mean()), minimum) or 1.0
        largest = max(float(sizes.max(axis=1).mean()), 0.0)
        return cls(reference.principal, largest / residual, reference.single_label)

    def score(self, features: Features, logits: Floats, /) -> Floats:
        """α · residual + energy. [N, D], [N, T] to [N]"""
        residuals = in_batches(features, self.principal.residual)
        return self.factor * residuals + energy(logits, single_label=self.single_label)


@dataclass(frozen=True, eq=False)
class Hopfield:
    """Simplified Hopfield energy of the predicted class's pattern (Zhang et al. 2023).

    Attributes:
        patterns: Mean features of the correctly predicted training cases of each class; if none is
            correct, of all its cases; if it has none, of all training cases. [K, D]
        single_label: True if the predicted class is that of the largest logit. Otherwise there is a
            last class, predicted if no logit is above 0; see `OODReference.memberships`.
    """

    patterns: Floats
    single_label: bool

    @classmethod
    def fit(cls, reference: OODReference) -> "Hopfield":
        """Fit to training cases."""
        member = reference.memberships > 0
        predicted = _predicted(reference.logits, single_label=reference.single_label)
        patterns = np.empty((member.shape[1], reference.features.shape[1]))
        for label in range(len(patterns)):
            members = member[:, label]
            for cases in (members & (predicted == label), members, np.ones_like(members)):
                if cases.any():
                    patterns[label] = reference.features[cases].mean(axis=0, dtype=np.float64)
                    break
        return cls(patterns, reference.single_label)

    def score(self, features: Features, logits: Floats, /) -> Floats:
        """Negative inner product with the pattern. [N, D], [N, T] to [N]"""
        predicted = _predicted(logits, single_label=self.single_label)
        products = in_batches(features, lambda part: part @ self.patterns.T)
        return -products[np.arange(len(products)), predicted]


def _predicted(logits: Floats, *, single_label: bool) -> NDArray[np.intp]:
    """Number of the predicted class. [N]"""
    top = logits.argmax(axis=1)
    if not single_label:
        top[logits.max(axis=1) <= 0] = logits.shape[1]
    return top


def _unit(features: Floats) -> Floats:
    """Features scaled to length 1; zero stays zero. [N, D]"""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
