"""Thresholds are the best by brute force, and a case at the threshold is called positive."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.drawn_cases import LAW, drawn_targets, plain, weights_of

from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.metrics.thresholded import threshold_drift


def rates(cases: TargetCases, threshold: float) -> tuple[float, float]:
    """Sensitivity and specificity, counted."""
    called = [p >= threshold for p in cases.probabilities]
    pairs = list(zip(cases.targets.tolist(), called, strict=True))
    positives = [hit for y, hit in pairs if y == 1]
    negatives = [hit for y, hit in pairs if y == 0]
    return sum(positives) / len(positives), 1 - sum(negatives) / len(negatives)


def candidates(cases: TargetCases) -> list[float]:
    return sorted({*cases.probabilities.tolist(), 2.0})


def found(cases: TargetCases, point: str) -> float:
    threshold = operating_threshold(cases.targets, cases.probabilities, point)
    assert threshold is not None
    return threshold


@LAW
@given(cases=drawn_targets(), percent=st.sampled_from([50, 80, 90, 95]))
def test_sensitivity_point_is_the_largest_threshold_that_reaches_it(
    cases: TargetCases, percent: int
) -> None:
    reaching = [t for t in candidates(cases) if rates(cases, t)[0] * 100 >= percent - 1e-9]
    assert found(cases, f"sens{percent}") == max(reaching)


@LAW
@given(cases=drawn_targets(), percent=st.sampled_from([50, 80, 90, 95]))
def test_specificity_point_is_the_smallest_threshold_that_reaches_it(
    cases: TargetCases, percent: int
) -> None:
    reaching = [t for t in candidates(cases) if rates(cases, t)[1] * 100 >= percent - 1e-9]
    threshold = found(cases, f"spec{percent}")
    assert rates(cases, threshold) == rates(cases, min(reaching))


@LAW
@given(cases=drawn_targets())
def test_youden_point_has_the_largest_index_and_is_the_largest_of_its_kind(
    cases: TargetCases,
) -> None:
    index = {t: sum(rates(cases, t)) for t in candidates(cases)}
    best = [t for t, gain in index.items() if gain >= max(index.values()) - 1e-9]
    threshold = found(cases, "youden")
    assert rates(cases, threshold) == rates(cases, max(best))


@LAW
@given(cases=drawn_targets(), percent=st.sampled_from([5, 30, 80]))
def test_budget_point_is_the_smallest_threshold_that_calls_no_more(
    cases: TargetCases, percent: int
) -> None:
    keeping = [
        t for t in candidates(cases) if (cases.probabilities >= t).mean() * 100 <= percent + 1e-9
    ]
    called = cases.probabilities >= found(cases, f"recall{percent}")
    assert called.tolist() == (cases.probabilities >= min(keeping)).tolist()


def test_a_budget_needs_no_label_and_counts_rounding_out() -> None:
    scores = np.arange(20) / 20
    assert operating_threshold(np.zeros(20, dtype=np.int64), scores, "recall5") == scores[-1]
    assert operating_threshold(np.zeros(0, dtype=np.int64), np.zeros(0), "recall5") is None
    # two cases share the highest score: one of twenty may be called, so neither is
    tied = operating_threshold(np.zeros(20, dtype=np.int64), np.minimum(scores, 0.9), "recall5")
    assert tied is not None
    assert tied > 0.9


@pytest.mark.parametrize("count", range(10, 60, 10))
def test_nine_of_ten_positives_are_ninety_percent(count: int) -> None:
    # 0.9 * n is not exact in binary: the tenth must not be asked for on top
    scores = np.arange(count + 1) / 100
    targets = np.array([0] + [1] * count)
    threshold = operating_threshold(targets, scores, "sens90")
    assert threshold == scores[1 + count // 10]


def test_a_case_at_the_threshold_is_called_positive() -> None:
    targets, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.6, 0.9])
    assert operating_threshold(targets, scores, "sens90") == 0.6
    assert operating_threshold(targets, scores, "youden") == 0.6


def test_full_specificity_is_reached_above_every_score_where_a_negative_is_the_highest() -> None:
    targets, scores = np.array([1, 0]), np.array([0.2, 0.7])
    threshold = operating_threshold(targets, scores, "spec80")
    assert threshold is not None
    assert 0.7 < threshold < 0.7 + 1e-9


@LAW
@given(
    cases=drawn_targets(),
    point=st.sampled_from(["sens50", "sens90", "spec80", "spec95", "youden", "recall30"]),
)
def test_drift_is_the_threshold_of_these_cases_minus_the_one_that_is_carried(
    cases: TargetCases, point: str
) -> None:
    carried = dataclasses.replace(cases, thresholds={point: 0.25})
    drift = plain(threshold_drift(carried, point), len(cases))
    own = found(cases, point)
    if own > cases.probabilities.max():  # reached only by calling nobody
        assert np.isnan(drift)
    elif point.startswith("sens"):
        assert drift == own - 0.25
    else:
        assert rates(cases, drift + 0.25) == rates(cases, own)


@LAW
@given(
    cases=drawn_targets(),
    data=st.data(),
    point=st.sampled_from(["sens90", "spec80", "youden", "recall30"]),
)
def test_drift_of_a_replicate_is_that_of_the_cases_it_holds(
    cases: TargetCases, data: st.DataObject, point: str
) -> None:
    # a threshold between two scores of the replicate would be as good; it is none of them
    weights = data.draw(weights_of(len(cases)))
    drift = threshold_drift(cases, point)(weights[None])[0]
    copies = cases.take(np.repeat(np.arange(len(cases)), weights.astype(int)))
    if np.isnan(drift):
        assert np.isnan(plain(threshold_drift(copies, point), len(copies)))
    else:
        assert drift == plain(threshold_drift(copies, point), len(copies))
        assert np.abs(drift + cases.thresholds[point] - copies.probabilities).min() < 1e-12
