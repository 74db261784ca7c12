"""Prediction sets equal MAPIE's where both define the same thing, and differ where they say."""

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import BaseClassificationScore, RAPSConformityScore
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from tests.posthoc.conformal_cases import SCORINGS, Drawn, fitted, sets_of, simulated

from medtransfer.posthoc.conformal import SetScore
from medtransfer.statistics.bootstrap import Floats

# 10 % of one case more is no whole number, so no rounding decides a rank
SIZES = [(0, 100), (1, 100), (2, 200), (3, 64)]
APS = SetScore("aps")
sizes = pytest.mark.parametrize(("seed", "count"), SIZES)


def pair(seed: int, count: int, number: int = 4) -> tuple[Drawn, Drawn]:
    """Tuning and test cases. No class is so improbable (1e-8) that MAPIE leaves it out."""
    return simulated(seed, count, number, 1.2), simulated(seed + 50, 300, number, 1.2)


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are its features."""

    def __init__(self, number: int = 4) -> None:
        self.number = number
        self.classes_ = np.arange(number)
        self.n_features_in_ = number

    def fit(self, *_: object) -> "Given":
        return self

    def predict_proba(self, features: Floats) -> Floats:
        return features

    def predict(self, features: Floats) -> NDArray[np.int64]:
        return features.argmax(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class Draws(np.random.RandomState):
    """A generator that gives what it was told to, call by call."""

    def __init__(self, *draws: Floats) -> None:
        super().__init__(0)
        self.left = list(draws)

    def uniform(self, *, size: int | tuple[int, int]) -> Floats:
        return self.left.pop(0).reshape(size)


def draws_of(cases: Drawn) -> Floats:
    """The draw of each case, from what it takes off the score of the most probable class."""
    part = SCORINGS["aps with draws"].of(cases.probabilities, cases.ids)
    rows, top = np.arange(len(cases)), cases.probabilities.argmax(axis=1)
    return ((APS.of(cases.probabilities) - part) / cases.probabilities)[rows, top]


def conformalized(
    cases: Drawn,
    score: str | BaseClassificationScore,
    random_state: int | np.random.RandomState | None = None,
) -> SplitConformalClassifier:
    number = cases.probabilities.shape[1]
    theirs = SplitConformalClassifier(
        Given(number), confidence_level=0.9, conformity_score=score, random_state=random_state
    )
    return theirs.conformalize(cases.probabilities, cases.classes)


def conformity(theirs: SplitConformalClassifier) -> BaseClassificationScore:
    return theirs._mapie_classifier.conformity_score_function_


def their_sets(theirs: SplitConformalClassifier, cases: Drawn, last: object) -> NDArray[np.bool_]:
    _, sets = theirs.predict_set(
        cases.probabilities, conformity_score_params={"include_last_label": last}
    )
    return sets[:, :, 0]


def their_threshold(theirs: SplitConformalClassifier) -> float:
    """Known once sets were asked for."""
    return float(np.ravel(conformity(theirs).quantiles_)[0])


@sizes
@pytest.mark.parametrize("number", [2, 4])
def test_lac(seed: int, count: int, number: int) -> None:
    tuned, tested = pair(seed, count, number)
    theirs = conformalized(tuned, "lac")
    ours = fitted(tuned, 0.1)
    found = sets_of(ours, tested)
    assert_array_equal(found, their_sets(theirs, tested, True))
    assert_allclose(ours.thresholds, [their_threshold(theirs)], rtol=0, atol=1e-12)
    assert 0 < found.mean() < 1


@sizes
def test_aps_with_draws(seed: int, count: int) -> None:
    tuned, tested = pair(seed, count)
    theirs = conformalized(tuned, "aps", Draws(draws_of(tuned), draws_of(tested)))
    ours = fitted(tuned, 0.1, "all", SCORINGS["aps with draws"])
    own = ours.score.of(tuned.probabilities, tuned.ids)[np.arange(count), tuned.classes]
    assert_allclose(own, theirs.conformity_scores.ravel(), rtol=0, atol=1e-9)
    assert_array_equal(sets_of(ours, tested), their_sets(theirs, tested, "randomized"))
    assert_allclose(ours.thresholds, [their_threshold(theirs)], rtol=0, atol=1e-9)


@sizes
def test_aps_without_a_draw_is_aps_whose_draws_are_all_zero(seed: int, count: int) -> None:
    tuned, tested = pair(seed, count)
    theirs = conformalized(tuned, "aps", Draws(np.zeros(count), np.zeros(300)))
    ours = fitted(tuned, 0.1, "all", APS)
    assert_array_equal(sets_of(ours, tested), their_sets(theirs, tested, "randomized"))
    assert_allclose(ours.thresholds, [their_threshold(theirs)], rtol=0, atol=1e-12)


def test_without_a_draw_mapie_fits_with_draws_all_the_same_and_ours_does_not() -> None:
    # its default takes draws off the tuning scores and then adds the class that crosses over
    tuned, tested = simulated(7, 200), simulated(57, 2000)
    theirs = conformalized(tuned, "aps", 0)
    ours = fitted(tuned, 0.1, "all", APS)
    rows = np.arange(2000)
    coverage = {
        last: their_sets(theirs, tested, last)[rows, tested.classes].mean()
        for last in (True, False)
    }
    assert their_threshold(theirs) < ours.thresholds[0]
    found = sets_of(ours, tested)[rows, tested.classes].mean()
    assert coverage[True] > found > 0.9 > coverage[False]


def test_mapie_leaves_out_a_class_that_is_next_to_impossible_whatever_the_threshold() -> None:
    tuned, tested = simulated(3, 45), simulated(53, 300)
    theirs = conformalized(tuned, "aps", Draws(np.zeros(45), np.zeros(300)))
    expected = their_sets(theirs, tested, "randomized")
    assert their_threshold(theirs) == pytest.approx(1, abs=1e-12)
    assert expected[tested.probabilities > 1e-7].all()
    least = expected[tested.probabilities < 1e-8]
    assert len(least)
    assert not least.any()
    assert sets_of(fitted(tuned, 0.1, "all", APS), tested).all()


@pytest.mark.parametrize("seed", range(4))
def test_raps_with_the_penalty_that_mapie_chose(seed: int) -> None:
    tuned, tested = pair(seed, 405, 6)
    theirs = conformalized(tuned, "raps", Draws(np.zeros(364)))
    expected = their_sets(theirs, tested, False)
    # MAPIE sets cases aside to choose its penalty on: the others are those it scored
    chosen = conformity(theirs)
    assert isinstance(chosen, RAPSConformityScore)
    aside = {tuple(row) for row in chosen.X_raps}
    kept = [i for i in range(405) if tuple(tuned.probabilities[i]) not in aside]
    penalty, free = chosen.lambda_star, np.ravel(chosen.k_star)[0]
    scoring = SetScore("raps", penalty=float(penalty), free_ranks=int(free))
    ours = fitted(tuned.take(np.array(kept)), 0.1, "all", scoring)
    assert_allclose(ours.thresholds, [their_threshold(theirs)], rtol=0, atol=1e-12)
    # without a last label MAPIE still adds the most probable class to a set that is empty
    top = np.eye(6, dtype=bool)[tested.probabilities.argmax(axis=1)]
    assert_array_equal(sets_of(ours, tested) | top, expected)
