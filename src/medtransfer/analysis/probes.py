"""Prediction of something from fixed features, cross-validated over patients."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.seeds import generator
from medtransfer.training.linear_probe import fit_probe
from medtransfer.training.loop import TuneScore
from medtransfer.training.losses import Loss

Floats = NDArray[np.float64]
FOLDS = 5
PENALTY = 0.1
"""Of the logistic regression, on features of mean 0 and deviation 1."""
NEIGHBOURS = 20
MIN_LENGTH = 1e-12


def patient_folds(patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Fold of each case; all cases of a patient share one. [N]"""
    names, owner = np.unique(patients, return_inverse=True)
    order = generator(0, "probe folds").permutation(len(names))
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % FOLDS
    return fold[owner]


def linear_scores(
    features: NDArray[np.float32], targets: Floats, patients: NDArray[np.str_]
) -> Floats:
    """Logits of a logistic regression for cases that it was not fitted on. [N, T]

    One L2 penalty is used throughout: nothing is chosen.

    Args:
        features: [N, C]
        targets: 0 to 1, NaN where masked. [N, T]
        patients: Of each case. [N]
    """
    folds = patient_folds(patients)
    scores = np.zeros(targets.shape)
    for fold in range(FOLDS):
        held_out = folds == fold
        if not held_out.any() or held_out.all():
            continue
        fitted = fit_probe(
            features[~held_out],
            targets[~held_out],
            Loss("multi-label"),
            penalties=(PENALTY,),
            tune=lambda _head: TuneScore(0.0, None),
        )
        scores[held_out] = fitted.head.logits(features[held_out])
    return scores


def neighbour_scores(
    features: NDArray[np.float32], targets: Floats, patients: NDArray[np.str_]
) -> Floats:
    """Mean target of the 20 nearest cases of other patients, by cosine. [N, T]

    Args:
        features: [N, C]
        targets: 0 to 1, NaN where masked. [N, T]
        patients: Of each case. [N]
    """
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread == 0, 1, spread)
    unit = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), MIN_LENGTH)
    cosines = unit @ unit.T
    _, owner = np.unique(patients, return_inverse=True)
    cosines[owner[:, None] == owner[None, :]] = -np.inf
    count = min(NEIGHBOURS, len(features) - 1)
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    near = np.take_along_axis(cosines, nearest, axis=1)
    labels = targets[nearest]  # [N, k, T]
    votes = np.isfinite(near)[:, :, None] & ~np.isnan(labels)
    totals = votes.sum(axis=1)
    sums = np.where(votes, np.nan_to_num(labels), 0.0).sum(axis=1)
    return np.where(totals > 0, sums / np.maximum(totals, 1), 0.5)
