"""Contenders of training.py, one per process: each takes a turn on request.

contenders.py CONTENDER CASE FOLDER
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import bit_loop, timm_loop, trainer
from torch.nn import functional
from turns import CASES, CPU, Case, Turns, built

from medtransfer.models.config import ModelConfig

TRAINED = "trained.safetensors"


def main() -> None:
    contender, name, place = sys.argv[1:]
    case, folder = CASES[name], Path(place)
    peer, half = contender.removesuffix("+"), contender.endswith("+")
    turns = Turns(case)
    match peer:
        case "ours":
            ours(case, folder, turns)
        case "trained":
            trained(case, folder, turns)
        case "bare":
            bare(case, turns)
        case "trainer":
            trainer(case, folder, turns, half=half)
        case "timm":
            timm_loop(case, folder, turns, half=half)
        case "bit":
            bit_loop(case, folder, turns, half=half)
        case _:
            prediction(case, folder, turns, own=peer == "predict-ours")


@dataclass(frozen=True)
class Prepared:
    """Cases with the inputs of `CaseImages`, and the rate at which images were prepared."""

    cases: Any
    cache: Any
    spec: Any
    rate: float

    def take(self, rows: Any) -> Any:
        """Reader of a subset of the cases."""
        from medtransfer.data.loader import CaseImages

        return CaseImages(self.cases.take(rows), self.cache, self.spec)


def prepared(case: Case, folder: Path, work: Path, *, tested: bool = False) -> Prepared:
    from medtransfer.data.cases import build_cases
    from medtransfer.data.config import DataConfig
    from medtransfer.data.images.cache import PixelCache
    from medtransfer.data.images.scan import scan_images
    from medtransfer.data.splits import assign_splits
    from medtransfer.runs.config import Transfer
    from medtransfer.runs.inputs import (
        cache_requests,
        input_spec,
        known_architecture,
        read_run_manifest,
    )

    sizes = {"resize": case.resize, "crop": case.crop, "flip": "horizontal"}
    data = DataConfig.model_validate(
        {
            "manifest": folder / "manifest.csv",
            "task": "single-label",
            "class_column": "malignant",
            "targets": ["0", "1"],
            "image": sizes,
        }
    )
    started = time.perf_counter()
    run = Transfer(data=data, model=ModelConfig(rung=case.rung))
    manifest = read_run_manifest(data)
    frame = assign_splits(manifest, data)
    facts = scan_images(manifest, data.pixel_limit, work / "images.parquet")
    spec = input_spec(run, known_architecture(case.rung), frame, facts)
    need = cache_requests(run, spec, frame)[2 if tested else 0]
    cache = PixelCache(need.make(manifest, facts, work))
    rate = len(frame) / (time.perf_counter() - started)
    return Prepared(build_cases(frame, data), cache, spec, rate)


def ours(case: Case, folder: Path, turns: Turns) -> None:
    with tempfile.TemporaryDirectory() as work:
        found, network = prepared(case, folder, Path(work)), built(case)
        turns.more = f"prepared {found.rate} flops {flops(network, case)} peak {peak(network)}"
        everything = found.take(slice(None))
        carry_out(network, everything, case, Path(work), 100_000, turns.step_done)


def carry_out(
    network: Any, images: Any, case: Case, work: Path, steps: int, after: Callable[[], None]
) -> None:
    """Our whole loop; its only checkpoint is the last."""
    from medtransfer.data.augment import Augmentation
    from medtransfer.data.loader import TrainingBatches
    from medtransfer.training.bit_hyperrule import make_schedule
    from medtransfer.training.checkpoint import CheckpointFolder
    from medtransfer.training.config import TrainingConfig
    from medtransfer.training.loop import FitPlan, TuneScore, fit
    from medtransfer.training.losses import Loss

    config = TrainingConfig(
        batch_size=case.batch,
        micro_batch=case.batch,
        steps=steps,
        checks=1,
        learning_rate=0.01,
        checkpoint_seconds=1e9,
    )
    batches = TrainingBatches(
        images, case.batch, micro_batch=case.batch, augmentation=Augmentation(0, "horizontal")
    )
    plan = FitPlan(make_schedule(len(images), 0.01, steps), 0.0, Loss("single-label"), 0)
    kept = CheckpointFolder(work / "checkpoint")
    fit(
        network,
        batches,
        plan,
        config,
        tune=lambda: TuneScore(0.0, None),
        checkpoints=kept,
        on_step=lambda _: bool(after()),
    )


def bare(case: Case, turns: Turns) -> None:
    network = built(case).train()
    images, owner = torch.randn(case.batch, 3, case.crop, case.crop), torch.arange(case.batch)
    labels = torch.randint(0, 2, (case.batch,))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.003, momentum=0.9)
    while True:
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(network(images, owner, case.batch), labels).backward()
        optimiser.step()
        turns.step_done()


def flops(network: Any, case: Case) -> float:
    """Floating-point operations of a training step, per image."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(torch.randn(2, 3, case.crop, case.crop), torch.arange(2), 2).sum().backward()
    network.zero_grad(set_to_none=True)
    return counter.get_total_flops() / 2


