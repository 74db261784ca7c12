"""The head alone on many cases: scikit-learn's optimum, whatever the blocks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from medtransfer.training import large_probe
from medtransfer.training.large_probe import StandardFeatures
from medtransfer.training.linear_probe import PRECONDITIONED_CASES, LinearHead, fit_probe
from medtransfer.training.loop import TuneScore
from medtransfer.training.losses import Loss

CASES, WIDTH = PRECONDITIONED_CASES + 30, 24
PENALTIES = (10.0, 0.1, 1e-3, 1e-6)


def correlated(seed: int = 0) -> np.ndarray:
    """Features with a condition number of 10^6, far from 0, one of them constant."""
    draw = np.random.default_rng(seed)
    mixing = draw.normal(size=(WIDTH, WIDTH)) * np.exp(-np.arange(WIDTH) * 0.6)[:, None]
    features = draw.normal(size=(CASES, WIDTH)) @ mixing + 4
    features[:, 5] = 0.3
    return features.astype(np.float32)


def truth_of(features: np.ndarray, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    scaled = StandardScaler().fit_transform(features.astype(float))
    logits = scaled @ draw.normal(size=WIDTH)
    return (draw.random(CASES) < 1 / (1 + np.exp(1 - logits / logits.std()))).astype(float)


def fitted(features, targets, loss, penalties=PENALTIES) -> list[LinearHead]:
    heads: list[LinearHead] = []

    def tune(head: LinearHead) -> TuneScore:
        heads.append(head)
        return TuneScore(0.5, 0.5)

    fit_probe(features, targets, loss, penalties, tune)
    return heads


def penalised(features, truth, weight, bias, penalty: float) -> float:
    """Mean loss and penalty of weights of standard features."""
    logits = features @ weight + bias
    loss = float((np.logaddexp(0, logits) - truth * logits).mean())
    return loss + 0.5 * penalty * float(weight @ weight)


@pytest.mark.slow
@pytest.mark.parametrize("unknown", [0.0, 0.2])
def test_each_target_has_scikit_learns_loss(unknown: float) -> None:
    features = correlated()
    targets = np.stack([truth_of(features, seed) for seed in (1, 2)], axis=1)
    targets[np.random.default_rng(3).random(CASES) < unknown, 1] = np.nan
    scaler = StandardScaler().fit(features.astype(float))
    scaled = np.asarray(scaler.transform(features.astype(float)))
    scaled[:, 5] = 0
    heads = fitted(features, targets, Loss("multi-label"))
    for penalty, head in zip(PENALTIES, heads, strict=True):
        for target in (0, 1):
            rows = ~np.isnan(targets[:, target])
            inputs, truth = scaled[rows], targets[rows, target]
            peer = LogisticRegression(C=1 / (penalty * len(truth)), tol=1e-10, max_iter=5000)
            peer.fit(inputs, truth)
            logits = head.logits(features[rows])[:, target]
            spread = np.asarray(scaler.scale_)
            weight = head.weight[target] * spread
            bias = float(np.mean(logits - inputs @ weight))
            ours = penalised(inputs, truth, weight, bias, penalty)
            theirs = penalised(
                inputs, truth, peer.coef_[0], float(np.ravel(peer.intercept_)[0]), penalty
            )
            assert ours == pytest.approx(theirs, abs=1e-6)
            assert ours < theirs + 1e-8  # nor has the peer found less


def test_a_features_scale_and_place_change_no_logit() -> None:
    features = correlated().astype(np.float64)
    targets = truth_of(features)[:, None]
    moved = (features * 2.0 ** np.arange(WIDTH) + 2.0**10).astype(np.float32)
    plain, other = (
        fitted(values, targets, Loss("binary"), (1e-2,))[0].logits(values)
        for values in (((moved.astype(float) - 2.0**10) / 2.0 ** np.arange(WIDTH)), moved)
        for values in [values.astype(np.float32)]
    )
    assert_allclose(plain, other, atol=2e-3)


def test_a_constant_that_is_no_round_number_is_a_constant() -> None:
    values = np.full((5000, 1), 0.1, dtype=np.float32)
    assert StandardFeatures.of(values).spread.tolist() == [1.0]
    values[17] = np.nextafter(np.float32(0.1), np.float32(1))
    assert StandardFeatures.of(values).spread[0] < 1e-9


def test_mean_and_deviation_are_numpys() -> None:
    features = correlated()
    standard = StandardFeatures.of(features)
    assert_allclose(standard.mean, features.mean(axis=0, dtype=float), rtol=1e-12)
    expected = features.std(axis=0, dtype=float)
    expected[5] = 1.0
    assert_allclose(standard.spread, expected, rtol=1e-9)


def test_the_size_of_blocks_changes_rounding_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    features = correlated()
    targets = truth_of(features)[:, None]
    whole = fitted(features, targets, Loss("binary"))
    monkeypatch.setattr(large_probe, "BLOCK_NUMBERS", 7 * WIDTH)
    for one, other in zip(whole, fitted(features, targets, Loss("binary")), strict=True):
        first, second = (head.logits(features) for head in (one, other))
        assert np.abs(first - second).max() < 2e-3 * np.abs(first).max()


def test_a_second_fit_gives_the_same_bits() -> None:
    features = correlated()
    targets = truth_of(features)[:, None]
    one, other = (fitted(features, targets, Loss("binary"), (1.0, 1e-3))[1] for _ in range(2))
    assert np.array_equal(one.weight, other.weight)
    assert np.array_equal(one.bias, other.bias)


def test_features_in_float64_give_the_same_logits_to_the_last_bit() -> None:
    draw = np.random.default_rng(6)
    for targets in (1, 3):
        head = LinearHead(draw.normal(size=(targets, WIDTH)), draw.normal(size=targets))
        features = correlated()
        assert np.array_equal(head.logits(features), head.logits(features.astype(np.float64)))
