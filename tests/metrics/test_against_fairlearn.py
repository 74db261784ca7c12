"""Numbers by group, worst group and gap equal fairlearn's MetricFrame."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from tests.prediction_tables import (
    QUICK,
    Site,
    arrays_of,
    attributes_of,
    binary_table,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.score import score

TABLE = binary_table({"a": Site({"tune": 60, "test": 90}, separation=1.2, lost=0.6, each=2)})
ATTRIBUTES = attributes_of(TABLE)
RESULTS = score(TABLE, ATTRIBUTES, "binary", QUICK)


def frame_of(metric: Callable[..., float], predicted: NDArray[np.float64]) -> MetricFrame:
    rows = scored_rows(TABLE, "a").join(ATTRIBUTES, on="case_id", maintain_order="left")
    truth, _ = arrays_of(rows)
    return MetricFrame(
        metrics=metric, y_true=truth, y_pred=predicted, sensitive_features=rows["sex"].to_list()
    )


def decided(name: str) -> NDArray[np.float64]:
    """What fairlearn is given: the score itself, or the decision at the metric's threshold."""
    _, logits = arrays_of(scored_rows(TABLE, "a"))
    if name == "auroc":
        return logits
    limit = one_row(RESULTS, "threshold@sens90")["value"] if "@" in name else 0.5
    return (expit(logits) >= limit).astype(float)


METRICS = {
    "auroc": roc_auc_score,
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "balanced_accuracy@sens90": balanced_accuracy_score,
    "sensitivity@sens90": true_positive_rate,
    "specificity@sens90": lambda y_true, y_pred: 1 - false_positive_rate(y_true, y_pred),
}


@pytest.mark.parametrize("name", METRICS)
def test_each_group_the_gap_and_the_worst_group(name: str) -> None:
    frame = frame_of(METRICS[name], decided(name))
    for group in ("F", "M"):
        found = one_row(RESULTS, name, attribute="sex", group=group)
        assert found["value"] == pytest.approx(frame.by_group[group], abs=1e-9)
    gap = one_row(RESULTS, f"{name}_gap", attribute="sex")
    assert gap["value"] == pytest.approx(frame.difference(method="between_groups"), abs=1e-9)
    worst = one_row(RESULTS, f"{name}_worst_group", attribute="sex")
    assert worst["value"] == pytest.approx(frame.group_min(), abs=1e-9)


def test_the_worst_group_of_an_error_is_the_largest() -> None:
    groups = [one_row(RESULTS, "ece", attribute="sex", group=g)["value"] for g in ("F", "M")]
    assert one_row(RESULTS, "ece_worst_group", attribute="sex")["value"] == max(groups)


def test_group_counts_are_the_rows_of_the_group() -> None:
    rows = scored_rows(TABLE, "a").join(ATTRIBUTES, on="case_id").filter(pl.col("sex") == "F")
    found = one_row(RESULTS, "auroc", attribute="sex", group="F")
    assert found["num_cases"] == len(rows) == 90
    assert found["num_patients"] == rows["patient_id"].n_unique() == 45
    assert found["num_positive"] == int(rows["target_x"].sum())
