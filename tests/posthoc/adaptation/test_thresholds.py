"""Operating points at another hospital."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.posthoc.adaptation.thresholds import (
    NO_GUARANTEE,
    expected_threshold,
    observed_threshold,
)

POINTS = ["sens90", "sens50", "spec80", "youden", "recall20"]


@pytest.mark.parametrize("point", POINTS)
@given(seed=st.integers(0, 10_000), number=st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_certain_probabilities_give_the_threshold_of_labels(
    point: str, seed: int, number: int
) -> None:
    """Cases of probability 1 or 0 are positives and negatives, and both rules agree."""
    rng = np.random.default_rng(seed)
    targets = np.r_[0, 1, rng.integers(0, 2, number)]
    certain = targets.astype(np.float64)
    expected = operating_threshold(targets, certain, point)
    assert expected_threshold(certain, point).threshold == expected


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_expected_sensitivity_is_reached_and_no_higher_threshold_reaches_it(seed: int) -> None:
    p = np.random.default_rng(seed).beta(1, 3, 50).round(2)
    threshold = expected_threshold(p, "sens90").threshold
    assert threshold is not None
    assert p[p >= threshold].sum() / p.sum() >= 0.9 - 1e-9
    higher = p[p > threshold]
    assert higher.sum() / p.sum() < 0.9


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_expected_specificity_is_reached_by_no_lower_threshold(seed: int) -> None:
    p = np.random.default_rng(seed).beta(1, 3, 50).round(2)
    threshold = expected_threshold(p, "spec80").threshold
    assert threshold is not None
    assert (1 - p[p < threshold]).sum() / (1 - p).sum() >= 0.8 - 1e-9
    lower = p[p < threshold]
    assert (1 - p[p < lower.max(initial=0)]).sum() / (1 - p).sum() < 0.8


def test_a_guarantee_needs_labels() -> None:
    p = np.linspace(0.01, 0.99, 200)
    assert expected_threshold(p, "sens90-sure").reason == NO_GUARANTEE
    targets = (p > 0.5).astype(np.int64)
    sure = observed_threshold(targets, p, np.arange(200), "sens90-sure")
    plain = observed_threshold(targets, p, np.arange(200), "sens90")
    assert sure.threshold is not None
    assert plain.threshold is not None
    assert sure.threshold < plain.threshold


def test_a_missing_class_has_its_reason() -> None:
    p, nobody = np.array([0.2, 0.4]), np.zeros(2, dtype=np.int64)
    lacking = observed_threshold(nobody, p, np.arange(2), "sens90")
    assert lacking.threshold is None
    assert lacking.reason == "no threshold: the labelled cases lack a class"
    sure = observed_threshold(nobody, p, np.arange(2), "sens90-sure")
    assert sure.reason == "no threshold: 0 local patients with a positive case, 29 needed"
    assert expected_threshold(np.zeros(3), "sens90").threshold is None
    assert expected_threshold(np.zeros(0), "sens90").reason == "no threshold: there is no case"
