"""Corrections of many p-values, differences against a margin, paired decisions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, multivariate_normal, norm
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from tests.metrics.drawn_cases import LAW

from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.contrasts import Contrast, contrast, seed_term
from medtransfer.statistics.tests import (
    equivalence,
    false_discoveries,
    false_discovery,
    holm,
    mcnemar,
    non_inferiority,
    simultaneous,
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


def test_families_are_corrected_each_by_itself() -> None:
    families = [[0.01, None, 0.04], [], [0.2, 0.001], [None], [0.5, 0.02]]
    assert false_discoveries(families) == [false_discovery(family) for family in families]


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


@pytest.mark.slow
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


def between(difference: float, error: float) -> Contrast:
    """A difference with a standard error, normal."""
    half = float(norm.ppf(0.975)) * error
    return contrast(difference, (difference - half, difference + half), [])


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(0.0, "shown"), (-0.009, "shown"), (-0.013, "not shown"), (0.03, "shown")],
)
def test_non_inferiority_is_the_one_sided_test_at_a_fortieth(
    difference: float, verdict: str
) -> None:
    found = non_inferiority(between(difference, 0.005), 0.02)
    assert found.verdict == verdict
    assert found.p == pytest.approx(norm.sf((difference + 0.02) / 0.005), rel=1e-6)
    assert (found.p < 0.025) == (verdict == "shown")


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (0.0, "shown"),
        (0.009, "shown"),
        (0.013, "not shown"),
        (-0.009, "shown"),
        (-0.03, "not shown"),
    ],
)
def test_equivalence_is_two_one_sided_tests(difference: float, verdict: str) -> None:
    found = equivalence(between(difference, 0.005), 0.02)
    assert found.verdict == verdict
    both = [norm.sf((0.02 + sign * difference) / 0.005) for sign in (1, -1)]
    assert found.p == pytest.approx(max(both), rel=1e-6)


@LAW
@given(
    value=st.floats(-0.1, 0.1),
    below=st.floats(1e-4, 0.1),
    above=st.floats(1e-4, 0.1),
    spread=st.floats(0, 0.05),
    margin=st.floats(0.001, 0.2),
)
def test_a_verdict_agrees_with_the_interval_that_is_reported(
    value: float, below: float, above: float, spread: float, margin: float
) -> None:
    seeds = [seed_term(np.array([-spread, 0.0, spread])) for _ in range(2)]
    both = contrast(value, (value - below, value + above), seeds)
    found = non_inferiority(both, margin)
    assert (found.verdict == "shown") == (both.low > -margin)
    if abs(both.low + margin) > 1e-9:
        assert (found.p < 0.025) == (found.verdict == "shown")
    if found.verdict == "shown" and both.high < margin - 1e-9:
        assert equivalence(both, margin).verdict == "shown"


def test_equal_rungs_are_equivalent() -> None:
    same = between(0.0, 0.0)
    assert (non_inferiority(same, 0.02).p, equivalence(same, 0.02).verdict) == (0.0, "shown")


@pytest.mark.parametrize("margin", [0.0, -0.01, float("nan")])
def test_a_margin_is_over_zero(margin: float) -> None:
    with pytest.raises(ValueError, match="a margin is over 0, not"):
        equivalence(between(0.0, 0.005), margin)
    with pytest.raises(ValueError, match="a margin is over 0, not"):
        non_inferiority(between(0.0, 0.005), margin)


def test_false_claims_at_the_margin_are_as_rare_as_promised() -> None:
    # normal differences whose truth is a loss of exactly the margin
    rng = np.random.default_rng(0)
    claims = {"non-inferior": 0, "equivalent": 0}
    for _ in range(2000):
        found = rng.normal(-0.02, 0.005)
        differences = np.append(found, found + 0.005 * rng.normal(size=400))
        ends = percentile_interval(differences)
        assert ends is not None
        both = contrast(found, ends, [])
        claims["non-inferior"] += non_inferiority(both, 0.02).verdict == "shown"
        claims["equivalent"] += equivalence(both, 0.02).verdict == "shown"
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


def with_one_reference(rungs: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Standard normal errors of comparisons with one reference, correlated by a half."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rungs, draws)) - rng.normal(size=draws)) / np.sqrt(2)


@pytest.mark.parametrize("rungs", [2, 3, 6])
def test_simultaneous_intervals_are_those_of_the_multivariate_normal(rungs: int) -> None:
    # Dunnett's critical value: P(all |Z| < c) = 95 % with correlation a half
    half = np.full((rungs, rungs), 0.5) + 0.5 * np.eye(rungs)
    found = simultaneous(
        [contrast(0.0, (-1.96, 1.96), [])] * rungs, list(with_one_reference(rungs, 400_000, 1))
    )
    (critical,) = {one.high for one in found}
    ends = np.full(rungs, critical)
    held = multivariate_normal(cov=half).cdf(ends, lower_limit=-ends)
    assert held == pytest.approx(0.95, abs=0.002)
    assert 1.96 < critical < norm.isf(0.025 / rungs)


@pytest.mark.slow
def test_the_best_of_twelve_equal_rungs_is_shown_better_as_rarely_as_promised() -> None:
    truth = with_one_reference(12, 3_000, 2)
    errors = list(with_one_reference(12, 1_000, 3))
    shown = alone = 0
    for values in truth.T:
        contrasts = [contrast(v, (v - 1.96, v + 1.96), []) for v in values.tolist()]
        found = simultaneous(contrasts, errors)
        wrong = [one.low > 0 or one.high < 0 for one in found]
        assert wrong == [one.p < 0.05 for one in found]
        shown += any(wrong)
        alone += any(one.p < 0.05 for one in contrasts)
    assert 0.035 < shown / 3_000 < 0.065
    assert alone / 3_000 > 0.25


@LAW
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 2)), min_size=1, max_size=5), st.data())
def test_simultaneous_intervals_hold_those_of_each_rung(
    drawn: list[tuple[float, float]], data: st.DataObject
) -> None:
    seeds = [seed_term(np.array([0.0, 0.1, data.draw(st.floats(-1, 1))])) for _ in drawn]
    contrasts = [
        contrast(v, (v - w, v + 2 * w), [term, term])
        for (v, w), term in zip(drawn, seeds, strict=True)
    ]
    undefined = data.draw(st.booleans())
    errors = with_one_reference(len(drawn), 50, 4)
    if undefined:
        errors[0, 10:] = np.nan
    found = simultaneous(contrasts, list(errors))
    for one, of_all in zip(contrasts, found, strict=True):
        assert of_all.low <= one.low <= one.high <= of_all.high
        assert one.p <= of_all.p <= min(1.0, len(drawn) * one.p) + 1e-12
    if len(drawn) == 1:
        assert (found[0].low, found[0].high, found[0].p) == (
            contrasts[0].low,
            contrasts[0].high,
            contrasts[0].p,
        )
