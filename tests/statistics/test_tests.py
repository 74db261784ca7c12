"""Corrections of many p-values, differences against a margin, paired decisions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, norm
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from tests.metrics.drawn_cases import LAW

from medtransfer.statistics.bootstrap import Floats, percentile_interval, two_sided_p
from medtransfer.statistics.tests import (
    UNDEFINED,
    MarginTest,
    equivalence,
    false_discovery,
    holm,
    mcnemar,
    non_inferiority,
)

p_values = st.lists(st.none() | st.floats(0, 1), max_size=8)


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, then never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one_and_leaves_a_single_p_as_it_is() -> None:
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []


def test_a_missing_p_stays_missing_and_does_not_count() -> None:
    assert holm([None, 0.02, None, 0.01]) == [None, pytest.approx(0.02), None, pytest.approx(0.02)]


@LAW
@given(p_values)
def test_corrected_p_values_keep_their_order_and_are_no_smaller(found: list[float | None]) -> None:
    corrected = holm(found)
    assert [p is None for p in corrected] == [p is None for p in found]
    both = zip(found, corrected, strict=True)
    pairs = sorted((p, c) for p, c in both if p is not None and c is not None)
    assert all(p <= c <= 1 for p, c in pairs)
    assert [c for _, c in pairs] == sorted(c for _, c in pairs)


@LAW
@given(p_values, st.floats(0.001, 0.2))
def test_what_is_rejected_is_what_stepping_down_rejects(
    found: list[float | None], level: float
) -> None:
    known = sorted(p for p in found if p is not None)
    rejected = 0
    while rejected < len(known) and known[rejected] * (len(known) - rejected) <= level:
        rejected += 1
    assert sum(c is not None and c <= level for c in holm(found)) == rejected


def test_benjamini_hochberg_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04: times 4/1, 4/2, 4/3, 4/4, then never above the next
    assert false_discovery([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert false_discovery([0.9, 0.9, None]) == [0.9, 0.9, None]
    assert false_discovery([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_false_discovery_equals_the_rule_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found: list[float | None] = [
        None if rng.random() < 0.2 else p for p in np.round(rng.random(seed) ** 3, 2).tolist()
    ]
    ordered = sorted((p, index) for index, p in enumerate(found) if p is not None)
    expected: list[float | None] = [None] * len(found)
    smallest = 1.0
    for rank in range(len(ordered), 0, -1):
        p, index = ordered[rank - 1]
        smallest = min(smallest, p * len(ordered) / rank)
        expected[index] = smallest
    assert false_discovery(found) == [p if p is None else pytest.approx(p) for p in expected]


@pytest.mark.parametrize("seed", range(3))
def test_corrections_equal_those_of_statsmodels(seed: int) -> None:
    # few, since statsmodels collects garbage at every call
    rng = np.random.default_rng(seed)
    known = np.round(rng.random(9 + seed) ** 2, 2).tolist()
    for correct, method in ((holm, "holm"), (false_discovery, "fdr_bh")):
        corrected = correct([None, *known, None])
        assert corrected[0] is corrected[-1] is None
        assert corrected[1:-1] == pytest.approx(multipletests(known, method=method)[1], abs=1e-12)


@LAW
@given(p_values)
def test_the_false_discovery_rate_is_the_weaker_promise(found: list[float | None]) -> None:
    for p, discovery, family in zip(found, false_discovery(found), holm(found), strict=True):
        if p is None or discovery is None or family is None:
            assert p is discovery is family is None
        else:
            assert p - 1e-12 <= discovery <= family + 1e-12


@LAW
@given(p_values, st.floats(0.001, 0.2))
def test_what_is_discovered_is_what_stepping_up_discovers(
    found: list[float | None], rate: float
) -> None:
    known = sorted(p for p in found if p is not None)
    below = [k for k, p in enumerate(known, start=1) if p * len(known) / k <= rate]
    discovered = sum(c is not None and c <= rate for c in false_discovery(found))
    assert discovered == max(below, default=0)


def replicates(difference: float, spread: float, count: int = 999) -> Floats:
    """A difference and replicates at the even quantiles of a normal distribution about it."""
    places = (np.arange(count) + 0.5) / count
    return np.concatenate([[difference], difference + spread * norm.ppf(places)])


def test_non_inferiority_by_hand() -> None:
    # nine replicates; 2 are no better than a loss of 0.02
    differences = np.array([0.0, -0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03, 0.04])
    found = non_inferiority(differences, 0.02, higher_is_better=True)
    assert found.p == pytest.approx((1 + 2) / (1 + 9))
    # the 2.5 % quantile of nine is a fifth of the way from the first to the second
    assert found.bound == pytest.approx(-0.03 + 0.2 * 0.01)
    assert found.verdict == "not shown"
    assert non_inferiority(differences, 0.03, higher_is_better=True).verdict == "shown"


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.0, "shown"), (-0.009, "shown"), (-0.013, "not shown")]
)
def test_non_inferiority_is_the_one_sided_test_at_a_fortieth(
    difference: float, verdict: str
) -> None:
    found = non_inferiority(replicates(difference, 0.005), 0.02, higher_is_better=True)
    assert found.verdict == verdict
    assert found.bound == pytest.approx(difference - 1.96 * 0.005, abs=2e-4)
    assert found.p == pytest.approx(norm.sf((difference + 0.02) / 0.005), abs=2e-3)
    assert (found.p is not None and found.p <= 0.025) == (verdict == "shown")


def test_where_lower_is_better_a_loss_is_a_rise() -> None:
    differences = replicates(0.011, 0.005)
    lower = non_inferiority(differences, 0.02, higher_is_better=False)
    mirrored = non_inferiority(-differences, 0.02, higher_is_better=True)
    assert lower.bound is not None
    assert mirrored.bound is not None
    assert lower.bound == pytest.approx(-mirrored.bound)
    assert (lower.verdict, lower.p) == (mirrored.verdict, mirrored.p)
    # a rise of 0.03 is no loss where higher is better
    assert non_inferiority(replicates(0.03, 0.001), 0.02, higher_is_better=True).verdict == "shown"
    worse = non_inferiority(replicates(0.03, 0.001), 0.02, higher_is_better=False)
    assert worse.verdict == "not shown"


@pytest.mark.parametrize(
    ("difference", "bound", "verdict"),
    [
        (0.0, None, "shown"),
        (0.009, 0.009 + 1.645 * 0.005, "shown"),
        (0.013, 0.013 + 1.645 * 0.005, "not shown"),
        (-0.009, -0.009 - 1.645 * 0.005, "shown"),
        (-0.03, -0.03 - 1.645 * 0.005, "not shown"),
    ],
)
def test_equivalence_is_two_one_sided_tests(
    difference: float, bound: float | None, verdict: str
) -> None:
    found = equivalence(replicates(difference, 0.005), 0.02)
    assert found.verdict == verdict
    if bound is not None:
        assert found.bound == pytest.approx(bound, abs=2e-4)
    both = [norm.sf((0.02 + sign * difference) / 0.005) for sign in (1, -1)]
    assert found.p == pytest.approx(max(both), abs=2e-3)


@LAW
@given(st.lists(st.floats(-0.1, 0.1), min_size=20, max_size=60), st.floats(0.001, 0.2))
def test_equivalence_is_non_inferiority_both_ways_on_a_narrower_interval(
    drawn: list[float], margin: float
) -> None:
    differences = np.array(drawn)
    found = equivalence(differences, margin)
    ways = [non_inferiority(differences, margin, higher_is_better=up) for up in (True, False)]
    assert found.p == max(way.p for way in ways if way.p is not None)
    if all(way.verdict == "shown" for way in ways):
        assert found.verdict == "shown"


@LAW
@given(st.lists(st.integers(-50, 50).filter(bool), min_size=20, max_size=60))
def test_the_two_sided_p_value_is_twice_a_one_sided_one_without_a_margin(
    drawn: list[int],
) -> None:
    differences = np.array(drawn) / 1000
    ways = [non_inferiority(differences, 1e-9, higher_is_better=up).p for up in (True, False)]
    smaller = min(p for p in ways if p is not None)
    assert two_sided_p(differences) == min(1.0, 2 * smaller)


def test_replicates_that_are_undefined_do_not_count_until_they_are_too_many() -> None:
    differences = replicates(0.0, 0.005)
    some = np.concatenate([differences, np.full(500, np.nan)])
    assert equivalence(some, 0.02) == equivalence(differences, 0.02)
    full, part = (non_inferiority(d, 0.02, higher_is_better=True) for d in (differences, some))
    assert part == full
    many = np.concatenate([differences, np.full(1500, np.nan)])
    lost = differences.copy()
    lost[0] = np.nan
    for undefined in (many, lost, differences[:1]):
        assert percentile_interval(undefined) is None
        nothing = MarginTest(None, None, None, UNDEFINED)
        assert equivalence(undefined, 0.02) == nothing
        assert non_inferiority(undefined, 0.02, higher_is_better=True) == nothing


@pytest.mark.parametrize("margin", [0.0, -0.01, float("nan")])
def test_a_margin_is_over_zero(margin: float) -> None:
    differences = replicates(0.0, 0.005)
    with pytest.raises(ValueError, match="a margin is over 0, not"):
        equivalence(differences, margin)
    with pytest.raises(ValueError, match="a margin is over 0, not"):
        non_inferiority(differences, margin, higher_is_better=True)


def test_false_claims_at_the_margin_are_as_rare_as_promised() -> None:
    # normal differences whose truth is a loss of exactly the margin
    rng = np.random.default_rng(0)
    claims = {"non-inferior": 0, "equivalent": 0}
    for _ in range(2000):
        found = rng.normal(-0.02, 0.005)
        differences = np.append(found, found + 0.005 * rng.normal(size=400))
        shown = non_inferiority(differences, 0.02, higher_is_better=True).verdict == "shown"
        claims["non-inferior"] += shown
        claims["equivalent"] += equivalence(differences, 0.02).verdict == "shown"
    # standard errors 0.35 and 0.5 points
    assert claims["non-inferior"] / 2000 == pytest.approx(0.025, abs=0.012)
    assert claims["equivalent"] / 2000 == pytest.approx(0.05, abs=0.016)


def decisions(better: int, worse: int, alike: int = 5) -> NDArray[np.int64]:
    """Differences of patients with one case each."""
    return np.repeat(np.array([1, -1, 0]), [better, worse, alike])


@pytest.mark.parametrize(("better", "worse"), [(9, 3), (1, 0), (40, 25), (7, 7)])
def test_paired_decisions_of_few_have_the_mid_p_of_mcnemar(better: int, worse: int) -> None:
    oracle: Any = mcnemar_of_statsmodels([[0, better], [worse, 0]], exact=True)
    exact = float(oracle.pvalue)
    if better == worse:
        assert mcnemar(decisions(better, worse)) == pytest.approx(1)
        return
    smaller = min(better, worse)
    mid = exact - binom.pmf(smaller, better + worse, 0.5)
    assert mcnemar(decisions(better, worse)) == pytest.approx(mid, abs=1e-12)


def test_paired_decisions_of_many_have_the_chi_squared_of_mcnemar() -> None:
    plain: Any = mcnemar_of_statsmodels([[0, 160], [120, 0]], exact=False, correction=False)
    assert mcnemar(decisions(160, 120)) == pytest.approx(float(plain.pvalue), rel=1e-9)


def test_a_patient_with_several_cases_turns_as_a_whole() -> None:
    differences = np.array([3, 2, -1, 0, 1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    sums = np.abs(signs @ differences)
    expected = np.mean(sums > 5) + np.mean(sums == 5) / 2
    assert mcnemar(differences) == pytest.approx(expected, abs=1e-12)
    # three cases of one patient are not three patients
    assert mcnemar(np.array([5, 0])) == pytest.approx(0.5)
    assert mcnemar(decisions(5, 0)) < 0.05
    assert mcnemar(np.zeros(4, dtype=np.int64)) == 1


def test_exact_and_approximate_agree_where_they_meet() -> None:
    assert mcnemar(decisions(118, 82)) == pytest.approx(mcnemar(decisions(119, 82)), abs=0.004)
