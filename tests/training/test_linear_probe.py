"""The head alone: scikit-learn's logistic regression, chosen on the tuning split."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from medtransfer.data.config import Task
from medtransfer.training import linear_probe
from medtransfer.training.config import LossConfig
from medtransfer.training.linear_probe import LinearHead, Probe, fit_probe
from medtransfer.training.loop import Diverged, TuneScore
from medtransfer.training.losses import Loss, make_loss

BINARY = Loss("multi-label")


def drawn(cases: int, width: int, targets: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    features = rng.normal(2, [3.0] * (width // 2) + [0.2] * (width - width // 2), (cases, width))
    features[:, 0] = 5.0  # a channel that never fires
    signal = features[:, 1:3] @ rng.normal(size=(2, targets)) + rng.normal(size=(cases, targets))
    return features.astype(np.float32), (signal > np.median(signal, axis=0)).astype(float)


def fitted(features, targets, loss=BINARY, penalty=0.1) -> LinearHead:
    return fit_probe(features, targets, loss, [penalty], lambda _: TuneScore(0.5, 0.5)).head


def peers(features, truth, penalty: float, **settings) -> np.ndarray:
    """scikit-learn's decision values on features brought to mean 0 and deviation 1."""
    inputs = StandardScaler().fit_transform(features.astype(float))
    model = LogisticRegression(C=1 / (penalty * len(truth)), tol=1e-9, max_iter=20_000, **settings)
    return model.fit(inputs, truth).decision_function(inputs)


@pytest.mark.parametrize("shape", [(80, 12), (20, 60)], ids=["more cases", "more features"])
@pytest.mark.parametrize("penalty", [10.0, 0.1, 0.001])
def test_each_target_is_scikit_learns_over_the_cases_that_are_known(shape, penalty: float) -> None:
    features, targets = drawn(*shape)
    targets[3:9, 1] = np.nan
    found = fitted(features, targets, penalty=penalty).logits(features)
    assert_allclose(found[:, 0], peers(features, targets[:, 0], penalty), rtol=1e-3, atol=1e-3)
    known = ~np.isnan(targets[:, 1])
    scaler = StandardScaler().fit(features.astype(float))
    inputs = np.asarray(scaler.transform(features.astype(float)))
    model = LogisticRegression(C=1 / (penalty * known.sum()), tol=1e-9, max_iter=20_000)
    model.fit(inputs[known], targets[known, 1])
    assert_allclose(found[:, 1], model.decision_function(inputs), rtol=1e-3, atol=1e-3)


def test_balanced_weights_are_scikit_learns() -> None:
    features, targets = drawn(90, 8, 1)
    targets[10:, 0] *= np.random.default_rng(1).random(80) < 0.2
    loss = make_loss(LossConfig(weights="balanced"), "binary", ["y"], targets)
    found = fitted(features, targets, loss).logits(features)[:, 0]
    expected = peers(features, targets[:, 0], 0.1, class_weight="balanced")
    assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_classes_are_scikit_learns_multinomial() -> None:
    features, _ = drawn(90, 8)
    classes = np.digitize(features[:, 1] + features[:, 6], [1.5, 5.0])
    truth = np.eye(3)[classes]
    unknown = features[:1], np.full((1, 3), np.nan)
    both = np.vstack([features, features[:1]]), np.vstack([truth, unknown[1]])
    scaled = StandardScaler().fit(both[0].astype(float))
    found = fitted(*both, Loss("single-label")).logits(features)
    model = LogisticRegression(C=1 / (0.1 * 90), tol=1e-9, max_iter=20_000)
    expected = model.fit(scaled.transform(features.astype(float)), classes)
    logits = expected.decision_function(scaled.transform(features.astype(float)))
    assert_allclose(
        found - found.mean(axis=1, keepdims=True),
        logits - logits.mean(axis=1, keepdims=True),
        rtol=0,
        atol=1e-3,
    )


def test_the_best_penalty_on_tune_is_taken_and_the_strongest_of_equals() -> None:
    features, targets = drawn(30, 6, 1)
    areas = iter([0.6, 0.8, 0.8, 0.7])
    heads: list[LinearHead] = []

    def tune(head: LinearHead) -> TuneScore:
        heads.append(head)
        return TuneScore(0.5, next(areas))

    found = fit_probe(features, targets, BINARY, [0.01, 10.0, 0.1, 1.0], tune)
    assert [check.penalty for check in found.checks] == [10.0, 1.0, 0.1, 0.01]
    assert [check.tune_auroc for check in found.checks] == [0.6, 0.8, 0.8, 0.7]
    assert found.selected == 2
    assert found.head is heads[1]
    losses = [check.train_loss for check in found.checks]
    assert losses == sorted(losses, reverse=True)


