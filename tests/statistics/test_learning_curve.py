"""Where a curve over label fractions reaches a level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.metrics.drawn_cases import LAW

from medtransfer.statistics.bootstrap import Floats
from medtransfer.statistics.learning_curve import (
    curve_area,
    fraction_to_reach,
    labels_saved,
)

FRACTIONS = np.array([0.1, 0.3, 1.0])
BUDGETS = np.array([1, 5, 10, 100, 1000]) / 1000
"""Shots as shares of all labels. The table gives 1, 5, 10 and 100 per class, and "full" without a
number; it is put at 1,000 here, a choice, on which all savings between 100 and full depend."""
PADCHEST = {
    "in1k r50x1": [0.547, 0.595, 0.627, 0.687, 0.802],
    "in1k r152x4": [0.548, 0.606, 0.643, 0.721, 0.826],
    "in21k r50x1": [0.543, 0.600, 0.644, 0.717, 0.820],
    "in21k r152x4": [0.542, 0.597, 0.636, 0.721, 0.840],
    "chest r50x1": [0.560, 0.635, 0.660, 0.714, 0.783],
    "chest r152x4": [0.564, 0.648, 0.691, 0.752, 0.827],
}
"""Mean test AUROC over five seeds by shots (Cherti and Jitsev 2021, from their published runs)."""
TUBERCULOSIS = {
    "in1k r50x1": [0.714, 0.789, 0.755, 0.874, 0.896],
    "in1k r152x4": [0.639, 0.740, 0.754, 0.870, 0.920],
    "in21k r50x1": [0.702, 0.761, 0.763, 0.890, 0.919],
    "in21k r152x4": [0.645, 0.733, 0.757, 0.867, 0.928],
    "chest r50x1": [0.711, 0.770, 0.757, 0.912, 0.932],
    "chest r152x4": [0.689, 0.808, 0.764, 0.931, 0.954],
}


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
    values = np.array(
        [[0.6, 0.8, 0.6, np.nan, 0.6], [0.7, 0.9, 0.7, 0.7, 0.7], [0.9, 0.9, 0.7, 0.9, 0.9]]
    )
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


@pytest.mark.parametrize(
    ("curves", "rung", "start", "share"),
    [
        # the reference, in21k r50x1, has 0.820 and 0.919 with all labels; a curve that has `start`
        # shots behind it reaches that after `share` of the way to the tenfold number
        (PADCHEST, "in21k r50x1", 100, 1.0),
        (PADCHEST, "in21k r152x4", 100, (0.820 - 0.721) / (0.840 - 0.721)),  # 679 of 1,000
        (PADCHEST, "in1k r152x4", 100, (0.820 - 0.721) / (0.826 - 0.721)),  # 877
        (PADCHEST, "chest r152x4", 100, (0.820 - 0.752) / (0.827 - 0.752)),  # 807
        (PADCHEST, "in1k r50x1", None, None),
        (PADCHEST, "chest r50x1", None, None),
        (TUBERCULOSIS, "in21k r152x4", 100, (0.919 - 0.867) / (0.928 - 0.867)),  # 712
        (TUBERCULOSIS, "in1k r152x4", 100, (0.919 - 0.870) / (0.920 - 0.870)),  # 955
        (TUBERCULOSIS, "chest r50x1", 100, (0.919 - 0.912) / (0.932 - 0.912)),  # 224
        (TUBERCULOSIS, "chest r152x4", 10, (0.919 - 0.764) / (0.931 - 0.764)),  # 85
        (TUBERCULOSIS, "in1k r50x1", None, None),
    ],
)
def test_labels_saved_on_published_curves_by_hand(
    curves: dict[str, list[float]], rung: str, start: int | None, share: float | None
) -> None:
    level = np.array([curves["in21k r50x1"][-1]])
    values = np.array(curves[rung])[:, None]
    reached = fraction_to_reach(BUDGETS, values, level)[0]
    saved = labels_saved(BUDGETS, values, level)[0]
    if start is None or share is None:
        assert (reached, saved) == (np.inf, -np.inf)
    else:
        assert reached == pytest.approx(start * 10**share / 1000)
        assert saved == pytest.approx(1 - start * 10**share / 1000)


def test_which_rung_needs_fewer_labels_turns_with_the_level() -> None:
    # 0.600 after 5 shots of in21k r50x1: r152x4 needs 5 · 2^(3/39) = 5.3, in-domain 5^(40/75) = 2.4
    few = {name: reached(curve, 0.600, BUDGETS) * 1000 for name, curve in PADCHEST.items()}
    assert few["in21k r50x1"] == pytest.approx(5)
    assert few["in21k r152x4"] == pytest.approx(5 * 2 ** (0.003 / 0.039))
    assert few["chest r50x1"] == pytest.approx(5 ** (0.040 / 0.075))
    many = {name: reached(curve, 0.820, BUDGETS) * 1000 for name, curve in PADCHEST.items()}
    assert few["chest r50x1"] < few["in21k r50x1"] < few["in21k r152x4"]
    assert many["in21k r152x4"] < many["in21k r50x1"] < many["chest r50x1"] == np.inf


def test_the_area_of_published_curves_by_hand() -> None:
    # decades from 1 to 5, 5 to 10, 10 to 100, 100 to full: 0.69897, 0.30103, 1 and 1, of 3
    area = (
        (0.69897 * (0.542 + 0.597) + 0.30103 * (0.597 + 0.636) + (0.636 + 0.721) + (0.721 + 0.840))
        / 2
        / 3
    )
    both = np.array([PADCHEST["in21k r152x4"], PADCHEST["in21k r50x1"]]).T
    found = curve_area(BUDGETS, both)
    assert found[0] == pytest.approx(area, abs=1e-6)
    assert found[0] == pytest.approx(0.6809, abs=5e-5)
    # 2 points better with all labels, 0.2 over all budgets
    assert found[1] == pytest.approx(0.6786, abs=5e-5)


@LAW
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(0.01, 0.5))
def test_area_is_a_mean_height_whatever_the_unit_of_labels(
    heights: list[float], unit: float
) -> None:
    fractions = np.cumsum(np.arange(1, len(heights) + 1.0)) / 30
    values = np.array(heights)[:, None]
    found = curve_area(fractions, values)[0]
    assert min(heights) - 1e-12 <= found <= max(heights) + 1e-12
    assert found == pytest.approx(curve_area(fractions * unit, values)[0])
    fine = np.linspace(np.log(fractions[0]), np.log(fractions[-1]), 20_001)
    dense = np.interp(fine, np.log(fractions), heights)
    assert found == pytest.approx(dense.mean(), abs=1e-3)


def test_area_is_taken_in_every_replicate_and_undefined_where_a_point_is() -> None:
    values = np.array([[0.6, 0.6, np.nan], [0.6, 0.8, 0.7], [0.6, 0.9, 0.9]])
    first, second = np.log(3), np.log(1 / 0.3)
    expected = (first * 0.7 + second * 0.85) / np.log(10)
    assert_allclose(curve_area(FRACTIONS, values), [0.6, expected, np.nan])
    assert np.isnan(curve_area(FRACTIONS[:1], values[:1])).all()
