"""Prevalence of another hospital from unlabelled cases (Saerens, Latinne and Decaestecker 2002).

If only the frequency of the classes differs, and not the look of a class, a probability p that is
right at a prevalence π₀ becomes right at π by weighting each class with π / π₀. The π of largest
likelihood is found by expectation-maximisation from the probabilities alone.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, logsumexp

from medtransfer.metrics.kernels.sums import Floats

TOLERANCE = 1e-9
"""Largest change of a class's prevalence at which the iteration stops."""
MAX_ITERATIONS = 20_000


@dataclass(frozen=True)
class EstimatedPrevalence:
    """Estimate of the share of each class among unlabelled cases.

    Attributes:
        shares: Of each class; their sum is 1. [C]
        iterations: Steps taken.
    """

    shares: Floats
    iterations: int


def estimate_prevalence(
    logits: Floats, home: Floats, tolerance: float = TOLERANCE
) -> EstimatedPrevalence:
    """Estimate the prevalence among unlabelled cases by expectation-maximisation.

    Each step takes the mean of the probabilities after weighting with the shares of the step
    before. The likelihood is concave in the shares, so the start does not matter. Of n cases and C
    classes no share is below 1 / (n + C) (rule of succession): n cases do not exclude a class.

    Args:
        logits: Of calibrated probabilities, up to a constant of each case. [n, C]
        home: Prevalence at which these are calibrated; each over 0. [C]
        tolerance: Largest change of a share at which the iteration stops.
    """
    ratios = np.asarray(log_softmax(logits, axis=1)) - np.log(home)
    shares = home / home.sum()
    least = 1 / (len(logits) + logits.shape[1])
    for step in range(1, MAX_ITERATIONS + 1):
        weighted = ratios + np.log(shares)
        posterior = np.exp(weighted - np.asarray(logsumexp(weighted, axis=1, keepdims=True)))
        update = np.maximum(posterior.mean(axis=0), least)
        update /= update.sum()
        change = float(np.abs(update - shares).max())
        shares = update
        if change < tolerance:
            return EstimatedPrevalence(shares, step)
    return EstimatedPrevalence(shares, MAX_ITERATIONS)


def estimate_binary_prevalence(logits: Floats, home: float) -> float:
    """Estimate the prevalence of a binary target among unlabelled cases.

    Args:
        logits: Of calibrated probabilities. [n]
        home: Prevalence at which these are calibrated; over 0 and under 1.
    """
    pairs = np.stack([np.zeros_like(logits), logits], axis=1)
    return float(estimate_prevalence(pairs, np.array([1 - home, home])).shares[1])
