"""Agreement of readers, against scikit-learn, statsmodels and a published example."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from medtransfer.evaluation.comparison.readers.agreement import (
    agreement_interval,
    krippendorff_alpha,
    pair_kappa,
)
from medtransfer.metrics.weighted import SubgroupMetrics, evaluate_replicates
from medtransfer.statistics.bootstrap import draw_replicates

NONE = -1
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Krippendorff 2011, example C: four observers, twelve units, nominal alpha 0.743."""


def test_alpha_is_that_of_the_published_example() -> None:
    rows = [line.split() for line in KRIPPENDORFF.strip().splitlines()]
    codes = np.array([[NONE if cell == "." else int(cell) - 1 for cell in row] for row in rows])
    assert krippendorff_alpha(codes, 5)(np.ones((1, 12)))[0] == pytest.approx(0.743, abs=5e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 5))
def test_alpha_of_complete_readings_is_fleiss_kappa_but_for_the_small_sample(
    seed: int, classes: int, readers: int
) -> None:
    """α = κ + (1 - κ) / (n R), by both definitions of chance."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, (readers, 40))
    fleiss = fleiss_kappa(aggregate_raters(codes.T)[0])
    expected = fleiss + (1 - fleiss) / codes.size
    assert krippendorff_alpha(codes, classes)(np.ones((1, 40)))[0] == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_kappa_is_that_of_scikit_learn_with_weights_too(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.integers(0, classes, 30)
    other = np.where(rng.random(30) < 0.6, one, rng.integers(0, classes, 30))
    weights = rng.integers(0, 3, (1, 30)).astype(float)
    found = pair_kappa(one, other, classes)(weights)[0]
    expected = cohen_kappa_score(one, other, sample_weight=weights[0])
    assert found == pytest.approx(expected, nan_ok=True)


def test_cases_of_one_reader_count_for_nothing_and_one_class_alone_has_no_agreement() -> None:
    codes = np.array([[0, 1, 0, 1], [0, 1, 1, NONE]])
    without = krippendorff_alpha(codes[:, :3], 2)(np.ones((1, 3)))[0]
    assert krippendorff_alpha(codes, 2)(np.ones((1, 4)))[0] == pytest.approx(without)
    assert np.isnan(krippendorff_alpha(np.zeros((2, 4), dtype=int), 2)(np.ones((1, 4)))[0])


def drawn(
    rng: np.random.Generator, cases: int, prevalence: float, a_patient: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patients and readings of three readers, right in 90, 90 and 80 %; truth is the patient's."""
    patient = np.repeat(np.arange(cases // a_patient), a_patient)
    truth = (rng.random(cases // a_patient) < prevalence)[patient]
    right = rng.random((3, len(truth))) < np.array([[0.9], [0.9], [0.8]])
    return patient, np.where(right, truth, ~truth).astype(np.int64)


def test_few_patients_with_the_rarer_class_have_no_interval() -> None:
    patient, codes = drawn(np.random.default_rng(0), 60, 0.5, 1)
    values = np.linspace(0.3, 0.7, 101)
    assert agreement_interval(values, codes, patient) is not None
    rare = np.zeros_like(codes)
    rare[0, :9] = 1
    assert agreement_interval(values, rare, patient) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cases", "prevalence", "a_patient"),
    [(50, 0.5, 1), (100, 0.5, 1), (100, 0.1, 1), (300, 0.1, 1), (100, 0.3, 2)],
)
def test_intervals_of_agreement_hold_the_truth(
    cases: int, prevalence: float, a_patient: int
) -> None:
    """1,000 data sets each; the table of docs/explanation/intervals.md."""
    rng = np.random.default_rng(1)
    _, many = drawn(rng, 400_000, prevalence, a_patient)
    ones = np.ones((1, many.shape[1]))
    truths = [pair_kappa(many[0], many[1], 2)(ones)[0], krippendorff_alpha(many, 2)(ones)[0]]
    held, given = np.zeros(2), np.zeros(2)
    for number in range(1000):
        patient, codes = drawn(rng, cases, prevalence, a_patient)
        replicates = draw_replicates(patient.astype(str), 400, number, "a")
        bound = (pair_kappa(codes[0], codes[1], 2), krippendorff_alpha(codes, 2))
        part = SubgroupMetrics(replicates.patient, bound)
        found = evaluate_replicates([part], replicates.blocks(), threads=1)[0]
        for k, (values, of_case) in enumerate(zip(found, (codes[:2], codes), strict=True)):
            ends = agreement_interval(values, of_case, patient)
            if ends is not None:
                given[k] += 1
                held[k] += ends[0] <= truths[k] <= ends[1]
    print(cases, prevalence, a_patient, held / given, given)
    assert ((held / given) > 0.92).all()
    assert ((held / given) < 0.975).all()
