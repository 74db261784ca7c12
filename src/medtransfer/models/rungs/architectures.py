"""Networks of the ladder as data: their facts, stated once."""

from dataclasses import dataclass, replace
from typing import Literal

Interpolation = Literal["bilinear", "bicubic"]
Precision = Literal["float32", "bfloat16"]
Stem = Literal["bit", "small"]
TIMM = "timm:"


@dataclass(frozen=True)
class Architecture:
    """A network without weights.

    Attributes:
        name: Our short name.
        timm: Name in timm; empty for small members of the BiT family.
        parameters: Weights of the backbone, without a head.
        width: Length of the feature vector.
        mean: Of the input, per channel on the scale 0 to 1.
        std: Of the input, likewise.
        interpolation: Used to resize its input.
        input_size: Side of the input it was designed for.
        crop_share: Share of the shorter side that its published evaluation crops.
        cpu_precision: Fastest training precision on a CPU with bfloat16 units
            (docs/explanation/speed.md, docs/log.md).
        channels_last: True if that memory format is faster on a CPU, as measured.
        layers: Blocks per stage, for members of the BiT family.
        width_factor: Width of a member of the BiT family.
        groups: Of its group normalisation; 0 for batch normalisation in its place, with weights
            that are not standardised.
        stem: Of such a member: ``bit`` is 7×7 in steps of 2 and max-pooling in steps of 2, for
            images of 32 px and larger if speed matters; ``small`` is 3×3 in steps of 2 alone, which
            leaves images of 32 to 64 px four times as many positions at four times the cost.
    """

    name: str
    timm: str
    parameters: int | None
    width: int | None
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bilinear"
    input_size: int = 224
    crop_share: float = 1.0
    cpu_precision: Precision = "float32"
    channels_last: bool = False
    layers: tuple[int, int, int, int] | None = None
    width_factor: float = 1.0
    groups: int = 32
    stem: Stem = "bit"

    @property
    def is_twin(self) -> bool:
        """True for a member of the BiT family with batch normalisation in its place."""
        return self.groups == 0


def architecture_of(name: str) -> Architecture:
    """An architecture by its name as rungs spell it, e.g. ``r50x1`` or ``timm:vit_small``."""
    named = ARCHITECTURES.get(name)
    return timm_architecture(name.removeprefix(TIMM)) if named is None else named


def timm_architecture(name: str) -> Architecture:
    """An architecture whose facts timm knows; see `models.backbones.with_timm_facts`."""
    return Architecture(TIMM + name, name, None, None)


def _bit(name: str, parameters: int, width: int, timm: str = "") -> Architecture:
    return Architecture(
        name, timm, parameters, width, cpu_precision="bfloat16", input_size=480 if timm else 64
    )


def _unreleased_bit(
    name: str, parameters: int, width: int, *, layers: tuple[int, int, int, int], width_factor: int
) -> Architecture:
    bit = replace(_bit(name, parameters, width), input_size=480)
    return replace(bit, layers=layers, width_factor=float(width_factor))


def _with_batch_norm(bit: Architecture, layers: tuple[int, int, int, int]) -> Architecture:
    """The twin of a member of the BiT family that differs in its normalisation alone."""
    return replace(
        bit,
        name=f"{bit.name}-bn",
        timm="",
        cpu_precision="float32",
        channels_last=True,
        layers=layers,
        groups=0,
    )


def _lite(number: int, parameters: int, size: int, share: float) -> Architecture:
    return Architecture(
        f"effnet-lite{number}",
        f"tf_efficientnet_lite{number}",
        parameters,
        1280,
        interpolation="bicubic",
        input_size=size,
        crop_share=share,
        channels_last=True,
    )


_NAMED: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        replace(_bit("r26x0.25", 877_264, 512), layers=(2, 2, 2, 2), width_factor=0.25, groups=8),
        replace(_bit("r26x0.5", 3_492_768, 1024), layers=(2, 2, 2, 2), width_factor=0.5, groups=16),
        replace(
            _bit("r26x0.25s", 875_344, 512),
            layers=(2, 2, 2, 2),
            width_factor=0.25,
            groups=8,
            stem="small",
        ),
        replace(
            _bit("r26x0.5s", 3_488_928, 1024),
            layers=(2, 2, 2, 2),
            width_factor=0.5,
            groups=16,
            stem="small",
        ),
        replace(_bit("r14x0.5", 2_007_328, 1024), layers=(1, 1, 1, 1), width_factor=0.5),
        replace(_bit("r14x1", 8_008_256, 2048), layers=(1, 1, 1, 1)),
        replace(_bit("r26x1", 13_938_496, 2048), layers=(2, 2, 2, 2)),
        _bit("r50x1", 23_500_352, 2048, "resnetv2_50x1_bit"),
        _bit("r101x1", 42_492_480, 2048, "resnetv2_101x1_bit"),
        _bit("r50x3", 211_174_080, 6144, "resnetv2_50x3_bit"),
        _bit("r152x2", 232_238_208, 4096, "resnetv2_152x2_bit"),
        _bit("r101x3", 381_789_888, 6144, "resnetv2_101x3_bit"),
        # of the paper's grid, but never released: timm has no name for them
        _unreleased_bit("r50x4", 375_347_456, 8192, layers=(3, 4, 6, 3), width_factor=4),
        _unreleased_bit("r152x3", 522_306_240, 6144, layers=(3, 8, 36, 3), width_factor=3),
        _bit("r152x4", 928_340_224, 8192, "resnetv2_152x4_bit"),
        _lite(0, 3_371_008, 224, 0.875),
        _lite(1, 4_135_680, 240, 0.882),
        _lite(2, 4_811_072, 260, 0.890),
        Architecture(
            name="effnet-b0",
            timm="tf_efficientnet_b0",
            parameters=4_007_548,
            width=1280,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            interpolation="bicubic",
            input_size=224,
            crop_share=0.875,
            channels_last=True,
        ),
        Architecture(
            name="mobilenetv2",
            timm="mobilenetv2_100",
            parameters=2_223_872,
            width=1280,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            interpolation="bilinear",
            input_size=224,
            crop_share=0.875,
            channels_last=True,
        ),
    )
}

_TWINS = {
    "r26x0.25": (2, 2, 2, 2),
    "r26x0.5": (2, 2, 2, 2),
    "r14x1": (1, 1, 1, 1),
    "r26x1": (2, 2, 2, 2),
    "r50x1": (3, 4, 6, 3),
}
"""Blocks per stage of the networks that have a twin with batch normalisation."""

ARCHITECTURES: dict[str, Architecture] = {
    **_NAMED,
    **{f"{name}-bn": _with_batch_norm(_NAMED[name], layers) for name, layers in _TWINS.items()},
}
"""Every named network."""
