"""Agreement of readers, against scikit-learn, statsmodels and a published example."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from medtransfer.evaluation.comparison.readers.agreement import krippendorff_alpha, pair_kappa

NONE = -1
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Krippendorff 2011, example C: four observers, twelve units, nominal alpha 0.743."""


def test_alpha_is_that_of_the_published_example() -> None:
    rows = [line.split() for line in KRIPPENDORFF.strip().splitlines()]
    codes = np.array([[NONE if cell == "." else int(cell) - 1 for cell in row] for row in rows])
    assert krippendorff_alpha(codes, 5)(np.ones((1, 12)))[0] == pytest.approx(0.743, abs=5e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 5))
def test_alpha_of_complete_readings_is_fleiss_kappa_but_for_the_small_sample(
    seed: int, classes: int, readers: int
) -> None:
    """α = κ + (1 - κ) / (n R), by both definitions of chance."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, (readers, 40))
    fleiss = fleiss_kappa(aggregate_raters(codes.T)[0])
    expected = fleiss + (1 - fleiss) / codes.size
    assert krippendorff_alpha(codes, classes)(np.ones((1, 40)))[0] == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_kappa_is_that_of_scikit_learn_with_weights_too(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.integers(0, classes, 30)
    other = np.where(rng.random(30) < 0.6, one, rng.integers(0, classes, 30))
    weights = rng.integers(0, 3, (1, 30)).astype(float)
    found = pair_kappa(one, other, classes)(weights)[0]
    expected = cohen_kappa_score(one, other, sample_weight=weights[0])
    assert found == pytest.approx(expected, nan_ok=True)


def test_cases_of_one_reader_count_for_nothing_and_one_class_alone_has_no_agreement() -> None:
    codes = np.array([[0, 1, 0, 1], [0, 1, 1, NONE]])
    without = krippendorff_alpha(codes[:, :3], 2)(np.ones((1, 3)))[0]
    assert krippendorff_alpha(codes, 2)(np.ones((1, 4)))[0] == pytest.approx(without)
    assert np.isnan(krippendorff_alpha(np.zeros((2, 4), dtype=int), 2)(np.ones((1, 4)))[0])
