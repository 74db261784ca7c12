"""The networks of a bundle as ONNX graphs, by torch's exporter, compared with torch."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from medtransfer.data.covariates.encoding import CovariateEncoding
from medtransfer.data.images.pictures import Pixels
from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.reader import CARD, PARITY, array_bytes, onnx_name, weights_name
from medtransfer.deploy.bundle.schema import BundleFacts, OnnxFacts
from medtransfer.deploy.clinical.facts import encodings_of
from medtransfer.deploy.inference.decoded import bundled_spec
from medtransfer.deploy.inference.network import trained_classifier
from medtransfer.deploy.inference.networks import NetworkOutputs, Pictures
from medtransfer.deploy.inference.onnx_network import (
    CASES,
    CLINICAL,
    FEATURES,
    IMAGES,
    LOGITS,
    TO_INSTALL,
    OnnxNetwork,
)
from medtransfer.deploy.inference.runtime import TorchNetwork
from medtransfer.errors import BundleError, ConfigError, listed
from medtransfer.models.classifier import CasePool, Classifier
from medtransfer.models.folding import folded
from medtransfer.models.rungs.architectures import Precision
from medtransfer.models.tensors import Tensors
from medtransfer.sizes.image_size import ImageSize, height_width

OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
PARITY_CASES = (1,) * 16 + (2,) * 8
"""Images of each case of the comparison: 32 together."""
MAX_DIFFERENCE = 1e-4
"""Largest difference of a logit from torch, as a share of the largest logit if that is over 1."""
MAX_PARAMETERS = 2**31 // 4 - 2**22
"""A file of ONNX has at most 2 GiB."""

Entries = Mapping[str, bytes]


class _Graph(nn.Module):
    """A classifier whose images are brought together by a matrix, which ONNX can size freely."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.backbone = classifier.backbone
        self.pool = classifier.pool
        self.head = classifier.head

    def forward(
        self,
        images: torch.Tensor,
        images_of_case: torch.Tensor,
        clinical: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [B, D + C] and logits [B, T].

        Args:
            images: [M, 3, H, W]
            images_of_case: [B, M]
            clinical: Of the cases, where the network sees any. [B, C]
        """
        features = pooled(self.pool, self.backbone(images).float(), images_of_case)
        if clinical is not None:
            features = torch.cat([features, clinical], dim=1)
        return features, self.head(features)


def pooled(pool: CasePool, features: torch.Tensor, images_of_case: torch.Tensor) -> torch.Tensor:
    """Features of cases as `CasePool` gives them, from a matrix in place of owners.

    Args:
        pool: Of the classifier.
        features: Of images. [M, D]
        images_of_case: 1 where an image belongs to a case, else 0. [B, M]

    Returns:
        [B, D]
    """
    if pool.pool == "max":
        lowest = torch.full_like(features, -torch.inf)[None]
        return torch.where(images_of_case[:, :, None] > 0, features[None], lowest).amax(dim=1)
    member = images_of_case
    if pool.pool == "attention":
        member = member * pool.attention(features, member)
    return (member @ features) / member.sum(dim=1, keepdim=True)


def require_exporter() -> None:
    """Check that what `export --onnx` needs is installed.

    Raises:
        ConfigError: It is not.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"--onnx needs {listed(missing)}: {TO_INSTALL}.")


def with_onnx(facts: BundleFacts, entries: Entries) -> tuple[BundleFacts, dict[str, bytes]]:
    """A bundle's facts and entries with its networks in ONNX beside torch's.

    Args:
        facts: Of the bundle.
        entries: Its entries, with the weights.

    Returns:
        The facts with `onnx`, and the entries with the graphs, the comparison and a new card.

    Raises:
        ConfigError: The exporter is not installed.
        BundleError: The network is too large for a file of ONNX, cannot be exported, or is not
            computed there as in torch.
    """
    require_exporter()
    if facts.network.parameters > MAX_PARAMETERS:
        raise BundleError(
            f"A network of {facts.network.parameters:,} parameters does not fit in a file of ONNX "
            f"(at most {MAX_PARAMETERS:,}). Make the bundle without --onnx."
        )
    pixels = parity_pixels(facts.input.crop)
    pictures = _by_case(list(pixels))
    graphs: dict[str, bytes] = {}
    outputs: list[NetworkOutputs] = []
    differences: list[float] = []
    of_precision: list[float] = []
    encodings = encodings_of(facts.clinical, facts.members)
    clinical = [parity_clinical(encoding) for encoding in encodings]
    for member, values in enumerate(clinical):
        weights = entries[weights_name(member)]
        exact = _classifier(facts, weights, "float32", values)
        content = onnx_bytes(exact, facts)
        ours = TorchNetwork(exact, bundled_spec(facts.input)).outputs(pictures, values)
        onnx_network = OnnxNetwork(content, facts, ["CPUExecutionProvider"], exact.covariates)
        theirs = onnx_network.outputs(pictures, values)
        difference = _largest(ours, theirs)
        if difference > MAX_DIFFERENCE * max(1.0, float(np.abs(ours.logits).max())):
            raise BundleError(
                f"The network in ONNX is not torch's: a logit differs by {difference:.2g} "
                f"(allowed: {MAX_DIFFERENCE:g}). Make the bundle without --onnx."
            )
        if facts.network.precision != "float32":
            used = _classifier(facts, weights, facts.network.precision, values)
            in_study = TorchNetwork(used, bundled_spec(facts.input)).outputs(pictures, values)
            of_precision.append(_largest(in_study, theirs))
        graphs[onnx_name(member)] = content
        outputs.append(ours)
        differences.append(difference)
    graphs[PARITY] = array_bytes(
        {
            "pixels": pixels,
            CASES: case_matrix(PARITY_CASES),
            LOGITS: np.stack([out.logits for out in outputs]),
            **_by_member(outputs, clinical),
        }
    )
    onnx = OnnxFacts(
        opset=OPSET,
        exporter=f"torch {version('torch')}",
        runtime=f"onnxruntime {version('onnxruntime')}",
        inputs=len(pixels),
        logit_difference=max(differences),
        precision_difference=max(of_precision, default=None),
    )
    facts = replace(facts, onnx=onnx)
    return facts, {**entries, **graphs, CARD: bundle_card(facts).encode()}


