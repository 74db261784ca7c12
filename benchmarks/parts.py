"""A training step with the layers of `models/fast_layers.py` against the same network with timm's.

    python benchmarks/parts.py [--quick]

R50x1 at 64, 128 and 224 px, and ViT-S at 224 px, in bfloat16 if the machine has units for it:
medians of alternating steps in one process. Goal: no network slower, 1.05 times the speed in the
geometric mean. With --quick only R50x1 at 64 px. About a minute. Measured on a CPU.
"""

import argparse
import statistics
import sys
import time

import timm
import torch
from torch import nn
from torch.nn import functional

from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung

GOAL, LEAST = 1.05, 0.97
VIT = "scratch/timm:vit_small_patch16_224"
CASES = (
    ("scratch/r50x1", 64, 32),
    ("scratch/r50x1", 128, 16),
    ("scratch/r50x1", 224, 8),
    (VIT, 224, 8),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one case, under a minute")
    quick = parser.parse_args().quick
    gains = [gain(*case, steps=5 if quick else 9) for case in CASES[: 1 if quick else None]]
    mean = statistics.geometric_mean(gains)
    print(
        f"{mean:.3f} times the speed of timm's parts (goal {GOAL}), least {min(gains):.3f} "
        f"(goal {LEAST})"
    )
    return 0 if mean >= GOAL and min(gains) >= LEAST else 1


def gain(rung: str, crop: int, batch: int, steps: int) -> float:
    """Speed of a step with our layers relative to timm's."""
    device = torch.device("cpu")
    built = [
        build_classifier(ModelConfig(rung=rung), 2, seed=0, device=device, input_size=crop)
        for _ in range(2)
    ]
    ours, theirs = (one.classifier.train() for one in built)
    theirs.backbone = timm.create_model(find_rung(rung).architecture.timm, num_classes=0).train()
    times: dict[str, list[float]] = {"ours": [], "timm's": []}
    for number in range(steps + 1):
        for name, network in (("ours", ours), ("timm's", theirs)):
            seconds = step(network, crop, batch)
            if number:  # the first step allocates
                times[name].append(seconds)
    medians = {name: statistics.median(own) for name, own in times.items()}
    said = ", ".join(f"{name} {1000 * median:.0f} ms" for name, median in medians.items())
    found = medians["timm's"] / medians["ours"]
    print(f"{rung} {crop} px, {batch} images: {said}: {found:.3f} times", flush=True)
    return found


def step(network: Classifier, crop: int, batch: int) -> float:
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    images, owner = torch.randn(batch, 3, crop, crop), torch.arange(batch)
    labels = torch.randint(0, 2, (batch,))
    nn.Module.zero_grad(network)
    started = time.perf_counter()
    functional.cross_entropy(network(images, owner, batch), labels).backward()
    optimiser.step()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
