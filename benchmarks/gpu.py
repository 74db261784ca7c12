"""Fine-tuning and prediction on one GPU, against timm's networks in a plain loop.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [--tiny]

R50x1, R101x3 and ViT-S at 224 px, in one process, on images that lie on the device:

- ours:    `build_classifier` with its own choice of precision and memory format
- timm:    `timm.create_model`, bfloat16 by autocast, channels-last for ResNets
- compile: the same through `torch.compile`; left out, and said, once the time is nearly up

For each: images a second of training and of prediction, and peak memory of training. Then the
share of a whole `training.loop.fit`, on decoded and augmented images, that is not the step itself,
and the speed of training with deterministic algorithms beside without.

Goals: training and prediction ≥ 1.0 × the better of timm's, peak memory ≤ 1.0 ×, input pipeline
≤ 0.1 of the time, deterministic ≥ 0.8 × the speed. Exit code 1 if one is missed.

It needs no network and no file beside it. On a machine without one:

    pip install --no-index --find-links WHEELS medtransfer && python gpu.py

`--device cpu --tiny` runs every line on small networks in a minute. Its figures on a GPU are
unmeasured.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from medtransfer.models.classifier import build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung

GOAL_SPEED, GOAL_MEMORY, GOAL_PIPELINE, GOAL_DETERMINISTIC = 1.0, 1.0, 0.1, 0.8
TARGETS = 2
COMPILE_SECONDS = 120.0
"""Time that compiling a large network may take."""
CASES = (
    ("scratch/r50x1", 224, 64),
    ("scratch/r101x3", 224, 16),
    ("scratch/timm:vit_small_patch16_224", 224, 64),
)
TINY = (
    ("scratch/effnet-lite0", 32, 4),
    ("scratch/r50x1", 32, 2),
    ("scratch/timm:vit_tiny_patch16_224", 64, 4),
)
"""Rung, side in pixels, batch."""


@dataclass
class Bench:
    """Settings of a measurement, and the goals that were missed.

    Attributes:
        device: Measured.
        seconds: Of each measurement, after warming up.
        ends: Monotonic time by which all has to be done.
        missed: Goals, in words.
    """

    device: torch.device
    seconds: float
    ends: float
    missed: list[str] = field(default_factory=list[str])

    def rate(self, step: Callable[[], None], batch: int) -> float:
        """Images a second of a step: the median over its repetitions."""
        for _ in range(3):
            step()
        self.wait()
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - began < self.seconds:
            start = time.perf_counter()
            step()
            self.wait()
            times.append(time.perf_counter() - start)
        return batch / statistics.median(times)

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak(self, step: Callable[[], None]) -> float | None:
        """Largest memory of a step in GiB; None where the device does not tell."""
        if self.device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats()
        step()
        self.wait()
        return torch.cuda.max_memory_allocated() / 2**30

    def compare(self, name: str, value: float, goal: float, *, is_most: bool = False) -> None:
        """Print a ratio with its goal, and note it if it is short."""
        is_met = value <= goal if is_most else value >= goal
        word = "at most" if is_most else "at least"
        print(f"  {name}: {value:.2f} (goal: {word} {goal:g}){'' if is_met else '  MISSED'}")
        if not is_met:
            self.missed.append(name)


@dataclass(frozen=True)
class Speeds:
    """Figures of one contender.

    Attributes:
        training: Images a second.
        prediction: Images a second.
        memory: Peak of training in GiB; None where it is not told.
    """

    training: float
    prediction: float
    memory: float | None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    parser.add_argument("--minutes", type=float, default=8.0, help="time limit")
    parser.add_argument("--tiny", action="store_true", help="small networks, a moment each")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("This machine has no CUDA device that torch can use. Try --device cpu --tiny.")
        return 2
    device = torch.device(options.device)
    bench = Bench(
        device, 0.2 if options.tiny else 5.0, time.monotonic() + 60 * options.minutes * 0.9
    )
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(f"{name}, torch {torch.__version__}, timm {timm.__version__}")
    cases = TINY if options.tiny else CASES
    torch.backends.cudnn.benchmark = True
    for rung, side, batch in cases:
        measure_network(bench, rung, side, batch)
    print("whole loop and deterministic mode")
    measure_pipeline(bench, *cases[0], steps=6 if options.tiny else 40)
    measure_deterministic(bench, *cases[0])
    print(f"{len(bench.missed)} goals missed" + "".join(f"; {text}" for text in bench.missed))
    return 1 if bench.missed else 0


def measure_network(bench: Bench, rung: str, side: int, batch: int) -> None:
    """Measure one network by every contender, and compare ours with the better of timm's."""
    print(f"{rung}, {side} px, batch {batch}")
    found: dict[str, Speeds] = {"ours": measure(bench, our_network(bench, rung, side), side, batch)}
    found["timm"] = measure(bench, timm_network(bench, rung, side), side, batch)
    if bench.ends - time.monotonic() > COMPILE_SECONDS:
        network = torch.compile(timm_network(bench, rung, side))
        try:
            found["compile"] = measure(bench, network, side, batch)
        except Exception as error:  # noqa: BLE001 — a compiler is not on every machine
            print(f"  compile left out: torch.compile failed ({type(error).__name__})")
    else:
        print("  compile left out: the time is nearly up")
    for name, speeds in found.items():
        memory = "–" if speeds.memory is None else f"{speeds.memory:.2f}"
        print(
            f"  {name:<8} training {speeds.training:9.1f} images/s  prediction "
            f"{speeds.prediction:9.1f} images/s  peak {memory} GiB"
        )
    peers = [speeds for name, speeds in found.items() if name != "ours"]
    ours, short = found["ours"], rung.rpartition("/")[2]
    best = max(peer.training for peer in peers)
    bench.compare(f"{short} training", ours.training / best, GOAL_SPEED)
    best = max(peer.prediction for peer in peers)
    bench.compare(f"{short} prediction", ours.prediction / best, GOAL_SPEED)
    memories = [peer.memory for peer in peers if peer.memory is not None]
    if ours.memory is not None and memories:
        ratio = ours.memory / min(memories)
        bench.compare(f"{short} peak memory", ratio, GOAL_MEMORY, is_most=True)


