"""Discrimination, decisions and proper scores equal scikit-learn's where both define the same.

Every comparison is made of weighted cases too, as replicates are.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from tests.metrics.drawn_cases import (
    LAW,
    LIMITS,
    drawn_classes,
    drawn_targets,
    every_value,
    plain,
    value,
    weights_of,
)

from medtransfer.metrics.cases import ClassCases, TargetCases
from medtransfer.metrics.discrimination import balanced_accuracy, top_k_accuracy
from medtransfer.metrics.kernels.sums import Floats

EXACT = {"rtol": 0, "atol": 1e-9}
Oracle = Callable[[TargetCases, Floats], float]
defined = {"zero_division": np.nan}
"""scikit-learn says 0, or 1, unless it is told to say that there is no value."""


def draw_weights(data: st.DataObject, cases: TargetCases) -> Floats:
    weights = data.draw(weights_of(len(cases)))
    assume(all((weights * (cases.targets == label)).sum() > 0 for label in (0, 1)))
    return weights


def at_prevalence(cases: TargetCases, weights: Floats) -> Floats:
    """Weights under which the share of positives is that of the tuning split."""
    assert cases.prevalence is not None
    share = np.where(cases.targets == 1, cases.prevalence, 1 - cases.prevalence)
    of_class = [(weights * (cases.targets == label)).sum() for label in (0, 1)]
    return weights * share / np.array(of_class)[cases.targets]


def of_scores(metric: Callable[..., float], **options: float) -> Oracle:
    return lambda c, w: metric(c.targets, c.logits, sample_weight=w, **options)


def of_probabilities(metric: Callable[..., float], calibrator: str | None = None) -> Oracle:
    def oracle(c: TargetCases, w: Floats) -> float:
        p = c.probabilities if calibrator is None else c.calibrated[calibrator]
        return metric(c.targets, p, sample_weight=w)

    return oracle


def of_calls(metric: Callable[..., float], limit: float, **options: object) -> Oracle:
    return lambda c, w: metric(c.targets, c.probabilities >= limit, sample_weight=w, **options)


def adjusted(oracle: Oracle) -> Oracle:
    return lambda c, w: oracle(c, at_prevalence(c, w))


def at_point(point: str, limit: float) -> dict[str, Oracle]:
    precision = of_calls(precision_score, limit, **defined)
    negative = of_calls(precision_score, limit, pos_label=0, **defined)
    oracles: dict[str, Oracle] = {
        "sensitivity": of_calls(recall_score, limit),
        "specificity": of_calls(recall_score, limit, pos_label=0),
        "ppv": precision,
        "npv": negative,
        "ppv_adjusted": adjusted(precision),
        "npv_adjusted": adjusted(negative),
        "f1": of_calls(f1_score, limit, zero_division=0.0),
        "balanced_accuracy": of_calls(balanced_accuracy_score, limit),
        "predicted_prevalence": lambda c, w: np.average(c.probabilities >= limit, weights=w),
    }
    return {f"{name}@{point}": oracle for name, oracle in oracles.items()}


ENDINGS = {"scaled": "temperature", "platt": "platt", "beta": "beta", "isotonic": "isotonic"}
ORACLES: dict[str, Oracle] = {
    "auroc": of_scores(roc_auc_score),
    "auroc_fpr20": of_scores(roc_auc_score, max_fpr=0.2),
    "auprc": of_scores(average_precision_score),
    "auprc_adjusted": adjusted(of_scores(average_precision_score)),
    "accuracy": of_calls(accuracy_score, 0.5),
    "balanced_accuracy": of_calls(balanced_accuracy_score, 0.5),
    "nll": of_probabilities(partial(log_loss, labels=[0, 1])),
    "brier": of_probabilities(brier_score_loss),
    **{
        f"nll_{ending}": of_probabilities(partial(log_loss, labels=[0, 1]), calibrator)
        for ending, calibrator in ENDINGS.items()
    },
    **{
        f"brier_{ending}": of_probabilities(brier_score_loss, calibrator)
        for ending, calibrator in ENDINGS.items()
    },
    **{k: v for point, limit in LIMITS.items() for k, v in at_point(point, limit).items()},
}


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide")
@LAW
@given(cases=drawn_targets(), data=st.data())
def test_a_binary_target_with_ties_plain_and_weighted(
    cases: TargetCases, data: st.DataObject
) -> None:
    weights = np.stack([np.ones(len(cases)), *(draw_weights(data, cases) for _ in range(2))])
    found = every_value(cases, weights)
    for name, oracle in ORACLES.items():
        expected = [oracle(cases, row) for row in weights]
        assert_allclose(found[name], expected, **EXACT, err_msg=name)


def test_a_large_sample_with_ties_clusters_and_many_replicates() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random(900) < 0.2).astype(np.int64)
    logits = np.round(rng.normal(2.0 * targets - 2.0), 1)
    p = expit(logits)
    cases = TargetCases(
        targets,
        logits,
        p,
        calibrated=dict.fromkeys(ENDINGS.values(), np.round(p, 2)),
        predicted_positive={point: p >= limit for point, limit in LIMITS.items()},
        thresholds=LIMITS,
        sets=dict.fromkeys(("split", "class", "group", "shifted"), np.ones((900, 2), dtype=bool)),
        spread=dict.fromkeys(("disagreement", "mutual_information", "diversity"), p),
        prevalence=0.1,
        miss_cost=4.0,
    )
    counts = rng.multinomial(300, np.full(300, 1 / 300), size=5)[:, np.arange(900) % 300]
    for weights in (counts.astype(float), rng.exponential(size=(5, 900))):
        found = every_value(cases, weights)
        for name, oracle in ORACLES.items():
            assert_allclose(found[name], [oracle(cases, w) for w in weights], **EXACT, err_msg=name)


@LAW
@given(cases=drawn_targets(), data=st.data())
def test_brier_score_is_miscalibration_less_resolution_and_uncertainty(
    cases: TargetCases, data: st.DataObject
) -> None:
    # Murphy 1973: exact for forecasts that are alike within a bin, so they are made so
    weights = draw_weights(data, cases)
    number = np.clip(np.ceil(cases.probabilities * 15).astype(int) - 1, 0, 14)
    level = np.zeros(len(cases))
    for k in set(number[weights > 0]):
        level[number == k] = np.average(
            cases.probabilities[number == k], weights=weights[number == k]
        )
    parts = {n: v[0] for n, v in every_value(cases, weights[None]).items() if "brier_" in n}
    found = parts["brier_reliability"] - parts["brier_resolution"] + parts["brier_uncertainty"]
    assert_allclose(found, brier_score_loss(cases.targets, level, sample_weight=weights), **EXACT)
    share = np.average(cases.targets, weights=weights)
    assert_allclose(parts["brier_uncertainty"], share * (1 - share), **EXACT)


@LAW
@given(cases=drawn_classes(), data=st.data())
def test_proper_scores_of_several_classes(cases: ClassCases, data: st.DataObject) -> None:
    weights, labels = data.draw(weights_of(len(cases))), [0, 1, 2, 3]
    assume(weights.any())
    found = every_value(cases, weights[None])
    for ending, p in (
        ("", cases.probabilities),
        ("_scaled", cases.calibrated["temperature"]),
        ("_vector", cases.calibrated["vector"]),
    ):
        expected = log_loss(cases.classes, p, labels=labels, sample_weight=weights)
        assert_allclose(found[f"nll{ending}"][0], expected, **EXACT)
        expected = brier_score_loss(
            cases.classes,
            p,
            labels=labels,
            scale_by_half=False,  # pyright: ignore[reportArgumentType]  typed after its default
            sample_weight=weights,
        )
        assert_allclose(found[f"brier{ending}"][0], expected, **EXACT)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@LAW
@given(cases=drawn_classes(), data=st.data())
def test_decisions_of_several_classes(cases: ClassCases, data: st.DataObject) -> None:
    weights = data.draw(weights_of(len(cases))) + 1
    decided = cases.probabilities.argmax(axis=1)
    found = every_value(cases, weights[None])
    expected = accuracy_score(cases.classes, decided, sample_weight=weights)
    assert_allclose(found["accuracy"][0], expected, **EXACT)
    expected = balanced_accuracy_score(cases.classes, decided, sample_weight=weights)
    assert_allclose(found["balanced_accuracy"][0], expected, **EXACT)


def test_balanced_accuracy_is_undefined_in_a_replicate_that_misses_a_class() -> None:
    classes = np.array([0, 1, 2, 2])
    weights = np.array([[1.0, 1, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1]])
    found = balanced_accuracy(classes, np.array([0, 1, 0, 2]))(weights)
    assert_allclose(found, [(1 + 1 + 0.5) / 3, np.nan, 1])


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_top_k_accuracy_without_ties(k: int) -> None:
    rng = np.random.default_rng(k)
    classes, logits = rng.integers(0, 7, size=60), rng.normal(size=(60, 7))
    weights = rng.integers(0, 3, size=60).astype(float)
    found = top_k_accuracy(classes, softmax(logits, axis=1), k)(weights[None])[0]
    expected = top_k_accuracy_score(
        classes, logits, k=k, labels=np.arange(7), sample_weight=weights
    )
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


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_a_certainty_that_was_wrong_costs_what_it_does_in_scikit_learn(sure: float) -> None:
    # isotonic regression calls risks 0 and 1; there are no logits to compute with
    targets, p = np.array([0, 1, 1, 0]), np.array([0.2, 0.8, sure, sure])
    cases = TargetCases(targets, np.zeros(4), p, from_logits=False)
    assert_allclose(value("nll", cases), log_loss(targets, p), **EXACT)


@LAW
@given(cases=drawn_targets())
def test_predictions_without_logits_have_the_loss_of_their_probabilities(
    cases: TargetCases,
) -> None:
    assert value("nll", cases) == pytest.approx(value("nll", without_logits(cases)), abs=1e-12)


def without_logits(cases: TargetCases) -> TargetCases:
    return TargetCases(cases.targets, cases.logits, cases.probabilities, from_logits=False)


def calls_of(cases: TargetCases, point: str) -> NDArray[np.bool_]:
    return cases.probabilities >= LIMITS[point]


@LAW
@given(cases=drawn_targets())
def test_sensitivity_where_a_class_is_missing_is_undefined_where_scikit_learn_says_zero(
    cases: TargetCases,
) -> None:
    calls = calls_of(cases, "sens90")
    alone = (cases.targets == 0).astype(float)
    theirs = recall_score(
        cases.targets,
        calls,
        sample_weight=alone,
        zero_division=0.0,  # pyright: ignore[reportArgumentType]  typed after its default
    )
    assert theirs == 0
    assert np.isnan(every_value(cases, alone[None])["sensitivity@sens90"][0])
