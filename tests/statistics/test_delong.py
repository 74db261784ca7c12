"""DeLong's and Obuchowski's variance of AUROCs: by brute force, other software, simulation."""

import numpy as np
import pytest
from confidenceinterval.delong import delong_roc_variance
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm
from tests.metrics.drawn_cases import LAW, plain
from tests.prediction_tables import true_auroc
from tests.statistics.delong_normal import auroc_difference, normal_intervals

from medtransfer.metrics.discrimination import Labels, auroc
from medtransfer.statistics.bootstrap import Floats, draw_replicates
from medtransfer.statistics.delong import Aurocs, delong, logit_intervals

OVARIAN_TEXT = """
3.0 5.8 10 0   3.2 6.3 5 1   3.9 6.8 3 1   2.8 4.8 6 0   3.2 5.8 3 1   0.9 4.0 5 0
2.5 5.7  8 0   1.6 5.6 5 1   3.8 5.7 5 1   3.7 6.7 6 1   3.2 5.4 4 1   3.8 6.6 6 1
4.1 6.6  5 1   3.6 5.7 5 1   4.3 7.0 4 1   3.6 6.7 4 0   2.3 4.4 6 1   4.2 7.6 4 0
4.0 6.6  6 0   3.5 5.8 6 1   3.8 6.8 7 1   3.0 4.7 8 0   4.5 7.4 5 1   3.7 7.4 5 1
3.1 6.6  6 1   4.1 8.2 6 1   4.3 7.0 5 1   4.3 6.5 4 1   3.2 5.1 5 1   2.6 4.7 6 1
3.3 6.8  6 0   1.7 4.0 7 0   3.7 6.1 5 1   3.3 6.3 7 1   4.2 7.7 6 1   3.5 6.2 5 1
2.9 5.7  9 0   2.1 4.8 7 1   2.8 6.2 8 0   4.0 7.0 7 1   3.3 5.7 6 1   3.7 6.9 5 1
3.6 6.6  5 1
"""
OVARIAN = np.array(OVARIAN_TEXT.split(), dtype=float).reshape(-1, 4)
"""Albumin, total protein, K-G score, benefit: the complete cases of DeLong et al. 1988."""

Clustered = tuple[Labels, Floats, NDArray[np.int64]]
_score = st.tuples(*[st.integers(-4, 4)] * 3)
_case = st.tuples(st.integers(0, 1), _score, st.integers(0, 5))


@st.composite
def clustered(draw: st.DrawFn) -> Clustered:
    """Cases of up to eight patients with many ties; two patients at least have each class."""
    fixed = [(label, draw(_score), 6 + place) for label in (0, 1) for place in (0, 1)]
    drawn = fixed + draw(st.lists(_case, max_size=25))
    labels, scores, patient = zip(*drawn, strict=True)
    return np.array(labels), np.array(scores, dtype=float).T, np.array(patient)


def by_brute_force(targets: Labels, scores: Floats, patient: NDArray[np.int64]) -> Aurocs:
    """Obuchowski 1997, equations 3 to 6, written out pair by pair and patient by patient."""
    x, y = np.flatnonzero(targets == 1), np.flatnonzero(targets == 0)
    a, b = scores[:, x][:, :, None], scores[:, y][:, None, :]
    wins = (a > b) + 0.5 * (a == b)
    values, v10, v01 = wins.mean(axis=(1, 2)), wins.mean(axis=2), wins.mean(axis=1)
    patients = sorted(set(patient.tolist()))
    count = len(patients)
    rungs, m, n = len(scores), len(x), len(y)
    covariance = np.zeros((rungs, rungs))
    for r in range(rungs):
        for s in range(rungs):
            s10, s01, s11 = 0.0, 0.0, 0.0
            for p in patients:
                of_x, of_y = patient[x] == p, patient[y] == p
                x_r, x_s = (v10[k, of_x].sum() - of_x.sum() * values[k] for k in (r, s))
                y_r, y_s = (v01[k, of_y].sum() - of_y.sum() * values[k] for k in (r, s))
                s10, s01, s11 = s10 + x_r * x_s, s01 + y_r * y_s, s11 + x_r * y_s + x_s * y_r
            i10, i01 = len(set(patient[x])), len(set(patient[y]))
            s10 *= i10 / ((i10 - 1) * m)
            s01 *= i01 / ((i01 - 1) * n)
            covariance[r, s] = s10 / m + s01 / n + count / (count - 1) * s11 / (m * n)
    return Aurocs(values, covariance)


