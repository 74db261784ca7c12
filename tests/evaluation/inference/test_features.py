"""Features of cases from the pass that gives their logits, and what detectors are fitted to."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tests.evaluation.inference.brightness import VIEWS, case_images, classifier
from torch import nn

from medtransfer.evaluation.inference import predict as predicting
from medtransfer.evaluation.inference.features import outputs_of, read_ood_reference
from medtransfer.evaluation.inference.predict import predict
from medtransfer.models.classifier import CasePool, Classifier


def levels() -> np.ndarray:
    """Brightness of each image, normalised. [9]"""
    return (np.arange(9) * 20 / 255 - 0.5) / 0.5


@pytest.mark.parametrize(("pool", "by_hand"), [("mean", np.mean), ("max", np.max)])
def test_features_are_pooled_over_the_images_of_a_case(pool, by_hand) -> None:
    network = classifier()
    pooled = Classifier(network.backbone, CasePool(pool, 3, 0), network.head, "float32")
    expected = [by_hand(part) for part in np.split(levels(), np.cumsum(VIEWS)[:-1])]
    found = outputs_of(pooled, case_images())
    assert found.features.dtype == np.float32
    assert_allclose(found.features, np.repeat(expected, 3).reshape(5, 3), rtol=1e-5, atol=1e-6)


def test_logits_are_the_head_of_the_features_and_those_that_are_predicted() -> None:
    network = classifier()
    found = outputs_of(network, case_images())
    assert np.array_equal(found.logits, predict(network, case_images()))
    known = read_ood_reference(network, case_images(), "multi-label")
    assert_allclose(found.features @ known.weight.T + known.bias, found.logits, atol=1e-6)


def test_the_network_sees_every_image_once() -> None:
    seen: list[int] = []
    network = classifier()
    network.backbone.register_forward_hook(lambda _m, given, _o: seen.append(len(given[0])))
    outputs_of(network, case_images())
    assert sum(seen) == sum(VIEWS)


@pytest.mark.parametrize("most", [1, 3, 4])
def test_how_many_images_are_taken_at_once_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    whole = outputs_of(classifier(), case_images())
    monkeypatch.setattr(predicting, "IMAGES_AT_ONCE", most)
    parts = outputs_of(classifier(), case_images())
    assert_allclose(parts.features, whole.features, rtol=1e-6)
    assert_allclose(parts.logits, whole.logits, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_classifier_is_left_in_the_mode_it_was_in(training: bool) -> None:
    network = classifier().train(training)
    once, again = (outputs_of(network, case_images()) for _ in range(2))
    assert np.array_equal(once.features, again.features)  # its dropout does not act
    assert network.training is training
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("task", ["binary", "multi-label", "single-label"])
def test_what_detectors_are_fitted_to_is_in_double_precision_but_for_features(task) -> None:
    images = case_images()
    known = read_ood_reference(classifier(), images, task)
    assert known.single_label == (task == "single-label")
    assert known.features.dtype == np.float32
    for part in (known.logits, known.targets, known.weight, known.bias):
        assert part.dtype == np.float64
    assert_allclose(known.targets, images.cases.targets[:])
    assert_allclose(known.weight, [[1, 0, 0], [0, -2, 0]])
    assert_allclose(known.bias, [0, 1])
    assert isinstance(classifier().head, nn.Linear)
