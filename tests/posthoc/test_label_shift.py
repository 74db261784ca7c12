"""Prediction sets for a hospital whose classes are more or less frequent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logit, softmax

from medtransfer.errors import TableError
from medtransfer.posthoc.adaptation.prevalence import estimate_binary_prevalence
from medtransfer.posthoc.conformal import conformal_quantile, fit_conformal
from medtransfer.posthoc.label_shift import estimated_shares, tuned_scores, weighted_quantile

ALPHA = 0.1
SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=60)


def tune(number: int) -> np.ndarray:
    return np.full(number, "tune")


@given(SCORES, st.sampled_from([0.05, 0.1, 0.25, 0.5]), st.sampled_from([0.5, 1.0, 3.0]))
def test_equal_weights_give_the_plain_quantile(scores: list[float], alpha: float, w: float) -> None:
    values = np.array(scores)
    found = weighted_quantile(values, np.full(len(values), w), w, alpha)
    assert found == conformal_quantile(values, alpha)


@given(SCORES, st.lists(st.integers(0, 4), min_size=60, max_size=60), st.integers(0, 3))
def test_a_whole_weight_is_that_many_cases(
    scores: list[float], weights: list[int], new: int
) -> None:
    """By the definition of Tibshirani et al. 2019: the quantile of a list with copies."""
    counts = np.array(weights[: len(scores)])
    copies = [*np.repeat(scores, counts), *[np.inf] * new]
    found = weighted_quantile(np.array(scores), counts.astype(float), float(new), 0.25)
    if copies:
        rank = int(np.ceil(0.75 * len(copies) - 1e-9))
        assert found == np.sort(copies)[rank - 1]


def test_at_the_frequencies_of_tune_the_sets_are_the_plain_ones() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 200)
    probabilities = softmax(rng.normal(size=(200, 3)) + 2 * np.eye(3)[classes], axis=1)
    fit = tuned_scores(classes, probabilities, splits=tune(200), alpha=ALPHA)
    assert fit is not None
    plain = fit_conformal(classes, probabilities, splits=tune(200), alpha=ALPHA)
    new = softmax(2 * rng.normal(size=(50, 3)), axis=1)
    assert (fit.sets(new, fit.shares) == plain.sets(new)).all()


def test_a_class_that_is_not_expected_leaves_the_sets_of_the_others() -> None:
    fit = tuned_scores(
        np.array([0] * 30 + [1] * 30), np.linspace(0.01, 0.99, 60), splits=tune(60), alpha=ALPHA
    )
    assert fit is not None
    healthy = fit_conformal(
        np.zeros(30, int), np.linspace(0.01, 0.99, 60)[:30], splits=tune(30), alpha=ALPHA
    )
    new = np.linspace(0, 1, 41)
    found = fit.sets(new, np.array([1.0, 0.0]))
    assert (found[:, 0] == healthy.sets(new)[:, 0]).all()


def test_other_splits_are_refused_and_a_missing_class_gives_none() -> None:
    with pytest.raises(TableError):
        tuned_scores(
            np.array([0, 1]), np.array([0.1, 0.9]), splits=np.array(["tune", "test"]), alpha=ALPHA
        )
    assert tuned_scores(np.zeros(20, int), np.full(20, 0.2), splits=tune(20), alpha=ALPHA) is None


def test_shares_are_found_without_labels() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(20_000) < 0.05
    logits = logit(0.4) + 2.0 * (rng.normal(size=20_000) + np.where(truth, 1.0, -1.0))
    assert_allclose(estimated_shares(logits, np.array([0.6, 0.4])), [0.95, 0.05], atol=0.01)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.4, 0.9]), st.sampled_from([0.1, 0.6]))
@settings(max_examples=30)
def test_two_classes_have_the_shares_that_steps_of_expectation_maximisation_reach(
    seed: int, prevalence: float, home: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = 3 * (rng.normal(size=80) + np.where(rng.random(80) < prevalence, 1.0, -1.0))
    found = estimated_shares(logits, np.array([1 - home, home]))
    assert_allclose(found[1], estimate_binary_prevalence(logits, home), atol=1e-3)
    assert_allclose(found.sum(), 1)


def drawn(rng: np.random.Generator, cases: int, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """Truth and logits of a network that is calibrated at 40 % positives: log odds of N(±1, 1)."""
    truth = (rng.random(cases) < prevalence).astype(np.int64)
    return truth, logit(0.4) + 2 * (rng.normal(size=cases) + np.where(truth == 1, 1.0, -1.0))


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.4, 0.8])
def test_sets_keep_their_coverage_where_the_prevalence_is_another(prevalence: float) -> None:
    """500 hospitals each; the table of docs/explanation/conformal.md."""
    rng = np.random.default_rng(3)
    covered = {"plain": [], "shifted": [], "true shares": []}
    for _ in range(500):
        classes, logits = drawn(rng, 300, 0.4)
        fit = tuned_scores(classes, expit(logits), splits=tune(300), alpha=ALPHA)
        assert fit is not None
        plain = fit_conformal(classes, expit(logits), splits=tune(300), alpha=ALPHA)
        truth, away = drawn(rng, 1000, prevalence)
        shares = estimated_shares(away, fit.shares)
        right = np.array([1 - prevalence, prevalence])
        sets = {
            "plain": plain.sets(expit(away)),
            "shifted": fit.sets(expit(away), shares),
            "true shares": fit.sets(expit(away), right),
        }
        for name, of_name in sets.items():
            covered[name].append(of_name[np.arange(1000), truth].mean())
    means = {name: float(np.mean(shares)) for name, shares in covered.items()}
    print(prevalence, means)
    assert means["shifted"] == pytest.approx(0.9, abs=0.012)
    assert means["true shares"] == pytest.approx(0.9, abs=0.012)
