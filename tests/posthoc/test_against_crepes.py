"""Prediction sets equal those of crepes, which makes them from p-values, in every category."""

import numpy as np
import pytest
from crepes import ConformalClassifier
from crepes.extras import hinge
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from tests.metrics.drawn_cases import LAW
from tests.posthoc.conformal_cases import (
    SCORINGS,
    Drawn,
    drawn_cases,
    fitted,
    sets_of,
    simulated,
)

from medtransfer.posthoc.conformal import Condition, SetScore
from medtransfer.statistics.bootstrap import Floats

# no whole number of cases is 7 / 29 of a sample this small, so p never equals alpha
ALPHA = 7 / 29 + 1e-6


def p_values(tuned: Drawn, tested: Drawn, condition: Condition, scoring: SetScore) -> Floats:
    """The p-value of each class of each case. [N, C]"""
    # whole masses are 1 but for rounding: crepes knows only exact ties
    scores = scoring.of(tuned.probabilities, tuned.ids).round(12)
    own = scores[np.arange(len(tuned)), tuned.classes]
    new = scoring.of(tested.probabilities, tested.ids).round(12)
    theirs = ConformalClassifier()
    match condition:
        case "class":
            theirs.fit(own, bins=tuned.classes)
            columns = [
                theirs.predict_p(new, bins=np.full(len(tested), c), smoothing=False)[:, c]
                for c in range(new.shape[1])
            ]
            return np.stack(columns, axis=1)
        case "group":
            theirs.fit(own, bins=tuned.groups)
            return theirs.predict_p(new, bins=tested.groups, smoothing=False)
        case _:
            theirs.fit(own)
            return theirs.predict_p(new, smoothing=False)


def expected(
    tuned: Drawn, tested: Drawn, condition: Condition, scoring: SetScore
) -> NDArray[np.bool_]:
    return p_values(tuned, tested, condition, scoring) > ALPHA


def test_the_plain_score_is_the_hinge_of_crepes() -> None:
    cases = simulated(0, 30)
    scores = SetScore("lac").of(cases.probabilities)
    assert_array_equal(scores, hinge(cases.probabilities))
    own = hinge(cases.probabilities, np.arange(4), cases.classes)
    assert_array_equal(scores[np.arange(30), cases.classes], own)


@pytest.mark.parametrize("condition", ["all", "class", "group"])
@pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
@pytest.mark.parametrize("seed", range(3))
def test_sets_are_the_classes_whose_p_value_is_above_alpha(
    condition: Condition, scoring: SetScore, seed: int
) -> None:
    tuned, tested = simulated(seed, 90), simulated(seed + 50, 120)
    found = sets_of(fitted(tuned, ALPHA, condition, scoring), tested)
    theirs = expected(tuned, tested, condition, scoring)
    if condition == "group":  # to crepes no group is a group like any other
        found, theirs = found[tested.groups != ""], theirs[tested.groups != ""]
    assert_array_equal(found, theirs)
    assert 0.2 < found.mean() < 0.9


@pytest.mark.parametrize("condition", ["all", "class"])
@LAW
@given(tuned=drawn_cases(most=25), tested=drawn_cases(most=10))
def test_sets_of_few_and_tied_cases(condition: Condition, tuned: Drawn, tested: Drawn) -> None:
    # in whole steps, so that ties are ties to crepes too
    scoring = SetScore("lac")
    tuned, tested = (
        Drawn(c.classes, np.round(c.probabilities * 64) / 64, c.groups, c.ids)
        for c in (tuned, tested)
    )
    found = sets_of(fitted(tuned, ALPHA, condition, scoring), tested)
    assert_array_equal(found, expected(tuned, tested, condition, scoring))


@LAW
@given(count=st.integers(1, 60), tenths=st.integers(1, 9))
def test_where_a_p_value_is_just_alpha_crepes_keeps_the_class_and_we_do_not(
    count: int, tenths: int
) -> None:
    # Vovk, Gammerman and Shafer 2005 ask for p > alpha: enough for the promise
    rng = np.random.default_rng(count)
    alpha = tenths / 10
    p = rng.permutation(np.arange(1, count + 1)) / (count + 2)
    tuned = Drawn(np.ones(count, int), np.stack([1 - p, p], 1), np.full(count, "F"), ["x"] * count)
    found = sets_of(fitted(tuned, alpha), tuned)[:, 1]
    values = p_values(tuned, tuned, "all", SetScore("lac"))[:, 1]
    assert_array_equal(found, values > alpha + 1e-9)
    just = np.abs(values - alpha) < 1e-9
    assert just.any() == ((count + 1) * tenths % 10 == 0 and tenths * (count + 1) > 10)
    assert not found[just].any()
    assert_allclose(values.min() * (count + 1), 2)
