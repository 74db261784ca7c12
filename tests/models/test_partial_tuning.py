"""Which weights are trained: the others stay to the bit, and products merge into plain weights."""

import pytest
import torch
from torch import nn

from medtransfer.errors import ConfigError
from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.folding import folded
from medtransfer.models.partial_tuning import (
    LowestStages,
    add_low_rank,
    merge_low_rank,
    merged_state,
)

OWNER = torch.arange(4)


def classifier(rung: str = "scratch/r14x0.5") -> Classifier:
    device = torch.device("cpu")
    model = ModelConfig(rung=rung)
    return build_classifier(model, 2, seed=0, device=device, precision="float32").classifier


def images(side: int = 32) -> torch.Tensor:
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))


def train(model: Classifier, side: int = 32) -> None:
    """Two steps of some training."""
    model.train()
    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = torch.optim.SGD(weights, 0.1)
    for _ in range(2):
        optimiser.zero_grad()
        logits = model(images(side), OWNER, 4)
        (logits - torch.tensor([1.0, -1.0])).square().mean().backward()
        optimiser.step()


def changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    after = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_the_lowest_stages_stay_and_the_others_are_trained() -> None:
    model = classifier()
    LowestStages(model, 3).freeze()
    before = copied(model)
    train(model)
    moved = changed(before, model)
    assert not any(
        n.startswith(("backbone.stem", "backbone.stages.0", "backbone.stages.1")) for n in moved
    )
    assert {"head.weight", "backbone.stages.2.blocks.0.conv1.weight"} <= moved
    assert "backbone.stages.3.blocks.0.conv3.weight" in moved


def test_batch_statistics_of_frozen_stages_stay_and_others_move() -> None:
    model = classifier("scratch/effnet-lite0")
    LowestStages(model, 4).freeze()
    before = copied(model)
    train(model, 64)
    statistics = {name for name in changed(before, model) if name.endswith("running_mean")}
    assert statistics
    frozen = ("backbone.conv_stem", "backbone.bn1", *(f"backbone.blocks.{i}." for i in range(3)))
    assert not any(name.startswith(frozen) for name in changed(before, model))
    assert all(name.startswith(("backbone.blocks.", "backbone.bn2")) for name in statistics)
    assert not model.eval().backbone.training
    assert not model.train().get_submodule("backbone.blocks.2.0.bn1").training
    assert model.get_submodule("backbone.blocks.3.0.bn1").training


def test_a_transformer_is_frozen_by_its_blocks() -> None:
    model = classifier("scratch/timm:vit_tiny_patch16_224")
    LowestStages(model, 5).freeze()
    trained = {
        n.split(".")[2]
        for n, w in model.backbone.named_parameters()
        if w.requires_grad
        for n in [f"backbone.{n}"]
        if "blocks" in n
    }
    assert trained == {str(i) for i in range(4, 12)}
    assert not model.backbone.pos_embed.requires_grad


def test_more_stages_than_there_are_is_refused_with_their_number() -> None:
    LowestStages(classifier(), 5).freeze()
    with pytest.raises(ConfigError, match=r"frozen_stages is 6; the backbone has 5 .* 1 to 5"):
        LowestStages(classifier(), 6).freeze()


def test_a_network_of_no_known_layers_is_refused() -> None:
    model = classifier()
    model.backbone = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    with pytest.raises(ConfigError, match="no layers for a Sequential.*need another rung"):
        LowestStages(model, 1).freeze()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rung", "side"),
    [
        ("scratch/r14x0.5", 32),
        ("scratch/effnet-lite0", 64),
        ("scratch/timm:vit_tiny_patch16_224", 224),
    ],
)
def test_products_change_nothing_at_first_and_merge_to_the_bit(rung: str, side: int) -> None:
    plain, model = classifier(rung), classifier(rung)
    add_low_rank(model, rank=2, scale=0.5, seed=1)
    pictures = images(side)
    plain.eval()
    model.eval()
    assert torch.equal(plain.features(pictures, OWNER, 4), model.features(pictures, OWNER, 4))
    before = copied(model)
    train(model, side)
    moved = changed(before, model)
    assert moved <= {n for n in before if n.startswith("head.") or n.endswith((".0.a", ".0.b"))}
    assert any(name.endswith(".0.b") for name in moved)
    model.eval()
    with torch.no_grad():
        adapted = model(pictures, OWNER, 4)
        ready = merged_state(model)
        merge_low_rank(model)
        assert torch.equal(model(pictures, OWNER, 4), adapted)
        plain.load_state_dict(ready)
        assert torch.equal(plain(pictures, OWNER, 4), adapted)
    assert set(model.state_dict()) == set(plain.state_dict())


def test_a_network_with_batch_norm_predicts_while_its_products_are_apart() -> None:
    model = classifier("scratch/effnet-lite0").eval()
    add_low_rank(model, rank=2, scale=0.5, seed=1)
    with torch.no_grad():
        expected = model.backbone(images())
        with folded(model.backbone, "float32"):
            torch.testing.assert_close(model.backbone(images()), expected, rtol=1e-4, atol=1e-5)


def test_what_is_added_is_the_scaled_product_of_the_rank() -> None:
    plain, model = classifier(), classifier()
    add_low_rank(model, rank=2, scale=3.0, seed=1)
    train(model)
    state, merged = copied(model), merged_state(model)
    name = "backbone.stages.1.blocks.0.conv2"
    a, b = (state[f"{name}.parametrizations.weight.0.{part}"] for part in "ab")
    added = merged[f"{name}.weight"] - plain.state_dict()[f"{name}.weight"]
    torch.testing.assert_close(added.flatten(1), 3.0 * b @ a, rtol=1e-4, atol=1e-6)
    assert torch.linalg.matrix_rank(added.flatten(1).double(), rtol=1e-3) == 2


def test_the_share_that_is_trained_is_small_and_drawn_by_the_seed() -> None:
    full, model, again, other = (classifier() for _ in range(4))
    for one, seed in ((model, 1), (again, 1), (other, 2)):
        add_low_rank(one, rank=4, scale=1.0, seed=seed)
    trained = sum(w.numel() for w in model.parameters() if w.requires_grad)
    assert trained < 0.1 * sum(w.numel() for w in full.parameters())
    assert not changed(copied(model), again)
    assert changed(copied(model), other)


def test_merging_a_plain_network_leaves_it() -> None:
    model = classifier()
    before = copied(model)
    merge_low_rank(model)
    assert not changed(before, model)
    assert merged_state(model).keys() == before.keys()