def _by_member(
    outputs: Sequence[NetworkOutputs], clinical: Sequence[NDArray[np.float32] | None]
) -> dict[str, NDArray[Any]]:
    """Features of the members, and the clinical data that they saw.

    Networks that see clinical data may have seen other values in training: the widths differ.
    """
    if all(values is None for values in clinical):
        return {FEATURES: np.stack([out.features for out in outputs])}
    features = {f"{FEATURES}_{n}": out.features for n, out in enumerate(outputs)}
    seen = {f"{CLINICAL}_{n}": v for n, v in enumerate(clinical) if v is not None}
    return {**features, **seen}


def onnx_bytes(classifier: Classifier, facts: BundleFacts) -> bytes:
    """A classifier as a file of ONNX: `images` and `images_of_case` to `features` and `logits`.

    A network that sees clinical data takes them as a third input, `clinical`.

    Args:
        classifier: In float32, in evaluation mode.
        facts: Of its bundle.

    Raises:
        BundleError: torch cannot export it.
    """
    size = height_width(facts.input.crop)
    example = (torch.zeros(3, 3, *size), torch.tensor(case_matrix((2, 1))))
    images, cases = torch.export.Dim("images"), torch.export.Dim("cases")
    shapes: tuple[dict[int, Any], ...] = ({0: images}, {0: cases, 1: images})
    if classifier.covariates:
        example = (*example, torch.zeros(2, classifier.covariates))
        shapes = (*shapes, {0: cases})
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings(), torch.no_grad(), folded(classifier.backbone, "float32"):
        warnings.simplefilter("ignore")  # the exporter tells of its own inner deprecations
        log.setLevel(logging.CRITICAL)
        try:
            program = cast("Any", torch.onnx).export(
                _Graph(classifier).eval(),
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=[IMAGES, CASES, CLINICAL][: len(example)],
                output_names=[FEATURES, LOGITS],
                dynamic_shapes=shapes,
                verbose=False,
            )
        except Exception as error:
            raise BundleError(
                f"torch cannot export {facts.network.architecture.name} to ONNX "
                f"({type(error).__name__}). Make the bundle without --onnx."
            ) from error
        finally:
            log.setLevel(level)
    return _without_traces(program.model_proto)


def parity_pixels(size: ImageSize) -> NDArray[np.uint8]:
    """Generated images for the comparison: waves of several lengths, and noise. [32, H, W, 3]"""
    rng = np.random.default_rng(0)
    count = sum(PARITY_CASES)
    height, width = height_width(size)
    rows, columns = (np.arange(side, dtype=np.float64) / side for side in (height, width))
    waves = np.zeros((count, height, width, 3))
    for _ in range(4):
        down, right = rng.uniform(0.5, 8, (2, count, 1, 1, 3))
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 3))
        angle = down * rows[None, :, None, None] + right * columns[None, None, :, None]
        waves += np.sin(2 * np.pi * angle + phase) * rng.uniform(10, 40, (count, 1, 1, 3))
    waves += rng.normal(0, 8, waves.shape)
    return np.clip(np.rint(waves + 127.5), 0, 255).astype(np.uint8)


def parity_clinical(encoding: CovariateEncoding | None) -> NDArray[np.float32] | None:
    """Generated clinical data for the comparison. [24, C]"""
    if encoding is None:
        return None
    rng = np.random.default_rng(1)
    return rng.normal(size=(len(PARITY_CASES), encoding.width)).astype(np.float32)


def case_matrix(counts: tuple[int, ...]) -> NDArray[np.float32]:
    """Matrix of cases with so many images each: 1 where an image belongs to a case. [B, M]"""
    owner = np.repeat(np.arange(len(counts)), counts)
    return (owner == np.arange(len(counts))[:, None]).astype(np.float32)


def _by_case(images: list[Pixels]) -> Pictures:
    ends = np.cumsum(PARITY_CASES).tolist()
    return [images[end - count : end] for end, count in zip(ends, PARITY_CASES, strict=True)]


def _classifier(
    facts: BundleFacts,
    weights: bytes,
    precision: Precision,
    clinical: NDArray[np.float32] | None,
) -> Classifier:
    tensors = cast("Tensors", cast("Any", safetensors.torch).load(weights))
    return trained_classifier(
        replace(facts.network, precision=precision),
        facts.input.crop,
        len(facts.targets),
        tensors,
        torch.device("cpu"),
        covariates=0 if clinical is None else clinical.shape[1],
    )


def _largest(ours: NetworkOutputs, theirs: NetworkOutputs) -> float:
    return float(np.abs(ours.logits - theirs.logits).max())


def _without_traces(model: Any) -> bytes:
    """Bytes of a graph without the exporter's notes, which name folders of this machine."""
    model.doc_string = ""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.initializer, *graph.value_info):
        holder.doc_string = ""
        del holder.metadata_props[:]
    for end in (*graph.input, *graph.output):
        end.doc_string = ""
        del end.metadata_props[:]
    return cast("bytes", model.SerializeToString(deterministic=True))
