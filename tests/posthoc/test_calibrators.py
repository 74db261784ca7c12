"""Calibrators: laws, planted maps found back, and tuning splits that determine nothing."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_expit, logit, softmax
from tests.metrics.drawn_cases import LAW, drawn_targets

from medtransfer.errors import TableError
from medtransfer.metrics.calibration import binary_nll, class_nll
from medtransfer.metrics.cases import Labels, TargetCases
from medtransfer.posthoc.calibrators import (
    Beta,
    Calibrator,
    CalibratorFit,
    CalibratorKind,
    Isotonic,
    Platt,
    Temperature,
    Vector,
    fit_calibrator,
)
from medtransfer.statistics.bootstrap import Floats

BINARY: list[CalibratorKind] = ["temperature", "platt", "beta", "isotonic"]
SLOPED: list[CalibratorKind] = ["platt", "beta", "isotonic"]
CLASSES: list[CalibratorKind] = ["temperature", "vector"]
LINE = np.linspace(-30, 30, 2001)
each_binary = pytest.mark.parametrize("kind", BINARY)


def tuned(kind: CalibratorKind, targets: Labels, logits: Floats) -> CalibratorFit:
    return fit_calibrator(kind, targets, logits, splits=np.full(len(targets), "tune"))


def calibrator(kind: CalibratorKind, targets: Labels, logits: Floats) -> Calibrator:
    found = tuned(kind, targets, logits)
    assert found.kind == kind
    assert found.reason is None
    assert found.calibrator is not None
    return found.calibrator


def loss(found: Calibrator, targets: Labels, logits: Floats) -> float:
    nll = binary_nll if logits.ndim == 1 else class_nll
    return float(nll(targets, found.logits(logits))(np.ones((1, len(targets))))[0])


def planted(seed: int, count: int, truth: Callable[[Floats], Floats]) -> tuple[Labels, Floats]:
    """Targets drawn with the probability that a map gives to logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.5, 2.5, size=count)
    return (rng.random(count) < truth(logits)).astype(np.int64), logits


def planted_classes(seed: int, count: int, number: int = 4) -> tuple[Labels, Floats]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, number)) * 2
    honest = softmax(logits * np.linspace(0.3, 0.9, number) + np.linspace(1, -1, number), axis=1)
    classes = (rng.random((count, 1)) > np.cumsum(honest, axis=1)[:, :-1]).sum(axis=1)
    return classes, logits


# planted maps


def test_platt_scaling_finds_a_planted_line() -> None:
    targets, logits = planted(0, 40_000, lambda z: expit(0.6 * z - 1))
    found = calibrator("platt", targets, logits)
    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(0.6, abs=0.03)
    assert found.intercept == pytest.approx(-1, abs=0.06)


def test_beta_calibration_finds_a_planted_bend() -> None:
    # a slope of 1.5 on the low side and of 0.4 on the high side
    truth = Beta(1.5, 0.4, 0.3)
    targets, logits = planted(1, 40_000, truth.probabilities)
    found = calibrator("beta", targets, logits)
    assert isinstance(found, Beta)
    assert_allclose([found.a, found.b, found.c], [1.5, 0.4, 0.3], atol=0.08)


def test_isotonic_regression_finds_any_rising_map() -> None:
    targets, logits = planted(2, 40_000, lambda z: 0.1 + 0.5 * (z > 0) + 0.3 * (z > 2))
    found = calibrator("isotonic", targets, logits)
    places = np.array([-3, -1, 0.5, 1.5, 3, 4.0])
    assert_allclose(found.probabilities(places), [0.1, 0.1, 0.6, 0.6, 0.9, 0.9], atol=0.05)


def test_vector_scaling_finds_a_planted_slope_and_intercept_per_class() -> None:
    found = calibrator("vector", *planted_classes(3, 40_000))
    assert isinstance(found, Vector)
    assert_allclose(found.slopes, np.linspace(0.3, 0.9, 4), atol=0.04)
    assert_allclose(found.intercepts, np.linspace(1, -1, 4), atol=0.05)
    assert found.intercepts.mean() == pytest.approx(0, abs=1e-12)


# known values


def test_calibrated_probabilities_by_hand() -> None:
    z = np.array([-2.0, 0.0, 1.0])
    p = expit(z)
    assert_allclose(Temperature(2.0).probabilities(z), expit([-1, 0, 0.5]))
    assert_allclose(Platt(2.0, 1.0).probabilities(z), expit([-3, 1, 3]))
    odds = p**2 / (1 - p) ** 0.5 * np.exp(0.3)
    assert_allclose(Beta(2.0, 0.5, 0.3).probabilities(z), odds / (1 + odds))
    table = np.array([[1.0, 2.0, 0.0]])
    weights = np.exp([2 + 0.5, 2 - 0.5, 0])
    found = Vector(np.array([2.0, 1.0, 3.0]), np.array([0.5, -0.5, 0.0])).probabilities(table)
    assert_allclose(found, [weights / weights.sum()])
    assert_allclose(Temperature(2.0).probabilities(table), softmax(table / 2, axis=1))


