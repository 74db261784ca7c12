"""Contrasts of means over seeds: what they are made of, and the level that they keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm, t, ttest_ind

from medtransfer.statistics.contrasts import (
    PATIENTS_AND_SOME,
    contrast,
    seed_term,
    seeded_replicates,
)

Z = float(norm.ppf(0.975))


def test_without_patients_a_difference_is_welchs() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=5), rng.normal(0.5, 2, size=4)
    terms = [seed_term(one), seed_term(two, -1.0)]
    value = float(one.mean() - two.mean())
    found = contrast(value, (value, value), terms)
    expected = ttest_ind(one, two, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert_allclose((found.low, found.high), expected.confidence_interval(), rtol=1e-9)
    assert found.degrees == pytest.approx(expected.df)
    assert found.error == pytest.approx(abs(value / expected.statistic))


def test_without_patients_a_mean_has_students_interval() -> None:
    values = np.array([0.7, 0.8, 0.75])
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(3))
    found = contrast(mean, (mean, mean), [seed_term(values)])
    assert_allclose((found.low, found.high), t.interval(0.95, 2, mean, error))
    assert (found.error, found.degrees) == pytest.approx((error, 2))


def test_without_seeds_an_interval_stays_and_says_that_it_is_of_patients() -> None:
    found = contrast(0.1, (0.02, 0.25), [])
    assert (found.low, found.high, found.sources) == (0.02, 0.25, "patients")
    one_seed = contrast(0.1, (0.02, 0.25), [seed_term(np.array([0.7])), None])
    assert (one_seed.low, one_seed.high, one_seed.sources) == (0.02, 0.25, "patients")


def test_one_seed_on_one_side_leaves_the_seeds_of_the_other_in_the_interval() -> None:
    values = np.array([0.02, 0.05, 0.03])
    found = contrast(0.1, (0.08, 0.12), [seed_term(values), seed_term(values[:1])])
    assert found.sources == PATIENTS_AND_SOME
    width = np.hypot(0.02, t.ppf(0.975, 2) * values.std(ddof=1) / 3**0.5)
    assert (found.low, found.high) == (pytest.approx(0.1 - width), pytest.approx(0.1 + width))
    assert found.p > contrast(0.1, (0.08, 0.12), [None, None]).p


def test_equal_seeds_add_nothing_but_are_contained() -> None:
    found = contrast(0.1, (0.02, 0.25), [seed_term(np.full(3, 0.8)), seed_term(np.full(3, 0.7))])
    assert (found.low, found.high) == pytest.approx((0.02, 0.25))
    assert found.sources == "patients and seeds"


@given(
    value=st.floats(-1, 1),
    below=st.floats(1e-6, 1),
    above=st.floats(1e-6, 1),
    spreads=st.lists(st.floats(0, 1), min_size=0, max_size=3),
    seeds=st.integers(2, 6),
)
def test_p_is_below_five_per_cent_just_where_the_interval_excludes_zero(
    value: float, below: float, above: float, spreads: list[float], seeds: int
) -> None:
    terms = [seed_term(np.linspace(-spread, spread, seeds)) for spread in spreads]
    found = contrast(value, (value - below, value + above), terms)
    assert found.low <= value - below + 1e-12
    assert found.high >= value + above - 1e-12
    near = min(abs(found.low), abs(found.high)) < 1e-9
    if not near:
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_replicates_keep_the_mean_and_spread_as_students_t_says() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=(4, 1)), 200_001, axis=1)
    replicates = seeded_replicates(values, rng)
    assert replicates[0] == values[:, 0].mean()
    error = values[:, 0].std(ddof=1) / 2
    expected = t.interval(0.95, 3, values[:, 0].mean(), error)
    ends = np.quantile(replicates[1:], [0.025, 0.975])
    assert_allclose(ends, np.array(expected), rtol=0.03)


def test_one_seed_keeps_its_replicates() -> None:
    values = np.random.default_rng(0).normal(size=(1, 50))
    assert np.array_equal(seeded_replicates(values, np.random.default_rng(0)), values[0])


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0])
def test_level_and_coverage_hold(seeds: int, ratio: float) -> None:
    rng, draws = np.random.default_rng(0), 4000
    rejected = covered = 0
    for _ in range(draws):
        one, two = rng.normal(size=(2, seeds)) * np.sqrt(seeds)
        patients = float(rng.normal()) * ratio
        difference = float(one.mean() - two.mean()) + patients
        width = Z * ratio
        ends = difference - width, difference + width
        rejected += contrast(difference, ends, [seed_term(one), seed_term(two)]).p < 0.05
        mean = float(one.mean()) + patients
        found = contrast(mean, (mean - width, mean + width), [seed_term(one)])
        covered += found.low <= 0 <= found.high
    assert 0.012 <= rejected / draws <= 0.07
    assert 0.94 <= covered / draws <= 0.995
