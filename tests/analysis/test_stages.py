"""Stages of networks of several families, and the reset of one."""

import pytest
import torch

from medtransfer.analysis.stages import stages_of
from medtransfer.analysis.weights import relative_distance, stage_reset, state_of
from medtransfer.models.backbones import build_backbone
from medtransfer.models.rungs.architectures import architecture_of


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("r26x0.25", ["stem", "stages.0", "stages.1", "stages.2", "stages.3"]),
        ("effnet-lite0", ["conv_stem", *(f"blocks.{k}" for k in range(7))]),
        ("timm:vit_tiny_patch16_224", ["pos_embed", *(f"blocks.{k}" for k in range(12))]),
        ("timm:convnext_atto", ["stem", *(f"stages.{k}" for k in range(4))]),
    ],
)
def test_every_weight_is_in_one_stage(name: str, ends: list[str]) -> None:
    backbone = build_backbone(architecture_of(name), seed=0)
    stages = stages_of(backbone)
    assert [stage.number for stage in stages] == list(range(len(stages)))
    assert [stage.name for stage in stages][1:] == ends[1:]
    owned = [weight for stage in stages for weight in stage.weights]
    assert len(owned) == len(set(owned))
    assert {weight for weight, _ in backbone.named_parameters()} <= set(owned)
    assert all(stage.has_output for stage in stages[1:])


def test_a_stage_is_reset_and_put_back() -> None:
    backbone = build_backbone(architecture_of("r26x0.25"), seed=0).eval()
    before = state_of(backbone)
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first = backbone(image)
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if name.startswith("stages.2"):
                weight.mul_(1.5)
    after = state_of(backbone)
    changed = backbone(image)
    stages = stages_of(backbone)
    distances = [relative_distance(before, after, stage) for stage in stages]
    assert distances == pytest.approx([0, 0, 0, 0.5, 0])
    with stage_reset(backbone, stages[3], before):
        assert torch.equal(backbone(image), first)
    with stage_reset(backbone, stages[1], before):
        assert torch.equal(backbone(image), changed)
    assert torch.equal(backbone(image), changed)
    assert not torch.allclose(first, changed)