def test_where_the_auroc_is_undefined_the_loss_chooses() -> None:
    features, targets = drawn(30, 6, 1)
    losses = iter([0.6, 0.4, 0.5])
    found = fit_probe(
        features, targets, BINARY, [1.0, 0.1, 0.01], lambda _: TuneScore(next(losses), None)
    )
    assert found.selected == 2


def test_a_target_nobody_knows_is_left_at_nothing() -> None:
    features, targets = drawn(30, 6)
    targets[:, 1] = np.nan
    head = fitted(features, targets)
    assert not head.weight[1].any()
    assert head.bias[1] == 0


def test_soft_targets_are_the_mean_of_both_sides() -> None:
    features, targets = drawn(30, 6, 1)
    soft = fitted(features, 0.1 + 0.8 * targets)
    doubled = np.repeat(features, 10, axis=0)
    split = np.concatenate([[1.0] * 9 + [0.0] if y else [0.0] * 9 + [1.0] for y in targets[:, 0]])
    hard = fitted(doubled, split[:, None])
    assert_allclose(soft.weight, hard.weight, atol=1e-4)


def test_fractions_are_scikit_learns_over_readers_drawn_at_random() -> None:
    # a case with share q is one case with the target and weight q, one without and weight 1 - q
    features, _ = drawn(80, 12)
    shares = np.random.default_rng(3).integers(0, 6, 80) / 5
    logits = fitted(features, shares[:, None]).logits(features)[:, 0]
    scaled = StandardScaler().fit_transform(features.astype(float))
    model = LogisticRegression(C=1 / (0.1 * 80), tol=1e-9, max_iter=20_000)
    model.fit(np.vstack([scaled, scaled]), [1] * 80 + [0] * 80, np.append(shares, 1 - shares))
    assert_allclose(logits, model.decision_function(scaled), rtol=1e-3, atol=1e-3)


def test_features_that_are_no_numbers_end_the_run() -> None:
    features, targets = drawn(30, 6)
    features[4, 2] = np.inf
    with pytest.raises(Diverged, match="not finite at step 0"):
        fitted(features, targets)


def test_a_second_fit_gives_the_same_bits() -> None:
    features, targets = drawn(20, 60)
    one, other = fitted(features, targets), fitted(features, targets)
    assert np.array_equal(one.weight, other.weight)


def test_a_fit_gives_signs_of_life_and_can_be_ended_by_them() -> None:
    features, targets = drawn(60, 20)
    heard: list[int] = []

    def alive() -> None:
        heard.append(1)
        if len(heard) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_probe(features, targets, BINARY, [0.01], lambda _: TuneScore(0.5, 0.5), heartbeat=alive)
    assert len(heard) == 3


@pytest.mark.parametrize("task", ["multi-label", "single-label"])
def test_along_the_principal_axes_the_optimum_is_the_same(
    monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    draw = np.random.default_rng(5)
    mixing = draw.normal(size=(12, 12)) * np.exp(-np.arange(12))[:, None]
    features = (draw.normal(size=(300, 12)) @ mixing + 3).astype(np.float32)
    targets = np.eye(3)[draw.integers(0, 3, 300)]
    targets[:, 0] = np.where(draw.random(300) < 0.3, 1.0, targets[:, 0])
    if task == "multi-label":
        targets[draw.random(targets.shape) < 0.2] = np.nan
    else:
        targets = np.eye(3)[np.nan_to_num(targets).argmax(axis=1)]

    def fit() -> Probe:
        return fit_probe(
            features,
            targets,
            Loss(task),
            penalties=(1.0, 1e-3),
            tune=lambda head: TuneScore(-float(np.abs(head.weight).sum()), None),
        )

    plain = fit()
    monkeypatch.setattr(linear_probe, "PRECONDITIONED_CASES", 100)
    along = fit()
    first, second = (head.head.logits(features) for head in (plain, along))
    assert np.abs(first - second).max() < 2e-3 * np.abs(first).max()
    assert along.checks[-1].train_loss == pytest.approx(plain.checks[-1].train_loss, abs=1e-6)
