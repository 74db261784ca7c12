"""A classifier of cases: what it is built of, and in which precision it runs."""

import pytest
import torch

from medtransfer.models.classifier import build_classifier, resolve_precision
from medtransfer.models.config import ModelConfig
from medtransfer.models.rungs.architectures import ARCHITECTURES

CPU = torch.device("cpu")
OWNER = torch.tensor([0, 0, 1, 2, 2, 2])


def built(**changes):
    model = ModelConfig(rung="scratch/r14x0.5", **changes)
    return build_classifier(model, 2, seed=0, device=CPU, precision="float32")


def test_an_untrained_classifier_says_nothing() -> None:
    classifier = built().classifier
    logits = classifier(torch.rand(6, 3, 32, 32), OWNER, 3)
    assert torch.equal(logits, torch.zeros(3, 2))


def test_pooling_and_head_stay_in_float32_under_bfloat16() -> None:
    model = ModelConfig(rung="scratch/r14x0.5")
    half = build_classifier(model, 2, seed=0, device=CPU, precision="bfloat16").classifier
    found = half.features(torch.rand(6, 3, 32, 32), OWNER, 3)
    assert found.dtype == torch.float32
    exact = built().classifier.features(torch.rand(6, 3, 32, 32), OWNER, 3)
    assert exact.shape == found.shape == (3, 1024)


def test_auto_precision_follows_the_ladders_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert resolve_precision("auto", ARCHITECTURES["r50x1"], CPU) == "bfloat16"
    assert resolve_precision("auto", ARCHITECTURES["effnet-lite0"], CPU) == "float32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert resolve_precision("auto", ARCHITECTURES["r50x1"], CPU) == "float32"
    assert resolve_precision("bfloat16", ARCHITECTURES["effnet-lite0"], CPU) == "bfloat16"


def test_weights_are_reported_with_their_digest() -> None:
    model = ModelConfig(rung="imagenet/effnet-lite0")
    found = build_classifier(model, 1, seed=0, device=CPU)
    assert found.weights == found.rung.sha256
    assert found.weights_report is not None
    assert found.weights_report.left_out == ("classifier.bias", "classifier.weight")
    assert built().weights is None


@pytest.mark.parametrize(
    ("rung", "last"),
    [
        ("scratch/r14x0.5", False),
        ("scratch/timm:test_vit", False),
        ("scratch/effnet-lite0", True),
        ("scratch/timm:resnet18", True),
    ],
)
def test_images_are_brought_into_the_format_that_the_network_is_fast_with(
    rung: str, last: bool
) -> None:
    size = 32
    classifier = build_classifier(
        ModelConfig(rung=rung), 2, seed=0, device=CPU, precision="float32", input_size=size
    ).classifier.eval()
    seen: list[torch.Tensor] = []
    classifier.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for stored in (torch.contiguous_format, torch.channels_last):
        images = torch.rand(6, 3, size, size).contiguous(memory_format=stored)
        classifier(images, OWNER, 3)
    layout = torch.channels_last if last else torch.contiguous_format
    assert all(images.is_contiguous(memory_format=layout) for images in seen)
