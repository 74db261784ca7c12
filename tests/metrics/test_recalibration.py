"""Calibration slope and intercept are the logistic fit, from wherever it starts."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from tests.metrics.drawn_cases import LAW, bound, every_value, plain, target_cases

from medtransfer.metrics.calibration_curves import calibration_bias
from medtransfer.metrics.cases import Labels, TargetCases
from medtransfer.metrics.kernels.calibration import logistic_fits
from medtransfer.metrics.kernels.sums import Floats

STARTS = ((0.0, 0.0), (3.0, -20.0), (-50.0, 50.0), (1.0, 1.0), (0.0, 700.0))


def drawn(seed: int, count: int = 150) -> TargetCases:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.5, 2.0, count)
    truth = (rng.random(count) < expit(0.6 * logits - 0.4)).astype(np.int64)
    return target_cases(truth, logits)


def weights_for(seed: int, count: int = 150) -> Floats:
    rng = np.random.default_rng(seed)
    whole = rng.multinomial(count, np.full(count, 1 / count), size=3).astype(float)
    return np.concatenate([np.ones((1, count)), whole, rng.exponential(size=(2, count))])


def glm(truth: Labels, design: Floats, weights: Floats, offset: Floats) -> Floats:
    kept = weights > 0
    family = sm.families.Binomial()
    model = sm.GLM(
        truth[kept], design[kept], family, offset=offset[kept], freq_weights=weights[kept]
    )
    return model.fit(tol=1e-13, maxiter=200).params


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_intercept_are_those_of_a_generalised_linear_model(seed: int) -> None:
    cases, weights = drawn(seed), weights_for(seed)
    found = every_value(cases, weights)
    ones, none = np.ones((150, 1)), np.zeros(150)
    both = np.column_stack([ones, cases.logits])
    for row, w in enumerate(weights):
        slope = glm(cases.targets, both, w, none)[1]
        assert_allclose(found["calibration_slope"][row], slope, rtol=1e-6, atol=1e-9)
        intercept = glm(cases.targets, ones, w, cases.logits)[0]
        assert_allclose(found["calibration_intercept"][row], intercept, rtol=1e-6, atol=1e-9)
        bias = np.average(cases.probabilities - cases.targets, weights=w)
        assert_allclose(found["calibration_bias"][row], bias, rtol=0, atol=1e-12)


points = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-12, 12), st.integers(0, 3)), min_size=2, max_size=12
)


@LAW
@given(points, st.sampled_from([1e-3, 1.0, 100.0]))
def test_the_fit_is_the_same_from_every_start_and_exists_where_the_classes_overlap(
    found: list[tuple[int, int, int]], scale: float
) -> None:
    y, x, w = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    positive, negative = x[(y == 1) & (w > 0)], x[(y == 0) & (w > 0)]
    fits = np.stack([fit_of(y, x * scale / 4, w, np.array(start)) for start in STARTS])
    # Albert and Anderson 1984: overlap on both sides
    overlap = len(positive) and len(negative)
    overlap = overlap and positive.min() < negative.max() and negative.min() < positive.max()
    if overlap:
        assert_allclose(fits, np.broadcast_to(fits[0], fits.shape), rtol=1e-7, atol=1e-9)
        gradient = w * (y - expit(fits[0, 0] + fits[0, 1] * x * scale / 4))
        assert abs(gradient.sum()) < 1e-6
        assert abs((gradient * x).sum()) < 1e-5
    else:
        assert np.isnan(fits).all()


def fit_of(y: Floats, x: Floats, w: Floats, start: Floats, *, slope: bool = True) -> Floats:
    patient = np.arange(len(y), dtype=np.int32)
    counts = np.ascontiguousarray(w[:, None])
    return logistic_fits(patient, x, y, slope, start[:, None], counts)[:, 0]


@pytest.mark.parametrize(
    ("truth", "logits"),
    [
        ([0, 0, 1, 1], [-1.0, 0.0, 0.5, 2.0]),  # apart
        ([1, 1, 0, 0], [-1.0, 0.0, 0.5, 2.0]),  # apart the wrong way round
        ([0, 0, 1, 1], [-1.0, 0.5, 0.5, 2.0]),  # they touch
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]),  # nothing varies
        ([1, 1, 1], [0.0, 1.0, 2.0]),  # one class
    ],
)
def test_no_slope_where_a_threshold_separates_the_classes(
    truth: list[int], logits: list[float]
) -> None:
    cases = target_cases(np.array(truth), np.array(logits))
    assert np.isnan(plain(bound("calibration_slope", cases), len(truth)))


def test_no_slope_in_the_replicates_that_lack_the_overlap() -> None:
    cases = target_cases(np.array([0, 0, 1, 1, 1]), np.array([-1.0, 1.0, 0.0, 2.0, -2.0]))
    weights = np.array([[1.0, 1, 1, 1, 1], [1, 0, 1, 1, 0], [1, 1, 1, 1, 0], [0, 0, 1, 1, 1]])
    found = bound("calibration_slope", cases)(weights)
    assert_array_equal(np.isnan(found), [False, True, False, True])
    intercepts = bound("calibration_intercept", cases)(weights)
    assert_array_equal(np.isnan(intercepts), [False, False, False, True])


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_a_steep_slope_of_small_logits_is_a_slope(factor: float) -> None:
    cases = drawn(0)
    plain_slope = plain(bound("calibration_slope", cases), 150)
    moved = target_cases(cases.targets, cases.logits * factor)
    assert plain(bound("calibration_slope", moved), 150) == pytest.approx(plain_slope / factor)


def test_a_planted_slope_and_intercept_are_found_back() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 100_000)
    truth = (rng.random(100_000) < expit(0.5 * logits)).astype(np.int64)
    assert plain(bound("calibration_slope", target_cases(truth, logits)), 100_000) == pytest.approx(
        0.5, abs=0.02
    )
    moved = target_cases((rng.random(100_000) < expit(logits - 1)).astype(np.int64), logits)
    assert plain(bound("calibration_intercept", moved), 100_000) == pytest.approx(-1, abs=0.03)


def test_bias_is_mean_risk_minus_prevalence() -> None:
    cases = target_cases(np.array([0, 1, 1, 0]), np.zeros(4))
    assert plain(calibration_bias(cases), 4) == 0
    assert_allclose(
        calibration_bias(cases)(np.array([[3.0, 1, 0, 0], [0, 0, 0, 0]])), [0.25, np.nan]
    )
