"""Weights in the naming of Hugging Face's ``transformers``, for timm's networks.

ViT, DINOv2 (with registers too), the vision towers of CLIP and SigLIP, ConvNeXt, ConvNeXt V2 and
Swin, bare or inside a whole model. Names alone decide; a tensor that fits no rule keeps its name,
so that the loader names and refuses it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

Tensors = dict[str, torch.Tensor]
PATCHES = re.compile(r"^(?P<root>.*?)embeddings\.patch_embeddings?\.")
LEFT_OUT = re.compile(
    r"^(classifier|pooler|visual_projection|text_model|text_projection|logit_scale|logit_bias|head)"
    r"(\.|$)|(mask_token|position_ids|relative_position_index)$"
)
"""Heads, text towers and buffers that a backbone has no use for."""

Rules = Sequence[tuple[str, str]]
ATTENTION: Rules = (
    (r"attention\.(attention|self)\.(query|key|value)\.", r"attn.\2."),
    (r"(attention|self_attn)\.(q|k|v)_proj\.", r"attn.\2."),
    (r"(attention\.output\.dense|attention\.o_proj|self_attn\.out_proj)\.", "attn.proj."),
    (r"intermediate\.dense\.", "mlp.fc1."),
    (r"(?<!attention\.)output\.dense\.", "mlp.fc2."),
    (r"mlp\.weights_in\.", "mlp.fc1."),
    (r"mlp\.weights_out\.", "mlp.fc2."),
    (r"(layernorm_before|layer_norm1)\.", "norm1."),
    (r"(layernorm_after|layer_norm2)\.", "norm2."),
    (r"layer_scale(\d)\.lambda1$", r"ls\1.gamma"),
)
TRANSFORMER: Rules = (
    (r"^embeddings\.(cls_token|class_embedding)$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^(encoder\.layers?|layers)\.(\d+)\.", r"blocks.\2."),
    (r"^pre_layrnorm\.", "norm_pre."),
    (r"^(layernorm|post_layernorm)\.", "norm."),
    (r"^head\.probe$", "attn_pool.latent"),
    (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"^head\.layernorm\.", "attn_pool.norm."),
    (r"^head\.mlp\.", "attn_pool.mlp."),
    *ATTENTION,
)
CONVNEXT: Rules = (
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.layernorm\.", "stem.1."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"stages.\1.downsample."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.dwconv\.", r"stages.\1.blocks.\2.conv_dw."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.layernorm\.", r"stages.\1.blocks.\2.norm."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.pwconv(\d)\.", r"stages.\1.blocks.\2.mlp.fc\3."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.grn\.", r"stages.\1.blocks.\2.mlp.grn."),
    (
        r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer_scale_parameter$",
        r"stages.\1.blocks.\2.gamma",
    ),
    (r"^layernorm\.", "head.norm."),
)
SWIN: Rules = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.", "layers."),
    (r"attention\.(self|relative_position_bias)\.relative_position_bias_table$", ""),
    (r"^layernorm\.", "norm."),
    *ATTENTION,
)
QKV = ("q", "query"), ("k", "key"), ("v", "value")
BIAS_TABLE = "relative_position_bias_table"


@dataclass(frozen=True, eq=False)
class Translation:
    """Tensors under timm's names.

    Attributes:
        tensors: By name.
        left_out: Names in the file of tensors that no backbone has.
    """

    tensors: Tensors
    left_out: tuple[str, ...] = field(default=())


def is_hugging_face(names: Sequence[str]) -> bool:
    """True if names are those of ``transformers``."""
    return any(PATCHES.match(name) for name in names)


def from_hugging_face(
    state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> Translation:
    """Rename and fuse the tensors of a file.

    Args:
        state: Tensors of the file.
        wanted: State of the network that they are for; decides on axes of length 1.
    """
    root = _root(list(state))
    left_out: list[str] = []
    body: Tensors = {}
    for name, value in state.items():
        short = name.removeprefix(root) if name.startswith(root) else name
        is_pool = short.startswith("head.") and "attn_pool.latent" in wanted
        if LEFT_OUT.search(short) and not is_pool:
            left_out.append(name)
        elif name.startswith(root):
            body[short] = value
        else:
            body[name] = value
    rules = _family(body)
    named = {_renamed(name, rules): value for name, value in body.items()}
    fused = _with_split_pool(_with_fused_attention(named))
    if rules is SWIN:
        fused = {_later_downsample(name): value for name, value in fused.items()}
    return Translation(_in_shape(_with_class_position(fused, wanted), wanted), tuple(left_out))


def _root(names: Sequence[str]) -> str:
    """Start of the names of the image tower, e.g. ``vision_model.``."""
    matches = (PATCHES.match(name) for name in names)
    return next((match["root"] for match in matches if match), "")


def _family(names: Mapping[str, object]) -> Rules:
    if any(name.startswith("encoder.stages.") for name in names):
        return CONVNEXT
    if any(re.match(r"encoder\.layers\.\d+\.blocks\.", name) for name in names):
        return SWIN
    return TRANSFORMER


def _renamed(name: str, rules: Rules) -> str:
    if name.endswith(BIAS_TABLE):
        return re.sub(r"^encoder\.", "", re.sub(r"attention\..*$", f"attn.{BIAS_TABLE}", name))
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _later_downsample(name: str) -> str:
    """Swin's downsampling ends a stage there and begins the next here."""
    return re.sub(
        r"^layers\.(\d+)\.downsample\.",
        lambda match: f"layers.{int(match[1]) + 1}.downsample.",
        name,
    )


