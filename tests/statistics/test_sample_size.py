"""Sample sizes against published values, other libraries, and simulated studies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import fsolve
from scipy.special import expit, ndtri
from scipy.stats import t
from statsmodels.api import Logit
from statsmodels.stats.proportion import proportion_confint
from tests.statistics.delong_normal import auroc_difference, normal_intervals

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.delong import delong
from medtransfer.statistics.sample_size import (
    Z,
    auroc_cases,
    auroc_error,
    design_effect,
    detectable_difference,
    detectable_margin,
    difference_cases,
    expected_logits,
    net_benefit_cases,
    observed_expected_cases,
    proportion_cases,
    scaled_size,
    slope_cases,
    slope_influence,
)

NORMAL = np.asarray(ndtri((np.arange(200_001) + 0.5) / 200_001))


@pytest.mark.parametrize(
    ("auroc", "prevalence", "published"),
    [
        # Riley et al. 2021, Statistics in Medicine 40:4230, section 4.3: a width of 0.1
        (0.8, 0.018, 4252),
        # the same, section 3.3.1; they round the standard error to 0.0255
        (0.7, 0.1, 1154),
        (0.8, 0.5, 302),
        # pmvalsampsize 1.0.1 for eFalls, table S2.2
        (0.743, 0.048, 2027),
    ],
)
def test_cases_for_an_auroc_are_those_published(
    auroc: float, prevalence: float, published: int
) -> None:
    cases = auroc_cases(auroc, prevalence, 0.05)
    assert cases == pytest.approx(published, abs=1)
    assert Z * auroc_error(auroc, prevalence, cases) <= 0.05
    assert Z * auroc_error(auroc, prevalence, cases - 1) > 0.05


@pytest.mark.parametrize(
    ("prevalence", "error", "published"),
    # Riley et al. 2021, section 3.1.1, and eFalls, table S2.2
    [(0.5, 0.051, 384.5), (0.1, 0.175, 293.9), (0.048, 0.051, 7625.3)],
)
def test_cases_for_observed_over_expected(
    prevalence: float, error: float, published: float
) -> None:
    assert (1 - prevalence) / (prevalence * error**2) == pytest.approx(published, abs=0.05)
    half_width = float(np.sinh(Z * error))
    assert observed_expected_cases(prevalence, half_width) == int(np.ceil(published))


def test_a_width_of_one_around_one_needs_905_cases() -> None:
    # pmvalsampsize, its own test 4.1; the standard error is stepped there by 0.0001
    assert observed_expected_cases(0.018, 0.5) == pytest.approx(905, abs=1)


def fleishman(mean: float, variance: float, skewness: float, kurtosis: float) -> Floats:
    """Quantiles of a cubic of a normal variable with four given moments (Fleishman 1978)."""
    excess = kurtosis - 3

    def moments(v: Floats) -> list[float]:
        b, c, d = v
        return [
            b**2 + 6 * b * d + 2 * c**2 + 15 * d**2 - 1,
            2 * c * (b**2 + 24 * b * d + 105 * d**2 + 2) - skewness,
            24
            * (
                b * d
                + c**2 * (1 + b**2 + 28 * b * d)
                + d**2 * (12 + 48 * b * d + 141 * c**2 + 225 * d**2)
            )
            - excess,
        ]

    b, c, d = fsolve(moments, np.array([1.0, 0.0, 0.0]))
    return mean + np.sqrt(variance) * (-c + b * NORMAL + c * NORMAL**2 + d * NORMAL**3)


HEART_VALVES = fleishman(-5.8, 5.0, -0.5, 4.0)
"""Logits of the example of Riley et al. 2021, section 4: the moments that they publish."""


def test_cases_for_the_slope_of_the_published_example() -> None:
    # 9,835 in the paper, of a simulated sample with these moments; moments do not fix the tails
    assert expit(HEART_VALVES).mean() == pytest.approx(0.018, abs=0.0005)
    assert slope_cases(HEART_VALVES, 0.1) == pytest.approx(9835, rel=0.05)


@pytest.mark.parametrize(
    ("logits", "published"),
    [
        # pmvalsampsize, its own tests 4.1 and 4.2, from 1,000 simulated logits
        (-5 + 2.5 * NORMAL, 4501),
        (
            np.log(np.sin(np.pi / 2 * (np.arange(1, 200_000) / 200_000)) ** 2)
            - np.log(np.cos(np.pi / 2 * (np.arange(1, 200_000) / 200_000)) ** 2),
            1641,
        ),
    ],
    ids=["normal", "beta(½, ½)"],
)
def test_cases_for_the_slope_of_known_distributions(logits: Floats, published: int) -> None:
    assert slope_cases(logits, 0.051 * Z) == pytest.approx(published, rel=0.02)


def test_cases_for_net_benefit_of_the_published_example() -> None:
    # 6,443 in the paper, at a threshold of 8 % for the same simulated sample
    p = expit(HEART_VALVES)
    called = p >= 0.08
    sensitivity = float((p * called).sum() / p.sum())
    specificity = float(((1 - p) * ~called).sum() / (1 - p).sum())
    cases = net_benefit_cases(sensitivity, specificity, 0.018, 0.08, 0.1)
    assert cases == pytest.approx(6443, rel=0.02)


def test_cases_for_the_slope_are_those_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 1.5, 4000)
    truth = (rng.random(4000) < expit(0.3 + 0.8 * logits)).astype(np.int64)
    fit = Logit(truth, np.stack([np.ones(4000), logits], axis=1)).fit(disp=0)
    intercept, slope, influence = slope_influence(truth, logits)
    assert [intercept, slope] == pytest.approx(fit.params, abs=1e-7)
    assert float(np.sqrt((influence**2).sum())) == pytest.approx(fit.bse[1], rel=0.05)
    half_width = Z * float(fit.bse[1])
    assert slope_cases(logits, half_width, intercept, slope) == pytest.approx(4000, abs=1)


def test_a_slope_that_does_not_exist_is_said() -> None:
    with pytest.raises(ValueError, match="all logits are equal"):
        slope_cases(np.zeros(5), 0.1)
    with pytest.raises(ValueError, match="no finite value"):
        slope_influence(np.array([0, 0, 1, 1]), np.array([-2.0, -1.0, 1.0, 2.0]))


@given(st.floats(0, 1), st.sampled_from([0.02, 0.05, 0.1]))
def test_cases_for_a_proportion_give_wilsons_interval_its_width(
    share: float, half_width: float
) -> None:
    cases = proportion_cases(share, half_width)

    def width(number: int) -> float:
        # statsmodels cuts the interval at 0 and 1; the centre moves, the width does not
        low, high = proportion_confint(share * number, number, method="wilson")
        return float(np.asarray(high) - np.asarray(low)) / 2

    assert width(cases) <= half_width + 1e-9
    assert cases <= Z**2 / 4 / half_width**2 + 1


def test_a_perfect_proportion_needs_cases_too() -> None:
    assert proportion_cases(1.0, 0.05) == int(np.ceil(Z**2 * (1 / 0.1 - 1)))


def test_expected_logits_are_calibrated_and_have_the_auroc() -> None:
    logits = expected_logits(0.8, 0.1)
    p = expit(logits)
    assert p.mean() == pytest.approx(0.1, abs=1e-3)
    order = np.argsort(logits)
    negatives = np.cumsum((1 - p)[order]) / (1 - p).sum()
    assert float((p[order] * negatives).sum() / p.sum()) == pytest.approx(0.8, abs=2e-3)
    with pytest.raises(ValueError, match="an AUROC of 0.5 has no calibrated logits"):
        expected_logits(0.5, 0.1)


def test_a_difference_needs_more_power_more_cases_and_fewer_with_correlation() -> None:
    pair = (0.8, 0.85)
    plain = difference_cases(pair, 0.3, 0.5)
    assert difference_cases(pair, 0.3, 0.5, power=0.9) > plain
    assert difference_cases(pair, 0.3, 0.8) < plain
    assert difference_cases(pair, 0.3, 0.5, comparisons=5) > plain
    with pytest.raises(ValueError, match="equal AUROCs"):
        difference_cases((0.8, 0.8), 0.3, 0.5)


def test_the_detectable_difference_and_the_size_are_each_others_inverse() -> None:
    error = 0.02
    found = detectable_difference(error)
    assert found == pytest.approx(2.8016 * error, abs=1e-5)
    assert scaled_size(500, error, found) == 500
    assert scaled_size(500, error, found / 2) == 2000


@pytest.mark.parametrize("degrees", [2.0, 4.5, 30.0])
@pytest.mark.parametrize("comparisons", [1, 12])
def test_the_detectable_difference_has_its_power_under_students_t(
    degrees: float, comparisons: int
) -> None:
    rng = np.random.default_rng(7)
    errors = 0.02 * np.sqrt(rng.chisquare(degrees, 200_000) / degrees)
    detectable = detectable_difference(0.02, degrees, comparisons=comparisons)
    estimates = detectable + 0.02 * rng.normal(size=len(errors))
    shown = estimates / errors > t.ppf(1 - 0.025 / comparisons, degrees)
    assert shown.mean() == pytest.approx(0.8, abs=0.005)


def test_equal_networks_are_shown_equivalent_within_the_detectable_margin() -> None:
    margin = detectable_margin(1.0)
    differences = np.random.default_rng(3).normal(size=100_000)
    shown = np.abs(differences) + ndtri(0.95) < margin
    assert shown.mean() == pytest.approx(0.8, abs=0.005)


def test_the_design_effect_of_copies_is_their_number() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=300), 3)
    values -= values.mean()
    patient = np.repeat(np.arange(300), 3)
    assert design_effect(values, patient) == pytest.approx(3, rel=0.01)
    assert design_effect(values, rng.permutation(patient)) == pytest.approx(1, abs=0.2)
    assert design_effect(values, np.arange(900)) == 1
    assert design_effect(np.zeros(6), np.repeat(np.arange(2), 3)) == 3


def study(
    cases: int, shifts: tuple[float, float], rng: np.random.Generator, prevalence: float = 0.3
) -> tuple[NDArray[np.int64], Floats]:
    """Labels [n] and scores [2, n] of two networks whose errors are correlated."""
    truth = (rng.random(cases) < prevalence).astype(np.int64)
    shared = rng.normal(size=cases)
    scores = [shift * truth + 0.8 * shared + 0.6 * rng.normal(size=cases) for shift in shifts]
    return truth, np.stack(scores)


@pytest.mark.slow
def test_simulated_studies_have_the_power_and_the_precision_that_was_asked_for() -> None:
    rng = np.random.default_rng(17)
    aurocs = (0.8, 0.85)
    shifts = (float(np.sqrt(2) * ndtri(aurocs[0])), float(np.sqrt(2) * ndtri(aurocs[1])))
    large = delong(*study(200_000, shifts, rng))
    spread = np.sqrt(np.diag(large.covariance))
    correlation = float(large.covariance[0, 1] / spread.prod())
    cases = difference_cases(aurocs, 0.3, correlation)
    shown, detectable, widths = 0, [], []
    trials = 1000
    for _ in range(trials):
        found = delong(*study(cases, shifts, rng))
        difference = auroc_difference(found, 1, 0)
        shown += difference.low > 0
        error = (difference.high - difference.low) / 2 / Z
        detectable.append(detectable_difference(error))
        low, high = normal_intervals(found)[0]
        widths.append((high - low) / 2)
    print(f"{cases} cases: power {shown / trials:.1%}, detectable {np.mean(detectable):.4f}")
    assert shown / trials == pytest.approx(0.8, abs=0.05)
    assert np.mean(detectable) == pytest.approx(0.05, rel=0.1)
    half_width = float(np.mean(widths))
    assert auroc_cases(aurocs[0], 0.3, half_width) == pytest.approx(cases, rel=0.15)
