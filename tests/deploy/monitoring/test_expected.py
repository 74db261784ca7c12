"""Expected performance: sums of probabilities in place of counts of positives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from medtransfer.deploy.monitoring.expected import expected_performance


def expected(
    probabilities: list[float], scores: list[float], threshold: float
) -> dict[str, float | None]:
    p, s = np.array(probabilities), np.array(scores)
    numbers = expected_performance(
        p,
        s,
        {"x": s >= threshold},
        np.arange(len(p)),
        replicates=0,
        rng=np.random.default_rng(0),
    )
    return {name: number.value for name, number in numbers.items()}


def test_probabilities_of_0_and_1_are_labels() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 60)
    scores = (labels + rng.normal(size=60)).round(1)
    numbers = expected(labels.astype(float).tolist(), scores.tolist(), 0.5)
    called = scores >= 0.5
    assert_allclose(numbers["auroc"] or 0, roc_auc_score(labels, scores))
    assert_allclose(numbers["sensitivity@x"] or 0, called[labels == 1].mean())
    assert_allclose(numbers["specificity@x"] or 0, (~called)[labels == 0].mean())


def test_sums_by_hand() -> None:
    numbers = expected([0.9, 0.5, 0.1], [3, 2, 1], 2)
    assert numbers["sensitivity@x"] == pytest.approx(1.4 / 1.5)
    assert numbers["specificity@x"] == pytest.approx(0.9 / 1.5)


def test_calibrated_probabilities_foretell_the_measured_performance() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(0.7, 2.0, 200_000)
    labels = (rng.random(len(p)) < p).astype(int)
    numbers = expected_performance(
        p, p, {"x": p > 0.3}, np.arange(len(p)), replicates=0, rng=np.random.default_rng(0)
    )
    assert numbers["auroc"].value == pytest.approx(float(roc_auc_score(labels, p)), abs=5e-3)
    assert numbers["sensitivity@x"].value == pytest.approx(
        float((p > 0.3)[labels == 1].mean()), abs=5e-3
    )


def test_nothing_is_expected_where_it_is_undefined() -> None:
    assert expected([0.0, 0.0], [1, 2], 5) == {
        "auroc": None,
        "sensitivity@x": None,
        "specificity@x": 1.0,
    }


def test_the_interval_grows_when_patients_have_several_cases() -> None:
    rng = np.random.default_rng(3)
    p = np.repeat(rng.random(50), 4)
    widths = []
    for patient in (np.arange(200), np.repeat(np.arange(50), 4)):
        number = expected_performance(
            p, p, {}, patient, replicates=400, rng=np.random.default_rng(4)
        )["auroc"]
        assert number.low is not None
        assert number.high is not None
        widths.append(number.high - number.low)
    assert widths[1] > 1.5 * widths[0]
