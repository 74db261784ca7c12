"""Drawing patients: nested shares, and subsets in which every finding is in proportion."""

from itertools import pairwise
from random import Random

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW, SAME, ids

from medtransfer.data.stratify import (
    Purpose,
    patient_labels,
    stratified,
    stratify,
    training_patients,
)
from medtransfer.seeds import generator

fractions = st.floats(0.001, 1.0)
seeds = st.integers(0, 10**6)
SHARES = (0.65, 0.15, 0.2)


@FEW
@given(
    st.lists(ids(), min_size=1, max_size=60, unique=True),
    st.lists(fractions, min_size=2, max_size=5),
    seeds,
    st.integers(1, 4),
)
def test_smaller_draws_lie_inside_larger_ones(
    names: list[str], shares: list[float], seed: int, kinds: int
) -> None:
    strata = np.random.default_rng(seed).random((len(names), kinds)) < 0.4
    draws = [training_patients(names, strata, share, seed) for share in sorted(shares)]
    for small, large in pairwise(draws):
        assert not (small & ~large).any()
    for draw, share in zip(draws, sorted(shares), strict=True):
        assert draw.sum() == max(1, round(share * len(names)))
    assert training_patients(names, strata, 1.0, seed).all()


@FEW
@given(st.lists(ids(), min_size=2, max_size=40, unique=True), fractions, seeds, st.randoms())
def test_a_draw_does_not_depend_on_the_order_of_patients(
    names: list[str], share: float, seed: int, random: Random
) -> None:
    flags = {name: [len(name) % 2 == 0] for name in names}
    shuffled = list(names)
    random.shuffle(shuffled)
    one, two = (
        training_patients(order, np.array([flags[n] for n in order]), share, seed)
        for order in (names, shuffled)
    )
    assert {n for n, drawn in zip(names, one, strict=True) if drawn} == {
        n for n, drawn in zip(shuffled, two, strict=True) if drawn
    }


@SAME
@given(seeds, st.sampled_from([0.05, 0.1, 0.3, 0.5]))
def test_every_kind_of_patient_is_drawn_in_proportion(seed: int, share: float) -> None:
    names = [f"p{i}" for i in range(400)]
    strata = np.random.default_rng(seed).random((400, 2)) < np.array([0.1, 0.4])
    drawn = training_patients(names, strata, share, seed)
    for kind in np.unique(strata, axis=0):
        here = (strata == kind).all(axis=1)
        assert abs(drawn[here].sum() - share * here.sum()) <= 2


def test_seeds_draw_different_patients() -> None:
    names = [f"p{i}" for i in range(50)]
    strata = np.zeros((50, 1), dtype=bool)
    draws = {training_patients(names, strata, 0.2, seed).tobytes() for seed in range(10)}
    assert len(draws) == 10


def spread(labels: np.ndarray, subset: np.ndarray) -> np.ndarray:
    """How far each label's count in each subset is from its share, in units. [K, L]"""
    got = np.stack([labels[subset == k].sum(axis=0) for k in range(len(SHARES))])
    return np.abs(got - np.outer(SHARES, labels.sum(axis=0)))


@SAME
@given(seeds)
def test_rare_findings_are_shared_out_to_the_unit_and_common_ones_in_proportion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = np.array([0.01, 0.02, 0.04, 0.1, 0.3, 0.6])
    labels = rng.random((500, len(rates))) < rates
    subset = stratify(labels, SHARES, np.random.default_rng(seed))
    counts = labels.sum(axis=0)
    far = spread(labels, subset).max(axis=0)
    assert (far[counts < 25] <= 1.0).all()
    assert (far <= 1 + 0.06 * counts).all()
    assert np.abs(np.bincount(subset, minlength=3) - np.multiply(SHARES, 500)).max() <= 8


def test_stratified_draws_spread_rare_findings_better_than_plain_ones() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random((400, 8)) < 0.03
    subset = stratify(labels, SHARES, np.random.default_rng(1))
    plain = rng.choice(3, 400, p=SHARES)
    assert spread(labels, subset).max() < 0.5 * spread(labels, plain).max()


def test_a_finding_of_three_patients_is_in_train_first() -> None:
    labels = np.zeros((50, 1), dtype=bool)
    labels[:3] = True
    subset = stratify(labels, SHARES, np.random.default_rng(0))
    assert (subset[:3] == 0).sum() == 2


def test_units_without_any_label_are_shared_out_too() -> None:
    subset = stratify(np.zeros((100, 2), dtype=bool), SHARES, np.random.default_rng(0))
    assert np.bincount(subset).tolist() == [65, 15, 20]


def test_a_patient_carries_the_findings_of_all_cases_looked_at() -> None:
    patients = np.array([1, 1, 0, 2], dtype=np.uint32)
    first = np.array([0, 3, 4, 5], dtype=np.uint32)
    positive = [np.array([False, True, False, True]), np.array([False, False, False, False])]
    looked = np.array([True, True, True, False])
    who, labels = patient_labels(patients, first, looked, positive, pl.Series(["A"] * 4))
    assert who.tolist() == [0, 1]
    assert labels.tolist() == [[False, False], [True, False]]


def test_a_patient_is_of_the_cohort_of_the_first_row() -> None:
    patients = np.array([0, 0, 1], dtype=np.uint32)
    first = np.array([7, 2, 9], dtype=np.uint32)
    positive = [np.array([True, False, False])]
    cohorts = pl.Series(["A", "B", "A"])
    _, labels = patient_labels(patients, first, np.ones(3, dtype=bool), positive, cohorts)
    assert labels.tolist() == [[True, False, True], [False, True, False]]  # target, A, B


def test_a_draw_stays_what_it_was_in_every_version() -> None:
    labels = np.random.default_rng(0).random((30, 2)) < 0.3
    subset = stratify(labels, (0.6, 0.2, 0.2), np.random.default_rng(1))
    assert "".join(map(str, subset)) == "002021100100012000120001000202"


def test_a_draw_that_is_kept_is_the_one_that_is_asked_for() -> None:
    draw = np.random.default_rng(2)
    purposes: tuple[Purpose, ...] = ((0, "split"), (1, "split"), (1, "retrain", "b"))
    tables = [draw.random((60, 3)) < 0.3 for _ in range(6)]  # more than are kept
    for _ in range(2):
        for labels in tables:
            for purpose in purposes:
                seed, *words = purpose
                expected = stratify(labels, SHARES, generator(int(seed), *map(str, words)))
                assert np.array_equal(stratified(labels, SHARES, purpose), expected)
                halves = stratify(labels, (0.5, 0.5), generator(int(seed), *map(str, words)))
                assert np.array_equal(stratified(labels, (0.5, 0.5), purpose), halves)
