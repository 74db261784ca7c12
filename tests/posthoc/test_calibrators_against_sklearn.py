"""Calibrators equal scikit-learn's, or what scikit-learn makes of the published formula."""

from typing import Any, cast

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from tests.posthoc.test_calibrators import calibrator, planted, planted_classes

from medtransfer.metrics.cases import Labels
from medtransfer.posthoc.calibrators import Beta, Platt, Temperature, Vector
from medtransfer.statistics.bootstrap import Floats

SEEDS = pytest.mark.parametrize("seed", range(6))
LINE = np.linspace(-12, 12, 501)


class Deciding(ClassifierMixin, BaseEstimator):
    """A classifier whose decision function is its features."""

    def __init__(self, number: int = 2) -> None:
        self.number = number
        self.classes_ = np.arange(number)

    def fit(self, *_: object) -> "Deciding":
        return self

    def decision_function(self, features: Floats) -> Floats:
        return features[:, 0] if self.number == 2 else features

    def predict(self, features: Floats) -> Labels:
        found = self.decision_function(features)
        return found.argmax(axis=1) if found.ndim == 2 else (found > 0).astype(np.int64)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def calibrated(targets: Labels, features: Floats, method: str) -> CalibratedClassifierCV:
    number = max(2, features.shape[1])
    theirs = CalibratedClassifierCV(
        FrozenEstimator(Deciding(number)),
        method=method,
        ensemble=False,  # pyright: ignore[reportArgumentType]  typed after its default
    )
    return theirs.fit(features, targets)


def cases(seed: int, count: int = 120) -> tuple[Labels, Floats]:
    return planted(seed, count, lambda z: expit(0.6 * z - 0.4))


def maximum_likelihood(targets: Labels, features: Floats) -> LogisticRegression:
    return LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(features, targets)


def logs(logits: Floats) -> Floats:
    """The two features of beta calibration."""
    return np.stack([log_expit(logits), -log_expit(-logits)], axis=1)


@SEEDS
def test_platt_scaling_is_logistic_regression_without_a_penalty(seed: int) -> None:
    targets, logits = cases(seed)
    ours = calibrator("platt", targets, logits)
    theirs = maximum_likelihood(targets, logits[:, None])
    assert isinstance(ours, Platt)
    assert_allclose(
        [ours.slope, ours.intercept],
        [theirs.coef_[0, 0], np.ravel(theirs.intercept_)[0]],
        atol=1e-6,
    )
    assert_allclose(ours.probabilities(LINE), theirs.predict_proba(LINE[:, None])[:, 1], atol=1e-6)


def test_sklearn_calibrates_with_the_smoothed_targets_of_platt_and_we_do_not() -> None:
    targets, logits = cases(0)
    theirs = calibrated(targets, logits[:, None], "sigmoid").predict_proba(LINE[:, None])[:, 1]
    positives = targets.sum()
    high, low = (positives + 1) / (positives + 2), 1 / (len(targets) - positives + 2)
    smooth = np.where(targets == 1, high, low)

    def loss(parts: Floats) -> float:
        found = parts[0] * logits + parts[1]
        return -float((smooth * log_expit(found) + (1 - smooth) * log_expit(-found)).mean())

    a, b = minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert_allclose(theirs, expit(a * LINE + b), atol=1e-4)
    plain = calibrator("platt", targets, logits)
    assert isinstance(plain, Platt)
    assert a < plain.slope - 0.001  # smoothing flattens
    # with many cases the two are the same
    targets, logits = cases(0, 20_000)
    theirs = calibrated(targets, logits[:, None], "sigmoid").predict_proba(LINE[:, None])[:, 1]
    assert_allclose(calibrator("platt", targets, logits).probabilities(LINE), theirs, atol=1e-3)


@SEEDS
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_isotonic_regression_but_for_the_clipping(seed: int, step: float) -> None:
    targets, logits = cases(seed)
    if step:  # ties
        logits = np.round(logits / step) * step
    ours = calibrator("isotonic", targets, logits).probabilities(LINE)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(logits, targets)
    least = 1 / (len(targets) + 2)
    knots = np.unique(logits)
    # clipping comes before interpolating: the steps are clipped, not the lines between them
    expected = np.interp(LINE, knots, np.clip(theirs.predict(knots), least, 1 - least))
    assert_allclose(ours, expected, atol=1e-9)
    assert_allclose(ours, np.clip(theirs.predict(LINE), least, 1 - least), atol=least)
    inside = calibrated(targets, logits[:, None], "isotonic").predict_proba(knots[:, None])[:, 1]
    assert_allclose(
        calibrator("isotonic", targets, logits).probabilities(knots),
        np.clip(inside, least, 1 - least),
        atol=1e-6,
    )


