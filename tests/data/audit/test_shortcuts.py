"""Shortcuts: an AUROC that cannot be had is None and not one half."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata

from medtransfer.data.audit.balance import MIN_CASES
from medtransfer.data.audit.shortcuts import (
    FOLDS,
    auroc_of_values,
    cross_fitted_auroc,
    folds_of,
)

CASES = 400
FOLD = folds_of(pl.Series([f"p{n}" for n in range(CASES)]))
POSITIVE = np.arange(CASES) % 4 == 0


@pytest.mark.parametrize("positives", [0, MIN_CASES - 1, CASES - MIN_CASES + 1, CASES])
def test_a_class_with_too_few_cases_gives_no_auroc(positives: int) -> None:
    positive = np.arange(CASES) < positives
    values = pl.Series(["a", "b"] * (CASES // 2))
    assert auroc_of_values(values, positive, FOLD) is None


@pytest.mark.parametrize("positive", [np.zeros(CASES, bool), np.ones(CASES, bool)])
def test_features_without_both_classes_in_a_fold_give_no_auroc(positive: np.ndarray) -> None:
    features = np.random.default_rng(0).normal(size=(CASES, 3))
    assert cross_fitted_auroc(features, positive, FOLD) is None


def test_a_column_that_holds_the_answer_reaches_one_and_one_that_does_not_a_half() -> None:
    answer = pl.Series(np.where(POSITIVE, "yes", "no"))
    assert auroc_of_values(answer, POSITIVE, FOLD) == 1
    chance = auroc_of_values(pl.Series(["a", "b", "b", "a"] * (CASES // 4)), POSITIVE, FOLD)
    assert chance is not None
    assert 0.3 < chance < 0.9


def test_the_auroc_is_that_of_the_ranks_with_ties_as_a_half() -> None:
    values = pl.Series([f"v{n}" for n in np.random.default_rng(1).integers(0, 6, CASES)])
    scores = np.empty(CASES)
    for i in range(CASES):
        others = (FOLD[i] != FOLD) & (values == values[i]).to_numpy()
        scores[i] = (POSITIVE[others].sum() + POSITIVE.mean()) / (others.sum() + 1)
    count = POSITIVE.sum()
    ranks = rankdata(scores)[POSITIVE].sum()
    expected = (ranks - count * (count + 1) / 2) / (count * (CASES - count))
    assert auroc_of_values(values, POSITIVE, FOLD) == pytest.approx(expected, abs=1e-12)


def test_a_feature_that_separates_the_classes_reaches_one_in_every_fold() -> None:
    assert len(np.unique(FOLD)) == FOLDS
    features = np.where(POSITIVE, 2.0, 0.0)[:, None] + np.linspace(0, 1, CASES)[:, None]
    assert cross_fitted_auroc(features, POSITIVE, FOLD) == 1
