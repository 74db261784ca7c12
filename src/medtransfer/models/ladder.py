"""The ladder as data: the facts of every rung, stated once.

A rung is a backbone with its weights, ``init/architecture``. Five forms are open: ``timm/<model>``
(pre-trained), ``scratch/timm:<model>`` (random weights), ``file/<architecture>`` (a weights file),
``own/<name>`` (of ``medtransfer pretrain``) and ``embeddings/<name>`` (features in a file).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from medtransfer.errors import ConfigError, suggestion
from medtransfer.models.own_rungs import OWN, RUNGS, find_own, own_names
from medtransfer.models.rungs.published import IMAGENET_FILES, TINY_FILES, TINY_LICENCE
from medtransfer.models.rungs.start import METADATA_ONLY, START_MARK, Start, split_name, start_fault
from medtransfer.models.rungs.timm_tags import UNKNOWN_SET, tag_facts

Interpolation = Literal["bilinear", "bicubic"]
Precision = Literal["float32", "bfloat16"]
SourceKind = Literal["none", "package", "hub", "npz", "file", "own", "features"]
Stem = Literal["bit", "small"]
TIMM = "timm:"
EMBEDDINGS = "embeddings"
EMBEDDINGS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
        groups: Of its group normalisation.
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


@dataclass(frozen=True)
class Rung:
    """An architecture with its weights.

    Attributes:
        name: ``init/architecture``.
        architecture: The network.
        pretraining: What the weights were learned from.
        images: Number of images in that data; None if unknown.
        supervised: True if labels were used.
        source: Kind of place that the weights come from.
        location: Package and file, hub repository, or file name, as `source` says.
        sha256: Of the weights file, if it is pinned; otherwise it is recorded at first use.
        licence: Of the weights.
        note: Caveat for the reader, e.g. that it is a stand-in.
        start: Change before it is trained; None if there is none.
    """

    name: str
    architecture: Architecture
    pretraining: str
    images: int | None = None
    supervised: bool | None = None
    source: SourceKind = "none"
    location: str = ""
    sha256: str = ""
    licence: str = ""
    note: str = ""
    start: Start | None = None

    @property
    def base(self) -> str:
        """The name without its start, under which its weights lie."""
        return self.name.partition(START_MARK)[0]

    @property
    def init(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/", 1)[0]

    @property
    def is_random(self) -> bool:
        """True if the weights are random."""
        return self.source == "none"

    @property
    def reads_images(self) -> bool:
        """False if its features come from a file."""
        return self.source != "features"


def find_rung(name: str) -> Rung:
    """The facts of a rung.

    Args:
        name: As in `medtransfer ladder`, or one of the open forms.

    Raises:
        ConfigError: The rung does not exist.
    """
    if START_MARK in name:
        return _started(name)
    return LADDER[name] if name in LADDER else _open_form(name)


def _open_form(name: str) -> Rung:
    """A rung that only its name describes."""
    init, _, architecture = name.partition("/")
    open_form = architecture.removeprefix(TIMM)
    match init:
        case "timm" if architecture:
            facts = tag_facts(architecture)
            return Rung(
                name=name,
                architecture=_timm(architecture),
                pretraining=facts.pretraining,
                images=facts.images,
                source="hub",
                location=f"timm/{architecture}",
                licence=UNKNOWN_SET,
            )
        case "scratch" if architecture.startswith(TIMM) and open_form:
            return _scratch(name, _timm(open_form))
        case "file" if architecture in ARCHITECTURES or (
            architecture.startswith(TIMM) and open_form
        ):
            return Rung(
                name=name,
                architecture=architecture_of(architecture),
                pretraining="a local file",
                source="file",
            )
        case "metadata-only" if name == METADATA_ONLY:
            return replace(_embeddings(name), pretraining="clinical data alone")
        case "embeddings" if EMBEDDINGS_NAME.fullmatch(architecture):
            return _embeddings(name)
        case "own" if (of_own := find_own(architecture)) is not None:
            return _own(name, of_own)
        case _:
            pool = [*LADDER, *(f"file/{network}" for network in ARCHITECTURES)]
            pool += [f"{OWN}/{rung_name}" for rung_name in own_names()]
            where = " (a name has letters, digits, '.', '_' and '-')" * (init == EMBEDDINGS)
            if init == OWN:
                where = f" in {RUNGS}/ of the working folder or {OWN}/ of the weights folder"
            raise ConfigError(
                f"rung '{name}' does not exist{where}. {suggestion(name, pool)} "
                "`medtransfer ladder` lists all.".replace("  ", " ")
            )


def _started(name: str) -> Rung:
    """A changed rung; what it has seen is no longer its scale."""
    base, start = split_name(name)
    rung = find_rung(base)
    if fault := start_fault(start, rung.is_random, rung.reads_images):
        raise ConfigError(f"rung '{name}' {fault}.")
    return replace(
        rung,
        name=name,
        pretraining=f"{rung.pretraining}: {start.sentence}",
        images=None,
        start=start,
    )


def _embeddings(name: str) -> Rung:
    """A rung whose features are in a file; who made them, and how, only the user knows."""
    return Rung(
        name=name,
        architecture=Architecture(EMBEDDINGS, "", None, None),
        pretraining="not stated",
        source="features",
    )


def _scratch(name: str, architecture: Architecture) -> Rung:
    """A rung with random weights."""
    return Rung(name=name, architecture=architecture, pretraining="none", images=0)


def _own(name: str, facts: Mapping[str, Any]) -> Rung:
    """A rung made by `medtransfer pretrain`; a continued one has seen the images of both runs."""
    began = facts.get("continued_from")
    before = facts.get("images_before", None if began else 0)
    images = None if before is None else facts["images"] + before
    pretraining = f"{facts['pretraining']}, after {began}" if began else facts["pretraining"]
    return Rung(
        name=name,
        architecture=architecture_of(facts["architecture"]),
        pretraining=pretraining,
        images=images,
        supervised=True,
        source="own",
        location=facts["file"],
        sha256=facts["sha256"],
        licence=facts["licence"],
        note=facts["note"],
    )


def architecture_of(name: str) -> Architecture:
    """An architecture by its name as rungs spell it, e.g. ``r50x1`` or ``timm:vit_small``."""
    named = ARCHITECTURES.get(name)
    return _timm(name.removeprefix(TIMM)) if named is None else named


def _timm(name: str) -> Architecture:
    """An architecture whose facts timm knows; see `models.backbones.with_timm_facts`."""
    return Architecture(TIMM + name, name, None, None)


def _bit(name: str, parameters: int, width: int, timm: str = "") -> Architecture:
    return Architecture(
        name, timm, parameters, width, cpu_precision="bfloat16", input_size=480 if timm else 64
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


ARCHITECTURES: dict[str, Architecture] = {
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

_PUBLISHED_BIT = ("r50x1", "r101x1", "r50x3", "r152x2", "r101x3", "r152x4")


def _ladder() -> list[Rung]:
    rungs = [_scratch(f"scratch/{name}", network) for name, network in ARCHITECTURES.items()]
    rungs += [
        Rung(
            name=f"imagenet/{name}",
            architecture=ARCHITECTURES[name],
            pretraining="ImageNet-1k",
            images=1_281_167,
            supervised=True,
            source="package",
            location=file,
            sha256=digest,
            licence=licence,
        )
        for name, (file, digest, licence) in IMAGENET_FILES.items()
    ]
    rungs += [
        Rung(
            name=name,
            architecture=ARCHITECTURES[name.split("/")[1]],
            pretraining="Tiny-ImageNet at 32 px",
            images=images,
            supervised=True,
            source="package",
            location=f"medtransfer/models/pretrained/{name.replace('/', '--')}.safetensors",
            sha256=digest,
            licence=TINY_LICENCE,
            note="A miniature for machines without a GPU; its model card lies beside the weights.",
        )
        for name, (digest, images) in TINY_FILES.items()
    ]
    rungs += [
        Rung(
            name=f"bit-s/{name}",
            architecture=ARCHITECTURES[name],
            pretraining="ImageNet-1k",
            images=1_281_167,
            supervised=True,
            source="npz",
            location=f"BiT-S-{name.upper().replace('X', 'x')}.npz",
            licence="Apache-2.0",
        )
        for name in _PUBLISHED_BIT
    ]
    rungs += [
        Rung(
            name=f"bit-m/{name}",
            architecture=ARCHITECTURES[name],
            pretraining="ImageNet-21k",
            images=14_197_122,
            supervised=True,
            source="hub",
            location=f"timm/{ARCHITECTURES[name].timm}.goog_in21k",
            licence="Apache-2.0",
        )
        for name in _PUBLISHED_BIT
    ]
    rungs.append(
        Rung(
            name="noisy-student/effnet-b0",
            architecture=ARCHITECTURES["effnet-b0"],
            pretraining="ImageNet-1k and JFT-300M",
            images=300_000_000,
            supervised=False,
            source="hub",
            location="timm/tf_efficientnet_b0.ns_jft_in1k",
            licence="Apache-2.0",
            note="Stand-in for JFT scale: self-training on unlabelled JFT. BiT-L was never "
            "released.",
        )
    )
    return rungs


LADDER: dict[str, Rung] = {rung.name: rung for rung in _ladder()}
"""Every named rung."""
