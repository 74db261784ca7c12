"""Stages of a backbone: its groups of weights, and what comes out of each."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medtransfer.analysis.questions import FEATURES
from medtransfer.data.loader import CaseImages
from medtransfer.models.backbones import layer_numbers
from medtransfer.models.classifier import Classifier

IMAGES_AT_ONCE = 128
NUMBERED = re.compile(r"^\w+\.\d+")


@dataclass(frozen=True)
class Stage:
    """A group of layers, by timm's coarse grouping.

    Attributes:
        number: From below, 0 is the stem.
        name: Of the module that ends it, e.g. ``stages.2``.
        weights: Names of its parameters and buffers.
        has_output: True if `name` is a module whose output is that of the stage.
    """

    number: int
    name: str
    weights: frozenset[str]
    has_output: bool


def stages_of(backbone: nn.Module) -> list[Stage]:
    """Stages of a backbone, the lowest first.

    Raises:
        ConfigError: timm does not say how the network is grouped.
    """
    numbers, top = layer_numbers(backbone, coarse=True)
    groups: dict[int, list[str]] = {}
    for name, number in numbers.items():
        groups.setdefault(min(number, top - 1), []).append(name)
    modules = {
        name for name, _ in cast("Iterable[tuple[str, nn.Module]]", backbone.named_modules())
    }
    buffers = [name for name, _ in backbone.named_buffers()]
    owners = {name.rpartition(".")[0]: number for number, names in groups.items() for name in names}
    stages: list[Stage] = []
    for order, number in enumerate(sorted(groups)):
        names = groups[number]
        end = _end_of(names)
        in_group = {name for name in buffers if owners.get(name.rpartition(".")[0]) == number}
        stages.append(Stage(order, end, frozenset({*names, *in_group}), end in modules))
    return stages


def _end_of(weights: Sequence[str]) -> str:
    """The numbered module that most weights of a group lie in, else the first part of a name."""
    numbered = Counter(match[0] for name in weights if (match := NUMBERED.match(name)))
    if numbered:
        return numbered.most_common(1)[0][0]
    return weights[0].split(".", 1)[0]


@dataclass(frozen=True, eq=False)
class StageOutputs:
    """Outputs of the stages of a network for some cases, averaged over positions and images.

    Attributes:
        case_ids: N
        by_stage: Of each stage by its name, the lowest first, `FEATURES` last. [N, C] each
        numbers: Of these stages, from below.
        logits: [N, T]
    """

    case_ids: tuple[str, ...]
    by_stage: Mapping[str, NDArray[np.float32]]
    numbers: Mapping[str, int]
    logits: NDArray[np.float64]


@torch.inference_mode()
def stage_outputs(
    classifier: Classifier, images: CaseImages, *, logits_alone: bool = False
) -> StageOutputs:
    """Outputs of every stage from one pass.

    Args:
        classifier: On the device it runs on; left in evaluation mode.
        images: The cases.
        logits_alone: Leave the stages out.
    """
    classifier.eval()
    device = next(classifier.parameters()).device
    all_stages = stages_of(classifier.backbone)
    stages = [] if logits_alone else [stage for stage in all_stages if stage.has_output]
    channels_last = getattr(classifier.backbone, "output_fmt", "NCHW") == "NHWC"
    captured: dict[str, torch.Tensor] = {}
    hooks = [
        classifier.backbone.get_submodule(stage.name).register_forward_hook(
            _keeper(captured, stage.name, channels_last=channels_last)
        )
        for stage in stages
    ]
    parts: dict[str, list[NDArray[np.float32]]] = {stage.name: [] for stage in stages}
    parts[FEATURES] = []
    logits: list[NDArray[np.float64]] = []
    try:
        for rows in images.split(np.arange(len(images), dtype=np.int64), IMAGES_AT_ONCE):
            batch = images.test_batch(rows, device)
            features = classifier.features(batch.images, batch.case_of_image, len(batch))
            logits.append(classifier.head(features).double().cpu().numpy())
            parts[FEATURES].append(features.cpu().numpy())
            for stage in stages:
                of_images = captured[stage.name]
                sums = torch.zeros((len(batch), of_images.shape[1]), device=device)
                sums.index_add_(0, batch.case_of_image, of_images)
                counts = torch.bincount(batch.case_of_image, minlength=len(batch))[:, None]
                parts[stage.name].append((sums / counts).cpu().numpy())
    finally:
        for hook in hooks:
            hook.remove()
    by_stage = {} if logits_alone else {name: np.concatenate(p) for name, p in parts.items()}
    ids = cast("Any", images.cases).case_ids.tolist()
    numbers = {stage.name: stage.number for stage in stages} | {FEATURES: len(all_stages)}
    return StageOutputs(tuple(ids), by_stage, numbers, np.concatenate(logits))


def _keeper(captured: dict[str, torch.Tensor], name: str, *, channels_last: bool) -> Any:
    """A hook that keeps the mean of an output over its positions. [M, C]"""

    def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
        parts = cast(
            "Sequence[torch.Tensor]", output if isinstance(output, (tuple, list)) else [output]
        )
        value = parts[0].float()
        if value.ndim == 4:
            value = value.mean(dim=(1, 2)) if channels_last else value.mean(dim=(2, 3))
        elif value.ndim == 3:
            value = value.mean(dim=1)
        captured[name] = value

    return keep
