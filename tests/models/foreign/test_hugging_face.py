"""Random small models of transformers give the same features here, to 1e-5."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from medtransfer.errors import WeightsError
from medtransfer.models.backbones import head_prefix
from medtransfer.models.load_weights import load_weights

HAS_TRANSFORMERS = importlib.util.find_spec("transformers") is not None
needs_transformers = pytest.mark.skipif(
    not HAS_TRANSFORMERS, reason="transformers is not installed: pip install transformers"
)
SIZES: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
VIT: dict[str, Any] = {**SIZES, "intermediate_size": 96, "image_size": 32, "patch_size": 8}
TIMM_VIT: dict[str, Any] = {
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "img_size": 32,
    "patch_size": 8,
    "num_classes": 0,
}
DINO: dict[str, Any] = {**SIZES, "image_size": 28, "patch_size": 7, "layerscale_value": 0.5}
TIMM_DINO: dict[str, Any] = {**TIMM_VIT, "img_size": 28, "patch_size": 7, "init_values": 1.0}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 2, 1]}
TIMM_STAGES: dict[str, Any] = {"dims": (8, 16, 16, 24), "depths": (1, 1, 2, 1), "num_classes": 0}
SWIN: dict[str, Any] = {
    "embed_dim": 12,
    "depths": [2, 2],
    "num_heads": [2, 3],
    "image_size": 56,
    "window_size": 7,
}
TIMM_SWIN: dict[str, Any] = {
    "embed_dim": 12,
    "depths": (2, 2),
    "num_heads": (2, 3),
    "img_size": 56,
    "window_size": 7,
    "num_classes": 0,
}
FAMILIES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "vit": ("ViT", VIT, "vit_tiny_patch16_224", TIMM_VIT),
    "dinov2": ("Dinov2", DINO, "vit_small_patch14_dinov2", TIMM_DINO),
    "dinov2-registers": (
        "Dinov2WithRegisters",
        DINO,
        "vit_small_patch14_reg4_dinov2",
        TIMM_DINO,
    ),
    # timm's network has the exact GELU; that of the published files differs by 0.0005 at most
    "siglip": (
        "SiglipVision",
        {**VIT, "hidden_act": "gelu"},
        "vit_base_patch16_siglip_224",
        TIMM_VIT,
    ),
    "clip": ("CLIPVision", VIT, "vit_base_patch16_clip_quickgelu_224", TIMM_VIT),
    "convnext": (
        "ConvNext",
        {**STAGES, "layer_scale_init_value": 0.5},
        "convnext_tiny",
        TIMM_STAGES,
    ),
    "convnextv2": ("ConvNextV2", STAGES, "convnextv2_tiny", TIMM_STAGES),
    "swin": ("Swin", SWIN, "swin_tiny_patch4_window7_224", TIMM_SWIN),
}


def networks(family: str, folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A random model of transformers, whose file is written, and timm's network."""
    transformers = importlib.import_module("transformers")

    kind, config, name, options = FAMILIES[family]
    torch.manual_seed(1)
    theirs = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**config))
    for weight in theirs.parameters():  # biases and norms start at 0 and 1 there
        torch.nn.init.normal_(weight, 0.1 if weight.ndim == 1 else 0.0, 0.3)
    theirs.save_pretrained(folder)
    ours = timm.create_model(name, pretrained=False, **options)
    return theirs.eval(), ours.eval()


@needs_transformers
@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    theirs, ours = networks(family, tmp_path)
    report = load_weights(ours, tmp_path / "model.safetensors", head_prefix(ours))
    assert report.loaded >= len(list(ours.parameters()))
    size = FAMILIES[family][1].get("image_size", 64)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, output = ours(images), theirs(pixel_values=images)
    wanted = output.last_hidden_state[:, 0] if family == "vit" else output.pooler_output
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 1e-5 * max(1.0, float(wanted.abs().max()))


@needs_transformers
def test_a_whole_model_leaves_its_text_tower_and_heads_out(tmp_path: Path) -> None:
    _, ours = networks("clip", tmp_path)
    tower = load_file(tmp_path / "model.safetensors")
    whole = {f"vision_model.{name}": value for name, value in tower.items()}
    whole["text_model.embeddings.token_embedding.weight"] = torch.zeros(4, 2)
    whole["visual_projection.weight"] = torch.zeros(2, 24)
    whole["logit_scale"] = torch.zeros(1)
    save_file(whole, tmp_path / "whole.safetensors")
    report = load_weights(ours, tmp_path / "whole.safetensors", "head")
    assert {"logit_scale", "visual_projection.weight"} <= set(report.left_out)


def hand_made() -> dict[str, torch.Tensor]:
    """The names of a published ViT, without transformers."""
    ours = timm.create_model("vit_tiny_patch16_224", pretrained=False, **TIMM_VIT)
    state: dict[str, torch.Tensor] = {}
    for name, value in ours.state_dict().items():
        if ".attn.qkv." in name:
            block, leaf = name.split(".")[1], name.rsplit(".", 1)[1]
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[f"vit.encoder.layer.{block}.attention.attention.{part}.{leaf}"] = (
                    piece.clone()
                )
            continue
        new = name
        for old, other in (
            ("cls_token", "embeddings.cls_token"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("blocks.", "encoder.layer."),
            ("attn.proj", "attention.output.dense"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
        ):
            new = new.replace(old, other)
        state[
            f"vit.{new.replace('norm.', 'layernorm.', 1) if new.startswith('norm.') else new}"
        ] = value
    return state


def test_published_names_are_converted_without_transformers(tmp_path: Path) -> None:
    state = hand_made()
    state["classifier.weight"] = torch.zeros(2, 24)
    save_file(state, tmp_path / "m.safetensors")
    ours = timm.create_model("vit_tiny_patch16_224", pretrained=False, **TIMM_VIT)
    report = load_weights(ours, tmp_path / "m.safetensors", "head")
    assert report.left_out == ("classifier.weight",)
    assert torch.equal(
        ours.state_dict()["blocks.1.attn.qkv.weight"][24:48],
        state["vit.encoder.layer.1.attention.attention.key.weight"],
    )


def test_a_part_that_is_missing_or_unknown_is_named(tmp_path: Path) -> None:
    state = hand_made()
    del state["vit.encoder.layer.1.attention.attention.key.weight"]
    state["vit.encoder.layer.1.adapter.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "m.safetensors")
    ours = timm.create_model("vit_tiny_patch16_224", pretrained=False, **TIMM_VIT)
    with pytest.raises(WeightsError) as error:
        load_weights(ours, tmp_path / "m.safetensors", "head")
    assert "not in the file: blocks.1.attn.qkv.weight" in str(error.value)
    assert "blocks.1.adapter.weight" in str(error.value)
