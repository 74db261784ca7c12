"""CKA against its definition by brute force, and the laws that it keeps."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.analysis.similarity import _gram, _hsic, cka, patient_batches, require_same_cases
from medtransfer.errors import StudyError

RNG = np.random.default_rng(0)


def drawn(cases: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(cases, width)).astype(np.float32)


def names(count: int, each: int = 1) -> np.ndarray:
    return np.array([f"p{k // each}" for k in range(count)])


def test_hsic_is_the_u_statistic() -> None:
    """Song et al. 2012: the mean over ordered 4-tuples of different cases."""
    k, other = (_gram(drawn(6, 3, seed)) for seed in (1, 2))
    terms = [
        k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
        for i, j, q, r in permutations(range(6), 4)
    ]
    assert _hsic(k, other) == pytest.approx(np.mean(terms), rel=1e-9)


def debiased_cka_of_features(first: np.ndarray, second: np.ndarray, batches: list) -> float:
    """Kornblith et al.'s debiased linear CKA in feature space, its parts summed over batches.

    No Gram matrix: sums over products of features, as in their published notebook.
    """

    def similarity(x: np.ndarray, y: np.ndarray) -> float:
        n = len(x)
        rows_x, rows_y = (x**2).sum(axis=1), (y**2).sum(axis=1)
        biased = ((x.T @ y) ** 2).sum()
        correction = n / (n - 2) * rows_x @ rows_y
        return biased - correction + rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))

    sums = np.zeros(3)
    for rows in batches:
        x, y = (z[rows].astype(np.float64) - z[rows].mean(axis=0) for z in (first, second))
        n = len(rows)
        sums += np.array([similarity(x, y), similarity(x, x), similarity(y, y)]) / (n * (n - 3))
    return sums[0] / np.sqrt(sums[1] * sums[2])


@pytest.mark.parametrize("width", [3, 40, 300])
def test_cka_is_that_of_the_feature_space(width: int) -> None:
    first = drawn(200, width, 1)
    second = (first[:, ::-1] + drawn(200, width, 2)).astype(np.float32)
    patients = names(200, 3)
    expected = debiased_cka_of_features(first, second, patient_batches(patients))
    assert cka(first, second, patients).value == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 50))
def test_rotation_scale_and_shift_change_nothing(seed: int) -> None:
    first = drawn(80, 5, seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    second = (3 * first @ turn + 7).astype(np.float32)
    assert cka(first, second, names(80)).value == pytest.approx(1.0, abs=1e-4)


def test_unrelated_features_are_near_zero_where_the_biased_estimate_is_not() -> None:
    first, second = drawn(200, 400, 1), drawn(200, 400, 2)
    result = cka(first, second, names(200))
    assert abs(result.value) < 0.1
    assert result.low < 0 < result.high
    grams = [x - x.mean(axis=0) for x in (first, second)]
    cross = np.linalg.norm(grams[0].T @ grams[1]) ** 2
    biased = cross / np.prod([np.linalg.norm(x.T @ x) for x in grams])
    assert biased > 0.5


def test_the_interval_covers_the_value_of_many_cases() -> None:
    draw = np.random.default_rng(3)
    base = draw.normal(size=(20_000, 6))
    first = base.astype(np.float32)
    second = (base + draw.normal(size=base.shape)).astype(np.float32)
    truth = cka(first, second, names(20_000)).value
    covered = 0
    for trial in range(60):
        rows = np.random.default_rng(trial).choice(20_000, 300, replace=False)
        result = cka(first[rows], second[rows], names(300))
        covered += result.low <= truth <= result.high
    assert covered >= 52  # 57 of 60 expected


def test_batches_hold_whole_patients() -> None:
    patients = names(400, each=3)
    batches = patient_batches(patients)
    assert sorted(np.concatenate(batches).tolist()) == list(range(400))
    owners = [set(patients[rows]) for rows in batches]
    assert sum(map(len, owners)) == len(set(patients))


def test_what_cannot_be_compared_has_a_reason() -> None:
    assert cka(drawn(6, 2), drawn(6, 2, 1), names(6)).reason == "fewer than 2 batches of 4 cases"
    flat = np.ones((80, 3), np.float32)
    assert cka(flat, drawn(80, 3), names(80)).reason == "a representation does not vary"


def test_another_order_of_cases_is_refused() -> None:
    require_same_cases(("a", "b"), ("a", "b"))
    with pytest.raises(StudyError, match="2 of 2 positions differ"):
        require_same_cases(("a", "b"), ("b", "a"))
    with pytest.raises(StudyError, match="1 of 3 positions differ"):
        require_same_cases(("a", "b"), ("a", "b", "c"))
