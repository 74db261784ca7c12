"""Calibration errors in bins, of equal width and of equal mass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.metrics.drawn_cases import LAW, plain

from medtransfer.metrics.calibration import (
    BINS,
    calibration_error,
    in_bins,
    mass_calibration_error,
    reliability_of,
    resolution_of,
    uncertainty_of,
)
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import WeightedTerm

shares = st.floats(0, 1)
drawn_outcomes = st.lists(st.tuples(st.integers(0, 1), shares), min_size=1, max_size=30)


def of_columns(drawn: list[tuple[int, float]]) -> tuple[Floats, Floats]:
    outcomes, confidences = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    return outcomes, confidences


@pytest.mark.parametrize("each", [1, 2, 7])
@pytest.mark.parametrize("seed", range(3))
def test_equal_mass_bins_are_the_sorted_cases_split_in_fifteen(each: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidences = rng.permutation(np.linspace(0.01, 0.99, BINS * each) ** 2)
    outcomes = (rng.random(BINS * each) < confidences).astype(float)
    order = np.argsort(confidences)
    parts = np.array_split((outcomes - confidences)[order], BINS)
    expected = sum(abs(part.sum()) for part in parts) / (BINS * each)
    found = plain(mass_calibration_error(outcomes, confidences), BINS * each)
    assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_equal_confidences_stay_together_in_the_bin_of_their_middle() -> None:
    # 30 cases: 29 at 0.5 with middle 14.5 / 30 and one at 0.9
    outcomes = np.array([1.0] * 10 + [0.0] * 20)
    confidences = np.array([0.5] * 29 + [0.9])
    found = plain(mass_calibration_error(outcomes, confidences), 30)
    assert_allclose(found, (abs(10 - 14.5) + 0.9) / 30, rtol=0, atol=1e-12)


def test_the_bins_of_a_replicate_have_the_mass_of_the_replicate() -> None:
    confidences = np.linspace(0.02, 0.98, 30)
    outcomes = (np.arange(30) % 3 == 0).astype(float)
    # the upper half alone: two halves would share bins in the bins of the whole sample
    weights = (np.arange(30) >= 15).astype(float)
    found = mass_calibration_error(outcomes, confidences)(weights[None])[0]
    expected = np.abs(outcomes - confidences)[15:].mean()
    assert_allclose(found, expected, rtol=0, atol=1e-12)


@LAW
@given(drawn_outcomes)
def test_bins_only_take_away_from_the_mean_distance(drawn: list[tuple[int, float]]) -> None:
    outcomes, confidences = of_columns(drawn)
    bias, distance = abs((outcomes - confidences).mean()), np.abs(outcomes - confidences).mean()
    for metric in (
        calibration_error(in_bins(outcomes, confidences)),
        mass_calibration_error(outcomes, confidences),
    ):
        found = plain(metric, len(drawn))
        assert bias - 1e-9 <= found <= distance + 1e-9


@LAW
@given(drawn_outcomes)
def test_miscalibration_is_at_least_the_square_of_the_error(
    drawn: list[tuple[int, float]],
) -> None:
    outcomes, confidences = of_columns(drawn)
    bins = in_bins(outcomes, confidences)
    error = plain(calibration_error(bins), len(drawn))
    found = plain(reliability_of(bins), len(drawn))
    # Jensen: the mean of squares is not below the square of the mean
    assert error**2 - 1e-12 <= found <= error + 1e-12


@LAW
@given(drawn_outcomes)
def test_resolution_is_at_most_the_uncertainty(drawn: list[tuple[int, float]]) -> None:
    outcomes, confidences = of_columns(drawn)
    resolution = plain(resolution_of(in_bins(outcomes, confidences)), len(drawn))
    uncertainty = uncertainty_of(WeightedTerm(outcomes), WeightedTerm(np.ones(len(drawn))))
    assert 0 <= resolution <= plain(uncertainty, len(drawn)) + 1e-12
