"""Detectors equal pytorch-ood's, up to the constants named here, where both define the same thing.

pytorch-ood makes some of its arrays in the default precision of torch, which is double here. Its
ViM works in single precision whatever the default.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from pytorch_ood.detector import (
    GEN,
    KNN,
    RMD,
    SHE,
    EnergyBased,
    KLMatching,
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    ViM,
)
from scipy.linalg import pinv
from scipy.special import logsumexp
from scipy.stats import spearmanr
from sklearn.covariance import EmpiricalCovariance
from tests.posthoc.drawn_networks import Network

from medtransfer.posthoc import ood_feature_scores as ours
from medtransfer.posthoc import ood_logit_scores
from medtransfer.posthoc.ood_detectors import DETECTORS
from medtransfer.posthoc.ood_feature_scores import OODReference
from medtransfer.posthoc.ood_gaussians import Gaussians, PrincipalSpace
from medtransfer.statistics.bootstrap import Floats

SEEDS = pytest.mark.parametrize("seed", range(4))
CASES = 400


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def tensor(values: NDArray[np.floating[Any]]) -> torch.Tensor:
    return torch.tensor(values)


def labels_of(trained: OODReference) -> torch.Tensor:
    return torch.tensor(trained.targets.argmax(axis=1))


def logits_and_known(seed: int) -> tuple[OODReference, Floats, Floats]:
    network = Network(seed=seed)
    features, logits = network.test(far=2.0)
    return network.trained(CASES), features, logits


def test_every_detector_has_an_oracle_here() -> None:
    tests = [name for name in globals() if name.startswith("test_")]
    missing = [n for n in DETECTORS if not any(t.startswith(f"test_{n}") for t in tests)]
    assert missing == []


@SEEDS
def test_max_probability_is_theirs_plus_one(seed: int) -> None:
    _, _, logits = logits_and_known(seed)
    found = ood_logit_scores.max_probability(logits, single_label=True)
    assert_allclose(found, 1 + MaxSoftmax.score(tensor(logits)).numpy(), rtol=1e-9, atol=1e-9)


@SEEDS
def test_max_logit_is_theirs(seed: int) -> None:
    _, _, logits = logits_and_known(seed)
    assert_allclose(
        ood_logit_scores.max_logit(logits),
        MaxLogit.score(tensor(logits)).numpy(),
        rtol=1e-9,
        atol=1e-9,
    )


@SEEDS
def test_energy_is_theirs_at_temperature_one(seed: int) -> None:
    _, _, logits = logits_and_known(seed)
    found = ood_logit_scores.energy(logits, single_label=True)
    assert_allclose(found, EnergyBased.score(tensor(logits)).numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 5, 100, 130])
def test_gen_is_theirs_times_the_number_of_classes_that_count(classes: int) -> None:
    logits = np.random.default_rng(classes).normal(size=(50, classes)) * 2
    counted = min(classes, 100)
    theirs = GEN.score(tensor(logits), gamma=0.1, M=100).numpy()
    found = ood_logit_scores.gen(logits, single_label=True)
    assert_allclose(found, theirs * counted, rtol=1e-9)


def test_gen_goes_on_where_theirs_stops_telling_cases_apart() -> None:
    sure = np.array([[20.0, 0.0], [30.0, 0.0], [800.0, 0.0]])
    found = ood_logit_scores.gen(sure, single_label=True)
    assert_allclose(found, 2 * np.exp(-0.1 * sure[:, 0]), rtol=1e-6)
    assert len(set(GEN.score(tensor(sure)).tolist())) == 1  # clamped at 1e-7


@SEEDS
def test_kl_matching_is_theirs(seed: int) -> None:
    trained, features, logits = logits_and_known(seed)
    theirs = KLMatching(None).fit_logits(tensor(trained.logits))
    found = ood_logit_scores.KLMatching.fit(trained.logits).score(features, logits)
    assert_allclose(found, theirs.predict_logits(tensor(logits)).numpy(), rtol=1e-9, atol=1e-9)


@SEEDS
def test_mahalanobis_is_theirs_times_twice_the_cases_without_shrinkage(seed: int) -> None:
    trained, features, logits = logits_and_known(seed)
    theirs = Mahalanobis(None).fit_features(tensor(trained.features), labels_of(trained))
    # theirs is half the distance, by the sum of squares where ours has their mean
    expected = theirs.predict_features(tensor(features)).numpy() * 2 * CASES
    plain = Gaussians.fit(trained.features, trained.memberships, shrinkage=0.0)
    assert_allclose(ours.Mahalanobis(plain).score(features, logits), expected, rtol=1e-6)


@SEEDS
def test_relative_mahalanobis_is_theirs_times_the_cases_without_shrinkage(seed: int) -> None:
    trained, features, logits = logits_and_known(seed)
    theirs = RMD(None).fit_features(tensor(trained.features), labels_of(trained))
    expected = theirs.predict_features(tensor(features)).numpy() * CASES
    plain = Gaussians.fit(trained.features, trained.memberships, shrinkage=0.0)
    found = ours.RelativeMahalanobis(plain).score(features, logits)
    assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@SEEDS
@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_shrinkage_hardly_changes_the_order_where_cases_are_many(name: str, seed: int) -> None:
    network = Network(seed=seed)
    trained, (features, logits) = network.trained(4000), network.test(200, far=1.0)
    kind = {"mahalanobis": Mahalanobis, "relative_mahalanobis": RMD}[name]
    theirs = kind(None).fit_features(tensor(trained.features), labels_of(trained))
    expected = theirs.predict_features(tensor(features)).numpy()
    found = DETECTORS[name].fit(trained).score(features, logits)
    assert spearmanr(found, expected).statistic > 0.999


@SEEDS
def test_knn_is_theirs_with_their_k(seed: int) -> None:
    trained, features, logits = logits_and_known(seed)
    detector = ours.Neighbours.fit(trained)
    assert detector.k == 40
    theirs = KNN(None, k=40).fit_features(tensor(trained.features), labels_of(trained))
    expected = theirs.predict_features(tensor(features)).numpy()
    assert_allclose(detector.score(features, logits), expected, rtol=1e-9)


@SEEDS
def test_knn_of_the_training_cases_themselves_is_theirs(seed: int) -> None:
    # the nearest is the case itself: the root of a rounding error of 1e-16 is 1e-8
    trained = Network(seed=seed).trained(CASES)
    detector = ours.Neighbours(trained.features, 1)
    theirs = KNN(None, k=1).fit_features(tensor(trained.features), labels_of(trained))
    expected = theirs.predict_features(tensor(trained.features)).numpy()
    found = detector.score(trained.features, trained.logits)
    assert_allclose(found, expected, rtol=0, atol=1e-7)


@SEEDS
def test_vim_is_theirs_with_their_dimensions(seed: int) -> None:
    trained, features, logits = logits_and_known(seed)
    theirs = ViM(None, d=6, w=tensor(trained.weight), b=tensor(trained.bias))
    theirs.fit_features(tensor(trained.features), labels_of(trained))
    detector = ours.VirtualLogit.fit(trained)
    assert detector.principal.axes.shape == (12, 6)
    assert detector.factor == pytest.approx(theirs.alpha, rel=1e-4)  # theirs is in float32
    expected = theirs.predict_features(tensor(features)).numpy()
    assert_allclose(detector.score(features, logits), expected, rtol=1e-3, atol=1e-3)


@SEEDS
def test_residual_and_virtual_logit_as_wang_et_al_write_them(seed: int) -> None:
    """Their published steps, in double precision: covariance about u, its smallest directions."""
    trained, features, logits = logits_and_known(seed)
    u = -pinv(trained.weight, rtol=1e-6) @ trained.bias
    covariance = EmpiricalCovariance(assume_centered=True).fit(trained.features - u).covariance_
    values, vectors = np.linalg.eigh(covariance)
    null = vectors[:, np.argsort(values)[: 12 - 6]]
    known = np.linalg.norm((trained.features - u) @ null, axis=1)
    alpha = trained.logits.max(axis=1).mean() / known.mean()
    residual = np.linalg.norm((features - u) @ null, axis=1)
    found = ours.Residual.fit(trained).score(features, logits)
    assert_allclose(found, residual, rtol=1e-9)
    expected = alpha * residual - logsumexp(logits, axis=1)
    assert_allclose(ours.VirtualLogit.fit(trained).score(features, logits), expected, rtol=1e-8)


def test_residual_has_no_rounding_of_a_softmax_head_in_its_origin() -> None:
    # the rows of such a head add up to 0 but for float32: an inverse of that remainder is noise
    network = Network(seed=1)
    trained = network.trained()
    rough = trained.weight.astype(np.float32).astype(np.float64)
    assert 0 < np.linalg.svd(rough, compute_uv=False)[-1] < 1e-6
    origins = [
        PrincipalSpace.fit(trained.features, w, trained.bias).origin
        for w in (trained.weight, rough)
    ]
    assert_allclose(origins[1], origins[0], rtol=1e-3, atol=1e-3)


@SEEDS
def test_she_is_theirs(seed: int) -> None:
    trained, features, logits = logits_and_known(seed)
    weight, bias = tensor(trained.weight), tensor(trained.bias)
    theirs = SHE(torch.nn.Identity(), lambda z: z @ weight.T + bias)
    theirs.fit_features(tensor(trained.features), labels_of(trained))
    expected = theirs.predict_features(tensor(features)).numpy()
    assert_allclose(ours.Hopfield.fit(trained).score(features, logits), expected, rtol=1e-9)
