"""Networks that are no more than their features and a head, with the cases they were trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.posthoc.ood_feature_scores import OODReference
from medtransfer.statistics.bootstrap import Floats


@dataclass(frozen=True)
class Network:
    """A head over features that vary about a centre for each class, all with one covariance.

    The covariance has a condition of about 100. Single-label, or a sigmoid for each target.
    """

    width: int = 12
    classes: int = 4
    single_label: bool = True
    seed: int = 0

    def cases(
        self, number: int, draw: int, far: float = 0.0
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Features, logits and classes of some cases, moved by `far` away from all of them."""
        rng = np.random.default_rng([self.seed, draw])
        classes = np.arange(number) % self.classes
        noise = rng.normal(size=(number, self.width)) @ self.mixing()
        features = self.centres()[classes] + noise + far * self.direction()
        return features, self.logits(features), classes

    def rng(self, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1000 + what])

    def mixing(self) -> Floats:
        turned, _ = np.linalg.qr(self.rng(0).normal(size=(self.width, self.width)))
        return np.geomspace(0.3, 3, self.width)[:, None] * turned

    def centres(self) -> Floats:
        return self.rng(1).normal(size=(self.classes, self.width)) * 2 + 3

    def direction(self) -> Floats:
        """Length 1, and unseen by the head."""
        drawn = self.rng(2).normal(size=self.width)
        rows = np.linalg.svd(self.weight(), full_matrices=False)[2]
        drawn -= rows.T @ (rows @ drawn)
        return drawn / np.linalg.norm(drawn)

    def weight(self) -> Floats:
        return 0.15 * (self.centres() - self.centres().mean(axis=0))

    def bias(self) -> Floats:
        return self.rng(3).normal(size=self.classes) * 0.1

    def logits(self, features: Floats) -> Floats:
        return (features - self.centres().mean(axis=0)) @ self.weight().T + self.bias()

    def targets(self, classes: NDArray[np.int64]) -> Floats:
        """One of them for each class; with sigmoids the first class has none."""
        return np.eye(self.classes)[classes][:, (0 if self.single_label else 1) :]

    def trained(self, number: int = 400, draw: int = 0) -> OODReference:
        features, logits, classes = self.cases(number, draw)
        return self.of(features, logits, classes)

    def of(self, features: Floats, logits: Floats, classes: NDArray[np.int64]) -> OODReference:
        first = 0 if self.single_label else 1
        bias = self.bias() - self.weight() @ self.centres().mean(axis=0)
        return OODReference(
            features,
            logits[:, first:],
            self.targets(classes),
            self.weight()[first:],
            bias[first:],
            self.single_label,
        )

    def test(self, number: int = 60, draw: int = 1, far: float = 0.0) -> tuple[Floats, Floats]:
        """Features and logits of other cases."""
        features, _, _ = self.cases(number, draw, far)
        return features, self.seen_by(features)

    def seen_by(self, features: Floats) -> Floats:
        """Logits of any features."""
        return self.logits(features)[:, (0 if self.single_label else 1) :]
