"""Networks of torchvision and open_clip give the same outputs under timm's names."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from medtransfer.models.backbones import head_prefix
from medtransfer.models.load_weights import load_weights

NETWORKS = {
    "resnet18": "resnet18",
    "densenet121": "densenet121",
    "efficientnet_b0": "efficientnet_b0",
    "mobilenet_v2": "mobilenetv2_100",
}


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Statistics of batch normalisation that differ between layers."""
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        if name.endswith("running_var"):
            value.copy_(1 + torch.rand(value.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = randomised(torchvision.models.get_model(name, num_classes=5))
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    ours = timm.create_model(NETWORKS[name], pretrained=False, num_classes=5).eval()
    load_weights(ours, tmp_path / "w.safetensors", head_prefix(ours))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


def test_a_vision_transformer_of_torchvision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        "image_size": 32,
        "patch_size": 8,
        "num_layers": 2,
        "num_heads": 3,
        "hidden_dim": 24,
    }
    theirs = torchvision.models.VisionTransformer(**sizes, mlp_dim=96, num_classes=5).eval()
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    ours = timm.create_model(
        "vit_tiny_patch16_224",
        pretrained=False,
        num_classes=5,
        img_size=32,
        patch_size=8,
        embed_dim=24,
        depth=2,
        num_heads=3,
    ).eval()
    load_weights(ours, tmp_path / "w.safetensors", "head")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


def test_the_image_tower_of_open_clip(tmp_path: Path) -> None:
    """Names as open_clip has them; timm's own rule converts them."""
    options: dict[str, Any] = {
        "img_size": 32,
        "patch_size": 8,
        "embed_dim": 24,
        "depth": 2,
        "num_heads": 3,
    }
    first = timm.create_model(
        "vit_base_patch16_clip_224", pretrained=False, num_classes=0, **options
    ).eval()
    state: dict[str, torch.Tensor] = {"positional_embedding": torch.zeros(4, 8)}
    renames = (
        ("cls_token", "class_embedding"),
        ("pos_embed", "positional_embedding"),
        ("patch_embed.proj", "conv1"),
        ("norm_pre", "ln_pre"),
        ("blocks.", "transformer.resblocks."),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
        ("attn.qkv.weight", "attn.in_proj_weight"),
        ("attn.qkv.bias", "attn.in_proj_bias"),
        ("attn.proj", "attn.out_proj"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
    )
    for name, value in first.state_dict().items():
        new = f"ln_post.{name.removeprefix('norm.')}" if name.startswith("norm.") else name
        for old, other in renames:
            new = new.replace(old, other)
        flat = value[0, 0] if name == "cls_token" else value[0] if name == "pos_embed" else value
        state[f"visual.{new}"] = flat.clone()
    save_file(state, tmp_path / "w.safetensors")
    ours = timm.create_model(
        "vit_base_patch16_clip_224", pretrained=False, num_classes=0, **options
    ).eval()
    load_weights(ours, tmp_path / "w.safetensors", head_prefix(ours))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(ours(images), first(images), atol=1e-5)
