"""Every arm against another library, a closed form or a planted truth."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.arms import (
    LACKS_CLASS,
    Arm,
    LocalCases,
    binary_intercept,
    fit_arm,
)
from medtransfer.posthoc.adaptation.composition import composed
from medtransfer.posthoc.adaptation.prevalence import (
    estimate_binary_prevalence,
    estimate_prevalence,
)
from medtransfer.posthoc.adaptation.selection import select_arm
from medtransfer.posthoc.calibrators import Calibrator, Isotonic, Platt, Temperature, Vector
from medtransfer.seeds import generator

HOME = np.array([0.3])


def binary_cases(
    number: int = 400, *, slope: float = 1.0, shift: float = 0.0, seed: int = 0
) -> LocalCases:
    """Cases whose true log-odds are ``slope · logit + shift``."""
    rng = generator(seed, "arms")
    logits = rng.normal(-1.0, 1.5, number)
    targets = (rng.random(number) < expit(slope * logits + shift)).astype(np.int64)
    return LocalCases(targets, logits, np.arange(number))


def class_cases(number: int = 600, seed: int = 0) -> LocalCases:
    rng = generator(seed, "classes")
    logits = rng.normal(0.0, 1.5, (number, 3))
    probabilities = softmax(logits + np.array([0.8, 0.0, -0.8]), axis=1)
    targets = (rng.random(number)[:, None] > np.cumsum(probabilities, axis=1)).sum(axis=1)
    return LocalCases(targets.astype(np.int64), logits, np.arange(number))


def test_intercept_is_the_regression_with_an_offset() -> None:
    cases = binary_cases(shift=-0.7)
    fit = fit_arm("intercept", cases, None)
    design = np.ones((len(cases), 1))
    model = sm.GLM(cases.targets, design, sm.families.Binomial(), offset=cases.logits)
    assert isinstance(fit.calibrator, Platt)
    assert fit.calibrator.slope == 1
    assert fit.calibrator.intercept == pytest.approx(model.fit().params[0], abs=1e-7)


@given(st.integers(0, 10_000), st.floats(-40, 40))
@settings(max_examples=40, deadline=None)
def test_intercept_makes_the_means_agree(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(level, 3, 30)
    targets = np.r_[0, 1, rng.integers(0, 2, 28)]
    shift = binary_intercept(targets, logits)
    assert expit(logits + shift).mean() == pytest.approx(targets.mean(), abs=1e-9)


def test_platt_is_an_unpenalised_logistic_regression() -> None:
    cases = binary_cases(slope=0.6, shift=0.5)
    fit = fit_arm("platt", cases, None)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(cases.logits[:, None], cases.targets)
    assert isinstance(fit.calibrator, Platt)
    assert fit.calibrator.slope == pytest.approx(float(model.coef_[0, 0]), abs=1e-5)
    assert fit.calibrator.intercept == pytest.approx(np.ravel(model.intercept_)[0], abs=1e-5)


def test_temperature_is_a_regression_without_a_constant() -> None:
    cases = binary_cases(slope=0.5)
    fit = fit_arm("temperature", cases, None)
    model = sm.GLM(cases.targets, cases.logits[:, None], sm.families.Binomial())
    assert isinstance(fit.calibrator, Temperature)
    assert 1 / fit.calibrator.temperature == pytest.approx(model.fit().params[0], abs=1e-5)


def test_isotonic_is_scikit_learns_within_the_rule_of_succession() -> None:
    cases = binary_cases(slope=2.0)
    fit = fit_arm("isotonic", cases, None)
    model = IsotonicRegression(out_of_bounds="clip").fit(cases.logits, cases.targets)
    expected = np.clip(model.predict(cases.logits), 1 / 402, 1 - 1 / 402)
    np.testing.assert_allclose(fit.calibrator.probabilities(cases.logits), expected, atol=1e-12)


def test_isotonic_takes_a_stated_number_of_positives() -> None:
    cases = binary_cases(60)
    positives = int((cases.targets == 1).sum())
    fit = fit_arm("isotonic", cases, None)
    assert positives < 50
    assert fit.reason == (
        "isotonic regression takes 50 positive and 50 negative cases, and there are "
        f"{positives} and {60 - positives}"
    )
    np.testing.assert_array_equal(fit.calibrator.logits(cases.logits), cases.logits)
    assert fit_arm("isotonic", cases, None, min_isotonic=5).reason is None


def test_prevalence_is_the_maximum_of_the_likelihood() -> None:
    """The score of the mixture has one root, which bisection finds without any iteration of EM."""
    cases = binary_cases(shift=1.2)
    ratio = np.exp(cases.logits) * (1 - 0.3) / 0.3

    def score(share: float) -> float:
        return float(((ratio - 1) / (1 + share * (ratio - 1))).sum())

    expected = float(brentq(score, 1e-9, 1 - 1e-9, xtol=1e-14))
    assert estimate_binary_prevalence(cases.logits, 0.3) == pytest.approx(expected, abs=1e-6)


def test_prevalence_finds_a_planted_shift_without_labels() -> None:
    """Evidence of N(0, 1) and N(2, 1), calibrated at 0.2, and a hospital where half are ill."""
    rng = generator(1, "label shift")
    ill = rng.random(20_000) < 0.5
    logits = 2 * rng.normal(2.0 * ill, 1) - 2 + logit(0.2)
    assert estimate_binary_prevalence(logits, 0.2) == pytest.approx(0.5, abs=0.015)
    unlabelled = LocalCases(np.full(20_000, -1), logits, np.arange(20_000))
    fit = fit_arm("prevalence", unlabelled, np.array([0.2]))
    assert isinstance(fit.calibrator, Platt)
    assert fit.calibrator.intercept == pytest.approx(logit(0.5) - logit(0.2), abs=0.06)


def test_prevalence_of_several_classes_is_a_fixed_point_of_bayes() -> None:
    cases = class_cases()
    home = np.array([0.2, 0.3, 0.5])
    shares = estimate_prevalence(cases.logits, home).shares
    posterior = softmax(cases.logits - np.log(home) + np.log(shares), axis=1)
    np.testing.assert_allclose(posterior.mean(axis=0), shares, atol=1e-7)
    assert shares.sum() == pytest.approx(1)


def test_intercepts_of_classes_make_the_means_agree() -> None:
    cases = class_cases()
    fit = fit_arm("intercept", cases, None)
    means = fit.calibrator.probabilities(cases.logits).mean(axis=0)
    np.testing.assert_allclose(means, np.bincount(cases.targets) / len(cases), atol=1e-6)
    assert isinstance(fit.calibrator, Vector)
    assert fit.calibrator.intercepts.sum() == pytest.approx(0, abs=1e-12)
    assert fit.calibrator.intercepts == pytest.approx([0.8, 0.0, -0.8], abs=0.35)


def test_platt_of_classes_is_vector_scaling_and_isotonic_there_is_refused() -> None:
    cases = class_cases()
    assert isinstance(fit_arm("platt", cases, None).calibrator, Vector)
    assert fit_arm("isotonic", cases, None).reason == "isotonic regression is for binary targets"


@pytest.mark.parametrize("arm", ["intercept", "platt", "temperature", "isotonic"])
def test_an_arm_without_a_class_stays_as_carried(arm: Arm) -> None:
    cases = binary_cases()
    one_class = LocalCases(np.zeros(400, dtype=np.int64), cases.logits, cases.patients)
    fit = fit_arm(arm, one_class, HOME)
    assert fit.reason == LACKS_CLASS
    np.testing.assert_array_equal(fit.calibrator.logits(cases.logits), cases.logits)


def test_two_classes_of_several_determine_a_temperature_and_no_other_arm() -> None:
    cases = class_cases()
    two = cases.take(cases.targets < 2)
    assert fit_arm("temperature", two, None).reason is None
    assert fit_arm("temperature", cases.take(cases.targets == 0), None).reason == LACKS_CLASS
    for arm in ("intercept", "platt"):
        assert fit_arm(arm, two, None).reason == LACKS_CLASS


def test_prevalence_needs_the_prevalence_at_home() -> None:
    reason = "the prevalence in the tuning split is not known"
    assert fit_arm("prevalence", binary_cases(), None).reason == reason


def test_unlabelled_cases_change_no_arm_but_prevalence() -> None:
    cases = binary_cases()
    targets = np.append(cases.targets.astype(np.int64), np.full(50, -1))
    logits = np.append(cases.logits, np.full(50, 3.0))
    more = LocalCases(targets, logits, np.arange(450))
    for arm in ("intercept", "platt", "temperature", "isotonic"):
        one, two = (fit_arm(arm, side, HOME).calibrator for side in (cases, more))
        np.testing.assert_array_equal(one.logits(cases.logits), two.logits(cases.logits))
    one, two = (fit_arm("prevalence", side, HOME).calibrator for side in (cases, more))
    assert (two.logits(cases.logits) > one.logits(cases.logits)).all()


PAIRS: list[tuple[Calibrator, Calibrator]] = [
    (Platt(0.7, 0.4), Platt(1.3, -0.2)),
    (Temperature(2.0), Platt(1.3, -0.2)),
    (Platt(0.7, 0.4), Temperature(0.5)),
    (Temperature(2.0), Temperature(0.5)),
    (Platt(0.7, 0.4), Isotonic(np.array([-1.0, 0.0, 2.0]), np.array([0.1, 0.4, 0.9]))),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_one_calibrator_does_what_two_in_a_row_do(first: Calibrator, second: Calibrator) -> None:
    logits = np.linspace(-4, 4, 41)
    twice = second.probabilities(first.logits(logits))
    np.testing.assert_allclose(composed(first, second).probabilities(logits), twice, atol=1e-12)


def test_two_calibrators_of_classes_are_one_too() -> None:
    logits = class_cases(50).logits
    scaled = Vector(np.array([1.2, 0.8, 1.0]), np.array([0.3, -0.3, 0.0]))
    pairs: list[tuple[Calibrator, Calibrator]] = [
        (scaled, scaled),
        (Temperature(2.0), scaled),
        (scaled, Temperature(2.0)),
        (Temperature(2.0), Temperature(3.0)),
    ]
    for first, second in pairs:
        twice = second.probabilities(first.logits(logits))
        np.testing.assert_allclose(composed(first, second).probabilities(logits), twice, atol=1e-12)


def test_what_has_no_common_form_is_refused() -> None:
    steps = Isotonic(np.array([0.0, 1.0]), np.array([0.2, 0.8]))
    with pytest.raises(ValueError, match="does not rise"):
        composed(Platt(-1.0, 0.0), steps)
    with pytest.raises(ValueError, match="Isotonic is no line"):
        composed(steps, Platt(1.0, 0.0))


ALL: tuple[Arm, ...] = ("intercept", "platt", "temperature", "isotonic", "prevalence")


def test_the_arm_of_a_planted_change_is_selected() -> None:
    shifted = select_arm(binary_cases(3000, shift=-1.5), None, ALL, seed=0)
    assert shifted.arm == "intercept"
    flat = select_arm(binary_cases(3000, slope=0.4, shift=0.8), None, ALL, seed=0)
    assert flat.arm == "platt"


def test_carried_is_selected_most_often_where_nothing_differs() -> None:
    arms = [select_arm(binary_cases(100, seed=s), None, ALL, seed=s).arm for s in range(40)]
    assert arms.count("carried") > 20


def test_selection_keeps_patients_whole_and_repeats_itself() -> None:
    """Pairs of equal cases: split between folds, the steps of isotonic regression would win."""
    cases = binary_cases(200, seed=3)

    def twice(values: NDArray[np.int64] | Floats) -> NDArray[np.int64]:
        return np.repeat(values, 10).astype(np.int64)

    noise = generator(0, "noise").integers(0, 2, 200)
    copies = LocalCases(twice(noise), np.repeat(cases.logits, 10), twice(np.arange(200)))
    fit = select_arm(copies, None, ("isotonic", "platt"), seed=0)
    assert fit.arm == "platt"
    assert select_arm(copies, None, ("isotonic", "platt"), seed=0) == fit
