"""Nearest centroid: the classes of a target as spheres of one size about their means."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.config import Task
from medtransfer.training.heads.feature_head import FeatureHead, scale_of

Floats = NDArray[np.float64]


def fit_centroids(features: NDArray[np.float32], targets: Floats, task: Task) -> FeatureHead:
    """The linear head that nearest centroids amount to, with probabilities.

    Features are brought to mean 0 and deviation 1. The classes of a target are Gaussians about
    their means with one variance σ² in all directions, the mean squared deviation of the training
    cases from the mean of their class; logits add the logarithm of the prevalence. So the larger of
    two probabilities is that of the nearer centroid, prevalence aside. A side without cases has its
    centroid at 0.

    Args:
        features: Of the training cases. [N, D]
        targets: 0 to 1, NaN where masked. [N, T]
        task: What the targets are to each other.
    """
    head = FeatureHead(features.shape[1], targets.shape[1])
    mean, spread = scale_of(features)
    if task == "single-label":
        rows = ~np.isnan(targets).any(axis=1)
        weight, bias = _classes(features[rows], targets[rows], mean, spread)
    else:
        weight, bias = np.empty((targets.shape[1], features.shape[1])), np.empty(targets.shape[1])
        for column in range(targets.shape[1]):
            rows = ~np.isnan(targets[:, column])
            truth = targets[rows, column]
            sides, prior = _classes(
                features[rows], np.column_stack([1 - truth, truth]), mean, spread
            )
            weight[column], bias[column] = sides[1] - sides[0], prior[1] - prior[0]
    scaled = weight / spread
    head.set_last(scaled, bias - scaled @ mean)
    return head


def _classes(
    features: NDArray[np.float32], members: Floats, mean: Floats, spread: Floats
) -> tuple[Floats, Floats]:
    """Weights and biases of the classes of one target on standardised features. [C, D], [C]"""
    sizes = members.sum(axis=0)
    sums = members.T @ features  # standardised after the sum: no second copy of the features
    centroids = (sums / np.maximum(sizes, 1e-12)[:, None] - mean) / spread
    centroids[sizes == 0] = 0.0
    squares = float((((features - mean) / spread) ** 2).sum()) if len(features) else 0.0
    within = squares - float((sizes * (centroids**2).sum(axis=1)).sum())
    variance = max(within / max(1.0, len(features) * features.shape[1]), 1e-12)
    prior = np.log((sizes + 0.5) / (sizes.sum() + 0.5 * len(sizes)))
    return centroids / variance, prior - (centroids**2).sum(axis=1) / (2 * variance)
