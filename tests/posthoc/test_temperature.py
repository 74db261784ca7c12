"""The temperature is the optimum, and finds back what was planted."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose
from scipy.optimize import brentq
from scipy.special import expit, log_softmax, logsumexp, softmax
from tests.metrics.drawn_cases import LAW, drawn_classes, drawn_targets
from tests.prediction_tables import Site, arrays_of, binary_table, class_table

from medtransfer.metrics.calibration import probabilities_of
from medtransfer.metrics.cases import ClassCases, TargetCases
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.calibrators import TEMPERATURES, binary_temperature, class_temperature

GRID = np.geomspace(*TEMPERATURES, 400)
LARGE = {"a": Site({"tune": 20_000}, separation=2.0)}


def classes_of(seed: int, temperature: float) -> tuple[np.ndarray, Floats]:
    table = class_table(LARGE, seed=seed, temperature=temperature)
    truth = table.select(c for c in table.columns if c.startswith("target_")).to_numpy()
    return truth.argmax(axis=1), table.select(
        c for c in table.columns if c.startswith("logit_")
    ).to_numpy()


def binary_losses(cases: TargetCases, temperatures: Floats) -> Floats:
    signed = np.where(cases.targets == 1, cases.logits, -cases.logits)
    return np.logaddexp(0, -signed / temperatures[:, None]).mean(axis=1)


def class_losses(cases: ClassCases, temperatures: Floats) -> Floats:
    scaled = cases.logits / temperatures[:, None, None]
    own = scaled[:, np.arange(len(cases.classes)), cases.classes]
    return (np.log(np.exp(scaled).sum(axis=2)) - own).mean(axis=1)


@LAW
@given(cases=drawn_targets())
def test_no_temperature_of_a_grid_has_a_smaller_loss(cases: TargetCases) -> None:
    best = binary_temperature(cases.targets, cases.logits)
    assert best is not None
    assert TEMPERATURES[0] <= best <= TEMPERATURES[1]
    # at the ends of the range the search stops within its tolerance of them
    (found,) = binary_losses(cases, np.array([best]))
    assert found <= binary_losses(cases, GRID).min() + 1e-6


@LAW
@given(cases=drawn_classes())
def test_no_temperature_of_a_grid_has_a_smaller_loss_for_several_classes(
    cases: ClassCases,
) -> None:
    best = class_temperature(cases.classes, cases.logits)
    assert (best is None) == (len(set(cases.classes.tolist())) < 2)
    if best is not None:
        (found,) = class_losses(cases, np.array([best]))
        assert found <= class_losses(cases, GRID).min() + 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_temperature_is_where_the_slope_of_the_loss_is_zero(seed: int) -> None:
    targets, logits = arrays_of(binary_table(seed=seed, temperature=1.8))
    signed = np.where(targets == 1, logits, -logits)
    inverse = brentq(lambda b: float((signed * expit(-signed * b)).sum()), 0.05, 20, xtol=1e-14)
    # a minimum is flat: half of the digits of the loss are lost in its place
    assert binary_temperature(targets, logits) == pytest.approx(1 / inverse, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_temperature_of_classes_is_where_the_slope_of_the_loss_is_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, size=200)
    logits = 2.5 * (rng.normal(size=(200, 3)) + np.eye(3)[classes])
    own = logits[np.arange(200), classes]

    def slope(inverse: float) -> float:
        mean = (softmax(logits * inverse, axis=1) * logits).sum(axis=1)
        return float((mean - own).sum())

    inverse = brentq(slope, 0.05, 20, xtol=1e-14)
    assert class_temperature(classes, logits) == pytest.approx(1 / inverse, rel=1e-6)


@pytest.mark.parametrize("planted", [0.4, 1.0, 3.0])
def test_a_planted_temperature_is_found_back(planted: float) -> None:
    targets, logits = arrays_of(binary_table(LARGE, seed=1, temperature=planted))
    assert binary_temperature(targets, logits) == pytest.approx(planted, rel=0.04)
    assert class_temperature(*classes_of(1, planted)) == pytest.approx(planted, rel=0.04)


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_scaled_logits_have_the_scaled_temperature(factor: float) -> None:
    targets, logits = arrays_of(binary_table(seed=2))
    once, more = (binary_temperature(targets, logits * f) for f in (1.0, factor))
    assert once is not None
    assert more == pytest.approx(once * factor, rel=1e-6)


def test_no_temperature_from_one_class() -> None:
    logits = np.array([0.3, -0.2])
    assert binary_temperature(np.array([1, 1]), logits) is None
    assert binary_temperature(np.array([], dtype=np.int64), np.array([])) is None
    assert class_temperature(np.array([2, 2]), np.eye(3)[:2]) is None
    assert class_temperature(np.array([], dtype=np.int64), np.zeros((0, 3))) is None


def test_a_temperature_stays_in_its_range_when_the_classes_are_apart_or_swapped() -> None:
    logits = np.array([-1.0, -2.0, 1.0, 2.0])
    assert binary_temperature(np.array([0, 0, 1, 1]), logits) == pytest.approx(0.05, rel=1e-4)
    assert binary_temperature(np.array([1, 1, 0, 0]), logits) == pytest.approx(20.0, rel=1e-4)


def test_probabilities_of_each_task() -> None:
    logits = np.array([[1.0, -3.0], [0.5, 4.0]])
    several = probabilities_of(logits, single_label=False)
    assert_allclose(several, 1 / (1 + np.exp(-logits)), rtol=1e-15)
    one_of = probabilities_of(logits, single_label=True)
    assert_allclose(one_of, np.exp(log_softmax(logits, axis=1)), rtol=1e-14)
    assert_allclose(logsumexp(np.log(one_of), axis=1), 0, atol=1e-15)
