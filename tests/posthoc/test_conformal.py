"""Prediction sets: known values, laws, and what happens where tune is too small."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from tests.metrics.drawn_cases import LAW, plain
from tests.posthoc.conformal_cases import (
    SCORINGS,
    Drawn,
    drawn_cases,
    fitted,
    is_covered,
    sets_of,
    simulated,
    tune,
)

from medtransfer.errors import TableError
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.ensembles import coverage, set_size
from medtransfer.posthoc.conformal import (
    Condition,
    SetScore,
    conformal_quantile,
    fit_conformal,
    min_cases,
    two_classes,
)
from medtransfer.statistics.bootstrap import Floats

ALPHAS = st.floats(0.01, 0.99)
CONDITIONS = ["all", "class", "group"]
each_scoring = pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
each_condition = pytest.mark.parametrize("condition", CONDITIONS)


# the threshold


@pytest.mark.parametrize("percent", [1, 5, 10, 18, 20, 42, 50, 90])
def test_the_rank_of_the_threshold_is_exact(percent: int) -> None:
    # in floating point 58 % of 50 cases are more than 29
    for count in range(1, 400):
        scores = np.arange(1.0, count + 1)
        rank = math.ceil((count + 1) * (1 - Fraction(percent, 100)))
        expected = rank if rank <= count else math.inf
        assert conformal_quantile(scores, percent / 100) == expected


def test_the_threshold_of_nine_cases_at_ten_percent_is_the_largest_score() -> None:
    scores = np.array([0.3, 0.9, 0.1, 0.2, 0.5, 0.4, 0.6, 0.7, 0.8])
    assert conformal_quantile(scores, 0.1) == 0.9
    assert conformal_quantile(scores[1:], 0.1) == math.inf
    assert conformal_quantile(scores, 0.2) == 0.8
    assert conformal_quantile(np.array([]), 0.5) == math.inf
    assert conformal_quantile(scores, 1 - 1e-12) == 0.1


def test_tied_scores_are_counted_one_by_one() -> None:
    scores = np.array([0.1] * 5 + [0.7] * 4)
    assert conformal_quantile(scores, 0.5) == 0.1  # the fifth of nine
    assert conformal_quantile(scores, 0.4) == 0.7  # the sixth


@LAW
@given(alpha=ALPHAS)
def test_the_fewest_cases_are_the_first_with_a_finite_threshold(alpha: float) -> None:
    least = min_cases(alpha)
    assert conformal_quantile(np.zeros(least), alpha) == 0
    assert conformal_quantile(np.zeros(least - 1), alpha) == math.inf
    assert (min_cases(0.1), min_cases(0.05), min_cases(0.2)) == (9, 19, 4)


# the scores


def test_scores_by_hand() -> None:
    table = np.array([[0.3, 0.5, 0.2], [0.1, 0.2, 0.7]])
    assert_allclose(SetScore("lac").of(table), [[0.7, 0.5, 0.8], [0.9, 0.8, 0.3]])
    assert_allclose(SetScore("aps").of(table), [[0.8, 0.5, 1.0], [1.0, 0.9, 0.7]])
    raps = SetScore("raps", penalty=0.1, free_ranks=1).of(table)
    assert_allclose(raps, [[0.9, 0.5, 1.2], [1.2, 1.0, 0.7]])
    assert_allclose(SetScore("raps").of(table), SetScore("aps").of(table))  # five free ranks


def test_the_first_penalised_rank_is_the_one_after_the_free_ones() -> None:
    table = np.array([[0.4, 0.2, 0.15, 0.1, 0.06, 0.05, 0.04]])
    extra = SetScore("raps").of(table) - SetScore("aps").of(table)
    assert_allclose(extra, [[0, 0, 0, 0, 0, 0.01, 0.02]], atol=1e-15)


def test_equally_probable_classes_come_in_their_order() -> None:
    table = np.array([[0.03, 0.02] * 20])
    place = np.arange(1, 21)
    expected = np.stack([0.03 * place, 0.6 + 0.02 * place], axis=1).reshape(1, 40)
    assert_allclose(SetScore("aps").of(table), expected)


def test_a_binary_target_has_two_classes_the_negative_first() -> None:
    p = np.array([0.2, 0.9])
    assert_allclose(two_classes(p), [[0.8, 0.2], [0.1, 0.9]])
    for scoring in (SetScore("lac"), SetScore("aps")):
        assert_array_equal(scoring.of(p), scoring.of(two_classes(p)))


@LAW
@given(cases=drawn_cases(), penalty=st.sampled_from([0.0, 0.1]))
def test_a_draw_takes_away_a_part_of_the_class_own_mass(cases: Drawn, penalty: float) -> None:
    whole = SetScore("raps", penalty=penalty, free_ranks=1).of(cases.probabilities)
    drawn = SetScore("raps", seed=1, penalty=penalty, free_ranks=1)
    part = drawn.of(cases.probabilities, cases.ids)
    share = (whole - part) / cases.probabilities
    assert (share > -1e-12).all()
    assert (share < 1).all()
    # one draw for a case, not for a class
    assert_allclose(share, share[:, :1].repeat(3, axis=1), atol=1e-9)


def test_draws_belong_to_the_case_and_the_seed() -> None:
    cases = simulated(0, 500)
    scores = SCORINGS["aps with draws"].of(cases.probabilities, cases.ids)
    order = np.random.default_rng(1).permutation(500)[:100]
    some = cases.take(order)
    again = SCORINGS["aps with draws"].of(some.probabilities, some.ids)
    assert_array_equal(again, scores[order])
    other = SetScore("aps", seed=6).of(cases.probabilities, cases.ids)
    assert (other != scores).all()
    whole = SetScore("aps").of(cases.probabilities)
    share = ((whole - scores) / cases.probabilities)[:, 0]
    assert np.mean(share) == pytest.approx(0.5, abs=4 / np.sqrt(12 * 500))
    assert len(set(share.round(9))) == 500


# the sets


def test_sets_of_a_binary_target_by_hand() -> None:
    targets = np.array([1, 1, 1, 0, 0, 0, 1, 0, 1])
    p = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.4, 0.4, 0.3, 0.95])
    # 1 - p of the truth: .1 .2 .3 .1 .2 .4 .6 .3 .05; the eighth of nine is 0.4
    predictor = fit_conformal(targets, p, splits=tune(9), alpha=0.2)
    assert_allclose(predictor.thresholds, [0.4])
    assert predictor.counts.tolist() == [9]
    found = predictor.sets(np.array([0.95, 0.6, 0.5, 0.4, 0.05]))
    expected = [[0, 1], [0, 1], [0, 0], [1, 0], [1, 0]]
    assert_array_equal(found, np.array(expected, dtype=bool))
    truth = np.array([1, 0, 1, 0, 0])
    assert is_covered(found, truth).tolist() == [1, 0, 0, 1, 1]
    cases = TargetCases(truth, np.zeros(5), np.full(5, 0.5), sets={"split": found})
    assert plain(coverage(cases, "split"), 5) == pytest.approx(3 / 5)
    assert plain(set_size(cases, "split"), 5) == pytest.approx(4 / 5)


def test_each_class_has_its_own_threshold() -> None:
    targets = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.2, 0.7, 0.8, 0.9])
    predictor = fit_conformal(targets, p, splits=tune(8), alpha=0.2, condition="class")
    assert predictor.names == ("0", "1")
    assert_allclose(predictor.thresholds, [0.4, 0.8])
    found = predictor.sets(np.array([0.1, 0.3, 0.5, 0.2]))
    expected = [[1, 0], [1, 1], [0, 1], [1, 1]]
    assert_array_equal(found, np.array(expected, dtype=bool))


@each_scoring
@LAW
@given(tuned=drawn_cases(), tested=drawn_cases())
def test_a_group_has_the_sets_of_a_predictor_of_its_own(
    scoring: SetScore, tuned: Drawn, tested: Drawn
) -> None:
    found = sets_of(fitted(tuned, 0.3, "group", scoring), tested)
    for group in ("F", "M"):
        inside = np.flatnonzero(tuned.groups == group)
        rows = np.flatnonzero(tested.groups == group)
        own = fitted(tuned.take(inside), 0.3, "all", scoring)
        assert_array_equal(found[rows], sets_of(own, tested.take(rows)))
    assert found[tested.groups == ""].all()


@each_scoring
@each_condition
@LAW
@given(tuned=drawn_cases(), tested=drawn_cases(), alphas=st.tuples(ALPHAS, ALPHAS))
def test_a_larger_alpha_never_enlarges_a_set(
    scoring: SetScore,
    condition: Condition,
    tuned: Drawn,
    tested: Drawn,
    alphas: tuple[float, float],
) -> None:
    small, large = sorted(alphas)
    wide = sets_of(fitted(tuned, small, condition, scoring), tested)
    narrow = sets_of(fitted(tuned, large, condition, scoring), tested)
    assert (wide | ~narrow).all()


@pytest.mark.slow
@each_scoring
@each_condition
@LAW
@given(tuned=drawn_cases(), tested=drawn_cases(), seed=st.integers(0, 100))
def test_no_order_of_cases_matters(
    scoring: SetScore, condition: Condition, tuned: Drawn, tested: Drawn, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    expected = sets_of(fitted(tuned, 0.2, condition, scoring), tested)
    shuffled = tuned.take(rng.permutation(len(tuned)))
    order = rng.permutation(len(tested))
    found = sets_of(fitted(shuffled, 0.2, condition, scoring), tested.take(order))
    assert_array_equal(found, expected[order])


@each_scoring
@each_condition
@pytest.mark.parametrize("seed", range(5))
def test_classes_may_be_numbered_otherwise(
    scoring: SetScore, condition: Condition, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tuned, tested = simulated(seed, 80), simulated(seed + 100, 80)
    order = rng.permutation(4)
    place = np.argsort(order)

    def renumbered(cases: Drawn) -> Drawn:
        columns = cases.probabilities[:, order]
        return Drawn(place[cases.classes], columns, cases.groups, cases.ids)

    expected = sets_of(fitted(tuned, 0.2, condition, scoring), tested)
    found = sets_of(fitted(renumbered(tuned), 0.2, condition, scoring), renumbered(tested))
    assert_array_equal(found, expected[:, order])


@LAW
@given(tuned=drawn_cases(), alpha=ALPHAS)
def test_tuning_cases_are_covered_at_least_as_often_as_promised(tuned: Drawn, alpha: float) -> None:
    for scoring in SCORINGS.values():
        for condition in ("all", "class"):
            found = sets_of(fitted(tuned, alpha, condition, scoring), tuned)
            assert is_covered(found, tuned.classes).mean() >= 1 - alpha - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_a_temperature_changes_no_set_of_a_binary_target(seed: int) -> None:
    tuned, tested = simulated(seed, 60, 2), simulated(seed + 9, 60, 2)
    p, q = tuned.probabilities[:, 1], tested.probabilities[:, 1]
    splits = tune(60)
    plain = fit_conformal(tuned.classes, p, splits=splits, alpha=0.15).sets(q)
    p, q = expit(logit(p) / 2.7), expit(logit(q) / 2.7)
    assert_array_equal(fit_conformal(tuned.classes, p, splits=splits, alpha=0.15).sets(q), plain)
    assert 0 < plain.sum() < plain.size


@pytest.mark.parametrize("seed", range(5))
def test_no_rising_map_changes_a_set_with_a_threshold_per_class(seed: int) -> None:
    tuned, tested = simulated(seed, 60, 2), simulated(seed + 9, 60, 2)
    p, q = tuned.probabilities[:, 1], tested.probabilities[:, 1]

    def sets(rising: Callable[[Floats], Floats]) -> np.ndarray:
        predictor = fit_conformal(
            tuned.classes, rising(p), splits=tune(60), alpha=0.15, condition="class"
        )
        return predictor.sets(rising(q))

    plain = sets(lambda x: x)
    for rising in (lambda x: expit(0.5 * logit(x) - 1), lambda x: x**2, lambda x: 0.2 + x / 3):
        assert_array_equal(sets(rising), plain)


# too little to go by


def test_a_small_group_gets_every_class_and_says_why() -> None:
    cases = simulated(3, 40)
    few = np.where(np.arange(40) < 5, "F", "M")
    few[-1] = ""
    predictor = fit_conformal(
        cases.classes,
        cases.probabilities,
        splits=tune(40),
        alpha=0.1,
        condition="group",
        groups=few,
    )
    assert predictor.names == ("F", "M")
    assert predictor.counts.tolist() == [5, 34]
    assert predictor.thresholds[0] == math.inf
    assert predictor.reason("F") == "no threshold: 5 tune cases, 9 needed"
    assert predictor.reason("M") is None
    assert predictor.reason("X") == "no threshold: 0 tune cases, 9 needed"
    sets = predictor.sets(cases.probabilities, groups=np.resize(["F", "X", "", "M"], 40))
    rows = np.arange(40) % 4
    assert sets[rows < 3].all()
    assert not sets[rows == 3].all()


def test_a_class_that_tune_lacks_is_in_every_set() -> None:
    cases = simulated(4, 60)
    predictor = fit_conformal(
        np.where(cases.classes == 2, 0, cases.classes),
        cases.probabilities,
        splits=tune(60),
        alpha=0.2,
        condition="class",
    )
    sets = predictor.sets(cases.probabilities)
    assert sets[:, 2].all()
    assert not sets[:, [0, 1, 3]].all(axis=0).any()
    assert predictor.reason("2") == "no threshold: 0 tune cases, 4 needed"
    assert predictor.reason("0") is None


@each_scoring
@each_condition
def test_without_a_tuning_case_every_class_is_in_every_set(
    scoring: SetScore, condition: Condition
) -> None:
    nothing, cases = simulated(0, 40).take(np.array([], dtype=np.int64)), simulated(1, 5)
    predictor = fitted(nothing, 0.1, condition, scoring)
    assert sets_of(predictor, cases).all()
    assert predictor.reason("all") == "no threshold: 0 tune cases, 9 needed"
    assert is_covered(sets_of(predictor, nothing), nothing.classes).shape == (0,)


def test_scores_that_differ_by_rounding_alone_are_equal() -> None:
    # the mass of all classes is 1, whatever its last digit: no class may miss a threshold of 1
    cases = simulated(0, 400, 9)
    classes = cases.probabilities.argmin(axis=1)
    whole = SetScore("aps").of(cases.probabilities)[np.arange(400), classes]
    assert len(set(whole)) > 1
    predictor = fit_conformal(
        classes, cases.probabilities, splits=tune(400), alpha=0.9, score=SetScore("aps")
    )
    assert predictor.sets(cases.probabilities).all()


# what is refused


def test_only_the_tuning_split_is_fitted_on() -> None:
    cases = simulated(0, 20)
    splits = tune(20)
    splits[3] = "test"
    with pytest.raises(TableError, match="Prediction sets cannot be fitted on these cases"):
        fit_conformal(cases.classes, cases.probabilities, splits=splits, alpha=0.1)
    with pytest.raises(TableError, match="1 case of split 'test'"):
        fit_conformal(cases.classes, cases.probabilities, splits=splits, alpha=0.1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 90.0, math.nan])
def test_alpha_is_a_share(alpha: float) -> None:
    cases = simulated(0, 20)
    with pytest.raises(ValueError, match=r"allowed: over 0 and under 1"):
        fitted(cases, alpha)


def test_groups_and_case_ids_are_needed_where_they_count() -> None:
    cases = simulated(0, 20)
    rest = {"splits": tune(20), "alpha": 0.1}
    with pytest.raises(ValueError, match="thresholds per group need the groups"):
        fit_conformal(cases.classes, cases.probabilities, condition="group", **rest)
    with pytest.raises(ValueError, match="sets with a threshold per group need the groups"):
        fitted(cases, 0.1, "group").sets(cases.probabilities)
    with pytest.raises(ValueError, match="a score with a seed needs case_ids"):
        SetScore("aps", seed=0).of(cases.probabilities)
