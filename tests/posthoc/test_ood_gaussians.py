"""Gaussians of classes and the principal subspace, down to one training case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.covariance import OAS, oas
from tests.metrics.drawn_cases import LAW

from medtransfer.posthoc import ood_gaussians
from medtransfer.posthoc.ood_gaussians import (
    CovarianceMap,
    Gaussians,
    PrincipalSpace,
    in_batches,
    mean_square,
    oas_shrinkage,
    principal_dimensions,
)
from medtransfer.statistics.bootstrap import Floats

SHAPES = pytest.mark.parametrize(("cases", "width"), [(200, 8), (12, 8), (8, 8), (6, 20), (2, 30)])


def drawn(cases: int, width: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(cases, width)) * np.geomspace(0.2, 5, width) + 4


def shared_by_hand(features: Floats, memberships: Floats) -> Floats:
    """The covariance within classes, from its definition."""
    means = (memberships.T @ features) / memberships.sum(axis=0)[:, None]
    scatter = np.zeros((features.shape[1],) * 2)
    for case, shares in zip(features, memberships, strict=True):
        for share, mean in zip(shares, means, strict=True):
            scatter += share * np.outer(case - mean, case - mean)
    return scatter / len(features)


def several(cases: int, seed: int = 0) -> Floats:
    """Memberships in three classes, some in two of them at once."""
    rng = np.random.default_rng(seed)
    shares = (rng.random((cases, 3)) < 0.4).astype(float)
    shares[np.arange(cases), np.arange(cases) % 3] = 1
    return shares / shares.sum(axis=1, keepdims=True)


@SHAPES
def test_the_shrinkage_is_scikit_learns(cases: int, width: int) -> None:
    features = drawn(cases, width)
    about = features - features.mean(axis=0)
    variances = np.linalg.svd(about, compute_uv=False) ** 2 / cases
    _, expected = oas(about, assume_centered=True)
    assert oas_shrinkage(variances, width, cases) == pytest.approx(expected, rel=1e-9)


def test_the_shrinkage_goes_to_nothing_as_cases_grow_in_number() -> None:
    variances = np.array([4.0, 1.0, 1.0, 0.5])
    found = [oas_shrinkage(variances, 4, n) for n in (10, 100, 1000, 10_000)]
    assert_allclose(np.array(found[:-1]) / found[1:], 10, rtol=0.1)
    assert oas_shrinkage(np.array([4.0]), 100, 1) == 1.0
    assert oas_shrinkage(np.ones(4), 4, 50) == 1.0


@SHAPES
def test_one_class_has_the_distance_of_scikit_learns_covariance(cases: int, width: int) -> None:
    features, other = drawn(cases, width), drawn(7, width, 1)
    oracle = OAS().fit(features)
    found = Gaussians.fit(features, np.ones((cases, 1)), oracle.shrinkage_)
    distances = found.distances(found.mapped(other))
    assert_allclose(distances[:, 0], oracle.mahalanobis(other), rtol=1e-6)


@SHAPES
def test_distances_of_several_classes_are_those_of_the_covariance_by_hand(
    cases: int, width: int
) -> None:
    features, other, shares = drawn(cases, width), drawn(5, width, 1), several(cases)
    covariance = shared_by_hand(features, shares)
    level = np.trace(covariance) / width
    precision = np.linalg.inv(0.7 * covariance + 0.3 * level * np.eye(width))
    means = (shares.T @ features) / shares.sum(axis=0)[:, None]
    expected = [[(x - m) @ precision @ (x - m) for m in means] for x in other]
    found = Gaussians.fit(features, shares, 0.3)
    assert_allclose(found.distances(found.mapped(other)), expected, rtol=1e-8)
    # all cases together: within and between classes are all the variance there is
    between = (means - features.mean(0)).T * (shares.sum(0) / cases) @ (means - features.mean(0))
    total = np.cov(features.T, bias=True)
    assert_allclose(covariance + between, total, atol=1e-9)
    background = np.linalg.inv(0.7 * covariance + 0.3 * level * np.eye(width) + between)
    about = other - features.mean(axis=0)
    expected_all = [x @ background @ x for x in about]
    assert_allclose(found.background(found.mapped(other)), expected_all, rtol=1e-8)


def test_the_shrinkage_counts_cases_without_those_spent_on_the_means() -> None:
    features, shares, other = drawn(30, 8), several(30), drawn(5, 8, 1)
    variances = np.linalg.eigvalsh(shared_by_hand(features, shares)).astype(np.float64)
    found = Gaussians.fit(features, shares)
    expected = Gaussians.fit(features, shares, oas_shrinkage(variances, 8, 30 - 3))
    assert_allclose(
        found.distances(found.mapped(other)), expected.distances(expected.mapped(other)), rtol=1e-9
    )


def test_a_class_without_a_case_is_left_out() -> None:
    features, shares = drawn(30, 5), np.eye(4)[np.arange(30) % 3]
    found = Gaussians.fit(features, shares)
    assert_allclose(found.shares, [1 / 3, 1 / 3, 1 / 3])
    assert found.distances(found.mapped(features)).shape == (30, 3)


@pytest.mark.parametrize("rounding", [0.0, 1e-7])
@pytest.mark.parametrize(("classes", "copies"), [(1, 3), (3, 3), (3, 1)])
def test_without_any_variation_the_distance_is_that_of_space(
    classes: int, copies: int, rounding: float
) -> None:
    # one case for each class, or the same case many times, but for the rounding of float32
    features = np.repeat(drawn(classes, 6), copies, axis=0)
    features *= 1 + rounding * np.random.default_rng(0).normal(size=features.shape)
    found = Gaussians.fit(features, np.repeat(np.eye(classes), copies, axis=0))
    other = drawn(4, 6, 1)
    plain = ((other[:, None] - features[::copies][None]) ** 2).sum(axis=2)
    assert_allclose(found.distances(found.mapped(other)), plain, rtol=1e-5)


@LAW
@given(cases=st.integers(1, 12), width=st.integers(1, 9), seed=st.integers(0, 99))
def test_any_number_of_cases_gives_distances(cases: int, width: int, seed: int) -> None:
    features, shares = drawn(cases, width, seed), several(cases, seed)
    found = Gaussians.fit(features.astype(np.float32), shares)
    mapped = found.mapped(drawn(5, width, seed + 1))
    assert np.isfinite(found.distances(mapped)).all()
    assert (found.distances(mapped) >= 0).all()
    assert (found.background(mapped) >= -1e-9).all()


@pytest.mark.parametrize("most", [1, 3, 100])
def test_how_many_cases_are_taken_at_once_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    features, shares = drawn(20, 6), several(20)
    whole = Gaussians.fit(features, shares)
    space = PrincipalSpace.fit(features, np.eye(2, 6), np.ones(2))
    monkeypatch.setattr(ood_gaussians, "BATCH_CASES", most)
    parts = Gaussians.fit(features, shares)
    other = drawn(9, 6, 1)
    assert_allclose(
        parts.distances(parts.mapped(other)), whole.distances(whole.mapped(other)), rtol=1e-9
    )
    again = PrincipalSpace.fit(features, np.eye(2, 6), np.ones(2))
    assert_allclose(again.residual(other), space.residual(other), rtol=1e-9)
    assert_allclose(in_batches(features, lambda part: part * 2), features * 2)
    assert mean_square(features) == pytest.approx((features**2).sum(axis=1).mean())


def test_a_map_without_a_rest_is_the_whitening_of_its_cases() -> None:
    features = drawn(50, 6)
    about = (features - features.mean(axis=0)) / np.sqrt(50)
    mapped = CovarianceMap.fit([about], 50, 49, shrinkage=0.0).of(about)
    assert_allclose(mapped.T @ mapped, np.eye(6), atol=1e-7)


@pytest.mark.parametrize(
    ("width", "cases", "kept"),
    [
        (2048, 10**6, 1000),
        (8192, 10**6, 1000),
        (1280, 10**6, 512),
        (768, 10**6, 512),
        (512, 10**6, 256),
        (64, 10**6, 32),
        (2048, 300, 150),
        (2048, 1, 0),
        (1, 5, 0),
    ],
)
def test_how_many_principal_directions_are_kept(width: int, cases: int, kept: int) -> None:
    assert principal_dimensions(width, cases) == kept


def test_what_lies_in_the_subspace_has_no_residual_and_what_lies_outside_has_all_of_it() -> None:
    plane = np.zeros((40, 8))
    plane[:, :3] = np.random.default_rng(0).normal(size=(40, 3)) * [5, 4, 3]
    space = PrincipalSpace.fit(plane, np.zeros((2, 8)), np.zeros(2), dimensions=3)
    assert_allclose(space.origin, 0)
    assert_allclose(space.residual(plane), 0, atol=1e-12)
    away = np.zeros((1, 8))
    away[0, [0, 5, 6]] = [100, 3, 4]
    assert_allclose(space.residual(away), 5, rtol=1e-9)


def test_the_origin_is_where_the_head_says_nothing() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, 8)), rng.normal(size=3)
    space = PrincipalSpace.fit(drawn(20, 8), weight, bias)
    assert_allclose(weight @ space.origin + bias, 0, atol=1e-12)