def peak(network: Any, side: int = 2048) -> float:
    """Operations per second of a large matrix product in a network's precision: a median."""
    half = network.precision == "bfloat16"
    matrix = torch.randn(side, side, dtype=torch.bfloat16 if half else torch.float32)
    times: list[float] = []
    for _ in range(9):
        started = time.perf_counter()
        _ = matrix @ matrix
        times.append(time.perf_counter() - started)
    return 2 * side**3 / statistics.median(times)


def trained(case: Case, folder: Path, turns: Turns) -> None:
    """A network trained for its task, like those used for prediction.

    At 224 px training goes on from what it learned at 64 px.
    """
    from safetensors.torch import load_file, save_file

    with tempfile.TemporaryDirectory() as work:
        found, network = prepared(case, folder, Path(work)), built(case)
        if (folder / TRAINED).exists():
            network.load_state_dict(load_file(folder / TRAINED))
        seen = found.take(halves(found)[0])
        carry_out(network, seen, case, Path(work), case.learned, lambda: None)
        save_file(network.state_dict(), folder / TRAINED)
    turns.say("ready 1")


def halves(found: Prepared) -> tuple[Any, Any]:
    """Positions of the training cases and of the predicted cases."""
    rows = np.random.default_rng(0).permutation(len(found.cases))
    return np.sort(rows[::2]), np.sort(rows[1::2])


def prediction(case: Case, folder: Path, turns: Turns, *, own: bool) -> None:
    """Prediction by both networks, with equal weights, on the half of the images not trained on."""
    from safetensors.torch import load_file

    from medtransfer.evaluation.inference.predict import predict

    with tempfile.TemporaryDirectory() as work:
        found = prepared(case, folder, Path(work), tested=True)
        rest = halves(found)[1][: case.predicted]
        asked, network = found.take(rest), built(case).eval()
        if (folder / TRAINED).exists():
            network.load_state_dict(load_file(folder / TRAINED))
        whole = asked.test_batch(np.arange(len(rest)), CPU).images
        turns.say("ready 1")
        while True:
            started = time.perf_counter()
            logits = predict(network, asked) if own else evaluated(network, whole)
            rate = len(rest) / (time.perf_counter() - started)
            turns.more = f"auroc {area(asked, logits)}"
            turns.say(f"rate {rate}")


def evaluated(network: Any, images: torch.Tensor) -> Any:
    """Logits as in timm's validate.py: evaluation mode, no gradients, float32. [N, T]"""
    with torch.inference_mode():
        parts = [network.head(network.backbone(part)) for part in images.split(128)]
    return torch.cat(parts).numpy()


def area(images: Any, logits: Any) -> float:
    from medtransfer.metrics.discrimination import auroc

    score = logits[:, 1].astype(np.float64) - logits[:, 0]
    found = auroc(images.cases.targets[:, 1].astype(np.int64), score)
    return float(found(np.ones((1, len(score))))[0])


if __name__ == "__main__":
    main()
