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
from medtransfer.models.rungs.architectures import (
    ARCHITECTURES,
    TIMM,
    Architecture,
    architecture_of,
    timm_architecture,
)
from medtransfer.models.rungs.field import FIELD, FieldRung, StatedInput
from medtransfer.models.rungs.published import IMAGENET_FILES, TINY_FILES, TINY_LICENCE
from medtransfer.models.rungs.start import METADATA_ONLY, START_MARK, Start, split_name, start_fault
from medtransfer.models.rungs.timm_tags import UNKNOWN_SET, tag_facts

SourceKind = Literal["none", "package", "hub", "npz", "file", "own", "features"]
EMBEDDINGS = "embeddings"
EMBEDDINGS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
        seen: Public sets that it was pre-trained on, by their names in `medtransfer sources`.
        stated: Input of weights that are not timm's; None where timm knows it.
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
    seen: tuple[str, ...] = ()
    stated: StatedInput | None = None

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
    if name in FIELD:
        return _field(FIELD[name])
    return LADDER[name] if name in LADDER else _open_form(name)


def _field(facts: FieldRung) -> Rung:
    """A named encoder of the field; weights that are not timm's are a file."""
    return Rung(
        name=facts.name,
        architecture=timm_architecture(facts.timm),
        pretraining=facts.pretraining,
        images=facts.images,
        supervised=facts.supervised,
        source="hub" if facts.is_timm else "file",
        location=facts.name if facts.is_timm else "",
        licence=UNKNOWN_SET if facts.is_timm else facts.licence,
        note=facts.note,
        seen=facts.seen,
        stated=facts.stated,
    )


def _open_form(name: str) -> Rung:
    """A rung that only its name describes."""
    init, _, architecture = name.partition("/")
    open_form = architecture.removeprefix(TIMM)
    match init:
        case "timm" if architecture:
            facts = tag_facts(architecture)
            return Rung(
                name=name,
                architecture=timm_architecture(architecture),
                pretraining=facts.pretraining,
                images=facts.images,
                source="hub",
                location=f"timm/{architecture}",
                licence=UNKNOWN_SET,
            )
        case "scratch" if architecture.startswith(TIMM) and open_form:
            return _scratch(name, timm_architecture(open_form))
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
            pool = [*LADDER, *FIELD, *(f"file/{network}" for network in ARCHITECTURES)]
            pool += [f"{OWN}/{rung_name}" for rung_name in own_names()]
            where = " (a name has letters, digits, '.', '_' and '-')" * (init == EMBEDDINGS)
            if init == OWN:
                where = f" in {RUNGS}/ of the working folder or {OWN}/ of the weights folder"
            raise ConfigError(
                f"rung '{name}' does not exist{where}. {suggestion(name, pool)} "
                "`medtransfer ladder` lists all.".replace("  ", " ")
            )


def _started(name: str) -> Rung:
    """A changed rung; what it has seen is no longer its scale.

    A variant keeps its weights, but a network twice on the axis of scale would count double.
    """
    base, start = split_name(name)
    rung = find_rung(base)
    if fault := start_fault(start, rung.is_random, rung.reads_images):
        raise ConfigError(f"rung '{name}' {fault}.")
    pretraining = rung.pretraining if start.variant else f"{rung.pretraining}: {start.sentence}"
    return replace(rung, name=name, pretraining=pretraining, images=None, start=start)


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
