"""Time from image files to a peer's tuning AUROC on HAM10000, lesions malignant or not.

    python benchmarks/time_to_auroc.py [--quick] [--rung imagenet/effnet-lite0] [--size 64]

The same split, network and weights for all, on this machine's CPU with torch's own threads:

- timm: a plain loop as with timm: float32, AdamW at 0.001, weight decay 0.05, half a cosine after a
  warm-up of one pass, flips, batches of 64
- bit:  big_transfer's recipe: float32, SGD at 0.003 (momentum 0.9), warm-up and drops to tenths,
  MixUp 0.1, flips, batches of 64
- ours: `run_study` as a user calls it, from reading the table to the end of the run, with
  `precision: auto`: the rung's linear probe (`linear`), its fine-tuning by BiT's recipe (`full`),
  by AdamW with half a cosine in half of the peers' passes (`short`), and the same with a head that
  starts from the probe, half of the steps on half the side and the lowest stages frozen in them
  (`fast`)

With --parts, `fast` is also run without each of its three parts.

Peers decode their images once into memory, and keep no checkpoint, no audit and no test
predictions, so that their loops are faster than those that they imitate. A peer's time is that of
its whole schedule, at whose end its tuning AUROC is the goal. Our time is that of the first look at
the tuning split that reaches the goal; the study's start, audit and image cache are in it.

Goal: half the time of each peer, at a test AUROC not lower by more than 0.01. Real images:
`derm_ham10000.parquet` beside the repository, or $MEDTRANSFER_SHARED; skipped without it. Minutes
to half an hour; with --quick under a minute, on 240 images, where the goals mean nothing.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from medtransfer import Study, run_study
from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.runs.events import Event, RunStep

SHARE, AUROC_LOSS = 0.5, 0.01
BATCH, PASSES, CHECKS = 64, 12, 6
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
Targets = np.ndarray


def processor_seconds() -> float:
    """Processor time of this process and its children, those that ended too."""
    process = psutil.Process()
    times = [
        process.cpu_times(),
        *(child.cpu_times() for child in process.children(recursive=True)),
    ]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


Clock = Callable[[], float]


@dataclass(frozen=True)
class Outcome:
    """Time and numbers of a contender; of ours, the time of every look at the tuning split too."""

    seconds: float
    tune: float
    test: float
    low: float
    high: float
    looks: tuple[tuple[float, float], ...] = ()

    def seconds_to(self, goal: float) -> float:
        """Time of the first look that reaches a tuning AUROC; infinite if none does."""
        return min((seconds for seconds, tune in self.looks if tune >= goal), default=math.inf)

    def text(self) -> str:
        """Time and numbers on a line."""
        return (
            f"{self.seconds:7.1f} s  tune AUROC {self.tune:.3f}  "
            f"test {self.test:.3f} [{self.low:.3f}, {self.high:.3f}]"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="240 images, under a minute")
    parser.add_argument("--rung", default="imagenet/effnet-lite0")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--passes", type=int, default=PASSES, help="over the training images")
    parser.add_argument("--parts", action="store_true", help="`fast` without each of its parts too")
    parser.add_argument(
        "--processor-time", action="store_true", help="for a machine that does other work too"
    )
    asked = parser.parse_args()
    clock = processor_seconds if asked.processor_time else time.perf_counter
    table = Path(os.environ.get("MEDTRANSFER_SHARED", SHARED)) / "derm_ham10000.parquet"
    if not table.is_file():
        print(f"skipped: {table.name} is not here")
        return 0
    size, passes = (32, 2) if asked.quick else (asked.size, asked.passes)
    with tempfile.TemporaryDirectory() as place:
        frame = divided(table, 240 if asked.quick else None)
        manifest = Path(place) / "manifest.parquet"
        frame.write_parquet(manifest)
        peers = {
            name: peer(name, asked.rung, frame, clock, size=size, passes=passes)
            for name in ("timm", "bit")
        }
        for name, outcome in peers.items():
            print(f"{name:>25}  {outcome.text()}", flush=True)
        ours: dict[str, Outcome] = {}
        for mode in (*OURS, *(WITHOUT if asked.parts else ())):
            ours[mode] = own(mode, asked.rung, manifest, clock, size=size, passes=passes)
            reached = ", ".join(
                f"{name}'s after {ours[mode].seconds_to(other.tune):.1f} s"
                for name, other in peers.items()
            )
            print(f"{'ours, ' + mode:>25}  {ours[mode].text()}  reaches {reached}", flush=True)
    shares: list[float] = []
    for name, other in peers.items():
        good = {m: o for m, o in ours.items() if o.test >= other.test - AUROC_LOSS}
        times = {m: o.seconds_to(other.tune) / other.seconds for m, o in good.items() if m in OURS}
        mode = min(times, key=times.__getitem__, default="none")
        shares.append(times.get(mode, math.inf))
        print(
            f"to {name}'s tuning AUROC {other.tune:.3f}: {shares[-1]:.2f} of its time ({mode}; "
            f"goal {SHARE} or less, test AUROC within {AUROC_LOSS})"
        )
    return 0 if max(shares) <= SHARE else 1


def divided(table: Path, most: int | None) -> pl.DataFrame:
    """The set with a split by lesion: 60 % train, 20 % tune, 20 % test."""
    frame = pl.read_parquet(table).sort("image_id").sample(fraction=1.0, seed=0, shuffle=True)
    frame = frame.head(most or len(frame))
    part = pl.int_range(pl.len()) * 5 // pl.len()
    split = pl.when(part < 3).then(pl.lit("train")).when(part == 3).then(pl.lit("tune"))
    return frame.select(
        "image_id",
        "image",
        "malignant",
        pl.col("image_id").alias("case_id"),
        "patient_id",
        pl.lit("ham10000").alias("cohort"),
        split.otherwise(pl.lit("test")).alias("split"),
    )


def peer(
    name: str, rung: str, frame: pl.DataFrame, clock: Clock, *, size: int, passes: int
) -> Outcome:
    """Train by a peer's recipe to the end of its schedule."""
    begun = clock()
    torch.manual_seed(0)
    classifier = build_classifier(
        ModelConfig(rung=rung), 1, seed=0, device=torch.device("cpu"), precision="float32"
    ).classifier
    pixels, truth = decoded(frame, rung, size), torch.tensor(frame["malignant"].to_numpy()).float()
    rows = {split: (frame["split"] == split).to_numpy().nonzero()[0] for split in SPLITS}
    steps = passes * math.ceil(len(rows["train"]) / BATCH)
    optimiser, rate = recipe(name, classifier, steps, steps // passes)
    draw = torch.Generator().manual_seed(0)
    order = torch.cat([torch.randperm(len(rows["train"]), generator=draw) for _ in range(passes)])
    classifier.train()
    for step in range(steps):
        batch = rows["train"][order[step * BATCH : (step + 1) * BATCH].numpy()]
        images, labels = flipped(pixels[batch], draw), truth[batch]
        if name == "bit":
            weight = float(np.random.default_rng(step).beta(0.1, 0.1))
            mixed = torch.randperm(len(batch), generator=draw)
            images = weight * images + (1 - weight) * images[mixed]
            labels = weight * labels + (1 - weight) * labels[mixed]
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits(classifier, images), labels
        )
        loss.backward()
        optimiser.step()
    tune = auroc_of(classifier, pixels[rows["tune"]], truth[rows["tune"]])
    seconds = clock() - begun
    return Outcome(
        seconds, tune[0], *auroc_of(classifier, pixels[rows["test"]], truth[rows["test"]])
    )


