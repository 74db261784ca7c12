"""Coverage that tuning cases let expect: beta-binomial, with patients as clusters."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, betabinom

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.conformal import Condition, fit_conformal
from medtransfer.posthoc.coverage_law import (
    CoverageRange,
    TestedCases,
    ThresholdDraw,
    coverage_range,
    effective_size,
)

TRIALS = 400


def independent(cases: int, rank: int) -> ThresholdDraw:
    """The draw of independent tuning cases without ties."""
    return ThresholdDraw(rank, held=rank, cases=cases, effective=cases)


def of_one(cases: int, rank: int, tested: int) -> CoverageRange:
    return coverage_range([independent(cases, rank)], [TestedCases(tested, tested)])


@pytest.mark.parametrize(("cases", "rank", "tested"), [(9, 9, 50), (79, 72, 100), (500, 451, 1000)])
def test_one_threshold_has_the_beta_binomial_law(cases: int, rank: int, tested: int) -> None:
    law = betabinom(tested, rank, cases + 1 - rank)
    expected = of_one(cases, rank, tested)
    assert expected.mean == pytest.approx(rank / (cases + 1))
    low, high = round(expected.low * tested), round(expected.high * tested)
    # 10,000 draws know a tail of 2.5 % within 0.5 %
    assert law.cdf(low - 1) < 0.031
    assert law.cdf(low) > 0.019
    assert law.sf(high) < 0.031
    assert law.sf(high - 1) > 0.019


def test_endless_test_cases_leave_the_draw_of_the_tuning_cases() -> None:
    expected = of_one(79, 72, 1_000_000)
    law = beta(72, 8)
    assert expected.low == pytest.approx(law.ppf(0.025), abs=0.006)
    assert expected.high == pytest.approx(law.ppf(0.975), abs=0.006)


def test_classes_are_added_with_their_own_sizes() -> None:
    parts = [TestedCases(300, 300), TestedCases(100, 100)]
    both = coverage_range([independent(300, 271), independent(20, 19)], parts)
    assert both.mean == pytest.approx(0.75 * 271 / 301 + 0.25 * 19 / 21)
    variance = sum(
        (m / 400) ** 2 * betabinom(m, k, n + 1 - k).var() / m**2
        for m, n, k in ((300, 300, 271), (100, 20, 19))
    )
    width = 2 * 1.96 * np.sqrt(variance)
    assert both.high - both.low == pytest.approx(width, rel=0.1)


def test_a_class_without_a_threshold_is_always_covered() -> None:
    parts = [TestedCases(300, 300), TestedCases(100, 100)]
    none = ThresholdDraw(6, held=5, cases=5, effective=5)
    both = coverage_range([independent(300, 271), none], parts)
    alone = of_one(300, 271, 300)
    assert both.low == pytest.approx(0.75 * alone.low + 0.25, abs=0.01)
    assert coverage_range([none], [TestedCases(50, 50)]) == CoverageRange(1, 1, 1)


def test_ties_move_the_upper_end_alone() -> None:
    plain = independent(100, 91)
    tied = ThresholdDraw(91, held=97, cases=100, effective=100)
    parts = [TestedCases(500, 500)]
    one, two = coverage_range([plain], parts), coverage_range([tied], parts)
    assert two.low == one.low
    assert two.high > one.high
    everything = ThresholdDraw(91, held=100, cases=100, effective=100)
    assert coverage_range([everything], parts).high == 1


def test_fewer_effective_cases_widen_the_range() -> None:
    few = ThresholdDraw(91, held=91, cases=100, effective=40)
    wide = coverage_range([few], [TestedCases(300, 120)])
    narrow = of_one(100, 91, 300)
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)
    assert wide.mean == narrow.mean


def test_no_new_case_has_no_law() -> None:
    with pytest.raises(ValueError, match="the coverage of no case has no law"):
        coverage_range([independent(100, 91)], [TestedCases(0, 0)])


def test_cases_of_their_own_patients_all_count() -> None:
    scores = np.arange(5.0)
    assert effective_size(scores, None) == 5
    assert effective_size(scores, np.array(list("abcde"))) == 5


def test_copies_of_a_case_count_once() -> None:
    scores = np.repeat(np.random.default_rng(0).normal(size=50), 4)
    patients = np.repeat(np.arange(50), 4).astype(np.str_)
    assert effective_size(scores, patients) == pytest.approx(50, rel=0.03)
    # where nothing can be seen, patients are counted
    assert effective_size(np.zeros(200), patients) == 50
    assert effective_size(scores, np.full(200, "a")) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40))
def test_effective_cases_are_at_most_all(cases: list[tuple[int, int]]) -> None:
    scores = np.array([float(score) for score, _ in cases])
    patients = np.array([str(patient) for _, patient in cases])
    assert 0 < effective_size(scores, patients) <= len(cases)


Scenario = tuple[int, int, int, float, Condition]
SCENARIOS: Sequence[Scenario] = (
    (50, 200, 1, 0.0, "all"),
    (200, 200, 1, 0.0, "all"),
    (200, 1000, 1, 0.0, "class"),
    (40, 100, 3, 0.8, "all"),
    (100, 300, 5, 0.95, "all"),
    (100, 200, 2, 0.5, "all"),
    (100, 300, 3, 0.8, "class"),
    (40, 200, 8, 0.3, "class"),
)


def drawn(
    patients: int, each: int, correlation: float, rng: np.random.Generator
) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", Floats, "np.ndarray"]:
    """Exchangeable patients of about so many correlated cases: classes, probabilities, patients."""
    patient = np.repeat(np.arange(patients), rng.poisson(each - 1, patients) + 1)
    noise = rng.normal(size=patients)[patient] * np.sqrt(correlation)
    noise += rng.normal(size=len(patient)) * np.sqrt(1 - correlation)
    truth = (rng.random(patients) < 0.3).astype(np.int64)[patient]
    scores = 1.2 * (2 * truth - 1) + noise
    return truth, 1 / (1 + np.exp(-2 * scores)), patient.astype(np.str_)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_verdicts_on_exchangeable_cases_are_wrong_in_five_percent_at_most(
    scenario: Scenario,
) -> None:
    """The simulation behind the table in docs/explanation/conformal.md."""
    tuned, tested, each, correlation, condition = scenario
    rng = np.random.default_rng(12)
    wrong = naive = 0
    for _ in range(TRIALS):
        classes, p, patients = drawn(tuned, each, correlation, rng)
        sets = fit_conformal(
            classes,
            p,
            splits=np.full(len(p), "tune"),
            alpha=0.1,
            condition=condition,
            patients=patients,
        )
        classes, p, patients = drawn(tested, each, correlation, rng)
        covered = sets.sets(p)[np.arange(len(p)), classes]
        scores = sets.score.of(p)[np.arange(len(p)), classes]
        groups = [classes == c for c in (0, 1)] if condition == "class" else [classes >= 0]
        parts = [
            TestedCases(int(rows.sum()), effective_size(scores[rows], patients[rows]))
            for rows in groups
        ]
        share = float(covered.mean())
        wrong += coverage_range(sets.draws, parts).verdict(share) != "as promised"
        error = np.sqrt(share * (1 - share) / sum(part.effective for part in parts))
        naive += abs(share - 0.9) > 1.96 * error
    print(f"{scenario}: wrong {wrong / TRIALS:.1%}, by the interval alone {naive / TRIALS:.1%}")
    # 5 % and two standard errors of so many trials
    assert wrong / TRIALS <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / TRIALS)
