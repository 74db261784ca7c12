"""Worst group, gap, and the permutation test of no gap."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from scipy.stats import kstest

from medtransfer.metrics.discrimination import auroc
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import SubgroupMetrics, mean_of
from medtransfer.statistics import groups
from medtransfer.statistics.groups import (
    gap,
    gap_interval,
    permutation_ps,
    ratio_interval,
    ratio_of_groups,
    worst_group,
)

VALUES = [np.array([0.7, 0.6, 0.9]), np.array([0.8, 0.5, np.nan]), np.array([0.9, 0.8, 0.7])]


def test_worst_group_is_the_smallest_of_a_gain_and_the_largest_of_a_loss() -> None:
    assert_array_equal(worst_group(VALUES, higher_is_better=True), [0.7, 0.5, np.nan])
    assert_array_equal(worst_group(VALUES, higher_is_better=False), [0.9, 0.8, np.nan])


def test_gap_is_largest_minus_smallest_in_every_replicate() -> None:
    np.testing.assert_allclose(gap(VALUES), [0.2, 0.3, np.nan])


def patients_of(each: int, number: int = 60) -> NDArray[np.int32]:
    return np.repeat(np.arange(number, dtype=np.int32), each)


def p_of(
    values: Floats, patient: NDArray[np.int32], group: NDArray[np.int64], permutations: int = 99
) -> float | None:
    """P-value of the gap in a mean between groups of patients. [n], [n], [P]"""
    parts = [SubgroupMetrics(patient, (mean_of(values),))]
    rng = np.random.default_rng(0)
    return permutation_ps(parts, group, permutations=permutations, rng=rng)[0]


def null_ps(*, by_patient: bool) -> Floats:
    """P-values where two groups do not differ and a patient's five cases are much alike."""
    patient = patients_of(5)
    found: list[float] = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=60)[patient] + 0.3 * rng.normal(size=300)
        group = rng.permutation(np.arange(60) % 2)
        cases = np.arange(300, dtype=np.int32)
        p = p_of(values, patient, group) if by_patient else p_of(values, cases, group[patient])
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
    group = np.arange(60) % 2
    values = rng.normal(size=180) + 1.0 * group[patient]
    assert p_of(values, patient, group) == pytest.approx(0.01)


def test_p_counts_the_observed_dealing_among_the_permutations() -> None:
    # four patients, one group of two: the observed gap is the largest of the six dealings
    patient, group = patients_of(1, 4), np.array([0, 0, 1, 1])
    values = np.array([0.0, 0.1, 0.9, 1.0])
    found = p_of(values, patient, group, permutations=5999)
    assert found == pytest.approx(2 / 6, abs=0.02)


def test_equal_groups_have_p_one() -> None:
    assert p_of(np.ones(20), patients_of(1, 20), np.arange(20) % 2) == 1


def test_a_group_with_one_class_has_no_p() -> None:
    labels, scores = np.array([0, 1, 0, 1, 0, 0]), np.arange(6.0)
    group = np.array([0, 0, 0, 0, 1, 1])
    parts, rng = (
        [SubgroupMetrics(patients_of(1, 6), (auroc(labels, scores),))],
        np.random.default_rng(0),
    )
    assert permutation_ps(parts, group, permutations=9, rng=rng) == [None]


def test_without_permutations_there_is_no_p() -> None:
    assert p_of(np.arange(4.0), patients_of(1, 4), np.array([0, 0, 1, 1]), 0) is None


def test_dealings_that_leave_a_group_without_a_class_do_not_count() -> None:
    # two positives in six: in two of five dealings one group has both, and they do not count
    labels, scores = np.array([1, 0, 0, 0, 0, 1]), np.array([6.0, 5, 4, 3, 2, 1])
    group = np.array([0, 0, 0, 1, 1, 1])
    parts, rng = (
        [SubgroupMetrics(patients_of(1, 6), (auroc(labels, scores),))],
        np.random.default_rng(0),
    )
    (found,) = permutation_ps(parts, group, permutations=4000, rng=rng)
    # in all others one group has AUROC 1 and the other 0, as in the observed one
    assert found == 1


def test_the_size_of_blocks_does_not_change_p(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    patient, group = patients_of(2), np.arange(60) % 3
    values = rng.normal(size=120)
    whole = p_of(values, patient, group, 300)
    monkeypatch.setattr(groups, "WIDTH", 7)
    assert p_of(values, patient, group, 300) == whole
    assert whole not in (None, 1.0)


def test_several_metrics_are_tested_on_the_same_dealings() -> None:
    rng = np.random.default_rng(2)
    patient, group = patients_of(2), np.arange(60) % 2
    one, two = rng.normal(size=(2, 120))
    both = permutation_ps(
        [SubgroupMetrics(patient, (mean_of(one), mean_of(two)))],
        group,
        permutations=200,
        rng=np.random.default_rng(0),
    )
    assert both == [p_of(one, patient, group, 200), p_of(two, patient, group, 200)]


def test_the_mean_over_targets_is_what_is_compared() -> None:
    rng = np.random.default_rng(3)
    patient, group = patients_of(2), np.arange(60) % 2
    one, two = rng.normal(size=(2, 120)) + 0.4 * group[patient]
    known = np.arange(120) % 5 > 0  # the second target is not labelled in every case
    parts = [
        SubgroupMetrics(patient, (mean_of(one),)),
        SubgroupMetrics(patient[known], (mean_of(two[known]),)),
    ]
    (found,) = permutation_ps(parts, group, permutations=999, rng=np.random.default_rng(0))

    def gap_of(dealt: NDArray[np.int64]) -> float:
        means = [
            (one[dealt[patient] == g].mean() + two[known & (dealt[patient] == g)].mean()) / 2
            for g in (0, 1)
        ]
        return max(means) - min(means)

    dealings = np.random.default_rng(1)
    gaps = [gap_of(dealings.permutation(group)) for _ in range(999)]
    expected = (1 + sum(g >= gap_of(group) - 1e-12 for g in gaps)) / 1000
    assert found == pytest.approx(expected, abs=0.03)


def test_the_interval_of_a_ratio_holds_one_where_groups_are_equal() -> None:
    rng = np.random.default_rng(3)
    shares = rng.binomial(60, 0.8, size=(3, 400)) / 60
    values = (0.8, 0.79, 0.81)
    of_groups = [np.append(value, row) for value, row in zip(values, shares, strict=True)]
    replicates = ratio_of_groups(of_groups)[1:]
    assert np.quantile(replicates, 0.975) < 1  # what the percentile interval would say
    ends = ratio_interval(of_groups, 1.0)
    assert ends is not None
    assert ends[0] < 0.79 / 0.81 < ends[1] == 1
    logs = gap_interval([np.log(group) for group in of_groups], np.inf)
    assert logs is not None
    assert ends[0] == pytest.approx(np.exp(-logs[1]))


def test_the_interval_of_a_ratio_reaches_0_where_a_group_may_be_at_0() -> None:
    draws = np.random.default_rng(4).binomial(8, 0.1, size=400) / 8
    some, none = np.concatenate([[0.125], draws]), np.concatenate([[0.0], 0 * draws])
    many = np.concatenate([[0.5], 0.5 + 0.01 * draws])
    for of_groups in ([some, many], [none, many]):
        ends = ratio_interval(of_groups, 1.0)
        assert ends is not None
        assert ends[0] == 0
