"""Where a curve over label fractions reaches a level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.metrics.drawn_cases import LAW

from medtransfer.metrics.bootstrap import Floats
from medtransfer.metrics.learning_curve import fraction_to_reach, labels_saved, resampled_mean

FRACTIONS = np.array([0.1, 0.3, 1.0])


def reached(values: list[float], level: float, fractions: Floats = FRACTIONS) -> float:
    return float(fraction_to_reach(fractions, np.array(values)[:, None], np.array([level]))[0])


def test_a_crossing_is_linear_on_the_log_fraction() -> None:
    assert reached([0.6, 0.7, 0.9], 0.8) == pytest.approx(np.sqrt(0.3 * 1.0))
    assert reached([0.6, 0.7, 0.9], 0.65) == pytest.approx(np.sqrt(0.1 * 0.3))


@pytest.mark.parametrize(("level", "fraction"), [(0.6, 0.1), (0.7, 0.3), (0.9, 1.0)])
def test_a_level_met_at_a_fraction_is_reached_there(level: float, fraction: float) -> None:
    assert reached([0.6, 0.7, 0.9], level) == pytest.approx(fraction)


def test_a_curve_that_starts_above_the_level_reaches_it_at_the_smallest_fraction() -> None:
    assert reached([0.8, 0.7, 0.9], 0.75) == 0.1


def test_a_curve_that_stays_below_never_reaches_the_level() -> None:
    assert reached([0.6, 0.7, 0.9], 0.91) == np.inf
    assert labels_saved(FRACTIONS, np.array([[0.6], [0.7], [0.9]]), np.array([0.91]))[0] == -np.inf


def test_the_first_crossing_counts_where_a_curve_falls_again() -> None:
    fractions = np.array([0.1, 0.2, 0.4, 1.0])
    assert reached([0.5, 0.7, 0.4, 0.9], 0.6, fractions) == pytest.approx(np.sqrt(0.1 * 0.2))


def test_a_flat_stretch_below_the_level_is_no_crossing() -> None:
    assert reached([0.6, 0.6, 0.8], 0.7) == pytest.approx(np.sqrt(0.3))


def test_labels_saved_are_what_is_left_of_all() -> None:
    values, level = np.array([[0.6], [0.7], [0.9]]), np.array([0.7])
    assert labels_saved(FRACTIONS, values, level)[0] == pytest.approx(0.7)


def test_replicates_are_looked_at_one_by_one_and_undefined_ones_stay_undefined() -> None:
    values = np.array([[0.6, 0.8, 0.6, np.nan, 0.6], [0.7, 0.9, 0.7, 0.7, 0.7],
                       [0.9, 0.9, 0.7, 0.9, 0.9]])  # fmt: skip
    level = np.array([0.8, 0.8, 0.8, 0.8, np.nan])
    found = fraction_to_reach(FRACTIONS, values, level)
    assert_allclose(found, [np.sqrt(0.3), 0.1, np.inf, np.nan, np.nan])


@LAW
@given(st.lists(st.integers(0, 20), min_size=2, max_size=6), st.integers(0, 20))
def test_the_interpolated_curve_is_at_the_level_where_it_is_reached(
    heights: list[int], level: int
) -> None:
    fractions = np.geomspace(0.05, 1, len(heights))
    values = np.array(heights, dtype=float)
    found = reached(values.tolist(), level, fractions)
    if max(heights) < level:
        assert found == np.inf
        return
    there = np.interp(np.log(found), np.log(fractions), values)
    assert there == pytest.approx(level, abs=1e-9) or (found == fractions[0] and there >= level)
    assert (values[fractions < found - 1e-12] < level).all()


def test_the_mean_over_seeds_comes_first_and_is_plain() -> None:
    values = np.random.default_rng(0).normal(size=(3, 8))
    found = resampled_mean(values, np.random.default_rng(1))
    assert found.shape == (8,)
    assert found[0] == pytest.approx(values[:, 0].mean())


def test_one_seed_leaves_the_patients_as_the_only_source_of_variance() -> None:
    values = np.random.default_rng(0).normal(size=(1, 50))
    assert_allclose(resampled_mean(values, np.random.default_rng(1)), values[0])


def test_seeds_that_differ_widen_the_replicates_by_their_own_variance() -> None:
    rng = np.random.default_rng(0)
    seeds, patients = np.array([0.0, 0.3, 0.6, 0.9]), 0.05
    values = seeds[:, None] + patients * rng.normal(size=40_001)
    found = resampled_mean(values, rng)[1:]
    # all seeds share the patients' part; resampling them adds the variance of their mean
    assert found.var() == pytest.approx(patients**2 + seeds.var() / 4, rel=0.05)
