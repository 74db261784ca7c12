"""What is gained by answering only the certain cases, by hand and by brute force."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.special import softmax, xlogy
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score
from tests.metrics.drawn_cases import (
    LAW,
    bound,
    class_cases,
    drawn_targets,
    every_value,
    plain,
    target_cases,
    value,
    weights_of,
)

from medtransfer.metrics.cases import ClassCases, TargetCases
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.selective import (
    aurc,
    coverage_at_risk,
    margin,
    negative_entropy,
    retained_accuracy,
    risk_coverage_scan,
)

EXACT = {"rtol": 0, "atol": 1e-9}


def untied(seed: int, count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Confidences of which no two are equal, and whether the answers are right."""
    rng = np.random.default_rng(seed)
    confidence = rng.permutation(np.linspace(0.5, 1, count))
    return confidence, rng.random(count) < confidence


@pytest.mark.parametrize("seed", range(5))
def test_area_is_the_mean_over_coverages_of_the_risk(seed: int) -> None:
    # as torch-uncertainty's AURC before it is divided by 1 - 1/n
    confidence, right = untied(seed, 40)
    wrong = ~right[np.argsort(-confidence)]
    risks = np.cumsum(wrong) / np.arange(1, 41)
    assert_allclose(plain(aurc(risk_coverage_scan(confidence, right)), 40), risks.mean(), **EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_generalised_area_is_the_trapezoid_of_fd_shifts(seed: int) -> None:
    # Traub et al. 2024: errors among the accepted over all cases, integrated over coverage
    confidence, correct = untied(seed, 60)
    wrong = ~correct[np.argsort(-confidence)]
    risks = np.append(0, np.cumsum(wrong)) / 60
    expected = np.trapezoid(risks, np.linspace(0, 1, 61))
    classes = np.where(correct, 0, 1)
    cases = ClassCases(classes, np.zeros((60, 2)), np.stack([confidence, np.zeros(60)], axis=1))
    assert value("augrc", cases) == pytest.approx(expected, abs=1e-12)
    accuracy, separation = correct.mean(), value("calibration_auroc", cases)
    closed = (1 - separation) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert value("augrc", cases) == pytest.approx(closed, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_risks_and_coverages_are_read_off_the_sorted_cases(seed: int) -> None:
    confidence, right = untied(seed, 40)
    scan = risk_coverage_scan(confidence, right)
    wrong = ~right[np.argsort(-confidence)]
    assert_allclose(plain(retained_accuracy(scan), 40), 1 - wrong[:32].mean(), **EXACT)
    risks = np.cumsum(wrong) / np.arange(1, 41)
    within = np.flatnonzero(risks <= 0.05)
    expected = (within[-1] + 1) / 40 if len(within) else 0
    assert_allclose(plain(coverage_at_risk(scan), 40), expected, **EXACT)


def test_one_error_in_twenty_is_five_percent() -> None:
    right = np.arange(21) % 20 < 19  # the 20th is wrong
    scan = risk_coverage_scan(np.arange(21.0, 0, -1), right)
    assert plain(coverage_at_risk(scan), 21) == 1
    right[20] = False
    assert plain(coverage_at_risk(risk_coverage_scan(np.arange(21.0, 0, -1), right)), 21) == 20 / 21


def test_the_share_at_the_edge_is_taken_in_part() -> None:
    # 80 % of three are 2.4: the two certain ones and 0.4 of the wrong one
    scan = risk_coverage_scan(np.array([3.0, 2, 1]), np.array([True, True, False]))
    assert_allclose(plain(retained_accuracy(scan), 3), 2 / 2.4, **EXACT)


def test_cases_that_are_equally_certain_come_in_together() -> None:
    scan = risk_coverage_scan(np.array([2.0, 1, 1, 1]), np.array([True, False, True, False]))
    # at coverage ¼ no risk; at all others the run is in as a whole
    assert_allclose(plain(aurc(scan), 4), 0.75 * 2 / 4, **EXACT)
    assert_allclose(plain(retained_accuracy(scan), 4), 1 - (2.2 * 2 / 3) / 3.2, **EXACT)
    assert plain(coverage_at_risk(scan), 4) == 0.25


def with_oracle(cases: TargetCases, deferred: NDArray[np.int64]) -> float:
    """AUROC after the scores of some cases were replaced by the truth."""
    scores = cases.logits.copy()
    scores[deferred] = np.where(cases.targets[deferred] == 1, 1e9, -1e9)
    return float(roc_auc_score(cases.targets, scores))


@pytest.mark.parametrize("seed", range(6))
def test_an_oracle_for_the_least_certain_tenth(seed: int) -> None:
    # Kivlichan et al. 2021, oracle-collaborative AUROC; no two cases are equally certain
    rng = np.random.default_rng(seed)
    logits = rng.permutation(np.linspace(0.01, 4, 60)) * rng.choice([-1, 1], 60)
    cases = target_cases((rng.random(60) < 0.4).astype(np.int64), logits)
    deferred = np.argsort(cases.confidence)[:6]
    assert_allclose(value("auroc_oracle10", cases), with_oracle(cases, deferred), **EXACT)
    kept = np.argsort(-cases.confidence)[:48]
    expected = roc_auc_score(cases.targets[kept], cases.logits[kept])
    assert_allclose(value("auroc_at_coverage80", cases), expected, **EXACT)


@LAW
@given(cases=drawn_targets(), data=st.data())
def test_an_oracle_with_ties_and_weights_pair_by_pair(
    cases: TargetCases, data: st.DataObject
) -> None:
    # of equally certain cases at the edge the same part of each is deferred
    weights = data.draw(weights_of(len(cases)))
    assume(all((weights * (cases.targets == label)).sum() > 0 for label in (0, 1)))
    found = bound("auroc_oracle10", cases)(weights[None])[0]
    scores, truth = cases.logits, cases.targets
    order = np.unique(cases.confidence)[::-1]
    room, kept = 0.9 * weights.sum(), np.zeros(len(weights))
    for level in order:
        run = cases.confidence == level
        kept[run] = min(1.0, max(0.0, room / max(weights[run].sum(), 1e-12)))
        room -= weights[run].sum()
    won = 0.0
    for i in np.flatnonzero(truth == 1):
        for j in np.flatnonzero(truth == 0):
            alone = float(scores[i] > scores[j]) + 0.5 * float(scores[i] == scores[j])
            both = kept[i] * kept[j]
            won += weights[i] * weights[j] * (both * alone + 1 - both)
    pairs = (weights * (truth == 1)).sum() * (weights * (truth == 0)).sum()
    assert_allclose(found, won / pairs, **EXACT)


@LAW
@given(cases=drawn_targets(), data=st.data())
def test_calibration_auroc_is_that_of_confidence_for_right_answers(
    cases: TargetCases, data: st.DataObject
) -> None:
    weights = data.draw(weights_of(len(cases)))
    right = (cases.probabilities >= 0.5) == (cases.targets == 1)
    found = every_value(cases, weights[None])["calibration_auroc"][0]
    if all((weights * (right == outcome)).sum() > 0 for outcome in (True, False)):
        confidence = np.maximum(cases.probabilities, 1 - cases.probabilities)
        assert_allclose(found, roc_auc_score(right, confidence, sample_weight=weights), **EXACT)
    else:
        assert np.isnan(found)


def test_the_retained_part_without_a_class_has_no_auroc() -> None:
    logits = np.array([5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 0.2, 0.1])
    cases = target_cases(np.array([1] * 8 + [0, 1]), logits)
    assert np.isnan(value("auroc_at_coverage80", cases))  # the certain eight are positives
    assert np.isfinite(value("auroc_oracle10", cases))


def test_three_ways_to_be_certain_of_a_class() -> None:
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    cases = class_cases(classes, logits)
    p = softmax(logits, axis=1)
    assert_allclose(negative_entropy(p), -entropy(p, axis=1), rtol=1e-12)
    assert np.array_equal(negative_entropy(p), xlogy(p, p).sum(axis=1))  # as before scipy's entr
    ordered = np.sort(p, axis=1)
    assert_allclose(margin(p), ordered[:, 3] - ordered[:, 2], rtol=1e-12)
    wrong = p.argmax(axis=1) != classes
    for name, certain in (
        ("aurc", p.max(axis=1)),
        ("aurc_entropy", -entropy(p, axis=1)),
        ("aurc_margin", ordered[:, 3] - ordered[:, 2]),
    ):
        risks = np.cumsum(wrong[np.argsort(-certain)]) / np.arange(1, 51)
        assert_allclose(value(name, cases), risks.mean(), **EXACT)


def test_entropy_of_a_certain_case_is_zero() -> None:
    assert_allclose(negative_entropy(np.array([[1.0, 0.0], [0.5, 0.5]])), [0, -np.log(2)])