@LAW
@given(clustered())
def test_cases_within_patients_by_brute_force(cases: Clustered) -> None:
    found, expected = delong(*cases), by_brute_force(*cases)
    assert_allclose(found.values, expected.values, rtol=0, atol=1e-12)
    assert_allclose(found.covariance, expected.covariance, rtol=0, atol=1e-12)
    assert found.reason is None


@LAW
@given(clustered())
def test_cases_of_their_own_by_brute_force(cases: Clustered) -> None:
    targets, scores, _ = cases
    found = delong(targets, scores)
    expected = by_brute_force(targets, scores, np.arange(len(targets)))
    assert_allclose(found.covariance, expected.covariance, rtol=0, atol=1e-12)
    # DeLong et al. 1988 as they wrote it
    x, y = scores[:, targets == 1][:, :, None], scores[:, targets == 0][:, None, :]
    wins = (x > y) + 0.5 * (x == y)
    written = np.cov(wins.mean(axis=2)) / x.shape[1] + np.cov(wins.mean(axis=1)) / y.shape[2]
    assert_allclose(found.covariance, written, rtol=0, atol=1e-12)


@LAW
@given(clustered())
def test_values_are_those_of_the_metric(cases: Clustered) -> None:
    targets, scores, _ = cases
    expected = [plain(auroc(targets, row), len(targets)) for row in scores]
    assert_allclose(delong(*cases).values, expected, rtol=0, atol=1e-12)


@LAW
@given(clustered())
def test_order_and_numbers_of_patients_do_not_matter(cases: Clustered) -> None:
    targets, scores, patient = cases
    order = np.random.default_rng(len(targets)).permutation(len(targets))
    found = delong(targets[order], scores[:, order], 1000 - 7 * patient[order])
    assert_allclose(found.covariance, delong(*cases).covariance, rtol=0, atol=1e-12)


@LAW
@given(clustered())
def test_no_contrast_has_a_negative_variance(cases: Clustered) -> None:
    assert np.linalg.eigvalsh(delong(*cases).covariance).min() >= -1e-12


@pytest.mark.parametrize("seed", range(4))
def test_variance_equals_that_of_confidenceinterval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.repeat([0, 1], [60, 25]))
    scores = np.round(rng.normal(targets), 1)
    value, variance = delong_roc_variance(targets, scores)
    found = delong(targets, scores[None])
    assert_allclose(found.values[0], value, rtol=0, atol=1e-6)
    # it keeps midranks in single precision
    assert_allclose(found.covariance[0, 0], variance, rtol=0, atol=1e-6)


def test_the_ovarian_cancer_patients_as_sas_has_them() -> None:
    # SAS/STAT, PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves"
    scores = np.stack([OVARIAN[:, 0], OVARIAN[:, 1], 10 - OVARIAN[:, 2]])
    found = delong(OVARIAN[:, 3].astype(np.int64), scores)
    assert_allclose(found.values, [0.7366, 0.6478, 0.7258], rtol=0, atol=5e-5)
    errors = np.sqrt(np.diag(found.covariance))
    assert_allclose(errors, [0.0927, 0.1000, 0.1028], rtol=0, atol=5e-5)
    expected = [[0.5549, 0.9182], [0.4518, 0.8439], [0.5243, 0.9273]]
    assert_allclose(normal_intervals(found), expected, rtol=0, atol=6e-5)
    albumin, protein = (auroc_difference(found, first, 2) for first in (0, 1))
    assert_allclose(
        [albumin.value, albumin.low, albumin.high, albumin.p],
        [0.0108, -0.1761, 0.1976, 0.9102],
        rtol=0,
        atol=5e-5,
    )
    assert_allclose(
        [protein.value, protein.low, protein.high, protein.p],
        [-0.0780, -0.2830, 0.1271, 0.4561],
        rtol=0,
        atol=5e-5,
    )


