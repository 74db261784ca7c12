"""Calibration indices of a local curve equal those of statsmodels' lowess."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from statsmodels.nonparametric.smoothers_lowess import lowess
from tests.metrics.drawn_cases import bound, value

from medtransfer.metrics.calibration_curves import KNOTS, Answers, local_curve
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import draw_replicates, squared_interval

NAMES = ("ici", "calibration_e50", "calibration_e90")


def drawn(count: int, level: float, slope: float) -> TargetCases:
    """Cases whose logit has the wrong slope, all probabilities distinct."""
    rng = np.random.default_rng(count)
    logits = rng.normal(level, 1.5, count)
    targets: NDArray[np.int64] = (rng.random(count) < expit(slope * logits)).astype(np.int64)
    return TargetCases(targets, logits, expit(logits))


def distances(cases: TargetCases) -> Floats:
    """Of statsmodels' curve from the diagonal, at every case. [n]"""
    p = cases.probabilities
    curve = lowess(cases.targets, p, frac=2 / 3, it=0, delta=0.0, return_sorted=False)
    return np.abs(np.clip(curve, 0, 1) - p)


def indices(errors: Floats) -> list[float]:
    middle, upper = np.quantile(errors, [0.5, 0.9], method="inverted_cdf")
    return [float(errors.mean()), float(middle), float(upper)]


@pytest.mark.parametrize("level", [0.0, -2.0, -4.0])
@pytest.mark.parametrize("count", [12, 30, 96])
def test_few_cases_have_exactly_the_indices_of_statsmodels(count: int, level: float) -> None:
    # a window holds two thirds of the weight: with a count that 3 divides that is a whole number
    assert count <= KNOTS
    cases = drawn(count, level, 0.6)
    expected = indices(distances(cases))
    assert [value(name, cases) for name in NAMES] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("level", "slope"), [(0.0, 1.0), (-2.0, 0.6), (-4.0, 1.0)])
def test_many_cases_have_nearly_the_indices_of_statsmodels(level: float, slope: float) -> None:
    cases = drawn(1500, level, slope)
    found, expected = [value(name, cases) for name in NAMES], indices(distances(cases))
    assert found[0] == pytest.approx(expected[0], abs=2e-4)
    assert found[1:] == pytest.approx(expected[1:], abs=2e-3)


def drawn_curve(cases: TargetCases, grid: Floats) -> Floats:
    """The curve of the cases, each of a patient of their own. [G]"""
    (curve,) = local_curve(answers(cases, len(cases)), np.ones((len(cases), 1)), grid)
    return curve


def answers(cases: TargetCases, size: int) -> list[Answers]:
    """The cases in parts of some size."""
    patient = np.arange(len(cases), dtype=np.int32)
    starts = range(0, max(len(cases), 1), max(size, 1))
    return [
        (cases.targets[a : a + size] == 1, cases.probabilities[a : a + size], patient[a : a + size])
        for a in starts
    ]


def test_targets_that_are_pooled_have_the_curve_of_all_their_cases() -> None:
    cases, grid = drawn(700, -1.0, 0.6), np.linspace(0, 1, 101)
    counts = np.ones((len(cases), 1))
    (curve,) = local_curve(answers(cases, 150), counts, grid)
    assert curve == pytest.approx(drawn_curve(cases, grid), abs=1e-12, nan_ok=True)


def test_the_drawn_curve_is_that_of_statsmodels_and_has_the_distance_of_the_index() -> None:
    cases = drawn(96, -1.0, 0.6)
    p = cases.probabilities
    curve = drawn_curve(cases, np.sort(p))[np.argsort(np.argsort(p))]
    expected = lowess(cases.targets, p, frac=2 / 3, it=0, delta=0.0, return_sorted=False)
    assert curve == pytest.approx(np.clip(expected, 0, 1), abs=1e-12)
    assert np.abs(curve - p).mean() == pytest.approx(value("ici", cases), abs=1e-12)


def test_no_curve_is_drawn_beyond_the_probabilities() -> None:
    cases = drawn(40, -1.0, 0.6)
    grid = np.linspace(0, 1, 101)
    inside = (grid >= cases.probabilities.min()) & (grid <= cases.probabilities.max())
    assert np.isfinite(drawn_curve(cases, grid)).tolist() == inside.tolist()
    nobody = TargetCases(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
    assert np.isnan(drawn_curve(nobody, grid)).all()


def test_one_probability_for_all_is_compared_with_the_prevalence() -> None:
    cases = TargetCases(np.array([1, 0, 0, 0]), np.zeros(4), np.full(4, 0.4))
    assert [value(name, cases) for name in NAMES] == pytest.approx([0.15] * 3)


def test_observed_over_expected_is_the_ratio_of_counts() -> None:
    cases = drawn(50, -1.0, 1.0)
    expected = cases.targets.sum() / cases.probabilities.sum()
    assert value("observed_expected", cases) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.3, 0.6, 1.0])
def test_intervals_hold_the_index_of_very_many_cases(slope: float) -> None:
    rng = np.random.default_rng(0)

    def sample(patients: int) -> TargetCases:
        logits = np.repeat(rng.normal(0, 1.2, patients), 2) + rng.normal(0, 0.9, 2 * patients)
        targets = (rng.random(2 * patients) < expit(slope * logits)).astype(np.int64)
        return TargetCases(targets, logits, expit(logits))

    whole = sample(200_000)
    for name in NAMES:
        truth, held = value(name, whole), 0
        for seed in range(150):
            cases = sample(200)
            replicates = draw_replicates([f"p{i // 2}" for i in range(400)], 200, seed, "a")
            values = replicates.values(bound(name, cases), np.ones(400, dtype=np.bool_))
            ends = squared_interval(values, 1)
            assert ends is not None
            held += ends[0] <= truth <= ends[1]
        # conservative near perfect calibration, where the interval starts at 0
        assert held / 150 >= 0.91, name
