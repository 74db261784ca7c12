"""Intervals and p-values from replicates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from tests.metrics.drawn_cases import LAW

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import mean_of
from medtransfer.statistics.bootstrap import (
    additive_interval,
    draw_replicates,
    percentile_interval,
    squared_interval,
    two_sided_p,
)
from medtransfer.statistics.groups import gap, gap_interval, worst_interval

shares = st.floats(0, 1)


def values_of(first: float, defined: list[float], undefined: int) -> Floats:
    return np.array([first, *defined, *[np.nan] * undefined])


def test_percentile_interval_is_the_middle_95_percent_of_the_defined_replicates() -> None:
    found = percentile_interval(values_of(500, list(range(1001)), 900))
    assert found == pytest.approx((25, 975))


def test_no_interval_where_more_than_half_of_the_replicates_are_undefined() -> None:
    assert percentile_interval(values_of(0.5, [0.4, 0.6], 2)) is not None
    assert percentile_interval(values_of(0.5, [0.4, 0.6], 3)) is None
    assert squared_interval(values_of(0.5, [0.4, 0.6], 2), 1) is not None
    assert squared_interval(values_of(0.5, [0.4, 0.6], 3), 1) is None


def test_no_interval_for_an_undefined_value_or_without_replicates() -> None:
    assert percentile_interval(values_of(np.nan, [0.4, 0.6], 0)) is None
    assert squared_interval(values_of(np.nan, [0.4, 0.6], 0), 1) is None
    assert percentile_interval(np.array([0.5])) is None
    assert squared_interval(np.array([0.5]), 1) is None
    assert two_sided_p(np.array([0.5])) is None
    assert two_sided_p(values_of(np.nan, [0.1], 0)) is None
    assert two_sided_p(values_of(0.1, [], 3)) is None


def test_squared_interval_moves_the_squares_down_by_twice_their_push() -> None:
    values = values_of(0.3, np.sqrt(np.linspace(0.08, 0.12, 1001)).tolist(), 0)
    # squares lie 0.01 above the value's in the mean, and so does the value's above the truth's
    found = squared_interval(values, 1)
    assert found == pytest.approx((np.sqrt(0.081 - 0.02), np.sqrt(0.119 - 0.02)))


def test_squared_interval_is_the_percentile_interval_where_nothing_pushes() -> None:
    values = values_of(0.3, np.sqrt(np.linspace(0.05, 0.13, 1001)).tolist(), 0)
    assert squared_interval(values, 1) == pytest.approx(percentile_interval(values), abs=1e-5)


def test_squared_interval_widens_to_hold_a_value_that_chance_pushed_far() -> None:
    values = values_of(0.3, np.sqrt(np.linspace(0.11, 0.13, 1001)).tolist(), 0)
    assert squared_interval(values, 1) == pytest.approx((np.sqrt(0.1105 - 0.06), 0.3))


def test_additive_interval_moves_the_values_themselves() -> None:
    values = values_of(0.3, np.linspace(0.28, 0.36, 1001).tolist(), 0)
    assert additive_interval(values, 1) == pytest.approx((0.282 - 0.04, 0.358 - 0.04), abs=1e-4)
    assert additive_interval(values_of(0.1, [0.2, 0.3], 0), 1) == pytest.approx((0, 0.1))
    assert additive_interval(values_of(np.nan, [0.4, 0.6], 0), 1) is None


def test_squared_interval_reaches_zero_where_chance_alone_explains_the_value() -> None:
    found = squared_interval(values_of(0.03, np.linspace(0.02, 0.06, 1001).tolist(), 0), 1)
    assert found is not None
    assert found[0] == 0


@LAW
@given(st.lists(shares, min_size=1, max_size=30), shares)
def test_squared_interval_holds_the_value_inside_the_range(
    replicates: list[float], first: float
) -> None:
    found = squared_interval(values_of(first, replicates, 0), 1)
    assert found is not None
    assert 0 <= found[0] <= first <= found[1] <= 1


@LAW
@given(
    st.lists(st.tuples(shares, st.lists(shares, min_size=5, max_size=5)), min_size=2, max_size=4)
)
def test_gap_and_worst_intervals_hold_their_value_inside_the_range(groups) -> None:
    values = [values_of(first, replicates, 0) for first, replicates in groups]
    found = gap_interval(values, 1)
    assert found is not None
    assert 0 <= found[0] <= gap(values)[0] <= found[1] <= 1
    worst = worst_interval(values, higher_is_better=True, ends=(0, 1))
    assert worst is not None
    assert 0 <= worst[0] <= min(first for first, _ in groups) <= worst[1] <= 1


def test_the_gap_of_identical_groups_has_no_width() -> None:
    values = [values_of(0.7, [0.6, 0.8, 0.75], 0)] * 3
    assert gap_interval(values, 1) == (0, 0)


def test_the_width_of_a_gap_is_that_of_pure_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, (2, 4000))
    values = [np.append(v, v + e) for v, e in zip((0.9, 0.6), noise, strict=True)]
    found = gap_interval(values, 1)
    # |difference of two normals of sd 0.05|: its 95 % quantile is 1.96 × 0.05 × √2
    assert found == pytest.approx((0.3 - 0.1386, 0.3 + 0.1386), abs=0.005)


def test_no_interval_of_groups_that_are_rarely_defined_together() -> None:
    values = [values_of(0.7, [0.6], 3), values_of(0.5, [0.4, 0.5, 0.6, 0.4], 0)]
    assert gap_interval(values, 1) is None
    assert worst_interval(values, higher_is_better=True, ends=(0, 1)) is None


def test_p_is_twice_the_smaller_tail_counting_the_sample_itself() -> None:
    above = values_of(0.2, [0.1] * 97 + [-0.1, -0.2], 0)
    assert two_sided_p(above) == pytest.approx(2 * 3 / 100)
    assert two_sided_p(-above) == pytest.approx(2 * 3 / 100)
    assert two_sided_p(values_of(0.2, [0.1] * 99, 50)) == pytest.approx(2 / 100)


def test_p_of_no_difference_at_all_is_one() -> None:
    assert two_sided_p(np.zeros(100)) == 1


def paired_p(seed: int, shift: float) -> float:
    """P-value of the mean difference of 40 patients with 3 alike cases each."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(40), 3)
    differences = shift + rng.normal(size=40)[patient] + 0.5 * rng.normal(size=120)
    drawn = draw_replicates([f"p{p}" for p in patient], 199, seed, "a")
    found = two_sided_p(drawn.values(mean_of(differences), np.ones(120, dtype=bool)))
    assert found is not None
    return found


def test_p_is_uniform_when_nothing_differs() -> None:
    found = np.array([paired_p(seed, 0.0) for seed in range(400)])
    assert kstest(found, "uniform").statistic < 0.08
    assert 0.02 <= (found <= 0.05).mean() <= 0.09


def test_p_is_small_when_something_differs() -> None:
    assert max(paired_p(seed, 1.0) for seed in range(20)) <= 0.02