def test_isotonic_steps_by_hand() -> None:
    targets = np.array([0, 1, 0, 0, 1, 1, 1, 1])
    logits = np.array([-3, -2, -1, -1, 0, 1, 1, 2.0])
    found = calibrator("isotonic", targets, logits)
    assert isinstance(found, Isotonic)
    # 0 | 1, 0, 0 pooled to 1/3 | 1; with eight cases no share is below 1/10 or above 9/10
    assert_array_equal(found.knots, [-3, -2, -1, 0, 1, 2])
    assert_allclose(found.levels, [0.1, 1 / 3, 1 / 3, 0.9, 0.9, 0.9])
    between = np.array([-9, -2.5, -1.5, -0.5, 9])
    expected = [0.1, (0.1 + 1 / 3) / 2, 1 / 3, (1 / 3 + 0.9) / 2, 0.9]
    assert_allclose(found.probabilities(between), expected)


def test_isotonic_regression_of_one_logit_is_the_prevalence() -> None:
    found = calibrator("isotonic", np.array([0, 1, 0, 0]), np.full(4, 0.7))
    assert_allclose(found.probabilities(np.array([-5, 0.7, 5])), 0.25)


def test_beta_with_equal_slopes_is_platt_and_with_one_nothing_changes() -> None:
    assert_allclose(Beta(0.7, 0.7, -0.2).logits(LINE), Platt(0.7, -0.2).logits(LINE), atol=1e-12)
    assert_allclose(Beta(1.0, 1.0, 0.0).logits(LINE), LINE, atol=1e-12)


# laws


@each_binary
@LAW
@given(cases=drawn_targets())
def test_logits_and_probabilities_are_the_same_thing(
    kind: CalibratorKind, cases: TargetCases
) -> None:
    assume(np.ptp(cases.logits) > 0)
    found = calibrator(kind, cases.targets, cases.logits)
    assert_allclose(expit(found.logits(LINE)), found.probabilities(LINE), rtol=1e-12, atol=1e-300)
    assert np.isfinite(found.logits(LINE)).all()


@LAW
@given(cases=drawn_targets())
def test_a_richer_map_never_fits_tune_worse(cases: TargetCases) -> None:
    targets, logits = cases.targets, cases.logits
    assume(np.ptp(logits) > 0)
    found = {kind: calibrator(kind, targets, logits) for kind in BINARY}
    losses = {kind: loss(one, targets, logits) for kind, one in found.items()}
    assert losses["platt"] <= losses["temperature"] + 1e-7
    platt = found["platt"]
    assert isinstance(platt, Platt)
    if platt.slope >= 0:
        assert losses["beta"] <= losses["platt"] + 1e-7
    # a constant is a rising map
    share = np.full(len(targets), logit(targets.mean()))
    constant = float(binary_nll(targets, share)(np.ones((1, len(targets))))[0])
    assert losses["beta"] <= constant + 1e-7


@LAW
@given(cases=drawn_targets())
def test_beta_and_isotonic_maps_never_fall(cases: TargetCases) -> None:
    assume(np.ptp(cases.logits) > 0)
    for kind in ("beta", "isotonic"):
        found = calibrator(kind, cases.targets, cases.logits)
        assert (np.diff(found.probabilities(LINE)) >= -1e-12).all()


@LAW
@given(cases=drawn_targets())
def test_isotonic_shares_are_frequencies_of_the_tuning_split(cases: TargetCases) -> None:
    found = calibrator("isotonic", cases.targets, cases.logits)
    assert isinstance(found, Isotonic)
    least = 1 / (len(cases.targets) + 2)
    assert found.levels.min() >= least
    assert found.levels.max() <= 1 - least
    at = found.probabilities(cases.logits)
    for share in np.unique(at[(at > least) & (at < 1 - least)]):
        assert cases.targets[np.isclose(at, share, rtol=0, atol=1e-12)].mean() == pytest.approx(
            share
        )


@each_binary
@pytest.mark.parametrize("seed", range(4))
def test_turning_the_target_round_turns_the_probability_round(
    kind: CalibratorKind, seed: int
) -> None:
    targets, logits = planted(seed, 150, lambda z: expit(0.7 * z - 0.5))
    plain = calibrator(kind, targets, logits).probabilities(LINE)
    turned = calibrator(kind, 1 - targets, -logits).probabilities(-LINE)
    assert_allclose(turned, 1 - plain, atol=1e-6)