def _with_fused_attention(state: Tensors) -> Tensors:
    """Queries, keys and values one below the other, as timm has them."""
    fused: Tensors = {}
    for name, value in state.items():
        match = re.fullmatch(r"(.*attn)\.(q|query|k|key|v|value)\.(weight|bias)", name)
        if match is None:
            fused[name] = value
            continue
        prefix, _, leaf = match.groups()
        named = [[f"{prefix}.{spelling}.{leaf}" for spelling in pair] for pair in QKV]
        parts = [next((state[n] for n in pair if n in state), None) for pair in named]
        if any(part is None for part in parts):
            fused[name] = value
        else:
            fused[f"{prefix}.qkv.{leaf}"] = torch.cat([part for part in parts if part is not None])
    return fused


def _with_split_pool(state: Tensors) -> Tensors:
    """SigLIP's attention pooling: the query apart from key and value."""
    split: Tensors = {}
    for name, value in state.items():
        match = re.fullmatch(r"head\.attention\.in_proj_(weight|bias)", name)
        if match is None:
            split[name] = value
            continue
        width = value.shape[0] // 3
        split[f"attn_pool.q.{match[1]}"] = value[:width]
        split[f"attn_pool.kv.{match[1]}"] = value[width:]
    return split


def _with_class_position(state: Tensors, wanted: Mapping[str, torch.Tensor]) -> Tensors:
    """Add the position of the class token to it where the network has no place for one.

    So timm's own converter does for DINOv2 with registers.
    """
    if not {"reg_token", "cls_token", "pos_embed"} <= state.keys() or "reg_token" not in wanted:
        return state
    position, table = state["pos_embed"], wanted["pos_embed"]
    patches = position.shape[1] - 1
    if table.shape[1] != round(table.shape[1] ** 0.5) ** 2 or patches != round(patches**0.5) ** 2:
        return state
    return {
        **state,
        "cls_token": state["cls_token"] + position[:, :1],
        "pos_embed": position[:, 1:],
    }


def _in_shape(state: Tensors, wanted: Mapping[str, torch.Tensor]) -> Tensors:
    """Tensors that differ from the network's by axes of length 1 alone, in its shape."""
    return {name: _like(value, wanted.get(name)) for name, value in state.items()}


def _like(value: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
    if wanted is None or value.shape == wanted.shape:
        return value
    if _sides(value) == _sides(wanted):
        return value.reshape(wanted.shape)
    is_table = value.ndim == 2 and wanted.ndim == 3  # position embeddings of another size
    return value[None] if is_table else value


def _sides(value: torch.Tensor) -> list[int]:
    return [side for side in value.shape if side != 1]
