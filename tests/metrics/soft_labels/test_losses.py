"""Losses against shares: against scikit-learn, each case expanded into its readers by weight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.metrics import brier_score_loss, log_loss

from medtransfer.metrics.calibration import bin_numbers
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.soft_labels.losses import (
    soft_brier,
    soft_calibration_error,
    soft_class_brier,
    soft_class_calibration_error,
    soft_class_nll,
    soft_nll,
)
from medtransfer.metrics.weighted import Weighted

SHARES = st.lists(
    st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]), min_size=2, max_size=40
).map(np.array)


def value(bound: Weighted, cases: int) -> float:
    return float(bound(np.ones((1, cases)))[0])


def drawn(cases: int, classes: int, seed: int) -> tuple[Floats, Floats]:
    """Shares of readers and logits of some classes. [n, C], [n, C]"""
    rng = np.random.default_rng(seed)
    votes = rng.multinomial(5, rng.dirichlet(np.ones(classes), cases))
    return votes / 5, rng.normal(size=(cases, classes)) * 2


@settings(deadline=None, max_examples=40)
@given(shares=SHARES, seed=st.integers(0, 99))
def test_binary_losses_are_those_of_cases_expanded_by_weight(shares: Floats, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=len(shares)) * 3
    p, count = expit(logits), len(shares)
    truth, weight = np.repeat([1, 0], count), np.concatenate([shares, 1 - shares])
    twice = np.tile(p, 2)
    expected = brier_score_loss(truth, twice, sample_weight=weight, pos_label=1)
    assert_allclose(value(soft_brier(shares, p), count), expected, atol=1e-12)
    expected = log_loss(truth, twice, sample_weight=weight, labels=[0, 1])
    assert_allclose(value(soft_nll(shares, logits), count), expected, rtol=1e-9, atol=1e-12)
    bins = np.tile(bin_numbers(p), 2)
    gaps = np.bincount(bins, weight * (truth - twice), minlength=15)
    expected = np.abs(gaps).sum() / weight.sum()
    assert_allclose(value(soft_calibration_error(shares, p), count), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_class_losses_are_those_of_cases_expanded_by_weight(seed: int) -> None:
    shares, logits = drawn(30, 4, seed)
    p = softmax(logits, axis=1)
    truth, weight = np.tile(np.arange(4), 30), shares.ravel()
    repeated = np.repeat(p, 4, axis=0)
    expected = np.average(((repeated - np.eye(4)[truth]) ** 2).sum(axis=1), weights=weight)
    assert_allclose(value(soft_class_brier(shares, p), 30), expected, atol=1e-12)
    expected = log_loss(truth, repeated, sample_weight=weight, labels=range(4))
    assert_allclose(value(soft_class_nll(shares, logits), 30), expected, rtol=1e-9)
    top = p.argmax(axis=1)
    gaps = shares[np.arange(30), top] - p.max(axis=1)
    by_bin = np.bincount(bin_numbers(p.max(axis=1)), gaps, minlength=15)
    expected = np.abs(by_bin).sum() / 30
    assert_allclose(value(soft_class_calibration_error(shares, p), 30), expected, atol=1e-12)


def test_a_prediction_that_equals_the_shares_is_best() -> None:
    shares = np.array([0.2, 0.4, 0.6, 1.0])
    for loss in (soft_brier, soft_calibration_error):
        exact = value(loss(shares, shares), 4)
        for moved in (shares * 0.9, np.minimum(shares * 1.2, 1)):
            assert exact < value(loss(shares, moved), 4)
    assert value(soft_calibration_error(shares, shares), 4) == 0
