"""Pre-training sets are read off timm's tags, or left unknown."""

import pytest

from medtransfer.models.backbones import with_timm_facts
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.field import FIELD
from medtransfer.models.rungs.timm_tags import UNKNOWN_SET, tag_facts


@pytest.mark.parametrize(
    ("model", "pretraining", "images"),
    [
        ("resnet50.a1_in1k", "ImageNet-1k", 1_281_167),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", "ImageNet-21k, then ImageNet-1k", 14_197_122),
        ("vit_small_patch14_dinov2.lvd142m", "LVD-142M", 142_000_000),
        ("vit_small_patch16_dinov3.lvd1689m", "LVD-1689M", 1_689_000_000),
        ("vit_base_patch32_clip_224.laion2b_ft_in1k", "LAION-2B, then ImageNet-1k", 2_000_000_000),
        ("convnext_base.clip_laion2b", "LAION-2B", 2_000_000_000),
        ("vit_large_patch14_clip_224.dfn2b_s39b", "DFN-2B", 2_000_000_000),
        ("vit_base_patch16_siglip_224.v2_webli", UNKNOWN_SET, None),
        ("convnext_base.in12k_ft_in1k", UNKNOWN_SET, None),
        ("tf_efficientnet_b0.ns_jft_in1k", UNKNOWN_SET, None),
        ("vit_base_patch16_224.mae", UNKNOWN_SET, None),
        ("resnet50", UNKNOWN_SET, None),
    ],
)
def test_a_tag_tells_its_sets(model: str, pretraining: str, images: int | None) -> None:
    facts = tag_facts(model)
    assert (facts.pretraining, facts.images) == (pretraining, images)
    rung = find_rung(f"timm/{model}")
    if rung.name not in FIELD:  # the facts of the table are more than the tag tells
        assert (rung.pretraining, rung.images) == (pretraining, images)


def test_the_licence_is_that_of_timm() -> None:
    assert with_timm_facts(find_rung("timm/resnet18.a1_in1k")).licence == "apache-2.0"