SPLITS = ("train", "tune", "test")
OURS = ("linear", "full", "short", "fast")
ADAMW = {
    "optimiser": "adamw",
    "learning_rate": 0.001,
    "weight_decay": 0.05,
    "schedule": "cosine",
    "mixup": 0,
}
PARTS: dict[str, Any] = {
    "head_start": "probe",
    "growth": {"share": 0.5, "until": 0.5},
    "tuning": {"mode": "partial", "frozen_stages": 3, "frozen_until": 0.5},
}
WITHOUT = {f"fast without {name}": name for name in PARTS}


def recipe(
    name: str, classifier: Classifier, steps: int, warmup: int
) -> tuple[torch.optim.Optimizer, Callable[[int], float]]:
    """Optimiser, and learning rate of each step."""
    if name == "timm":
        adam = torch.optim.AdamW(classifier.parameters(), lr=1e-3, weight_decay=0.05)
        return (
            adam,
            lambda step: (
                1e-3 * min((step + 1) / warmup, (1 + math.cos(math.pi * step / steps)) / 2)
            ),
        )
    sgd = torch.optim.SGD(classifier.parameters(), lr=0.003, momentum=0.9)
    return (
        sgd,
        lambda step: (
            0.003
            * min(1.0, (step + 1) / warmup)
            * 0.1 ** sum(step >= s * steps for s in (0.6, 0.8))
        ),
    )


