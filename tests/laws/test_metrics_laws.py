"""What every metric of the catalogue keeps to, whatever the cases."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tests.metrics.drawn_cases import (
    BOUND,
    LAW,
    OF_TARGETS,
    AnyCases,
    bound,
    class_cases,
    drawn,
    drawn_targets,
    taken,
    target_cases,
    truth_of,
    value,
)

from medtransfer.metrics.cases import ClassCases
from medtransfer.metrics.catalog import CATALOG
from medtransfer.metrics.kernels import Floats

every_metric = pytest.mark.parametrize(("name", "kind"), BOUND)
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
MONOTONE: tuple[Callable[[Floats], Floats], ...] = (
    lambda x: 2 * x + 1,
    lambda x: x**3 + x,
    np.arctan,
    lambda x: np.exp(x) - 40,
)


def weights_of(data: st.DataObject, count: int) -> Floats:
    draw = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    return np.array(data.draw(draw), dtype=np.float64)


def test_the_laws_leave_no_metric_out() -> None:
    assert {name for name, _ in BOUND} == set(CATALOG)


@every_metric
@LAW
@given(data=st.data())
def test_order_of_cases_does_not_matter(name: str, kind: str, data: st.DataObject) -> None:
    cases = data.draw(drawn(kind))
    order = np.array(data.draw(st.permutations(range(len(truth_of(cases))))))
    assert_allclose(value(name, taken(cases, order)), value(name, cases), **TOLERANCE)


@every_metric
@LAW
@given(data=st.data())
def test_counting_every_case_twice_changes_nothing(
    name: str, kind: str, data: st.DataObject
) -> None:
    cases = data.draw(drawn(kind))
    count = len(truth_of(cases))
    once = value(name, cases)
    doubled = bound(name, cases)(np.full((1, count), 2.0))[0]
    assert_allclose(doubled, once, **TOLERANCE)
    assert_allclose(value(name, taken(cases, np.repeat(np.arange(count), 2))), once, **TOLERANCE)


@every_metric
@LAW
@given(data=st.data())
def test_a_whole_weight_is_that_many_copies(name: str, kind: str, data: st.DataObject) -> None:
    cases = data.draw(drawn(kind))
    weights = weights_of(data, len(truth_of(cases)))
    rows = np.repeat(np.arange(len(weights)), weights.astype(np.int64))
    weighted = bound(name, cases)(weights[None])[0]
    class_missing = set(truth_of(cases)[rows]) != set(truth_of(cases))
    if not len(rows) or (CATALOG[name].needs == "both" and class_missing):
        assert np.isnan(weighted)
    else:
        assert_allclose(weighted, value(name, taken(cases, rows)), **TOLERANCE)


@every_metric
@LAW
@given(data=st.data())
def test_many_replicates_at_once_are_the_replicates_one_by_one(
    name: str, kind: str, data: st.DataObject
) -> None:
    cases = data.draw(drawn(kind))
    count = len(truth_of(cases))
    weights = np.stack([weights_of(data, count) for _ in range(4)])
    metric = bound(name, cases)
    one_by_one = np.concatenate([metric(row[None]) for row in weights])
    assert metric(weights).shape == (4,)
    assert_allclose(metric(weights), one_by_one, **TOLERANCE)


@every_metric
@LAW
@given(data=st.data())
def test_values_stay_in_the_range_of_the_catalogue(
    name: str, kind: str, data: st.DataObject
) -> None:
    found = value(name, data.draw(drawn(kind)))
    if CATALOG[name].partial and np.isnan(found):
        return
    assert CATALOG[name].low <= found <= CATALOG[name].high + 1e-12


@every_metric
@LAW
@given(data=st.data())
def test_a_perfect_prediction_is_at_least_as_good(
    name: str, kind: str, data: st.DataObject
) -> None:
    noisy = data.draw(drawn(kind))
    best, found = value(name, predicted(noisy, right=True)), value(name, noisy)
    gain = best - found if CATALOG[name].better == "higher" else found - best
    assert gain >= -1e-12


@pytest.mark.parametrize("transform", MONOTONE)
@pytest.mark.parametrize("name", [n for n in OF_TARGETS if CATALOG[n].ranking])
@LAW
@given(cases=drawn_targets())
def test_ranking_metrics_see_the_order_of_scores_alone(
    name: str, transform: Callable[[Floats], Floats], cases: AnyCases
) -> None:
    moved = target_cases(truth_of(cases), transform(cases.logits))
    assert_allclose(value(name, moved), value(name, cases), rtol=0, atol=0)


@pytest.mark.parametrize("name", [n for n in OF_TARGETS if not CATALOG[n].ranking])
def test_other_metrics_see_more_than_the_order(name: str) -> None:
    cases = target_cases(np.array([1, 1, 0, 0]), np.array([2.0, 1.0, -1.0, -2.0]))
    up, down = (target_cases(cases.targets, cases.logits + shift) for shift in (3.0, -3.0))
    assert len({value(name, each) for each in (cases, up, down)}) > 1


@pytest.mark.parametrize("name", OF_TARGETS)
@LAW
@given(cases=drawn_targets(), positives=st.booleans(), negatives=st.booleans())
def test_a_replicate_without_the_cases_it_needs_is_undefined_and_only_then(
    name: str, cases: AnyCases, positives: bool, negatives: bool
) -> None:
    truth = truth_of(cases)
    weights = np.where(truth == 1, positives, negatives).astype(np.float64)
    reason = CATALOG[name].undefined(
        int((truth * weights).sum()), int(((1 - truth) * weights).sum())
    )
    assert np.isnan(bound(name, cases)(weights[None])[0]) == (reason is not None)


@every_metric
def test_no_case_at_all_is_undefined_never_a_number(name: str, kind: str) -> None:
    cases = known_cases(kind)
    assert np.isnan(bound(name, cases)(np.zeros((1, len(truth_of(cases)))))[0])
    assert CATALOG[name].undefined(0, 0) == "no labelled case"


@pytest.mark.parametrize("name", OF_TARGETS)
def test_the_reason_names_the_class_that_is_missing(name: str) -> None:
    expected = {
        "case": (None, None),
        "positive": ("no positive case", None),
        "negative": (None, "no negative case"),
        "both": ("no positive case", "no negative case"),
    }[CATALOG[name].needs]
    assert (CATALOG[name].undefined(0, 3), CATALOG[name].undefined(3, 0)) == expected
    assert CATALOG[name].undefined(3, 3) is None


def known_cases(kind: str) -> AnyCases:
    """Two positives of eight; or classes 0, 0, 1, 2, 3. No logit tells anything."""
    if kind == "target":
        return target_cases(np.array([1, 1, 0, 0, 0, 0, 0, 0]), np.zeros(8))
    return class_cases(np.array([0, 0, 1, 2, 3]), np.zeros((5, 4)))


def predicted(cases: AnyCases, *, right: bool) -> AnyCases:
    """The same cases, predicted with certainty: as right or as wrong as can be."""
    if isinstance(cases, ClassCases):
        after_truth = (np.arange(4)[None, :] - cases.classes[:, None]) % 4
        logits = [80.0, -40.0, -60.0, -80.0] if right else [-80.0, 80.0, -40.0, -60.0]
        return class_cases(cases.classes, np.array(logits)[after_truth])
    sure = np.where(cases.targets == 1, 80.0, -80.0)
    return target_cases(cases.targets, sure if right else -sure)


EXTREMES = {
    ("auroc", "target"): (1, 0, 0.5),
    ("auprc", "target"): (1, 0.25, 0.25),
    ("accuracy", "target"): (1, 0, 0.25),
    ("accuracy", "classes"): (1, 0, 0.4),
    ("balanced_accuracy", "target"): (1, 0, 0.5),
    ("balanced_accuracy", "classes"): (1, 0, 0.25),
    ("top3_accuracy", "classes"): (1, 0, 0.8),
    ("nll", "target"): (0, 80, np.log(2)),
    ("nll", "classes"): (0, 160, np.log(4)),
    ("brier", "target"): (0, 1, 0.25),
    ("brier", "classes"): (0, 2, 0.75),
    ("ece", "target"): (0, 1, 0.25),
    ("ece", "classes"): (0, 1, 0.15),
    ("brier_scaled", "target"): (0, 1, 0.25),
    ("brier_scaled", "classes"): (0, 2, 0.75),
    ("ece_scaled", "target"): (0, 1, 0.25),
    ("ece_scaled", "classes"): (0, 1, 0.15),
    ("sensitivity@<point>", "target"): (1, 0, 0),
    ("specificity@<point>", "target"): (1, 0, 1),
    ("balanced_accuracy@<point>", "target"): (1, 0, 0.5),
}
"""A perfect, a reversed and a constant prediction of `known_cases`, worked out by hand."""


@every_metric
def test_known_extremes_have_their_known_values(name: str, kind: str) -> None:
    cases = known_cases(kind)
    perfect, reversed_ = predicted(cases, right=True), predicted(cases, right=False)
    found = [value(name, each) for each in (perfect, reversed_, cases)]
    assert_allclose(found, EXTREMES[name, kind], rtol=0, atol=1e-10)
