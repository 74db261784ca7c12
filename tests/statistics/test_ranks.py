"""Average ranks over tasks, the tests of Friedman and Iman, and Nemenyi's critical difference."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import f, friedmanchisquare
from tests.metrics.drawn_cases import LAW

from medtransfer.statistics.bootstrap import Floats
from medtransfer.statistics.ranks import critical_difference, rank_rungs

C45 = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.9749],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
"""Demšar 2006, table 6: C4.5, +m, +cf, +m+cf on 14 data sets. He ranks the last pair of "voting"
2 and 3, though both are printed as 0.975."""


@st.composite
def tables(draw: st.DrawFn, ties: bool = True) -> Floats:
    """Values of 3 to 6 rungs on 2 to 8 tasks."""
    tasks, rungs = draw(st.integers(2, 8)), draw(st.integers(3, 6))
    cell = st.integers(0, 4) if ties else st.integers(0, 10**6)
    row = st.lists(cell, min_size=rungs, max_size=rungs, unique=not ties)
    return np.array(draw(st.lists(row, min_size=tasks, max_size=tasks)), dtype=float)


def test_the_example_of_demsar() -> None:
    found = rank_rungs(C45, higher_is_better=True)
    assert_allclose(found.ranks, [3.143, 2.000, 2.893, 1.964], rtol=0, atol=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert found.groups == ((3, 1, 2, 0),)
    assert found.reason is None
    # he leaves the ties out: 9.28. Sets of 4, 2, 2 and 2 equal values take
    # (4³ - 4) + 3 (2³ - 2) = 78 of 14 (4³ - 4) = 840 from the spread of the ranks
    assert found.chi2 * (1 - 78 / 840) == pytest.approx(9.28, abs=5e-3)


def test_at_ten_percent_demsar_finds_two_groups() -> None:
    found = rank_rungs(C45, higher_is_better=True, level=0.9)
    assert found.critical_difference == pytest.approx(1.12, abs=5e-3)
    # C4.5 is worse than +m+cf and +m; +cf may belong to either
    assert found.groups == ((3, 1, 2), (2, 0))


@pytest.mark.parametrize(
    ("rungs", "q05", "q10"),
    [
        (2, 1.960, 1.645),
        (3, 2.343, 2.052),
        (4, 2.569, 2.291),
        (5, 2.728, 2.459),
        (6, 2.850, 2.589),
        (7, 2.949, 2.693),
        (8, 3.031, 2.780),
        (9, 3.102, 2.855),
        (10, 3.164, 2.920),
    ],
)
def test_critical_values_of_nemenyi(rungs: int, q05: float, q10: float) -> None:
    # Demšar 2006, table 5(a); cut, not rounded, to three decimals
    unit = np.sqrt(rungs * (rungs + 1) / (6 * 10))
    assert critical_difference(10, rungs) / unit == pytest.approx(q05, abs=1.2e-3)
    assert critical_difference(10, rungs, 0.9) / unit == pytest.approx(q10, abs=1.2e-3)


@LAW
@given(tables())
def test_friedman_equals_scipy(values: Floats) -> None:
    assume(any(len(set(row)) > 1 for row in values))
    expected = friedmanchisquare(*values.T)
    found = rank_rungs(values, higher_is_better=True)
    assert_allclose([found.chi2, found.chi2_p], np.array(expected), rtol=1e-9, atol=1e-12)


@LAW
@given(tables(ties=False))
def test_iman_and_davenport_are_an_analysis_of_variance_of_the_ranks(values: Floats) -> None:
    # the textbook F of a two-way layout of ranks, one value in each cell
    found = rank_rungs(values, higher_is_better=False)
    tasks, rungs = values.shape
    ranks = values.argsort(axis=1).argsort(axis=1) + 1.0
    between = tasks * ((ranks.mean(axis=0) - ranks.mean()) ** 2).sum()
    rest = ((ranks - ranks.mean()) ** 2).sum() - between
    assume(rest > 1e-9)
    degrees = (rungs - 1, (rungs - 1) * (tasks - 1))
    ratio = (between / degrees[0]) / (rest / degrees[1])
    assert found.f == pytest.approx(ratio, rel=1e-9, abs=1e-12)
    assert found.f_p == pytest.approx(f.sf(ratio, *degrees), rel=1e-9)


def test_by_hand() -> None:
    # ranks 1 2 3 / 1 3 2 / 1.5 1.5 3, lower is better
    values = np.array([[0.1, 0.2, 0.3], [0.1, 0.3, 0.2], [0.1, 0.1, 0.2]])
    found = rank_rungs(values, higher_is_better=False)
    assert_allclose(found.ranks, [3.5 / 3, 6.5 / 3, 8 / 3])
    between = (3.5 / 3 - 2) ** 2 + (6.5 / 3 - 2) ** 2 + (8 / 3 - 2) ** 2
    assert found.chi2 == pytest.approx(2 * 9 * between / (2 + 2 + 1.5))
    assert found.f == pytest.approx(2 * found.chi2 / (6 - found.chi2))
    assert found.tasks == 3


@LAW
@given(tables())
def test_direction_turns_the_ranks_round(values: Floats) -> None:
    up, down = (rank_rungs(values, higher_is_better=better) for better in (True, False))
    assert_allclose(up.ranks + down.ranks, values.shape[1] + 1)
    assert_allclose(up.ranks, rank_rungs(-values, higher_is_better=False).ranks)
    assert_allclose([up.chi2, up.f_p], [down.chi2, down.f_p], equal_nan=True)


@LAW
@given(tables(), st.floats(0.5, 0.99))
def test_groups_hold_every_pair_that_is_not_told_apart_and_no_other(
    values: Floats, level: float
) -> None:
    found = rank_rungs(values, higher_is_better=True, level=level)
    rungs = range(len(found.ranks))
    together = {(a, b) for group in found.groups for a in group for b in group}
    near = np.abs(found.ranks[:, None] - found.ranks) < found.critical_difference
    assert together == {(a, b) for a in rungs for b in rungs if near[a, b]}
    for group in found.groups:
        assert not any(set(group) < set(other) for other in found.groups)
        assert list(found.ranks[list(group)]) == sorted(found.ranks[list(group)])


def test_many_tasks_that_agree_tell_all_rungs_apart() -> None:
    found = rank_rungs(np.tile([0.7, 0.9, 0.8], (40, 1)), higher_is_better=True)
    assert found.groups == ((1,), (2,), (0,))
    assert found.ranks.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("row", "tasks", "chance"),
    [([0.1, 0.2], 2, 1 / 2), ([0.1, 0.2, 0.3], 3, 1 / 36), ([0.1, 0.1, 0.3, 0.3], 3, 1 / 36)],
)
def test_full_agreement_has_an_exact_p_value(row: list[float], tasks: int, chance: float) -> None:
    found = rank_rungs(np.tile(row, (tasks, 1)), higher_is_better=True)
    assert found.chi2 == pytest.approx(tasks * (len(row) - 1))
    assert found.f == np.inf
    assert found.f_p == pytest.approx(chance)


def test_a_task_without_every_rung_does_not_count() -> None:
    holed = np.concatenate([C45, [[np.nan, 1, 1, 0]]])
    whole, found = (rank_rungs(v, higher_is_better=True) for v in (C45, holed))
    assert found.tasks == 14
    assert found.ranks.tolist() == whole.ranks.tolist()
    assert found.chi2 == whole.chi2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (C45[:1], "fewer than two tasks with every rung"),
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), "fewer than two tasks with every rung"),
        (C45[:0], "fewer than two tasks with every rung"),
        (C45[:, :1], "fewer than two rungs"),
    ],
)
def test_too_little_is_undefined_with_a_reason(values: Floats, reason: str) -> None:
    found = rank_rungs(values, higher_is_better=True)
    assert found.reason == reason
    assert found.ranks.shape == (values.shape[1],)
    numbers = [found.chi2, found.chi2_p, found.f, found.f_p, found.critical_difference]
    assert np.isnan([*found.ranks, *numbers]).all()
    assert found.groups == ()


def test_rungs_that_are_tied_everywhere_have_ranks_and_no_test() -> None:
    found = rank_rungs(np.ones((4, 3)), higher_is_better=True)
    assert found.ranks.tolist() == [2, 2, 2]
    assert np.isnan([found.chi2, found.chi2_p, found.f, found.f_p]).all()
    assert found.groups == ((0, 1, 2),)
    assert found.reason == "all rungs are tied in every task"