def test_by_hand() -> None:
    # positives 3 and 1 against negatives 2 and 0: wins 1 1 / 0 1
    found = delong(np.array([1, 1, 0, 0]), np.array([[3.0, 1.0, 2.0, 0.0]]))
    assert found.values[0] == 0.75
    # V10 = 1, 1/2 and V01 = 1/2, 1: variance 1/8 each, over 2 each
    assert found.covariance[0, 0] == pytest.approx(1 / 8)
    error = np.sqrt(1 / 8)
    low = 0.75 - norm.ppf(0.975) * error
    assert_allclose(normal_intervals(found), [[low, 1.0]])
    width = norm.ppf(0.975) * error / (0.75 * 0.25)
    expected = expit([logit(0.75) - width, logit(0.75) + width])
    assert_allclose(logit_intervals(found), [expected])


def test_by_hand_within_patients() -> None:
    # patient 7: 3 (+) and 2 (-); patient 8: 1 (+) and 0 (-); deviations from 3/4 are
    # 1/4, -1/4 for the positives and -1/4, 1/4 for the negatives, so X = -Y and they cancel:
    # 2 · 1/8 / 4 + 2 · 1/8 / 4 - 2 · 2 · 1/8 / 4 = 0
    scores, targets = np.array([[3.0, 1.0, 2.0, 0.0]]), np.array([1, 1, 0, 0])
    assert delong(targets, scores, np.array([7, 8, 7, 8])).covariance[0, 0] == pytest.approx(0)
    # the other way round X = Y: twice the variance of cases of their own
    crossed = delong(targets, scores, np.array([7, 8, 8, 7]))
    assert crossed.covariance[0, 0] == pytest.approx(2 / 8)


def test_a_missing_class_is_undefined() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]])
    for label, reason in ((0, "no positive case"), (1, "no negative case")):
        found = delong(np.full(3, label), scores)
        assert np.isnan(found.values).all()
        assert np.isnan(found.covariance).all()
        assert found.reason == reason
        assert np.isnan(logit_intervals(found)).all()


@pytest.mark.parametrize(
    ("targets", "patient", "reason"),
    [
        ([1, 0, 0, 0], None, "no variance: only one positive case"),
        ([1, 1, 1, 0], None, "no variance: only one negative case"),
        ([1, 1, 0, 0], [5, 5, 6, 7], "no variance: only one patient with a positive case"),
        ([1, 1, 0, 0], [5, 6, 7, 7], "no variance: only one patient with a negative case"),
    ],
)
def test_one_patient_of_a_class_has_a_value_but_no_variance(
    targets: list[int], patient: list[int] | None, reason: str
) -> None:
    scores = np.array([[0.4, 0.3, 0.2, 0.35]])
    found = delong(np.array(targets), scores, None if patient is None else np.array(patient))
    assert np.isfinite(found.values).all()
    assert np.isnan(found.covariance).all()
    assert found.reason == reason
    assert np.isnan(logit_intervals(found)).all()


def test_without_spread_there_is_no_interval() -> None:
    targets = np.array([1, 1, 0, 0])
    found = delong(targets, np.array([[4.0, 3, 2, 1], [1.0, 2, 3, 4], [8.0, 7, 6, 5]]))
    assert found.values.tolist() == [1, 0, 1]
    assert np.isnan(logit_intervals(found)).all()


