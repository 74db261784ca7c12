"""Calibration error and macro AUROC equal torchmetrics' where both define the same thing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.metrics.drawn_cases import LAW, plain
from tests.metrics.plain_versions import reliability_curve
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
    multilabel_auroc,
    multilabel_average_precision,
)

from medtransfer.metrics.calibration import (
    bin_numbers,
    calibration_error,
    classwise_calibration_error,
    in_bins,
)
from medtransfer.metrics.cases import Order
from medtransfer.metrics.discrimination import auroc, auroc_of, average_precision_of

SINGLE = {"rtol": 0, "atol": 5e-7}
"""torchmetrics works in single precision where it takes the top class and in its ROC curves."""
inside_bins = st.tuples(st.integers(0, 1), st.integers(0, 14), st.integers(1, 99)).map(
    lambda d: (d[0], (d[1] + d[2] / 100) / 15)
)
"""Truth and a confidence that is not on the edge of a bin, where the two differ (see below)."""


@LAW
@given(drawn=st.lists(inside_bins, min_size=1, max_size=40))
def test_binary_calibration_error(drawn: list[tuple[int, float]]) -> None:
    truth, sure = (np.array(column) for column in zip(*drawn, strict=True))
    found = plain(calibration_error(in_bins(truth.astype(float), sure)), len(truth))
    expected = binary_calibration_error(torch.tensor(sure), torch.tensor(truth), n_bins=15)
    assert_allclose(found, float(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_error_of_the_top_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.gamma(0.5, size=(80, 5))
    probabilities, classes = raw / raw.sum(axis=1, keepdims=True), rng.integers(0, 5, size=80)
    right = probabilities.argmax(axis=1) == classes
    found = plain(calibration_error(in_bins(right.astype(float), probabilities.max(axis=1))), 80)
    expected = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(classes), num_classes=5, n_bins=15
    )
    assert_allclose(found, float(expected), **SINGLE)


@pytest.mark.parametrize("seed", range(3))
def test_class_by_class_it_is_the_mean_of_the_classes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.gamma(0.5, size=(80, 5))
    probabilities, classes = raw / raw.sum(axis=1, keepdims=True), rng.integers(0, 5, size=80)
    found = plain(classwise_calibration_error(classes, probabilities), 80)
    each = [
        float(
            binary_calibration_error(
                torch.tensor(probabilities[:, c]), torch.tensor(classes == c).int(), n_bins=15
            )
        )
        for c in range(5)
    ]
    assert_allclose(found, np.mean(each), **SINGLE)


def test_bins_are_closed_above_where_torchmetrics_closes_them_below() -> None:
    # Guo et al. 2017 have bins (a, b]; torchmetrics has [a, b), and an extra bin for exactly 1
    edges = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert bin_numbers(edges).tolist() == [0, 2, 5, 8, 11, 14]
    assert bin_numbers(np.nextafter(edges[1:-1], 1)).tolist() == [3, 6, 9, 12]
    truth, sure = np.array([1.0, 0.0]), np.array([0.2, 0.19])
    ours = plain(calibration_error(in_bins(truth, sure)), 2)
    theirs = binary_calibration_error(torch.tensor(sure), torch.tensor(truth).int(), n_bins=15)
    assert ours == pytest.approx((0.8 - 0.19) / 2)
    assert float(theirs) == pytest.approx((0.8 + 0.19) / 2)


def test_calibration_error_is_the_count_weighted_gap_of_the_reliability_curve() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(300)
    truth = (rng.random(300) < sure**2).astype(float)
    confidence, share, counts = reliability_curve(truth, sure)
    assert counts.sum() == 300
    gap = np.nansum(counts / 300 * np.abs(share - confidence))
    assert_allclose(plain(calibration_error(in_bins(truth, sure)), 300), gap, rtol=0, atol=1e-12)


def test_an_empty_bin_of_the_reliability_curve_is_undefined() -> None:
    confidence, share, counts = reliability_curve(np.array([1.0]), np.array([0.5]))
    assert np.flatnonzero(counts).tolist() == [7]
    assert np.isfinite(confidence).sum() == np.isfinite(share).sum() == 1


def test_macro_averages_of_several_targets() -> None:
    rng = np.random.default_rng(5)
    truth = (rng.random((150, 3)) < [0.5, 0.2, 0.1]).astype(np.int64)
    logits = np.round(rng.normal(1.5 * truth), 1)
    for ours, theirs in (
        (auroc_of, multilabel_auroc),
        (average_precision_of, multilabel_average_precision),
    ):
        orders = [Order.of(logits[:, t], truth[:, t] == 1) for t in range(3)]
        found = np.mean([plain(ours(order.ranking), 150) for order in orders])
        expected = theirs(torch.tensor(logits), torch.tensor(truth), 3, average="macro")
        assert_allclose(found, float(expected), **SINGLE)


@pytest.mark.filterwarnings("ignore:No positive samples in targets")
def test_an_absent_class_is_undefined_where_torchmetrics_says_zero() -> None:
    logits, truth = np.array([[0.3, 1.0], [0.1, -1.0]]), np.array([[0, 1], [0, 0]])
    theirs = multilabel_auroc(torch.tensor(logits), torch.tensor(truth), 2, average="none")
    assert theirs.tolist() == [0, 1]
    assert np.isnan(plain(auroc(truth[:, 0], logits[:, 0]), 2))
    assert plain(auroc(truth[:, 1], logits[:, 1]), 2) == 1
