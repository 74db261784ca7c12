"""The smooth calibration error is that of its definition, and close to its authors' code.

relplot, the authors' code, halves the bandwidth ten times (to 1/1024), evaluates at 200 points,
cuts the kernel beyond one half and counts what lies in its outermost cell once, where a reflected
kernel counts it twice. So it is compared where none of that matters, to 2e-3; the definition itself
is written down in `plain_versions` and is met to 1e-5.
"""

import numpy as np
import pytest
import relplot
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit
from tests.metrics import plain_versions as plainly
from tests.metrics.drawn_cases import LAW, plain

from medtransfer.metrics.calibration_curves import MIN_BANDWIDTH, smooth_calibration_error


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("count", "factor"), [(40, 1.0), (300, 1.0), (300, 1.6), (1000, 0.5)])
def test_equal_to_the_authors_code_to_its_resolution(seed: int, count: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    logits = np.clip(rng.normal(0, 1.2, count), -3, 3)
    outcomes = (rng.random(count) < expit(logits)).astype(float)
    confidences = expit(factor * logits)
    found = plain(smooth_calibration_error(outcomes, confidences), count)
    assert found < 0.2
    assert found == pytest.approx(relplot.smECE(confidences, outcomes), abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 6.0])
@pytest.mark.parametrize("count", [2, 7, 60, 400])
def test_equal_to_the_definition_whatever_the_confidences(count: int, factor: float) -> None:
    rng = np.random.default_rng(count)
    logits = rng.normal(0, 2, count)
    outcomes = (rng.random(count) < expit(logits)).astype(float)
    confidences = expit(factor * logits)  # 6: most of them within 1e-3 of 0 or 1
    weights = np.stack([np.ones(count), rng.exponential(size=count)])
    found = smooth_calibration_error(outcomes, confidences)(weights)
    expected = plainly.smooth_calibration_error(outcomes, confidences, weights, MIN_BANDWIDTH)
    assert_allclose(found, expected, rtol=0, atol=1e-4)


shares = st.floats(0, 1)


@LAW
@given(st.lists(st.tuples(st.integers(0, 1), shares), min_size=1, max_size=12))
def test_between_the_bias_and_the_mean_distance(drawn: list[tuple[int, float]]) -> None:
    outcomes, confidences = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    found = plain(smooth_calibration_error(outcomes, confidences), len(drawn))
    # smoothing takes nothing from the sum and adds nothing to the distances
    assert found >= abs((outcomes - confidences).mean()) - 1e-6
    assert found <= np.abs(outcomes - confidences).mean() + 1e-3


@LAW
@given(st.lists(st.tuples(st.integers(0, 1), shares), min_size=1, max_size=12))
def test_a_mirrored_question_has_the_same_error(drawn: list[tuple[int, float]]) -> None:
    outcomes, confidences = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    one, other = (
        plain(smooth_calibration_error(y, p), len(drawn))
        for y, p in ((outcomes, confidences), (1 - outcomes, 1 - confidences))
    )
    assert one == pytest.approx(other, abs=1e-6)


def test_cases_that_cannot_be_told_apart_have_the_error_of_their_mean() -> None:
    outcomes, confidences = np.array([1.0, 0, 0, 0]), np.full(4, 0.6)
    assert plain(smooth_calibration_error(outcomes, confidences), 4) == pytest.approx(0.35)


def test_a_certainty_that_is_always_right_has_no_error_at_all() -> None:
    outcomes = np.array([1.0, 0, 1, 0])
    assert plain(smooth_calibration_error(outcomes, outcomes), 4) == 0
    wrong = plain(smooth_calibration_error(1 - outcomes, outcomes), 4)
    # ½ K(t, 0) - ½ K(t, 1) is a cosine and its third harmonic, which is below 1e-4
    assert wrong == pytest.approx(4 / np.pi * np.exp(-((np.pi * wrong) ** 2) / 2), abs=1e-4)


def test_undefined_without_a_case_and_beside_replicates_that_have_one() -> None:
    metric = smooth_calibration_error(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert_allclose(metric(np.array([[0.0, 0], [1, 0], [1, 1]])), [np.nan, 0.5, 0], atol=1e-9)
