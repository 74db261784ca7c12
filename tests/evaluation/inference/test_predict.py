"""From a classifier to logits in the order of the cases, and to the predictions table."""

from collections.abc import Generator

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss, roc_auc_score
from tests.evaluation.inference.brightness import VIEWS, case_images, cases, classifier
from tests.prediction_tables import arrays_of, binary_table, class_table

from medtransfer.data.config import Task
from medtransfer.errors import StudyError
from medtransfer.evaluation.inference import predict as predicting
from medtransfer.evaluation.inference.predict import predict, predictions_frame, quick_score
from medtransfer.evaluation.scoring.run import run_arrays
from medtransfer.models.classifier import Classifier, PrecisionSetting, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.tables.predictions import read_predictions, write_predictions


def test_logits_are_of_the_mean_image_of_each_case_in_order() -> None:
    first = np.cumsum((0, *VIEWS[:-1]))
    middle = np.array([np.arange(f, f + n).mean() for f, n in zip(first, VIEWS, strict=True)])
    level = (middle * 20 / 255 - 0.5) / 0.5
    expected = np.stack([level, 1 - 2 * level], axis=1)
    assert_allclose(predict(classifier(), case_images()), expected, rtol=1e-5, atol=1e-6)


def small_bit(precision: PrecisionSetting) -> Classifier:
    model, cpu = ModelConfig(rung="scratch/r14x0.5"), torch.device("cpu")
    return build_classifier(model, 2, seed=0, device=cpu, precision=precision).classifier


@pytest.mark.parametrize("most", [1, 3, 4])
def test_how_many_images_are_taken_at_once_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    whole = predict(classifier(), case_images())
    monkeypatch.setattr(predicting, "IMAGES_AT_ONCE", most)
    assert_allclose(predict(classifier(), case_images()), whole, rtol=1e-6)


def memory_for(holds: int):
    """A hook for a network on a device that holds so many images."""

    def hook(_module: torch.nn.Module, images: tuple) -> None:
        if len(images[0]) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return hook


@pytest.mark.slow
def test_less_is_taken_at_once_where_memory_runs_out() -> None:
    whole = predict(classifier(), case_images())
    network = classifier()
    network.backbone.register_forward_pre_hook(memory_for(max(VIEWS)))
    assert_allclose(predict(network, case_images()), whole, rtol=1e-6)


@pytest.mark.slow
def test_a_memory_that_holds_no_case_is_said() -> None:
    network = classifier()
    network.backbone.register_forward_pre_hook(memory_for(0))
    with pytest.raises(StudyError, match="does not hold one case to predict.*smaller rung"):
        predict(network, case_images())


@pytest.mark.parametrize("training", [True, False])
def test_the_classifier_is_left_in_the_mode_it_was_in(training: bool) -> None:
    network = classifier().train(training)
    once, again = (predict(network, case_images()) for _ in range(2))
    assert np.array_equal(once, again)
    assert network.training is training
    assert network.backbone.training is training


def test_a_pass_that_is_given_up_leaves_the_network_whole_and_in_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predicting, "IMAGES_AT_ONCE", 4)
    network = small_bit("float32").train()
    parts = dict(network.named_modules())
    begun = predicting.passes(network, case_images())
    assert isinstance(begun, Generator)
    next(begun)
    assert dict(network.named_modules()) != parts
    begun.close()
    assert network.training
    assert dict(network.named_modules()) == parts


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_bit_network_predicts_the_bits_of_its_own_forward_pass(
    precision: PrecisionSetting,
) -> None:
    network = small_bit(precision).eval()
    network.head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    images = case_images()
    batch = images.test_batch(np.arange(len(images)), torch.device("cpu"))
    with torch.inference_mode():
        expected = network(batch.images, batch.case_of_image, len(batch))
    assert np.array_equal(predict(network, images), expected.numpy())
    assert float(expected.std()) > 1e-3


def test_the_table_of_predictions_keeps_its_contract_and_its_numbers(tmp_path) -> None:
    logits = predict(classifier(), case_images())
    frame = predictions_frame(cases(), logits, ("x", "y"), "run")
    write_predictions(frame, tmp_path / "predictions.parquet")
    back = run_arrays(read_predictions(tmp_path / "predictions.parquet"), "multi-label")
    assert back.frame["case_id"].to_list() == cases().case_ids.tolist()
    assert back.frame["split"].to_list() == cases().splits.tolist()
    assert_allclose(back.targets, cases().targets)
    assert_allclose(back.logits, logits, rtol=0, atol=0)
    assert back.labelled(0).tolist() == [True, True, False, False, True]


def test_scores_of_foreignness_are_columns_of_the_table(tmp_path) -> None:
    logits = predict(classifier(), case_images())
    scores = {"energy": np.arange(5.0), "knn": np.arange(5.0) / 7}
    frame = predictions_frame(cases(), logits, ("x", "y"), "run", scores)
    write_predictions(frame, tmp_path / "predictions.parquet")
    back = read_predictions(tmp_path / "predictions.parquet")
    assert back.columns[-2:] == ["ood_energy", "ood_knn"]
    assert_allclose(back.select("ood_energy", "ood_knn").to_numpy().T, list(scores.values()))


def test_quick_score_is_the_mean_loss_and_the_mean_auroc_over_targets() -> None:
    table = binary_table(targets=("x", "y"), masked=0.2, soft=0.1)
    run = run_arrays(table, "multi-label")
    loss, area = quick_score(run.targets, run.logits, "multi-label")
    pairs = [arrays_of(table, target) for target in ("x", "y")]
    chances = [(y, 1 / (1 + np.exp(-x))) for y, x in pairs]
    assert loss == pytest.approx(np.mean([log_loss(y, p) for y, p in chances]), abs=1e-9)
    assert area == pytest.approx(np.mean([roc_auc_score(y, x) for y, x in pairs]), abs=1e-9)


def test_quick_score_of_a_single_label_task_has_the_loss_of_the_softmax() -> None:
    run = run_arrays(class_table(masked=0.1), "single-label")
    targets = run.targets.copy()
    targets[:5, 0] = np.nan
    known = np.isfinite(targets).all(axis=1)
    chances = np.exp(run.logits[known]) / np.exp(run.logits[known]).sum(axis=1, keepdims=True)
    loss, _ = quick_score(targets, run.logits, "single-label")
    expected = log_loss(targets[known].argmax(axis=1), chances)
    assert loss == pytest.approx(expected, abs=1e-9)


def test_quick_score_leaves_out_a_target_with_one_class() -> None:
    targets = np.array([[0.0, 1.0], [1.0, 1.0]])
    logits = np.array([[-1.0, 0.0], [2.0, 0.0]])
    assert quick_score(targets, logits, "multi-label")[1] == 1
    assert quick_score(targets[:, 1:], logits[:, 1:], "multi-label")[1] is None


@pytest.mark.parametrize("task", ["multi-label", "single-label"])
def test_quick_score_without_a_label_is_undefined(task: Task) -> None:
    loss, area = quick_score(np.full((3, 2), np.nan), np.zeros((3, 2)), task)
    assert np.isnan(loss)
    assert area is None
