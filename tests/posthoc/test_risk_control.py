"""Guaranteed operating points: against MAPIE, by hand, and on simulated tuning splits."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr
from scipy.stats import binom

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.risk_control import (
    guarantee_of,
    guaranteed_threshold,
    hoeffding_bentkus_p,
    patient_losses,
)

SPLITS = 600


def cases(
    patients: int, each: int, rng: np.random.Generator, correlation: float = 0.8
) -> tuple[NDArray[np.int64], Floats, NDArray[np.str_]]:
    """Patients of one label and about so many cases; logits are normal, 1 higher in positives."""
    patient = np.repeat(np.arange(patients), rng.poisson(each - 1, patients) + 1)
    truth = (rng.random(patients) < 0.5).astype(np.int64)[patient]
    noise = rng.normal(size=patients)[patient] * np.sqrt(correlation)
    noise += rng.normal(size=len(patient)) * np.sqrt(1 - correlation)
    return truth, expit(truth + noise), patient.astype(np.str_)


def test_p_values_equal_mapies() -> None:
    mapie = pytest.importorskip("mapie.risk_control.methods", reason="MAPIE is not installed")
    # between the places where n times the risk is whole, which rounding puts on either side
    risks = np.linspace(0.0013, 0.4013, 41)
    for number, allowed in ((40, 0.1), (200, 0.25)):
        theirs = mapie.compute_hoeffding_bentkus_p_value(risks, number, allowed)
        # MAPIE does not cut a p-value at 1
        expected = np.minimum(1, np.ravel(theirs))
        np.testing.assert_allclose(hoeffding_bentkus_p(risks, number, allowed), expected, atol=1e-9)


@pytest.mark.parametrize("each", [1, 3])
def test_conformal_risk_control_equals_mapies(each: int) -> None:
    mapie = pytest.importorskip("mapie.risk_control.methods", reason="MAPIE is not installed")
    truth, p, patients = cases(80, each, np.random.default_rng(3))
    positive, names = p[truth == 1], patients[truth == 1]
    candidates = np.unique(positive)
    losses = np.stack(
        [(positive[names == name][:, None] < candidates).mean(axis=0) for name in np.unique(names)]
    )
    _, bound = mapie.get_r_hat_plus(losses, candidates, "crc", None, None, None)
    (expected,) = mapie.find_best_predict_param(candidates, bound, np.array([0.1]))
    assert guaranteed_threshold(truth, p, patients, "sens90-mean").threshold == expected
    unit = np.unique(names, return_inverse=True)[1].ravel()
    np.testing.assert_allclose(patient_losses(positive, unit)[1], losses.sum(axis=0), atol=1e-9)


def test_a_sure_threshold_misses_as_many_as_the_binomial_allows() -> None:
    rng = np.random.default_rng(0)
    p = rng.permutation(np.linspace(0.01, 0.99, 120))
    truth = (np.arange(120) < 60).astype(np.int64)
    threshold = guaranteed_threshold(truth, p, None, "sens90-sure").threshold
    assert threshold is not None
    misses = int((p[truth == 1] < threshold).sum())
    assert binom.cdf(misses, 60, 0.1) <= 0.05 < binom.cdf(misses + 1, 60, 0.1)
    # specificity is the same of the negatives, turned round
    threshold = guaranteed_threshold(truth, p, None, "spec90-sure").threshold
    assert int((p[truth == 0] >= threshold).sum()) == misses


def test_too_few_patients_are_said() -> None:
    truth, p, patients = cases(30, 1, np.random.default_rng(1))
    positives = int(truth.sum())
    found = guaranteed_threshold(truth, p, patients, "sens90-sure")
    assert found.threshold is None
    assert found.reason == (
        f"no threshold: {positives} tune patients with a positive case, 29 needed"
    )
    assert guaranteed_threshold(truth, p, patients, "sens90-mean").threshold is not None
    few = guaranteed_threshold(truth[:9] * 0, p[:9], None, "spec90-sure")
    assert few.reason == "no threshold: 9 tune patients with a negative case, 29 needed"
    assert "9 needed" in str(guaranteed_threshold(truth[:5], p[:5], None, "sens90-mean").reason)


def test_names_of_points() -> None:
    assert guarantee_of("sens90") is None
    assert guarantee_of("sens90-sure") == "sure"
    assert guarantee_of("spec80-mean") == "mean"


@pytest.mark.parametrize(("patients", "each"), [(120, 1), (120, 3)])
def test_guarantees_hold_on_new_patients(patients: int, each: int) -> None:
    rng = np.random.default_rng(18)
    rates: dict[str, list[float]] = {"sens90-sure": [], "sens90-mean": [], "spec80-sure": []}
    for _ in range(SPLITS):
        truth, p, names = cases(patients, each, rng)
        for point, of_point in rates.items():
            threshold = guaranteed_threshold(truth, p, names, point).threshold
            assert threshold is not None
            below = float(ndtr(logit(threshold) - point.startswith("sens")))
            of_point.append(1 - below if point.startswith("sens") else below)
    error = np.sqrt(0.05 * 0.95 / SPLITS)
    assert np.mean(np.array(rates["sens90-sure"]) < 0.9) <= 0.05 + 2 * error
    assert np.mean(np.array(rates["spec80-sure"]) < 0.8) <= 0.05 + 2 * error
    average = np.array(rates["sens90-mean"])
    assert average.mean() >= 0.9 - 2 * average.std() / np.sqrt(SPLITS)
    assert average.mean() < 0.94
