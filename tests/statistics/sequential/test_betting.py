"""Evidence of a change: rarely without one, soon with one, and the same whenever it is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from medtransfer.statistics.sequential.betting import first_alarm, log_wealth
from medtransfer.statistics.sequential.ranks import BLOCK, conformal_p_values


def plain_p_value(baseline: list[float], values: list[float], tie: float) -> float:
    """The definition, for the last value."""
    *earlier, last = [*baseline, *values]
    below = sum(value < last for value in earlier)
    equal = sum(value == last for value in earlier) + 1
    return (below + (1 - tie) * equal) / (len(earlier) + 1)


@given(
    st.lists(st.integers(-3, 3), max_size=8),
    st.lists(st.integers(-3, 3), min_size=1, max_size=20),
    st.integers(0, 9),
)
def test_p_values_are_ranks_among_all_that_came_before(
    baseline: list[int], values: list[int], seed: int
) -> None:
    ties = np.random.default_rng(seed).random(len(values))
    plain = [
        plain_p_value([*map(float, baseline)], [*map(float, values[: n + 1])], ties[n])
        for n in range(len(values))
    ]
    given_values = np.array(values, dtype=np.float64)
    ps = conformal_p_values(
        np.array(baseline, dtype=np.float64), given_values, np.random.default_rng(seed)
    )
    np.testing.assert_allclose(ps, plain)


def test_blocks_do_not_change_p_values(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=2 * BLOCK + 7).round(1)
    ps = conformal_p_values(values[:50], values, np.random.default_rng(1))
    monkeypatch.setattr("medtransfer.statistics.sequential.ranks.BLOCK", 13)
    again = conformal_p_values(values[:50], values, np.random.default_rng(1))
    np.testing.assert_array_equal(ps, again)


def watches(
    count: int, baseline: int, length: int, *, shift: float = 0.0, at: int = 0, kind: str = "normal"
) -> NDArray[np.float64]:
    """Wealth of simulated watches; from `at` on values are shifted. [K, n]"""
    rng = np.random.default_rng(count + baseline + length)
    ps: list[NDArray[np.float64]] = []
    for _ in range(count):
        values = rng.normal(size=baseline + length)
        values[baseline + at :] += shift
        if kind == "yes or no":
            values = (values > 1.3).astype(np.float64)
        ps.append(conformal_p_values(values[:baseline], values[baseline:], rng))
    return log_wealth(np.array(ps))


@pytest.mark.parametrize("kind", ["normal", "yes or no"])
@pytest.mark.parametrize("baseline", [20, 200])
def test_false_alarms_stay_below_the_stated_rate(baseline: int, kind: str) -> None:
    count = 400
    wealth = watches(count, baseline, 400, kind=kind)
    for rate in (0.2, 0.05):
        alarms = int((first_alarm(wealth, rate) >= 0).sum())
        assert stats.binomtest(alarms, count, rate, alternative="greater").pvalue > 0.001


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [10, 100, 1000])
def test_false_alarms_stay_below_the_stated_rate_over_long_watches(baseline: int) -> None:
    count = 2000
    wealth = watches(count, baseline, 3000)
    for rate in (0.5, 0.2, 0.05, 0.01):
        alarms = int((first_alarm(wealth, rate) >= 0).sum())
        assert stats.binomtest(alarms, count, rate, alternative="greater").pvalue > 0.001


@pytest.mark.parametrize("at", [0, 300])
def test_a_shift_is_noticed_whenever_it_comes(at: int) -> None:
    first = first_alarm(watches(40, 300, at + 300, shift=1.0, at=at), 0.05 / 20)
    assert (first >= at).mean() > 0.95
    assert np.median(first - at) < 80


def test_a_change_of_spread_alone_is_noticed() -> None:
    rng = np.random.default_rng(2)
    ps = [
        conformal_p_values(rng.normal(size=500), rng.normal(scale=2.0, size=400), rng)
        for _ in range(20)
    ]
    assert (first_alarm(log_wealth(np.array(ps)), 0.01) >= 0).mean() > 0.9


def test_evidence_so_far_is_the_same_when_more_comes() -> None:
    ps = np.random.default_rng(3).random((2, 60))
    shorter = ps.copy()
    shorter[1, 40:] = np.nan
    np.testing.assert_allclose(log_wealth(ps)[:, :40], log_wealth(ps[:, :40]))
    ended = log_wealth(shorter)[1]
    np.testing.assert_allclose(ended[:40], log_wealth(ps[1:, :40])[0])
    assert (ended[40:] == ended[39]).all()


def test_bets_are_fair() -> None:
    """The mean payoff over a fine grid of a next p-value is the wealth before it."""
    grid = (np.arange(20_000) + 0.5) / 20_000
    past = np.tile(np.random.default_rng(4).random(5), (len(grid), 1))
    wealth = np.exp(log_wealth(np.column_stack([past, grid])))
    np.testing.assert_allclose(wealth[:, 5].mean(), wealth[0, 4], rtol=1e-6)


def test_no_observation_is_no_evidence() -> None:
    assert first_alarm(log_wealth(np.empty((2, 0))), 0.05).tolist() == [-1, -1]
