"""Heads on fixed features, against scikit-learn and against their definition."""

from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import StandardScaler

from medtransfer.data.config import Task
from medtransfer.training.config import LossConfig
from medtransfer.training.heads.centroid import fit_centroids
from medtransfer.training.heads.feature_head import FittedHead
from medtransfer.training.heads.mlp import fit_mlp
from medtransfer.training.heads.neighbours import NeighbourHead, fit_neighbours
from medtransfer.training.loop import TuneScore
from medtransfer.training.losses import make_loss

Floats = NDArray[np.float64]


def drawn(count: int, classes: int = 2, seed: int = 0) -> tuple[NDArray[np.float32], Floats]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    means = draw.normal(size=(classes, 6)) * 0.8
    features = (means[labels] + draw.normal(size=(count, 6))) * [1, 10, 1, 0.1, 1, 3] + 5
    return features.astype(np.float32), labels.astype(np.float64)


def one_hot(labels: Floats) -> Floats:
    return np.eye(int(labels.max()) + 1)[labels.astype(int)]


def score(targets: Floats):
    def tune(logits: Floats) -> TuneScore:
        loss = np.mean(np.logaddexp(0, logits) - targets * logits)
        return TuneScore(float(loss), float(((logits > 0) == (targets > 0.5)).mean()))

    return tune


@pytest.mark.parametrize("classes", [2, 3])
def test_the_centroid_head_is_the_nearest_centroid(classes: int) -> None:
    features, labels = drawn(400, classes)
    scaled = StandardScaler().fit_transform(features)
    head = fit_centroids(features, one_hot(labels), "single-label")
    logits = head.outputs(features).logits.astype(np.float64)
    prior = np.log((one_hot(labels).sum(axis=0) + 0.5) / (len(labels) + 0.5 * classes))
    oracle = NearestCentroid().fit(scaled, labels)
    assert np.array_equal((logits - prior).argmax(axis=1), oracle.predict(scaled))


def test_its_probabilities_are_those_of_spheres_of_one_size() -> None:
    features, labels = drawn(300, 2, seed=3)
    scaled = StandardScaler().fit_transform(features).astype(np.float64)
    means = np.stack([scaled[labels == side].mean(axis=0) for side in (0, 1)])
    variance = ((scaled - means[labels.astype(int)]) ** 2).mean()
    squares = ((scaled[:, None] - means[None]) ** 2).sum(axis=2)
    prior = np.log((labels.sum() + 0.5) / ((1 - labels).sum() + 0.5))
    expected = (squares[:, 0] - squares[:, 1]) / (2 * variance) + prior
    logits = fit_centroids(features, labels[:, None], "binary").outputs(features).logits[:, 0]
    assert np.allclose(logits, expected, atol=1e-3)


def fitted_neighbours(
    features: NDArray[np.float32], targets: Floats, task: Task = "binary"
) -> FittedHead:
    return fit_neighbours(features, targets, features, task=task, tune=score(targets))


def votes(distances: Floats) -> Floats:
    return np.exp((1 - distances) / 0.07)


def test_neighbours_are_those_of_scikit_learn() -> None:
    features, labels = drawn(200)
    head = fitted_neighbours(features, labels[:, None]).head
    assert isinstance(head, NeighbourHead)
    head.neighbours.fill_(7)
    scaled = StandardScaler().fit_transform(features)
    classifier = cast("Any", KNeighborsClassifier)  # its stub knows no function as weights
    oracle = classifier(7, metric="cosine", algorithm="brute", weights=votes).fit(scaled, labels)
    share = oracle.predict_proba(scaled)[:, 1]
    # one vote of mean weight more, divided as the labels are
    weights = np.exp((1 - oracle.kneighbors(scaled)[0]) / 0.07)
    prior = (labels.sum() + 0.5) / (len(labels) + 1)
    expected = (share * weights.sum(axis=1) + prior * weights.mean(axis=1)) / (
        weights.sum(axis=1) + weights.mean(axis=1)
    )
    assert np.allclose(expit(head.outputs(features).logits[:, 0]), expected, atol=1e-4)


def test_neighbours_with_a_masked_label_have_no_vote() -> None:
    features, labels = drawn(60)
    masked = labels[:, None].copy()
    masked[::2] = np.nan
    with_gaps = fitted_neighbours(features, masked).head
    without = fitted_neighbours(features[1::2], labels[1::2, None]).head
    assert isinstance(with_gaps, NeighbourHead)
    assert isinstance(without, NeighbourHead)
    for head in (with_gaps, without):
        head.mean.zero_()
        head.spread.fill_(1.0)
    with_gaps.set_bank(features, masked)
    without.set_bank(features[1::2], labels[1::2, None])
    with_gaps.neighbours.fill_(60)
    without.neighbours.fill_(30)
    first, second = (head.outputs(features).logits for head in (with_gaps, without))
    assert np.corrcoef(first[:, 0], second[:, 0])[0, 1] > 0.99


def test_classes_of_neighbours_add_up_to_one() -> None:
    features, labels = drawn(90, 3)
    head = fitted_neighbours(features, one_hot(labels), "single-label").head
    logits = head.outputs(features).logits
    assert np.allclose(np.exp(logits).sum(axis=1), 1, atol=1e-5)
    assert np.allclose(softmax(logits, axis=1), np.exp(logits), atol=1e-5)


@pytest.mark.slow
def test_a_perceptron_learns_what_no_line_divides() -> None:
    draw = np.random.default_rng(1)
    features = draw.normal(size=(800, 2)).astype(np.float32)
    targets = (features[:, :1] * features[:, 1:] > 0).astype(np.float64)
    train, tune = slice(0, 600), slice(600, 800)
    loss = make_loss(LossConfig(), "binary", ("odd",), targets[train])

    def fit(seed: int) -> FittedHead:
        return fit_mlp(
            features[train],
            targets[train],
            features[tune],
            loss=loss,
            seed=seed,
            tune=score(targets[tune]),
        )

    first = fit(0)
    logits = first.head.outputs(features[tune]).logits
    assert ((logits > 0) == (targets[tune] > 0.5)).mean() > 0.9
    assert np.array_equal(logits, fit(0).head.outputs(features[tune]).logits)
    assert not np.array_equal(logits, fit(1).head.outputs(features[tune]).logits)
    assert first.checks[first.selected - 1].tune_auroc == max(
        check.tune_auroc or 0 for check in first.checks
    )