def decoded(frame: pl.DataFrame, rung: str, size: int) -> torch.Tensor:
    """Every image at the input's size, normalised. [N, 3, size, size]"""
    facts = find_rung(rung).architecture
    images = [
        np.asarray(Image.open(BytesIO(content)).convert("RGB").resize((size, size)))
        for content in frame["image"]
    ]
    pixels = torch.tensor(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (facts.mean, facts.std))
    return (pixels - mean) / std


def flipped(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    is_flipped = torch.rand(len(images), generator=draw) < 0.5
    return torch.where(is_flipped[:, None, None, None], images.flip(3), images)


def logits(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    return classifier(images, torch.arange(len(images)), len(images))[:, 0]


def auroc_of(
    classifier: Classifier, pixels: torch.Tensor, truth: torch.Tensor
) -> tuple[float, float, float]:
    classifier.eval()
    with torch.inference_mode():
        scores = torch.cat([logits(classifier, part) for part in pixels.split(128)]).numpy()
    return with_interval(truth.numpy(), scores)


def with_interval(truth: Targets, scores: Targets) -> tuple[float, float, float]:
    """AUROC with its interval by 500 bootstrap samples of lesions."""
    draw = np.random.default_rng(0)
    values = [
        roc_auc_score(truth[rows], scores[rows])
        for rows in (draw.integers(0, len(truth), len(truth)) for _ in range(500))
        if 0 < truth[rows].sum() < len(rows)
    ]
    low, high = (float(np.quantile(values, share)) for share in (0.025, 0.975))
    return float(roc_auc_score(truth, scores)), low, high


def own(mode: str, rung: str, manifest: Path, clock: Clock, *, size: int, passes: int) -> Outcome:
    """Run a study of one run, and note the time of every look at its tuning split."""
    training: dict[str, Any] = {"batch_size": BATCH, "tuning": {"mode": "linear"}}
    if mode != "linear":
        cases = pl.read_parquet(manifest, columns=["split"])["split"].eq("train").sum()
        steps = math.ceil(passes * math.ceil(int(cases) / BATCH) * (1.0 if mode == "full" else 0.5))
        training = {"batch_size": BATCH, "steps": steps, "checks": min(CHECKS, steps)}
    if mode not in ("linear", "full"):
        training |= ADAMW
    if mode == "fast" or mode in WITHOUT:
        training |= {name: value for name, value in PARTS.items() if name != WITHOUT.get(mode)}
    study = Study.model_validate(
        {
            "name": mode.replace(" ", "-"),
            "data": {
                "manifest": manifest,
                "task": "binary",
                "targets": ["malignant"],
                "image": {"resize": size + size // 8, "crop": size, "flip": "horizontal"},
            },
            "rungs": [rung],
            "seeds": [0],
            "training": training,
            "evaluation": {"replicates": 0, "permutations": 0},
            "waive": {"C003": "one image a lesion, several lesions a patient unknown"},
        }
    )
    begun, looks = clock(), list[tuple[float, float]]()

    def hear(event: Event) -> None:
        if isinstance(event, RunStep) and event.tune_auroc is not None:
            looks.append((clock() - begun, event.tune_auroc))

    folder = run_study(study, manifest.parent / mode, hear)
    seconds = clock() - begun
    run = folder.run(folder.run_ids()[0])
    best = max(check.tune_auroc or 0.0 for check in run.history())
    looks.append((seconds, best))
    tested = run.predictions().filter(pl.col("split") == "test")
    test = with_interval(
        tested["target_malignant"].to_numpy(), tested["logit_malignant"].to_numpy()
    )
    return Outcome(seconds, best, *test, tuple(looks))


if __name__ == "__main__":
    raise SystemExit(main())
