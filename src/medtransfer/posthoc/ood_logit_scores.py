"""OOD scores of cases from their logits alone.

Every score increases with the distance from the training cases. A single-label task has a softmax
over its targets. A binary or multi-label task has a sigmoid for each: a target is a choice between
p and 1 - p.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp

from medtransfer.metrics.kernels.sums import Floats

GEN_POWER = 0.1
"""γ of `gen`: the value of Liu, Lochman and Zach 2023 for all their networks."""
GEN_CLASSES = 100
"""M of `gen`: number of largest probabilities that count; theirs for 1,000 classes."""


def max_probability(logits: Floats, *, single_label: bool) -> Floats:
    """1 - the largest probability (Hendrycks and Gimpel 2017); 0 to 1.

    Args:
        logits: [N, T]
        single_label: Largest over the classes; else over p and 1 - p of every target.

    Returns:
        The sum of the other probabilities, so that 1e-20 and 1e-30 stay distinct. [N]
    """
    if single_label:
        return np.exp(_softmax_logs(logits)[1].min(axis=1))
    surest: Floats = np.abs(logits).max(axis=1)
    return expit(-surest)


def max_logit(logits: Floats) -> Floats:
    """Negative largest logit, for every task (Hendrycks et al. 2022). [N, T] to [N]"""
    return -logits.max(axis=1)


def energy(logits: Floats, *, single_label: bool) -> Floats:
    """Energy at temperature 1 (Liu et al. 2020).

    Args:
        logits: [N, T]
        single_label: -log Σ e^l; else JointEnergy (Wang et al. 2021): -Σ log(1 + e^l).

    Returns:
        [N]
    """
    if single_label:
        return -np.asarray(logsumexp(logits, axis=1))
    return -np.logaddexp(0, logits).sum(axis=1)


def gen(logits: Floats, *, single_label: bool) -> Floats:
    """Generalised entropy: Σ p^γ (1 - p)^γ, γ = 0.1 (Liu, Lochman and Zach 2023); from 0.

    Args:
        logits: [N, T]
        single_label: Over the 100 most probable classes; else over p and 1 - p of every target.

    Returns:
        [N]
    """
    if not single_label:
        products = log_expit(logits) + log_expit(-logits)
        return 2 * np.exp(GEN_POWER * products).sum(axis=1)
    log_p, log_rest = _softmax_logs(logits)
    # p (1 - p) rises with p below ½, and no class but the first can lie above
    order = np.argsort(-log_p, axis=1, kind="stable")[:, :GEN_CLASSES]
    products = np.take_along_axis(log_p + log_rest, order, axis=1)
    return np.exp(GEN_POWER * products).sum(axis=1)


@dataclass(frozen=True, eq=False)
class LogitScore:
    """Score that needs no fitting.

    Attributes:
        of: From logits [N, T] to scores [N].
    """

    of: Callable[[Floats], Floats]

    def score(self, _features: object, logits: Floats, /) -> Floats:
        """The score of each case. [N, T] to [N]"""
        return self.of(logits)


@dataclass(frozen=True, eq=False)
class KLMatching:
    """Divergence from the nearest typical posterior of a class (Hendrycks et al. 2022).

    Single-label only: with a sigmoid for each target there is no predicted class.

    Attributes:
        templates: Log of the mean softmax of the training cases predicted as a class; a class
            that is never predicted has none. [K, T]
    """

    templates: Floats

    @classmethod
    def fit(cls, logits: Floats) -> "KLMatching":
        """Templates from the logits of training cases. [N, T]"""
        log_p, predicted = log_softmax(logits, axis=1), logits.argmax(axis=1)
        means = [
            logsumexp(log_p[predicted == label], axis=0) - np.log((predicted == label).sum())
            for label in np.unique(predicted)
        ]
        return cls(np.array(means, dtype=np.float64))

    def score(self, _features: object, logits: Floats, /) -> Floats:
        """Minimum over the templates d of Σ p log(p / d); not below 0. [N, T] to [N]"""
        log_p = log_softmax(logits, axis=1)
        p = np.exp(log_p)
        divergences = (p * log_p).sum(axis=1, keepdims=True) - p @ self.templates.T
        return np.maximum(divergences.min(axis=1), 0.0)


def _softmax_logs(logits: Floats) -> tuple[Floats, Floats]:
    """Logs of p and of 1 - p, exact for p close to 1 too. [N, T] each"""
    rows, top = np.arange(len(logits)), logits.argmax(axis=1)
    others = logits.copy()
    others[rows, top] = -np.inf
    lead = logits[rows, top] - logsumexp(others, axis=1)
    log_p = np.asarray(log_softmax(logits, axis=1))
    log_rest = np.log1p(-np.exp(np.minimum(log_p, np.log(0.5))))
    log_p[rows, top], log_rest[rows, top] = log_expit(lead), log_expit(-lead)
    return log_p, log_rest