@each_binary
@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_cases_matters(kind: CalibratorKind, seed: int) -> None:
    targets, logits = planted(seed, 150, lambda z: expit(0.7 * z - 0.5))
    order = np.random.default_rng(seed).permutation(150)
    plain = calibrator(kind, targets, logits).probabilities(LINE)
    again = calibrator(kind, targets[order], logits[order]).probabilities(LINE)
    assert_allclose(again, plain, atol=1e-7)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
@pytest.mark.parametrize(("factor", "shift"), [(1.0, 50.0), (0.2, -3.0), (300.0, 0.0)])
def test_another_unit_of_the_logit_changes_nothing(
    kind: CalibratorKind, factor: float, shift: float
) -> None:
    targets, logits = planted(5, 150, lambda z: expit(0.7 * z - 0.5))
    plain = calibrator(kind, targets, logits).probabilities(LINE)
    other = calibrator(kind, targets, factor * logits + shift)
    assert_allclose(other.probabilities(factor * LINE + shift), plain, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_classes_may_be_numbered_otherwise(seed: int) -> None:
    classes, logits = planted_classes(seed, 200)
    order = np.random.default_rng(seed).permutation(4)
    plain = calibrator("vector", classes, logits)
    turned = calibrator("vector", np.argsort(order)[classes], logits[:, order])
    assert_allclose(
        turned.probabilities(logits[:, order]), plain.probabilities(logits)[:, order], atol=1e-7
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_mean_probability_is_the_share_of_positives(seed: int) -> None:
    # the intercept sees to that, and pooling does; clipping moves the share of isotonic steps
    targets, logits = planted(seed, 300, lambda z: expit(0.7 * z - 0.5))
    for kind in ("platt", "beta"):
        mean = calibrator(kind, targets, logits).probabilities(logits).mean()
        assert mean == pytest.approx(targets.mean(), abs=1e-7)
    classes, table = planted_classes(seed, 300)
    mean = calibrator("vector", classes, table).probabilities(table).mean(axis=0)
    assert_allclose(mean, np.bincount(classes) / 300, atol=1e-7)


# tuning splits that determine little or nothing


@pytest.mark.parametrize("gap", [1e-9, 0.01, 1.0, 700.0, 1e8])
@pytest.mark.parametrize("offset", [0.0, 800.0])
@pytest.mark.parametrize("turned", [False, True])
def test_classes_that_are_apart_leave_bounded_maps(
    gap: float, offset: float, *, turned: bool
) -> None:
    targets = np.array([0, 0, 0, 1, 1, 1])
    logits = offset + gap * np.array([-3, -2, -1, 1, 2, 3])
    if turned:
        targets = 1 - targets
    with np.errstate(all="raise", under="ignore"):
        found = {kind: calibrator(kind, targets, logits) for kind in BINARY}
        for one in found.values():
            probabilities = one.probabilities(logits)
            assert np.isfinite(probabilities).all()
            assert np.isfinite(loss(one, targets, logits))
            assert loss(one, targets, logits) <= np.log(2) + 1e-6 or isinstance(one, Temperature)
    platt, beta, isotonic = (found[kind] for kind in SLOPED)
    assert isinstance(platt, Platt)
    assert isinstance(beta, Beta)
    assert isinstance(isotonic, Isotonic)
    assert abs(platt.slope) <= 20
    assert (platt.slope < 0) == turned
    assert 0 <= min(beta.a, beta.b) <= max(beta.a, beta.b) <= 20
    assert_allclose(isotonic.levels, 0.5 if turned else np.array([0.125] * 3 + [0.875] * 3))


def test_no_rounding_passes_the_largest_slope() -> None:
    targets = np.array([0, 0, 1, 1])
    for scale in np.linspace(0.001, 0.1, 100):
        platt, beta = (calibrator(k, targets, scale * np.arange(4)) for k in ("platt", "beta"))
        assert isinstance(platt, Platt)
        assert isinstance(beta, Beta)
        assert platt.slope == pytest.approx(20)
        assert max(platt.slope, beta.a, beta.b) <= 20


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_several_classes_that_are_apart_leave_a_bounded_map(scale: float) -> None:
    classes = np.arange(12) % 3
    logits = scale * (np.eye(3)[classes] + np.linspace(0, 0.1, 36).reshape(12, 3))
    with np.errstate(all="raise", under="ignore"):
        found = calibrator("vector", classes, logits)
        assert isinstance(found, Vector)
        assert (np.abs(found.slopes) <= 20).all()
        assert np.isfinite(found.probabilities(logits)).all()
        assert loss(found, classes, logits) <= np.log(3)


def test_a_class_with_one_logit_throughout_keeps_its_slope() -> None:
    classes, logits = planted_classes(0, 100)
    logits[:, 2] = 0.1
    found = calibrator("vector", classes, logits)
    assert isinstance(found, Vector)
    assert found.slopes[2] == 1
    mean = found.probabilities(logits).mean(axis=0)
    assert_allclose(mean, np.bincount(classes) / 100, atol=1e-7)


@each_binary
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_determines_nothing(kind: CalibratorKind, label: int) -> None:
    found = tuned(kind, np.full(5, label), np.arange(5.0))
    assert found.calibrator is None
    assert found.reason == "no calibrator: tune lacks a class"


@each_binary
def test_no_case_determines_nothing(kind: CalibratorKind) -> None:
    found = tuned(kind, np.array([], dtype=np.int64), np.array([]))
    assert found.calibrator is None
    assert found.reason == "no calibrator: tune has no labelled case"


@pytest.mark.parametrize("kind", CLASSES)
def test_no_case_and_one_class_of_several_determine_nothing(kind: CalibratorKind) -> None:
    nothing = tuned(kind, np.array([], dtype=np.int64), np.zeros((0, 3)))
    assert (nothing.calibrator, nothing.reason) == (
        None,
        "no calibrator: tune has no labelled case",
    )
    one = tuned(kind, np.array([2, 2]), np.eye(3)[:2])
    assert (one.calibrator, one.reason) == (None, "no calibrator: tune lacks a class")


def test_vector_scaling_needs_every_class_and_a_temperature_only_two() -> None:
    classes, logits = np.array([0, 1, 1, 0]), np.eye(3)[[0, 1, 0, 2]]
    assert tuned("vector", classes, logits).reason == "no calibrator: tune lacks a class"
    assert isinstance(calibrator("temperature", classes, logits), Temperature)


@pytest.mark.parametrize("kind", ["platt", "beta", "vector"])
def test_one_logit_determines_no_slope(kind: CalibratorKind) -> None:
    targets = np.array([0, 1, 1, 0])
    logits = np.full((4, 2), 0.1) if kind == "vector" else np.full(4, 0.1)
    found = tuned(kind, targets, logits)
    assert found.calibrator is None
    assert found.reason == "no calibrator: all tune cases have the same logits"


def test_logits_that_hardly_differ_are_no_fault() -> None:
    targets, logits = np.array([0, 1, 0, 1]), np.array([0, 0, 0, 5e-324])
    with np.errstate(all="raise", under="ignore"):
        for kind in ("platt", "beta"):
            found = calibrator(kind, targets, logits)
            assert_allclose(found.probabilities(logits), 0.5, atol=1e-7)


# what is refused


@each_binary
def test_only_the_tuning_split_is_fitted_on(kind: CalibratorKind) -> None:
    targets, logits = np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3])
    with pytest.raises(
        TableError, match=r"cannot be fitted on these cases \(allowed: split 'tune'"
    ):
        fit_calibrator(kind, targets, logits, splits=np.array(["tune", "test", "tune"]))
    # whatever else is wrong with them
    with pytest.raises(TableError, match=r"2 cases of split 'train'\. Fit on the tuning split"):
        fit_calibrator(kind, targets[:2] * 0, logits[:2], splits=np.array(["train", "train"]))


def test_a_refusal_names_the_calibrator() -> None:
    words: dict[CalibratorKind, str] = {"temperature": "A temperature", "vector": "Vector scaling"}
    for kind, word in words.items():
        with pytest.raises(TableError, match=f"^{word} cannot be fitted"):
            fit_calibrator(kind, np.array([0]), np.zeros((1, 2)), splits=np.array(["test"]))


@pytest.mark.parametrize("kind", [*SLOPED, "vector"])
def test_a_kind_for_other_logits_is_a_bug(kind: CalibratorKind) -> None:
    shape = (3,) if kind == "vector" else (3, 2)
    with pytest.raises(ValueError, match=rf"{kind} is not for logits of \d dimension"):
        tuned(kind, np.array([0, 1, 0]), np.zeros(shape))


def test_log_odds_stay_exact_where_a_probability_is_one() -> None:
    sure = np.array([40.0, 800.0])
    assert_allclose(Platt(2.0, 0.0).logits(sure), [80, 1600])
    assert_allclose(Beta(1.0, 2.0, 0.0).logits(sure), -2 * log_expit(-sure))