@SEEDS
def test_temperature_of_classes(seed: int) -> None:
    classes, logits = planted_classes(seed, 150)
    ours = calibrator("temperature", classes, logits)
    theirs = calibrated(classes, logits, "temperature")
    assert_allclose(ours.probabilities(logits), theirs.predict_proba(logits), atol=1e-6)


@SEEDS
def test_temperature_of_a_binary_target(seed: int) -> None:
    targets, logits = cases(seed)
    ours = calibrator("temperature", targets, logits)
    theirs = calibrated(targets, logits[:, None], "temperature")
    found = theirs.predict_proba(LINE[:, None])[:, 1]
    assert_allclose(ours.probabilities(LINE), found, atol=1e-6)
    # scikit-learn softmaxes (-z, z), which is sigmoid(2 z): its inverse temperature is half of ours
    (inner,) = cast("list[Any]", theirs.calibrated_classifiers_)[0].calibrators
    assert isinstance(ours, Temperature)
    assert 1 / ours.temperature == pytest.approx(2 * float(inner.beta_), rel=1e-5)


@SEEDS
def test_beta_calibration_is_logistic_regression_on_two_logarithms(seed: int) -> None:
    targets, logits = planted(seed, 400, Beta(0.9, 0.4, 0.2).probabilities)
    ours = calibrator("beta", targets, logits)
    theirs = maximum_likelihood(targets, logs(logits))
    assert isinstance(ours, Beta)
    assert (theirs.coef_ > 0).all()
    assert_allclose(
        [ours.a, ours.b, ours.c], [*theirs.coef_[0], np.ravel(theirs.intercept_)[0]], atol=1e-5
    )
    assert_allclose(ours.probabilities(LINE), theirs.predict_proba(logs(LINE))[:, 1], atol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
@SEEDS
def test_a_negative_slope_of_beta_calibration_becomes_zero_and_the_rest_is_fitted_again(
    seed: int, side: int
) -> None:
    # Kull et al. 2017, section 3.2: the other slope and the intercept are then fitted alone
    steep = [-0.8, 0.8] if side == 0 else [0.8, -0.8]
    targets, logits = planted(seed, 400, lambda z: expit(logs(z) @ steep))
    free = maximum_likelihood(targets, logs(logits)).coef_[0]
    assert free[side] < 0 < free[1 - side]
    one = maximum_likelihood(targets, logs(logits)[:, [1 - side]])
    ours = calibrator("beta", targets, logits)
    assert isinstance(ours, Beta)
    found = [ours.a, ours.b]
    assert found[side] == 0
    assert_allclose(
        [found[1 - side], ours.c], [one.coef_[0, 0], np.ravel(one.intercept_)[0]], atol=1e-5
    )


@SEEDS
def test_vector_scaling_of_two_classes_is_logistic_regression_on_both_logits(seed: int) -> None:
    classes, logits = planted_classes(seed, 300, 2)
    ours = calibrator("vector", classes, logits)
    theirs = maximum_likelihood(classes, logits)
    assert isinstance(ours, Vector)
    assert_allclose([-ours.slopes[0], ours.slopes[1]], theirs.coef_[0], atol=1e-5)
    assert np.diff(ours.intercepts) == pytest.approx(theirs.intercept_, abs=1e-5)
    assert_allclose(ours.probabilities(logits), theirs.predict_proba(logits), atol=1e-6)


@SEEDS
def test_vector_scaling_is_the_least_of_its_loss(seed: int) -> None:
    classes, logits = planted_classes(seed, 300)
    ours = calibrator("vector", classes, logits)

    def loss(parts: Floats) -> float:
        found = log_softmax(logits * parts[:4] + np.append(0.0, parts[4:]), axis=1)
        return -float(found[np.arange(300), classes].mean())

    found = minimize(loss, np.append(np.ones(4), np.zeros(3)), tol=1e-10).x
    assert isinstance(ours, Vector)
    assert_allclose(ours.slopes, found[:4], atol=1e-4)
    intercepts = ours.intercepts - ours.intercepts[0]
    assert loss(np.append(ours.slopes, intercepts[1:])) <= loss(found) + 1e-12
    assert_allclose(intercepts[1:], found[4:], atol=1e-4)
    # where a convex loss is level it is least
    excess = ours.probabilities(logits) - np.eye(4)[classes]
    assert_allclose((excess * logits).mean(axis=0), 0, atol=1e-8)
    assert_allclose(excess.mean(axis=0), 0, atol=1e-8)
