"""A classifier of cases: pooling, zero head, precision."""

import pytest
import torch

from medtransfer.models.classifier import build_classifier, resolve_precision
from medtransfer.models.config import ModelConfig
from medtransfer.models.heads import CasePool, zero_head
from medtransfer.models.ladder import ARCHITECTURES

CPU = torch.device("cpu")
OWNER = torch.tensor([0, 0, 1, 2, 2, 2])


def built(**changes):
    model = ModelConfig(rung="scratch/r14x0.5", **changes)
    return build_classifier(model, 2, seed=0, device=CPU, precision="float32")


def features() -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def test_an_untrained_classifier_says_nothing() -> None:
    classifier = built().classifier
    logits = classifier(torch.rand(6, 3, 32, 32), OWNER, 3)
    assert torch.equal(logits, torch.zeros(3, 2))


def test_the_head_starts_at_zero() -> None:
    head = zero_head(7, 3)
    assert not head.weight.any()
    assert not head.bias.any()


@pytest.mark.parametrize(("pool", "by_hand"), [("mean", torch.mean), ("max", torch.amax)])
def test_pooling_is_over_the_images_of_each_case(pool, by_hand) -> None:
    found = CasePool(pool, 5, seed=0)(features(), OWNER, 3)
    for case in range(3):
        expected = by_hand(features()[case == OWNER], dim=0)
        torch.testing.assert_close(found[case], expected)


def test_attention_weights_are_positive_and_add_up_to_one_in_each_case() -> None:
    pool = CasePool("attention", 5, seed=0)
    same = torch.ones(6, 5)
    torch.testing.assert_close(pool(same, OWNER, 3), torch.ones(3, 5))
    found = pool(features(), OWNER, 3)
    for case in range(3):
        own = features()[case == OWNER]
        assert (found[case] <= own.max(dim=0).values + 1e-6).all()
        assert (found[case] >= own.min(dim=0).values - 1e-6).all()


def test_attention_stays_finite_for_large_features() -> None:
    assert CasePool("attention", 5, seed=0)(features() * 1e4, OWNER, 3).isfinite().all()


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_a_case_does_not_depend_on_its_neighbours_or_the_order_of_its_images(pool) -> None:
    layer = CasePool(pool, 5, seed=0)
    alone = layer(features()[3:], torch.tensor([0, 0, 0]), 1)
    together = layer(features(), OWNER, 3)
    torch.testing.assert_close(alone[0], together[2])
    turned = torch.tensor([1, 0, 2, 5, 4, 3])
    torch.testing.assert_close(layer(features()[turned], OWNER[turned], 3), together)


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_a_single_image_pools_to_itself(pool) -> None:
    owner = torch.arange(6)
    torch.testing.assert_close(CasePool(pool, 5, seed=0)(features(), owner, 6), features())


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
    assert found.fit is not None
    assert found.fit.left_out == ("classifier.bias", "classifier.weight")
    assert built().weights is None
