"""Worst group, gap, and the permutation test of no gap."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from scipy.stats import kstest

from medtransfer.metrics import groups
from medtransfer.metrics.bootstrap import Floats
from medtransfer.metrics.discrimination import auroc, weighted_mean
from medtransfer.metrics.groups import gap, permutation_p, worst_group

VALUES = [np.array([0.7, 0.6, 0.9]), np.array([0.8, 0.5, np.nan]), np.array([0.9, 0.8, 0.7])]


def test_worst_group_is_the_smallest_of_a_gain_and_the_largest_of_a_loss() -> None:
    assert_array_equal(worst_group(VALUES, higher_is_better=True), [0.7, 0.5, np.nan])
    assert_array_equal(worst_group(VALUES, higher_is_better=False), [0.9, 0.8, np.nan])


def test_gap_is_largest_minus_smallest_in_every_replicate() -> None:
    np.testing.assert_allclose(gap(VALUES), [0.2, 0.3, np.nan])


def patients_of(each: int, number: int = 60) -> NDArray[np.int64]:
    return np.repeat(np.arange(number), each)


def p_of(
    values: Floats, patient: NDArray[np.int64], group: NDArray[np.int64], permutations: int = 99
) -> float | None:
    rng = np.random.default_rng(0)
    return permutation_p(weighted_mean(values), patient, group, permutations=permutations, rng=rng)


def null_ps(*, by_patient: bool) -> Floats:
    """P-values where two groups do not differ and a patient's five cases are much alike."""
    patient = patients_of(5)
    found: list[float] = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=60)[patient] + 0.3 * rng.normal(size=300)
        group = rng.permutation(np.arange(60) % 2)[patient]
        unit = patient if by_patient else np.arange(300)
        p = p_of(values, unit, group)
        assert p is not None
        found.append(p)
    return np.array(found)


def test_p_is_uniform_when_groups_do_not_differ() -> None:
    found = null_ps(by_patient=True)
    assert kstest(found, "uniform").statistic < 0.08
    assert 0.02 <= (found <= 0.05).mean() <= 0.08


def test_dealing_groups_to_cases_instead_of_patients_would_find_gaps_that_are_not_there() -> None:
    assert (null_ps(by_patient=False) <= 0.05).mean() > 0.25


def test_a_planted_gap_is_found() -> None:
    rng = np.random.default_rng(0)
    patient = patients_of(3)
    group = (np.arange(60) % 2)[patient]
    values = rng.normal(size=180) + 1.0 * group
    assert p_of(values, patient, group) == pytest.approx(0.01)


def test_p_counts_the_observed_dealing_among_the_permutations() -> None:
    # four patients, one group of two: the observed gap is the largest of the six dealings
    patient, group = np.arange(4), np.array([0, 0, 1, 1])
    values = np.array([0.0, 0.1, 0.9, 1.0])
    found = p_of(values, patient, group, permutations=5999)
    assert found == pytest.approx(2 / 6, abs=0.02)


def test_equal_groups_have_p_one() -> None:
    patient = np.arange(20)
    assert p_of(np.ones(20), patient, patient % 2) == 1


def test_a_patient_in_two_groups_has_no_p() -> None:
    patient, group = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert p_of(np.arange(4.0), patient, group) is None


def test_a_group_with_one_class_has_no_p() -> None:
    labels, scores = np.array([0, 1, 0, 1, 0, 0]), np.arange(6.0)
    group = np.array([0, 0, 0, 0, 1, 1])
    metric, rng = auroc(labels, scores), np.random.default_rng(0)
    assert permutation_p(metric, np.arange(6), group, permutations=9, rng=rng) is None


def test_memory_does_not_change_p(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    patient = patients_of(2)
    values, group = rng.normal(size=120), (np.arange(60) % 3)[patient]
    whole = p_of(values, patient, group)
    monkeypatch.setattr(groups, "CHUNK", 1000)
    assert p_of(values, patient, group) == whole
    assert whole not in (None, 1.0)
