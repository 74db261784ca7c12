"""Discrimination and proper scores equal scikit-learn's where both define the same thing."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from tests.metrics.drawn_cases import LAW, drawn_classes, drawn_targets, plain, value

from medtransfer.metrics.catalog import ClassCases, TargetCases
from medtransfer.metrics.discrimination import (
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    operating_threshold,
    sensitivity,
    specificity,
    top_k_accuracy,
)

EXACT = {"rtol": 0, "atol": 1e-9}


def weights_for(data: st.DataObject, cases: TargetCases) -> np.ndarray:
    count = len(cases.targets)
    drawn = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    weights = np.array(data.draw(drawn), dtype=np.float64)
    assume(all((weights * (cases.targets == label)).sum() > 0 for label in (0, 1)))
    return weights


@LAW
@given(cases=drawn_targets(), data=st.data())
def test_auroc_with_ties_and_weights(cases: TargetCases, data: st.DataObject) -> None:
    assert_allclose(value("auroc", cases), roc_auc_score(cases.targets, cases.logits), **EXACT)
    weights = weights_for(data, cases)
    found = auroc(cases.targets, cases.logits)(weights[None])[0]
    expected = roc_auc_score(cases.targets, cases.logits, sample_weight=weights)
    assert_allclose(found, expected, **EXACT)


@LAW
@given(cases=drawn_targets(), data=st.data())
def test_average_precision_with_ties_and_weights(cases: TargetCases, data: st.DataObject) -> None:
    expected = average_precision_score(cases.targets, cases.logits)
    assert_allclose(value("auprc", cases), expected, **EXACT)
    weights = weights_for(data, cases)
    found = average_precision(cases.targets, cases.logits)(weights[None])[0]
    expected = average_precision_score(cases.targets, cases.logits, sample_weight=weights)
    assert_allclose(found, expected, **EXACT)


@LAW
@given(cases=drawn_targets(), data=st.data())
def test_decisions_of_a_binary_target(cases: TargetCases, data: st.DataObject) -> None:
    weights = weights_for(data, cases)
    decided = cases.probabilities >= 0.5
    truth = cases.targets
    share = accuracy(truth, decided)(weights[None])[0]
    assert_allclose(share, accuracy_score(truth, decided, sample_weight=weights), **EXACT)
    balanced = balanced_accuracy(truth, decided.astype(np.int64))(weights[None])[0]
    expected = balanced_accuracy_score(truth, decided, sample_weight=weights)
    assert_allclose(balanced, expected, **EXACT)
    for label, metric in ((1, sensitivity), (0, specificity)):
        found = metric(truth, decided)(weights[None])[0]
        expected = recall_score(truth, decided, pos_label=label, sample_weight=weights)
        assert_allclose(found, expected, **EXACT)


@LAW
@given(cases=drawn_targets())
def test_proper_scores_of_a_binary_target(cases: TargetCases) -> None:
    expected = log_loss(cases.targets, cases.probabilities, labels=[0, 1])
    assert_allclose(value("nll", cases), expected, **EXACT)
    expected = brier_score_loss(cases.targets, cases.probabilities)
    assert_allclose(value("brier", cases), expected, **EXACT)
    expected = brier_score_loss(cases.targets, cases.scaled)
    assert_allclose(value("brier_scaled", cases), expected, **EXACT)


@LAW
@given(cases=drawn_classes())
def test_proper_scores_of_several_classes(cases: ClassCases) -> None:
    labels = [0, 1, 2, 3]
    expected = log_loss(cases.classes, cases.probabilities, labels=labels)
    assert_allclose(value("nll", cases), expected, **EXACT)
    expected = brier_score_loss(
        cases.classes, cases.probabilities, labels=labels, scale_by_half=False
    )
    assert_allclose(value("brier", cases), expected, **EXACT)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@LAW
@given(cases=drawn_classes())
def test_decisions_of_several_classes(cases: ClassCases) -> None:
    decided = cases.probabilities.argmax(axis=1)
    assert_allclose(value("accuracy", cases), accuracy_score(cases.classes, decided), **EXACT)
    expected = balanced_accuracy_score(cases.classes, decided)
    assert_allclose(value("balanced_accuracy", cases), expected, **EXACT)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_top_k_accuracy_without_ties(k: int) -> None:
    rng = np.random.default_rng(k)
    classes, logits = rng.integers(0, 7, size=60), rng.normal(size=(60, 7))
    found = plain(top_k_accuracy(classes, softmax(logits, axis=1), k), 60)
    expected = top_k_accuracy_score(classes, logits, k=k, labels=np.arange(7))
    assert_allclose(found, expected, **EXACT)


def test_top_k_accuracy_gives_ties_to_the_lower_class_as_argmax_does() -> None:
    # scikit-learn gives them to the higher class, which disagrees with argmax for k = 1
    classes, level = np.array([0, 1, 2]), np.full((3, 3), 1 / 3)
    assert plain(top_k_accuracy(classes, level, 1), 3) == 1 / 3
    assert plain(top_k_accuracy(classes[:1], level[:1], 1), 1) == 1
    assert top_k_accuracy_score(classes[2:], level[2:], k=1, labels=[0, 1, 2]) == 1


def test_surer_logits_than_a_probability_can_hold_keep_their_loss_and_their_order() -> None:
    # sigmoid(800) is 1 in double precision: scikit-learn, given probabilities, clips the loss
    targets, logits = np.array([0, 1]), np.array([800.0, 801.0])
    cases = TargetCases(targets, logits, expit(logits))
    assert value("nll", cases) == pytest.approx(400)
    assert value("auroc", cases) == 1
    assert roc_auc_score(targets, expit(logits)) == 0.5


@pytest.mark.parametrize("point", ["sens90", "spec80", "youden"])
def test_no_operating_point_without_both_classes(point: str) -> None:
    scores = np.array([0.2, 0.4])
    assert operating_threshold(np.array([1, 1]), scores, point) is None
    assert operating_threshold(np.array([0, 0]), scores, point) is None
    assert operating_threshold(np.array([], dtype=np.int64), np.array([]), point) is None