def test_the_same_order_has_the_same_variance_whatever_the_scale() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], 30)
    scores = rng.normal(targets)
    covariance = delong(targets, np.stack([scores, np.exp(scores)])).covariance
    assert_allclose(covariance, np.full((2, 2), covariance[0, 0]), rtol=1e-12)


@LAW
@given(clustered())
def test_intervals_hold_the_value_and_stay_inside_the_range(cases: Clustered) -> None:
    found = delong(*cases)
    ends = logit_intervals(found)
    defined = np.isfinite(ends).all(axis=1)
    spread = np.diag(found.covariance) > 1e-12
    assert (defined == (spread & ((found.values > 0) & (found.values < 1)))).all()
    assert (ends[defined, 0] <= found.values[defined] + 1e-12).all()
    assert (found.values[defined] <= ends[defined, 1] + 1e-12).all()
    assert ((ends[defined] >= 0) & (ends[defined] <= 1)).all()


def test_only_the_logit_interval_keeps_away_from_the_edge() -> None:
    scores = np.array([[4.0, 3.0, 1.5, 2.0, 1.0, 0.0]])
    found = delong(np.array([1, 1, 1, 0, 0, 0]), scores)
    assert normal_intervals(found)[0, 1] == 1
    assert found.values[0] < logit_intervals(found)[0, 1] < 1


def test_the_bootstrap_has_the_same_spread() -> None:
    rng = np.random.default_rng(2)
    targets, scores, patient = two_sided_patients(rng, 300)
    names = [f"p{p:04d}" for p in patient]
    draws = draw_replicates(names, 2000, 0, "a").values(
        auroc(targets, scores), np.ones(len(targets), dtype=bool)
    )
    error = np.sqrt(delong(targets, scores[None], patient).covariance[0, 0])
    assert draws[1:].std() == pytest.approx(error, rel=0.06)


def two_sided_patients(
    rng: np.random.Generator, patients: int, each: int = 6, likeness: float = 0.6
) -> Clustered:
    """Patients with positive and negative cases; those of one class are alike, the two are not.

    So no pair knows whether it lies within a patient, and the true AUROC is Φ(d / √2), d = 1.
    """
    patient = np.repeat(np.arange(patients), each)
    targets = (rng.random(len(patient)) < 0.4).astype(np.int64)
    shared = rng.normal(size=(patients, 2))[patient, targets]
    own = rng.normal(size=len(patient))
    return targets, targets + np.sqrt(likeness) * shared + np.sqrt(1 - likeness) * own, patient


@pytest.mark.slow
def test_clustered_intervals_hold_the_truth_where_plain_ones_do_not() -> None:
    truth, trials = true_auroc(1.0), 1000
    holding = np.zeros((2, 2))
    for seed in range(trials):
        targets, scores, patient = two_sided_patients(np.random.default_rng(seed), 60)
        for place, units in enumerate((patient, None)):
            found = delong(targets, scores[None], units)
            for kind, ends in enumerate((normal_intervals(found), logit_intervals(found))):
                holding[place, kind] += ends[0, 0] <= truth <= ends[0, 1]
    rates = holding / trials
    print(f"clustered, plain x normal, logit: {rates.tolist()}")
    assert ((rates[0] >= 0.93) & (rates[0] <= 0.97)).all()
    assert (rates[1] < 0.85).all()


@pytest.mark.slow
def test_the_p_value_of_a_clustered_difference_is_as_rare_as_promised() -> None:
    trials, small = 1000, 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        targets, scores, patient = two_sided_patients(rng, 60)
        both = scores + 0.7 * rng.normal(size=(2, len(scores)))
        small += auroc_difference(delong(targets, both, patient), 0, 1).p <= 0.05
    assert small / trials == pytest.approx(0.05, abs=0.02)


def test_a_hundred_thousand_cases_take_no_pairs() -> None:
    # 2.5 billion pairs would not fit into memory
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1], 50_000)
    found = delong(targets, rng.normal(targets)[None], np.arange(100_000) // 4)
    assert found.values[0] == pytest.approx(true_auroc(1.0), abs=0.005)
