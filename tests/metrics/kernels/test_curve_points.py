"""Compiled curves are those of numpy, one replicate after the other, to the last bit."""

import numpy as np
import pytest
from numpy.typing import NDArray

from medtransfer.metrics.kernels.curve_points import precision_points, risk_points, roc_points
from medtransfer.metrics.kernels.sums import Counts
from medtransfer.metrics.weighted import ratio, run_ends

GRID = np.linspace(0, 1, 101)


def drawn(
    kind: str, cases: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int32], Counts]:
    """Falling scores with ties, flags, patients, and counts of 40 replicates."""
    rng = np.random.default_rng([cases, len(kind)])
    scores = -np.sort(-rng.normal(size=cases).round(1 if cases > 20 else 3))
    flags = rng.random(cases) < 0.3
    patient = rng.integers(0, max(1, cases // 2), cases).astype(np.int32)
    patients = max(1, cases // 2)
    if kind == "bayesian":
        return scores, flags, patient, rng.exponential(size=(patients, 40))
    return scores, flags, patient, rng.poisson(1.0, size=(patients, 40)).astype(np.uint16)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["patients", "bayesian"])
@pytest.mark.parametrize("cases", [0, 1, 2, 7, 300])
def test_roc_points_are_interpolated_as_numpy_does(kind: str, cases: int) -> None:
    scores, positive, patient, counts = drawn(kind, cases)
    last = run_ends(scores)
    found = roc_points(patient, positive, last, counts, GRID)
    weights = counts[patient].astype(np.float64)
    tp = np.cumsum(weights * positive[:, None], axis=0)[last]
    fp = np.cumsum(weights, axis=0)[last] - tp
    wanted = np.full((counts.shape[1], len(GRID)), np.nan)
    for r in range(counts.shape[1]):
        if len(tp) and tp[-1, r] > 0 and fp[-1, r] > 0:
            x, y = np.append(0, fp[:, r] / fp[-1, r]), np.append(0, tp[:, r] / tp[-1, r])
            wanted[r] = np.interp(GRID, x, y)
    np.testing.assert_array_equal(found, wanted)
    assert np.isfinite(found).any() == (cases > 1)


@pytest.mark.parametrize("kind", ["patients", "bayesian"])
@pytest.mark.parametrize("cases", [0, 1, 7, 300])
def test_precision_is_read_where_numpy_finds_the_recall(kind: str, cases: int) -> None:
    scores, positive, patient, counts = drawn(kind, cases)
    last, recalls = run_ends(scores), GRID - 1e-12
    found = precision_points(patient, positive, last, counts, recalls)
    weights = counts[patient].astype(np.float64)
    tp = np.cumsum(weights * positive[:, None], axis=0)[last]
    called = np.cumsum(weights, axis=0)[last]
    wanted = np.full((counts.shape[1], len(GRID)), np.nan)
    for r in range(counts.shape[1]):
        if len(tp) and tp[-1, r] > 0:
            place = np.searchsorted(tp[:, r] / tp[-1, r], recalls)
            wanted[r] = ratio(tp[:, r], called[:, r])[np.minimum(place, len(tp) - 1)]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["patients", "bayesian"])
@pytest.mark.parametrize("cases", [0, 1, 7, 300])
def test_risk_is_interpolated_as_numpy_does(kind: str, cases: int) -> None:
    confidence, wrong, patient, counts = drawn(kind, cases)
    last = run_ends(confidence)
    found = risk_points(patient, wrong, last, counts, GRID)
    weights = counts[patient].astype(np.float64)
    total = np.cumsum(weights, axis=0)[last]
    errors = np.cumsum(weights * wrong[:, None], axis=0)[last]
    wanted = np.full((counts.shape[1], len(GRID)), np.nan)
    for r in range(counts.shape[1]):
        if len(total) and total[-1, r] > 0:
            answered = GRID * total[-1, r]
            x, y = np.append(0.0, total[:, r]), np.append(0.0, errors[:, r])
            wanted[r, 1:] = np.interp(answered[1:], x, y) / answered[1:]
    np.testing.assert_array_equal(found, wanted)
    assert np.isnan(found[:, 0]).all()
