"""The linear probe of another hospital against scikit-learn on the same features."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from medtransfer.metrics.cases import Labels
from medtransfer.posthoc.adaptation.arms import LACKS_CLASS, LocalCases
from medtransfer.posthoc.adaptation.folds import patient_folds
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.posthoc.adaptation.probe import RARE_CLASS, LocalProbe, fit_local_probe


def drawn(cases: int, width: int, classes: int = 2) -> tuple[LocalCases, NDArray[np.float32]]:
    """Cases of two a patient, with features that tell the classes in part."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(cases, width)) * rng.uniform(0.1, 5, width) + 3
    plane = rng.normal(size=(width, classes))
    noisy = (features - 3) @ plane + 2 * rng.normal(size=(cases, classes))
    targets = noisy.argmax(axis=1).astype(np.int64)
    logits = np.zeros(cases) if classes == 2 else np.zeros((cases, classes))
    return LocalCases(targets, logits, np.arange(cases) // 2), features.astype(np.float32)


def standardised(features: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float64]:
    mean, spread = like.mean(axis=0, dtype=float), like.std(axis=0, dtype=float)
    return (features - mean) / spread


def by_sklearn(
    features: NDArray[np.float32], targets: Labels, penalty: float
) -> LogisticRegression:
    model = LogisticRegression(C=1 / (penalty * len(targets)), tol=1e-10, max_iter=20_000)
    return model.fit(standardised(features, features), targets)


@pytest.mark.parametrize(("cases", "width"), [(120, 6), (40, 90)], ids=["tall", "wide"])
@pytest.mark.parametrize("classes", [2, 3])
def test_head_and_choice_are_those_of_scikit_learn(cases: int, width: int, classes: int) -> None:
    local, features = drawn(cases, width, classes)
    penalties = (1.0, 0.1, 0.01)
    probe = fit_local_probe(local, features, seed=3, penalties=penalties)
    assert isinstance(probe, LocalProbe)

    folds = patient_folds(local, 3)
    losses: dict[float, float] = {}
    held_out: dict[float, NDArray[np.float64]] = {}
    for penalty in penalties:
        probabilities = np.zeros((cases, classes))
        for fold in range(5):
            inside = folds != fold
            model = by_sklearn(features[inside], local.targets[inside], penalty)
            rows = standardised(features[~inside], features[inside])
            probabilities[~inside] = model.predict_proba(rows)
        losses[penalty] = float(log_loss(local.targets, probabilities))
        held_out[penalty] = probabilities
    assert probe.penalty == min(penalties, key=losses.__getitem__)

    expected = by_sklearn(features, local.targets, probe.penalty)
    ours = probe.head.logits(features)
    theirs = expected.decision_function(standardised(features, features))
    if classes > 2:  # classes are told up to a constant of the case
        ours = ours - ours.mean(axis=1, keepdims=True)
        theirs = theirs - theirs.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    mine = probe.held_out
    mine = np.stack([np.zeros_like(mine), mine], axis=1) if classes == 2 else mine
    shares = np.exp(mine) / np.exp(mine).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, held_out[probe.penalty], atol=1e-3)


def test_a_patient_is_in_one_fold_and_the_same_seed_gives_the_same_bits() -> None:
    local, features = drawn(60, 20)
    folds = patient_folds(local, 0)
    assert (folds[::2] == folds[1::2]).all()
    first, again = (fit_local_probe(local, features, seed=0) for _ in range(2))
    assert isinstance(first, LocalProbe)
    assert isinstance(again, LocalProbe)
    assert first.head.weight.tobytes() == again.head.weight.tobytes()
    assert first.held_out.tobytes() == again.held_out.tobytes()


def test_too_few_patients_of_a_class_are_a_reason() -> None:
    local, features = drawn(20, 4)
    nobody = LocalCases(np.zeros_like(local.targets), local.logits, local.patients)
    assert fit_local_probe(nobody, features, seed=0) == LACKS_CLASS
    targets = np.zeros_like(local.targets)
    targets[:2] = 1  # both cases of one patient
    single = LocalCases(targets, local.logits, local.patients)
    assert fit_local_probe(single, features, seed=0) == RARE_CLASS


def test_features_without_spread_have_no_weight() -> None:
    local, features = drawn(60, 5)
    constant = np.hstack([features, np.full((60, 1), 4, np.float32)])
    plain, probe = (fit_local_probe(local, x, seed=0) for x in (features, constant))
    assert isinstance(plain, LocalProbe)
    assert isinstance(probe, LocalProbe)
    assert probe.head.weight[-1] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(probe.head.weight[:-1], plain.head.weight, atol=1e-5)


def test_alike_features_of_few_cases_share_their_weight() -> None:
    local, features = drawn(40, 60)
    twice = np.hstack([features, features])
    single, double = (
        fit_local_probe(local, x, seed=0, penalties=(p,))
        for x, p in ((features, 0.1), (twice, 0.2))
    )
    assert isinstance(single, LocalProbe)
    assert isinstance(double, LocalProbe)
    np.testing.assert_allclose(double.head.weight[:60], double.head.weight[60:], atol=1e-9)
    np.testing.assert_allclose(2 * double.head.weight[:60], single.head.weight, atol=1e-6)
    np.testing.assert_allclose(double.held_out, single.held_out, atol=1e-4)


def test_cases_without_features_are_not_taken_for_others() -> None:
    features = HomeFeatures(np.array(["b", "d"]), np.array([[1.0], [2.0]], np.float32))
    values = features.of(np.array(["a", "b", "c", "d", "e"]))[:, 0]
    assert np.isnan(values[[0, 2, 4]]).all()
    assert values[[1, 3]].tolist() == [1.0, 2.0]
