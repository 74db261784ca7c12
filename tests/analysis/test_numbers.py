"""Convergence, intervals over patients and seeds, and cross-validated probes."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medtransfer.analysis.convergence import steps_to_share
from medtransfer.analysis.discrimination import interval_of, macro_auroc, patient_weights
from medtransfer.analysis.interval import Interval, mean_over_runs
from medtransfer.analysis.probes import linear_scores, neighbour_scores, patient_folds


@pytest.mark.parametrize(
    ("aurocs", "steps"),
    [
        ([0.6, 0.9, 0.9], 10 + 10 * 0.28 / 0.3),
        ([0.9, 0.9, 0.9], 10 * 0.95),
        ([0.5, 0.5, 0.9], 20 + 10 * 0.95),
        ([0.9, 0.5, 0.7], 10 * 0.19 / 0.4),
        ([None, 0.9, 0.9], 20 * 0.95),
        ([0.9, 0.9, 0.5], None),
        ([None, None, None], None),
    ],
)
def test_steps_are_read_off_straight_lines_from_chance(
    aurocs: list[float | None], steps: float | None
) -> None:
    found = steps_to_share([10, 20, 30], aurocs)
    assert found == (None if steps is None else pytest.approx(steps))


def test_auroc_is_scikit_learns_and_the_sample_stands_first() -> None:
    draw = np.random.default_rng(1)
    truth = draw.integers(0, 2, (120, 2)).astype(float)
    truth[:, 1] = 1.0  # one class: left out of the mean
    scores = draw.normal(size=(120, 2)) + truth
    patients = np.array([f"p{k // 2}" for k in range(120)])
    values = macro_auroc(truth, scores, patient_weights(patients, 200))
    assert values[0] == pytest.approx(roc_auc_score(truth[:, 0], scores[:, 0]))
    result = interval_of(values)
    assert result.low < result.value < result.high
    assert interval_of(macro_auroc(truth[:, 1:], scores, patient_weights(patients, 9))).reason


def test_more_seeds_do_not_hide_the_variance_between_patients() -> None:
    one = Interval(0.8, 0.7, 0.9)
    many = mean_over_runs([one] * 10)
    assert (many.value, many.low, many.high) == pytest.approx((0.8, 0.7, 0.9))
    apart = mean_over_runs([Interval(0.7, 0.6, 0.8), Interval(0.9, 0.8, 1.0)])
    assert apart.high - apart.low > 0.2
    seeds = mean_over_runs([Interval.without_interval(x, "one network") for x in (1.0, 2.0, 3.0)])
    assert seeds.low == pytest.approx(2 - 4.3027 / math.sqrt(3), abs=1e-3)
    assert mean_over_runs([Interval.undefined("none")] * 2).reason == "none"
    assert mean_over_runs([one, Interval.undefined("none")]) == one


@pytest.mark.parametrize("probe", [linear_scores, neighbour_scores])
def test_probes_find_what_is_there_and_no_more(probe) -> None:
    draw = np.random.default_rng(2)
    patients = np.array([f"p{k // 4}" for k in range(400)])
    identity = draw.normal(size=(100, 30))[np.arange(400) // 4]  # tells the patient, not the target
    truth = draw.integers(0, 2, 100)[np.arange(400) // 4].astype(float)[:, None]
    noise = (identity + 0.1 * draw.normal(size=(400, 30))).astype(np.float32)
    weights = patient_weights(patients, 1)
    assert abs(macro_auroc(truth, probe(noise, truth, patients), weights)[0] - 0.5) < 0.15
    signal = noise.copy()
    signal[:, :3] += 3 * truth
    assert macro_auroc(truth, probe(signal, truth, patients), weights)[0] > 0.9


def test_a_patient_is_in_one_fold() -> None:
    patients = np.array([f"p{k % 37}" for k in range(200)])
    folds = patient_folds(patients)
    assert len({(p, f) for p, f in zip(patients.tolist(), folds.tolist(), strict=True)}) == 37
    assert set(folds) == set(range(5))
