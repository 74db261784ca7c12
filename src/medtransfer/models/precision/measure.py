"""Timing of a network's passes in float32 and in bfloat16."""

import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from medtransfer.models.backbones import build_backbone
from medtransfer.models.classifier import Classifier, assemble_classifier
from medtransfer.models.fast_layers import use_plain_attention
from medtransfer.models.folding import folded
from medtransfer.models.precision.speeds import PrecisionSpeeds, Work
from medtransfer.models.rungs.architectures import Architecture, Precision
from medtransfer.models.runtime import is_out_of_memory, release_memory, seeded
from medtransfer.sizes.image_size import ImageSize, height_width

PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")
ROUNDS = 4
"""Timed passes in each precision, taken in turn; the fastest counts, which a neighbour on the
machine disturbs least."""
MIN_IMAGES = 2
"""Batch normalisation takes no statistics over one image that ends as one pixel."""
HOPELESS = 3.0
"""A first pass in bfloat16 that takes so many times that of float32 is emulated: it is not timed
again."""


def compare_speeds(
    run_pass: Callable[[Precision], None],
    images: int,
    limit: float,
    clock: Callable[[], float] = time.perf_counter,
) -> PrecisionSpeeds:
    """Time passes in both precisions, in turn.

    Args:
        run_pass: Carries out one in a precision.
        images: Of a pass.
        limit: Seconds after which no further round is started; the first is always made.
        clock: Seconds.
    """

    def seconds(precision: Precision) -> float:
        begun = clock()
        run_pass(precision)
        return max(clock() - begun, 1e-9)

    first = {precision: seconds(precision) for precision in PRECISIONS}  # kernels are prepared
    if first["bfloat16"] > HOPELESS * first["float32"]:
        # the speed is one to compare runs with: of a pass whose kernels are prepared
        warm = min(first["float32"], seconds("float32"))
        return PrecisionSpeeds(images / warm, images / first["bfloat16"])
    fastest = dict.fromkeys(PRECISIONS, float("inf"))
    begun = clock()
    for _ in range(ROUNDS):
        for precision in PRECISIONS:
            fastest[precision] = min(fastest[precision], seconds(precision))
        if clock() - begun > limit:
            break
    return PrecisionSpeeds(images / fastest["float32"], images / fastest["bfloat16"])


def measure_speeds(
    architecture: Architecture,
    size: ImageSize,
    device: torch.device,
    *,
    images: int,
    work: Work,
    limit: float,
    clock: Callable[[], float] = time.perf_counter,
) -> PrecisionSpeeds | None:
    """Measure a network of random weights; nothing outside changes.

    Args:
        architecture: Its facts, width included.
        size: Of its input in pixels.
        device: To measure on.
        images: Of a pass; fewer where the memory does not hold them.
        work: Passes to time.
        limit: As for `compare_speeds`.
        clock: Seconds.

    Returns:
        Images per second; None where the memory does not hold two images.
    """
    while images >= MIN_IMAGES:
        try:
            with seeded(0, "speed of a precision"):
                return _measure(
                    architecture, size, device, images=images, work=work, limit=limit, clock=clock
                )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        release_memory()  # outside the handler, whose error holds the tensors
        images //= 2
    return None


def _measure(
    architecture: Architecture,
    size: ImageSize,
    device: torch.device,
    *,
    images: int,
    work: Work,
    limit: float,
    clock: Callable[[], float],
) -> PrecisionSpeeds:
    backbone = build_backbone(architecture, seed=0, input_size=size)
    classifier = assemble_classifier(
        backbone, architecture, "mean", 1, seed=0, device=device, precision="float32"
    ).to(device)
    pixels = torch.rand((images, 3, *height_width(size)), device=device)
    one_pass = _train if work == "training" else _extract
    attention = [m for m in backbone.modules() if getattr(m, "fused_attn", False)]

    def run_pass(precision: Precision) -> None:
        classifier.precision = precision
        _attend(backbone, attention, precision, device)
        one_pass(classifier, pixels)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return compare_speeds(run_pass, images, limit, clock)


def _train(classifier: Classifier, pixels: torch.Tensor) -> None:
    """Pass forward and backward; the head starts at zero, so the features stand for the loss."""
    classifier.train()
    owner = torch.arange(len(pixels), device=pixels.device)
    loss = classifier.features(pixels, owner, len(pixels)).square().mean()
    cast("Any", loss).backward()
    classifier.zero_grad(set_to_none=True)


@torch.inference_mode()
def _extract(classifier: Classifier, pixels: torch.Tensor) -> None:
    """Pass forward as predictions do, layers folded."""
    classifier.eval()
    owner = torch.arange(len(pixels), device=pixels.device)
    with folded(classifier.backbone, classifier.precision):
        classifier.features(pixels, owner, len(pixels))


def _attend(
    backbone: nn.Module, fused: list[nn.Module], precision: Precision, device: torch.device
) -> None:
    """Attend as `assemble_classifier` has it in a precision."""
    for module in fused:
        cast("Any", module).fused_attn = True
    if precision == "bfloat16" and device.type == "cpu":
        use_plain_attention(backbone)