def our_network(bench: Bench, rung: str, side: int) -> Any:
    """Our classifier, called as the training loop calls it: one image a case."""
    config = ModelConfig(rung=rung)
    built = build_classifier(config, TARGETS, seed=0, device=bench.device, input_size=side)
    classifier = built.classifier.to(bench.device)

    class OneImage(nn.Module):
        """A case of one image each."""

        def __init__(self) -> None:
            super().__init__()
            self.classifier = classifier

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            owner = torch.arange(len(images), device=images.device)
            return self.classifier(images, owner, len(images))

    return OneImage()


def timm_network(bench: Bench, rung: str, side: int) -> Any:
    """A network of timm in bfloat16 by autocast, ResNets in channels-last."""
    name = find_rung(rung).architecture.timm
    sized: dict[str, Any] = {"img_size": side} if "vit" in name else {}
    network = timm.create_model(name, num_classes=TARGETS, **sized).to(bench.device)
    if "vit" not in name:
        network = network.to(memory_format=torch.channels_last)

    class Autocast(nn.Module):
        """The network in bfloat16."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                return self.network(images)

    return Autocast()


def measure(bench: Bench, network: Any, side: int, batch: int) -> Speeds:
    """Speeds and memory of one network on images that lie on the device."""
    images = torch.randn(batch, 3, side, side, device=bench.device)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, TARGETS, (batch,), device=bench.device)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def train() -> None:
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(images).float(), labels).backward()
        optimiser.step()

    def predict() -> None:
        with torch.inference_mode():
            network(images)

    network.train()
    training = bench.rate(train, batch)
    memory = bench.peak(train)
    network.eval()
    return Speeds(training, bench.rate(predict, batch), memory)


def measure_pipeline(bench: Bench, rung: str, side: int, batch: int, *, steps: int) -> None:
    """Share of the whole loop, from cached images to updates, that is not the step itself."""
    network = our_network(bench, rung, side)
    bare = measure(bench, network, side, batch).training
    with tempfile.TemporaryDirectory() as folder:
        whole = fit_rate(bench, network.classifier, Path(folder), rung, side, batch, steps)
    print(f"  step alone {bare:.1f} images/s, whole loop {whole:.1f} images/s")
    bench.compare("input pipeline share", max(0.0, 1 - whole / bare), GOAL_PIPELINE, is_most=True)


def fit_rate(
    bench: Bench, classifier: Any, folder: Path, rung: str, side: int, batch: int, steps: int
) -> float:
    """Images a second of `training.loop.fit` on images from the cache."""
    from medtransfer.data.augment import Augmentation
    from medtransfer.data.cases import build_cases
    from medtransfer.data.config import DataConfig
    from medtransfer.data.images.cache import PixelCache
    from medtransfer.data.images.scan import scan_images
    from medtransfer.data.loader import CaseImages, TrainingBatches
    from medtransfer.data.phantom import Hospital, Phantom, write_phantom
    from medtransfer.data.splits import assign_splits
    from medtransfer.runs.config import Transfer
    from medtransfer.runs.inputs import (
        cache_requests,
        input_spec,
        known_architecture,
        read_run_manifest,
    )
    from medtransfer.training.bit_hyperrule import make_schedule
    from medtransfer.training.checkpoint import CheckpointFolder
    from medtransfer.training.config import TrainingConfig
    from medtransfer.training.loop import FitPlan, TuneScore, fit
    from medtransfer.training.losses import Loss

    write_phantom(
        Phantom(hospitals={"a": Hospital(max(64, 2 * batch))}, size=side), folder / "all.parquet"
    )
    data = DataConfig.model_validate(
        {
            "manifest": folder / "all.parquet",
            "task": "single-label",
            "class_column": "malignant",
            "targets": ["0", "1"],
            "image": {"resize": side + side // 8, "crop": side, "flip": "horizontal"},
        }
    )
    run = Transfer(data=data, model=ModelConfig(rung=rung))
    manifest = read_run_manifest(data)
    frame = assign_splits(manifest, data)
    facts = scan_images(manifest, data.pixel_limit, folder / "images.parquet")
    spec = input_spec(run, known_architecture(rung), frame, facts)
    request = cache_requests(run, spec, frame)[0]
    cases = build_cases(frame, data)
    training = cases.take((cases.splits == "train").nonzero()[0])
    images = CaseImages(training, PixelCache(request.make(manifest, facts, folder)), spec)
    config = TrainingConfig(batch_size=batch, micro_batch=batch, steps=steps, checks=1)
    batches = TrainingBatches(
        images, batch, micro_batch=batch, augmentation=Augmentation(0, "horizontal")
    )
    plan = FitPlan(make_schedule(len(images), 0.003, steps), 0.0, Loss("single-label"), 0)
    marks: list[tuple[int, float]] = []

    def on_step(report: Any) -> bool:
        bench.wait()
        marks.append((report.step, time.perf_counter()))
        return False

    fit(
        classifier,
        batches,
        plan,
        config,
        tune=lambda: TuneScore(0.0, None),
        checkpoints=CheckpointFolder(folder / "checkpoint"),
        on_step=on_step,
    )
    first, last = marks[1], marks[-2]  # the first step warms up, the last one is validated
    return (last[0] - first[0]) * batch / (last[1] - first[1])


def measure_deterministic(bench: Bench, rung: str, side: int, batch: int) -> None:
    """Speed of training with deterministic algorithms, beside without."""
    plain = measure(bench, our_network(bench, rung, side), side, batch).training
    with deterministic():
        same = measure(bench, our_network(bench, rung, side), side, batch).training
    bench.compare("deterministic speed", same / plain, GOAL_DETERMINISTIC)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic algorithms while inside, as `training.deterministic` sets them."""
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.backends.cudnn.benchmark = True


if __name__ == "__main__":
    sys.exit(main())
