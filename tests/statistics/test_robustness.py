"""Residuals from the line of internal and shifted values, and predictive values by prevalence."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit
from statsmodels.api import OLS, add_constant

from medtransfer.statistics.bootstrap import Floats
from medtransfer.statistics.robustness import EPSILON, effective_robustness

LACKING = "fewer than 3 runs with different internal values"


def runs_on_a_line(rng: np.random.Generator, runs: int, columns: int) -> tuple[Floats, Floats]:
    internal = rng.uniform(0.6, 0.95, size=(runs, columns))
    noise = 0.2 * rng.normal(size=internal.shape)
    return internal, np.asarray(expit(-0.4 + 0.8 * logit(internal) + noise))


def each(count: int) -> np.ndarray:
    return np.arange(count)


def test_residuals_equal_those_of_statsmodels_in_every_replicate() -> None:
    internal, shifted = runs_on_a_line(np.random.default_rng(0), 7, 30)
    found = effective_robustness(internal, shifted, each(7))
    for column in range(30):
        fitted = OLS(logit(shifted[:, column]), add_constant(logit(internal[:, column]))).fit()
        assert_allclose([found.intercept[column], found.slope[column]], fitted.params)
        expected = shifted[:, column] - expit(fitted.fittedvalues)
        assert_allclose(found.residuals[:, column], expected, rtol=0, atol=1e-12)
    assert found.reason is None


def test_by_hand() -> None:
    # logits 0, 1, 2 inside; 0, 1 and 0 outside: slope 0, intercept 1/3
    internal = np.asarray(expit(np.array([[0.0], [1.0], [2.0]])))
    shifted = np.asarray(expit(np.array([[0.0], [1.0], [0.0]])))
    found = effective_robustness(internal, shifted, each(3))
    assert_allclose([found.slope[0], found.intercept[0]], [0, 1 / 3], atol=1e-12)
    assert_allclose(found.residuals[:, 0], shifted[:, 0] - expit(1 / 3))


def test_a_drop_that_the_line_foretells_is_no_lack_of_robustness() -> None:
    internal = np.linspace(0.6, 0.95, 6)[:, None]
    shifted = np.asarray(expit(logit(internal) - 0.7))
    found = effective_robustness(internal, shifted, each(6))
    assert_allclose(found.residuals, 0, atol=1e-12)
    assert_allclose([found.slope[0], found.intercept[0]], [1, -0.7])


def test_a_rung_that_holds_better_than_the_others_stands_out() -> None:
    internal = np.linspace(0.6, 0.95, 9)[:, None]
    shifted = np.asarray(expit(logit(internal) - 0.7))
    shifted[4] += 0.05
    residuals = effective_robustness(internal, shifted, each(9)).residuals[:, 0]
    assert residuals.argmax() == 4
    # it is on the line too, which it draws towards itself: leverage 1/9 and a little
    assert 0.04 < residuals[4] < 0.05
    assert (residuals[[0, 1, 2, 3, 5, 6, 7, 8]] < 0).all()


def test_a_rung_has_the_mean_over_its_runs() -> None:
    internal, shifted = runs_on_a_line(np.random.default_rng(1), 6, 5)
    alone = effective_robustness(internal, shifted, each(6))
    found = effective_robustness(internal, shifted, np.array([1, 0, 1, 3, 0, 1]))
    assert found.residuals.shape == (4, 5)
    assert_allclose(found.residuals[0], alone.residuals[[1, 4]].mean(axis=0))
    assert_allclose(found.residuals[1], alone.residuals[[0, 2, 5]].mean(axis=0))
    assert np.isnan(found.residuals[2]).all()
    assert_allclose(found.slope, alone.slope)


def test_a_run_that_is_undefined_in_the_sample_is_left_out() -> None:
    internal, shifted = runs_on_a_line(np.random.default_rng(2), 6, 5)
    fewer = effective_robustness(internal[:5], shifted[:5], each(5))
    shifted[5, 0] = np.nan
    found = effective_robustness(internal, shifted, each(6))
    assert_allclose(found.residuals[:5], fewer.residuals)
    assert np.isnan(found.residuals[5]).all()
    assert found.reason is None


def test_a_replicate_with_an_undefined_run_is_undefined() -> None:
    internal, shifted = runs_on_a_line(np.random.default_rng(3), 5, 6)
    whole = effective_robustness(internal, shifted, each(5))
    internal[1, 2] = shifted[3, 4] = np.nan
    found = effective_robustness(internal, shifted, each(5))
    assert np.isnan(found.residuals[:, [2, 4]]).all()
    assert np.isnan(found.slope[[2, 4]]).all()
    assert_allclose(found.residuals[:, [0, 1, 3, 5]], whole.residuals[:, [0, 1, 3, 5]])


@pytest.mark.parametrize(
    "internal", [[0.7, 0.8], [0.7, 0.8, 0.8, 0.7], [0.7, 0.8, np.nan], [0.9995, 1.0, 0.7]]
)
def test_fewer_than_three_different_values_have_no_line(internal: list[float]) -> None:
    values = np.tile(np.array(internal)[:, None], (1, 4))
    found = effective_robustness(values, values * 0.9, each(len(internal)))
    assert np.isnan(found.residuals).all()
    assert np.isnan(found.slope).all()
    assert np.isnan(found.intercept).all()
    assert found.reason == LACKING


def test_a_replicate_alone_may_lack_a_line() -> None:
    internal, shifted = runs_on_a_line(np.random.default_rng(4), 3, 4)
    internal[1, 2] = internal[0, 2]
    found = effective_robustness(internal, shifted, each(3))
    assert np.isnan(found.residuals).all(axis=0).tolist() == [False, False, True, False]
    assert found.reason is None


def test_perfect_values_are_held_away_from_the_edge() -> None:
    internal = np.array([[0.8], [0.9], [1.0], [0.95]])
    shifted = np.array([[0.0], [0.8], [0.9], [0.85]])
    found = effective_robustness(internal, shifted, each(4))
    held = effective_robustness(
        np.clip(internal, 0, 1 - EPSILON), np.clip(shifted, EPSILON, 1), each(4)
    )
    assert_allclose(found.slope, held.slope)
    # the residual itself is of the value that was found
    assert_allclose(found.residuals[0], held.residuals[0] - EPSILON)
    wider = effective_robustness(internal, shifted, each(4), epsilon=0.01)
    assert np.isfinite(wider.slope).all()
    assert wider.slope[0] != found.slope[0]
