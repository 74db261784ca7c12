"""Numbers by group, worst group and gap equal fairlearn's MetricFrame."""

from collections.abc import Callable

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from tests.metrics.drawn_cases import LIMITS, bound, target_cases

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import draw_replicates
from medtransfer.statistics.groups import gap, worst_group

SIZE = 240
GROUPS = np.array(["F", "M", "X"])[np.arange(SIZE) % 3]
PATIENTS = [f"p{i // 2 % 60}" for i in range(SIZE)]


def sample() -> tuple[NDArray[np.int64], Floats]:
    rng = np.random.default_rng(0)
    targets = (rng.random(SIZE) < 0.4).astype(np.int64)
    strength = np.where(GROUPS == "F", 0.5, 1.6)
    return targets, np.round(rng.normal(strength * (2 * targets - 1)), 1)


METRICS: dict[str, Callable[..., float]] = {
    "auroc": roc_auc_score,
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "balanced_accuracy@sens90": balanced_accuracy_score,
    "sensitivity@sens90": true_positive_rate,
    "specificity@sens90": lambda y_true, y_pred: 1 - false_positive_rate(y_true, y_pred),
}


def values_by_group(name: str) -> list[Floats]:
    """Of each group, in the sample and in replicates of all patients."""
    cases = target_cases(*sample())
    drawn = draw_replicates(PATIENTS, 20, 0, "a")
    return [
        drawn.values(bound(name, cases.take(group == GROUPS)), group == GROUPS)
        for group in np.unique(GROUPS)
    ]


def frame_of(name: str) -> MetricFrame:
    targets, logits = sample()
    limit = LIMITS["sens90"] if "@" in name else 0.5
    predicted = logits if name == "auroc" else (expit(logits) >= limit).astype(float)
    return MetricFrame(
        metrics=METRICS[name], y_true=targets, y_pred=predicted, sensitive_features=GROUPS
    )


@pytest.mark.parametrize("name", METRICS)
def test_each_group_the_gap_and_the_worst_group(name: str) -> None:
    frame, values = frame_of(name), values_by_group(name)
    found = [of_group[0] for of_group in values]
    assert found == pytest.approx(frame.by_group.to_list(), abs=1e-9)
    expected = frame.difference(method="between_groups")
    assert gap(values)[0] == pytest.approx(expected, abs=1e-9)
    worst = worst_group(values, higher_is_better=True)
    assert worst[0] == pytest.approx(frame.group_min(), abs=1e-9)


def test_the_worst_group_of_an_error_is_the_largest() -> None:
    values = values_by_group("ece")
    assert worst_group(values, higher_is_better=False)[0] == max(v[0] for v in values)


def test_groups_are_compared_on_the_same_patients_in_every_replicate() -> None:
    values = values_by_group("auroc")
    assert gap(values).shape == (21,)
    spread = np.stack(values)
    np.testing.assert_array_equal(gap(values), spread.max(axis=0) - spread.min(axis=0))
