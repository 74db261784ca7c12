"""Score intervals: against statsmodels, by their definition, and by what they hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from medtransfer.statistics.delong import delong
from medtransfer.statistics.small_samples import (
    auroc_interval,
    difference_of_intervals,
    widened_interval,
    wilson_interval,
)


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (3, 3), (5, 20), (19, 20), (137, 400)])
def test_wilson_is_that_of_statsmodels(hits: int, trials: int) -> None:
    expected = proportion_confint(hits, trials, alpha=0.05, method="wilson")
    assert_allclose(wilson_interval(hits / trials, trials), np.array(expected), atol=1e-12)


@given(
    value=st.integers(0, 200).map(lambda n: n / 200),
    positives=st.integers(1, 300),
    negatives=st.integers(1, 300),
    variance=st.one_of(st.none(), st.floats(0, 0.25)),
)
def test_an_auroc_lies_in_its_interval_and_swapping_the_classes_mirrors_it(
    value: float, positives: int, negatives: int, variance: float | None
) -> None:
    low, high = auroc_interval(value, positives, negatives, variance)
    assert 0 <= low <= value <= high <= 1
    assert high > low
    mirrored = auroc_interval(1 - value, positives, negatives, variance)
    assert_allclose(mirrored, (1 - high, 1 - low), atol=1e-7)


def test_complete_separation_has_a_lower_bound_that_rises_with_the_patients() -> None:
    few, more, many = (auroc_interval(1.0, n, n) for n in (5, 20, 200))
    assert few[1] == more[1] == many[1] == 1
    assert few[0] < more[0] < many[0] < 1
    # Newcombe 2006, method 5, solved by hand for m = n = 5: (1 - θ)² = z² V(θ)
    theta, extra = few[0], 4
    variance = (
        theta
        * (1 - theta)
        * (1 + extra * (1 - theta) / (2 - theta) + extra * theta / (1 + theta))
        / 25
    )
    assert (1 - theta) == pytest.approx(norm.ppf(0.975) * np.sqrt(variance), abs=1e-6)


def test_a_larger_variance_of_the_data_widens_and_a_smaller_does_not_narrow() -> None:
    plain = auroc_interval(0.8, 10, 50)
    assert auroc_interval(0.8, 10, 50, 1e-6) == plain
    wide = auroc_interval(0.8, 10, 50, 0.02)
    assert wide[0] < plain[0]
    assert wide[1] > plain[1]


SHAPES = {"alike": 1.0, "wide positives": 1.8}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("positives", "negatives"), [(5, 395), (10, 390), (20, 380), (20, 20)])
@pytest.mark.parametrize("truth", [0.6, 0.8, 0.9, 0.97])
def test_auroc_intervals_hold_the_truth(
    shape: str, positives: int, negatives: int, truth: float
) -> None:
    rng, spread = np.random.default_rng(0), SHAPES[shape]
    shift = norm.ppf(truth) * np.sqrt(1 + spread**2)
    labels = np.repeat([1, 0], [positives, negatives])
    held, draws = 0, 1000
    for _ in range(draws):
        scores = np.concatenate([rng.normal(shift, spread, positives), rng.normal(size=negatives)])
        aurocs = delong(labels, scores[None])
        value, variance = float(aurocs.values[0]), float(aurocs.covariance[0, 0])
        low, high = auroc_interval(value, positives, negatives, variance)
        held += low <= truth <= high
    assert held / draws > 0.90  # 0.916 to 0.98 in 4,000 draws; docs/explanation/intervals.md


def test_a_difference_of_two_proportions_is_newcombes() -> None:
    # Newcombe 1998, table II, row (a): 56/70 - 48/80, method 10
    ends = wilson_interval(56 / 70, 70), wilson_interval(48 / 80, 80)
    assert_allclose(difference_of_intervals((0.8, 0.6), ends), (0.0524, 0.3339), atol=5e-5)


def test_a_difference_of_many_patients_is_not_widened_and_of_few_by_student() -> None:
    assert_allclose(widened_interval(0.1, (0.0, 0.3), 10**6), (0.0, 0.3), atol=1e-5)
    low, high = widened_interval(0.1, (0.0, 0.3), 5)
    factor = 2.7764451 / 1.9599640 * (5 / 4) ** 0.5
    assert_allclose((low, high), (0.1 - 0.1 * factor, 0.1 + 0.2 * factor), atol=1e-6)
