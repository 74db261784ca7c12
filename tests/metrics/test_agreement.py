"""Kappa, Matthews correlation, likelihood ratios and errors in grades equal other libraries'."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    class_likelihood_ratios,
    cohen_kappa_score,
    matthews_corrcoef,
    mean_absolute_error,
)
from statsmodels.stats.inter_rater import cohens_kappa
from tests.metrics.drawn_cases import LAW, bound, drawn_classes, drawn_targets, value, weights_of

from medtransfer.metrics.cases import ClassCases, TargetCases


def kappa_of(table: NDArray[np.int64], weights: str | None = None) -> float:
    """Kappa by statsmodels."""
    found: Any = cohens_kappa(table, wt=weights)
    return float(found.kappa)


def drawn_weights(data: st.DataObject, count: int) -> np.ndarray:
    weights = data.draw(weights_of(count))
    assume(weights.any())
    return weights


@pytest.mark.parametrize("weighting", ["linear", "quadratic", None])
@LAW
@given(cases=drawn_classes(), data=st.data())
def test_kappa_equals_scikit_learn_of_weighted_cases(
    weighting: str | None, cases: ClassCases, data: st.DataObject
) -> None:
    weights = drawn_weights(data, len(cases))
    name = f"kappa_{weighting}" if weighting else "kappa"
    found = bound(name, cases)(weights[None])[0]
    assert cases.grades is not None
    true, predicted = (cases.grades[c] for c in (cases.classes, cases.probabilities.argmax(axis=1)))
    seen = set(true[weights > 0]) | set(predicted[weights > 0])
    if len(seen) == 1:
        assert np.isnan(found)
        return
    expected = cohen_kappa_score(
        true, predicted, labels=range(4), weights=weighting, sample_weight=weights
    )
    assert found == pytest.approx(expected, abs=1e-12)


def test_weighted_kappa_is_that_of_statsmodels() -> None:
    # Fleiss, Levin and Paik 2003, table 18.1, as the classes of 100 cases
    table = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    true, predicted = (np.repeat(part, table.ravel()) for part in np.indices((3, 3)).reshape(2, 9))
    cases = ClassCases(true, np.zeros((100, 3)), np.eye(3)[predicted], grades=np.arange(3))
    assert value("kappa", cases) == pytest.approx(kappa_of(table), abs=1e-12)
    for name, kind in (("kappa_linear", "linear"), ("kappa_quadratic", "quadratic")):
        assert value(name, cases) == pytest.approx(kappa_of(table, kind), abs=1e-12)


@LAW
@given(cases=drawn_classes(), data=st.data())
def test_correlation_of_classes_equals_scikit_learn(cases: ClassCases, data: st.DataObject) -> None:
    weights = drawn_weights(data, len(cases))
    found = bound("mcc", cases)(weights[None])[0]
    predicted = cases.probabilities.argmax(axis=1)
    one_class = [len(set(c[weights > 0])) == 1 for c in (cases.classes, predicted)]
    if any(one_class):
        assert np.isnan(found)  # scikit-learn says 0
        return
    expected = matthews_corrcoef(cases.classes, predicted, sample_weight=weights)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@LAW
@given(cases=drawn_targets())
def test_correlation_and_likelihood_ratios_of_decisions_equal_scikit_learn(
    cases: TargetCases,
) -> None:
    called = cases.predicted_positive["sens90"]
    if 0 < called.sum() < len(called):
        expected = matthews_corrcoef(cases.targets, called)
        assert value("mcc@sens90", cases) == pytest.approx(expected, abs=1e-12)
    ratios = class_likelihood_ratios(
        cases.targets,
        called,
        replace_undefined_by={"LR+": np.nan, "LR-": np.nan},  # type: ignore[arg-type]  # its stub
    )
    for name, expected in zip(("lr_positive", "lr_negative"), ratios, strict=True):
        assert value(f"{name}@sens90", cases) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@LAW
@given(cases=drawn_classes())
def test_errors_in_grades_are_distances_in_the_stated_order(cases: ClassCases) -> None:
    assert cases.grades is not None
    true, predicted = (cases.grades[c] for c in (cases.classes, cases.probabilities.argmax(axis=1)))
    assert value("grade_error", cases) == pytest.approx(mean_absolute_error(true, predicted))
    near = np.mean([abs(a - b) <= 1 for a, b in zip(true, predicted, strict=True)])
    assert value("within_one_grade", cases) == pytest.approx(near)


@LAW
@given(cases=drawn_classes())
def test_the_ranked_probability_loss_is_the_mean_brier_score_of_the_cuts(cases: ClassCases) -> None:
    assert cases.grades is not None
    grades = cases.grades
    scores = [
        np.mean(
            (cases.probabilities[:, grades > cut].sum(axis=1) - (grades[cases.classes] > cut)) ** 2
        )
        for cut in range(3)
    ]
    assert value("ranked_probability_loss", cases) == pytest.approx(np.mean(scores), abs=1e-12)


def test_a_metric_of_grades_needs_their_order() -> None:
    cases = ClassCases(np.array([0, 1]), np.zeros((2, 2)), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="order of the classes"):
        value("kappa_linear", cases)
