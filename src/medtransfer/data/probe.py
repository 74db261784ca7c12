"""Cross-fitted predictions from a few numbers per row, and how good they are.

A patient's rows are all in one fold, so that nobody is predicted from himself.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
FOLDS = 5


def folds_of(patients: pl.Series) -> NDArray[np.int64]:
    """A fold per row, the same for all rows of a patient. [N], 0 to `FOLDS` - 1"""
    return (patients.hash(1) % FOLDS).to_numpy().astype(np.int64)


def area(positive: Flags, scores: Floats) -> float:
    """AUROC with ties as a half; 0.5 where a class is missing."""
    from scipy.stats import rankdata

    hits, count = int(positive.sum()), len(positive)
    if hits in (0, count):
        return 0.5
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - hits * (hits + 1) / 2) / (hits * (count - hits)))


def area_of_features(features: Floats, positive: Flags, fold: NDArray[np.int64]) -> float:
    """AUROC of a ridge regression on ranks of features, predicted by fold.

    The mean over folds, each with both classes: scores of different fits are not on one scale.

    Args:
        features: Any numbers. [N, F]
        positive: What is predicted. [N]
        fold: From `folds_of`. [N]
    """
    from scipy.stats import rankdata

    ranks = rankdata(features, axis=0) / len(features) - 0.5
    inputs = np.hstack([ranks, ranks**2, np.ones((len(ranks), 1))])
    penalty = np.eye(inputs.shape[1]) * 0.01 * len(inputs)
    penalty[-1, -1] = 1e-9
    areas: list[float] = []
    for own in range(FOLDS):
        train, test = fold != own, fold == own
        if min(positive[test].sum(), (~positive[test]).sum()) < 3:
            continue
        gram = inputs[train].T @ inputs[train] + penalty
        weights = np.linalg.solve(gram, inputs[train].T @ positive[train].astype(np.float64))
        areas.append(area(positive[test], inputs[test] @ weights))
    return float(np.mean(areas)) if areas else 0.5
