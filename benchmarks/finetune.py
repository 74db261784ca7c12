"""Images per second of the whole fine-tuning loop, against two peers and against its bare step.

    python benchmarks/finetune.py [--quick]

Contenders use the same network, input size, batch size and JPEG files. Each runs in a separate
process, alternating over several rounds; medians are compared:

- ours:       decode and resize into the cache, then `training.loop.fit` (cache time included)
- bare:       our step on random tensors, without data
- imagefolder: a plain float32 PyTorch loop over torchvision's ImageFolder, as
              google-research/big_transfer writes it (its 8 loader workers, or 2 if that is faster)
- trainer:    the Hugging Face Trainer with its defaults

Goals: ours ≥ 1.5 × the better peer, and ≥ 0.9 × the bare step, for every network.
Needs `pip install -e '.[bench]'`. Measured on a CPU; no claim is made for other devices.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GOAL_PEER, GOAL_BARE = 1.5, 0.9
RESIZE, CROP = 72, 64
NETWORKS = ("effnet-lite0", "r50x1")
OWN = ("ours", "bare")
CONTENDERS = ("ours", "bare", "imagefolder-8", "imagefolder-2", "trainer")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "NETWORK", "FOLDER"))
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    if options.one:
        contender, network, folder = options.one
        rate = measure(contender, network, Path(folder), options.steps, options.batch)
        print(json.dumps({"images_per_second": rate}))
        return 0
    networks = NETWORKS[:1] if options.quick else NETWORKS
    rounds = 1 if options.quick else 3
    steps, batch = (16, 32) if options.quick else (options.steps, options.batch)
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), 256 if options.quick else 768)
        contenders = [c for c in CONTENDERS if not (options.quick and c == "imagefolder-8")]
        verdicts = [compare(n, Path(folder), contenders, rounds, (steps, batch)) for n in networks]
    return 0 if all(verdicts) else 1


def make_images(folder: Path, count: int, size: int = 192) -> None:
    """Lesion-like JPEG files, in one folder per class, with a manifest beside them."""
    import io

    import polars as pl
    from PIL import Image

    from medtransfer.data.phantom import Hospital, Phantom, write_phantom

    write_phantom(Phantom(hospitals={"a": Hospital(count)}, size=size), folder / "all.parquet")
    table = pl.read_parquet(folder / "all.parquet")
    paths: list[str] = []
    for row in table.iter_rows(named=True):
        path = Path("images") / str(row["malignant"]) / f"{row['image_id']}.jpg"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(row["image"])).save(folder / path, quality=90)
        paths.append(path.as_posix())
    table.drop("image").with_columns(path=pl.Series(paths), split=pl.lit("train")).write_csv(
        folder / "manifest.csv"
    )


def compare(
    network: str, folder: Path, contenders: list[str], rounds: int, size: tuple[int, int]
) -> bool:
    steps, batch = size
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            found[name].append(in_its_own_process(name, network, folder, steps, batch))
    rates = {name: statistics.median(values) for name, values in found.items()}
    peer = max((name for name in contenders if name not in OWN), key=lambda name: rates[name])
    for name, rate in rates.items():
        print(f"{network:>14} {CROP} px, batch {batch}  {name:<14} {rate:7.1f} images/s")
    to_peer, to_bare = rates["ours"] / rates[peer], rates["ours"] / rates["bare"]
    print(
        f"{network}: {to_peer:.2f} × {peer} (goal {GOAL_PEER}), "
        f"{to_bare:.2f} × the bare step (goal {GOAL_BARE})"
    )
    return to_peer >= GOAL_PEER and to_bare >= GOAL_BARE


def in_its_own_process(name: str, network: str, folder: Path, steps: int, batch: int) -> float:
    from medtransfer.engines.local import ALLOCATOR

    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    if name in OWN:
        environment |= ALLOCATOR  # like our worker process
    command = [sys.executable, __file__, "--one", name, network, str(folder)]
    command += ["--steps", str(steps), "--batch", str(batch)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["images_per_second"])


def measure(contender: str, network: str, folder: Path, steps: int, batch: int) -> float:
    match contender.split("-"):
        case ["ours"]:
            seconds = ours(network, folder, steps, batch)
        case ["bare"]:
            seconds = bare(network, steps, batch)
        case ["imagefolder", workers]:
            seconds = imagefolder(network, folder, steps, batch, int(workers))
        case _:
            seconds = trainer(network, folder, steps, batch)
    return steps * batch / seconds


def classifier(network: str) -> Any:
    import torch

    from medtransfer.models.classifier import build_classifier
    from medtransfer.models.config import ModelConfig

    model = ModelConfig(rung=f"scratch/{network}")
    return build_classifier(model, 2, seed=0, device=torch.device("cpu")).classifier


def ours(network: str, folder: Path, steps: int, batch: int) -> float:
    from medtransfer.data.augment import Augmentation
    from medtransfer.data.cases import build_cases
    from medtransfer.data.config import DataConfig
    from medtransfer.data.images.cache import PixelCache
    from medtransfer.data.images.scan import scan_images
    from medtransfer.data.loader import CaseImages, TrainingBatches
    from medtransfer.data.splits import assign_splits
    from medtransfer.models.config import ModelConfig
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

    network_with_head = classifier(network)
    warm_up(network_with_head, batch)
    data = DataConfig.model_validate(
        {
            "manifest": folder / "manifest.csv",
            "task": "single-label",
            "class_column": "malignant",
            "targets": ["0", "1"],
            "image": {"resize": RESIZE, "crop": CROP, "flip": "horizontal"},
        }
    )
    with tempfile.TemporaryDirectory() as work:
        started = time.perf_counter()
        run = Transfer(data=data, model=ModelConfig(rung=f"scratch/{network}"))
        manifest = read_run_manifest(data)
        frame = assign_splits(manifest, data)
        facts = scan_images(manifest, data.pixel_limit, Path(work) / "images.parquet")
        spec = input_spec(run, known_architecture(run.model.rung), frame, facts)
        cache = PixelCache(cache_requests(run, spec, frame)[0].make(manifest, facts, Path(work)))
        images = CaseImages(build_cases(frame, data), cache, spec)
        config = TrainingConfig(batch_size=batch, micro_batch=batch, steps=steps, checks=1)
        batches = TrainingBatches(
            images, batch, micro_batch=batch, augmentation=Augmentation(0, "horizontal")
        )
        plan = FitPlan(make_schedule(len(images), 0.003, steps), 0.0, Loss("single-label"), 0)
        fit(
            network_with_head,
            batches,
            plan,
            config,
            tune=lambda: TuneScore(0.0, None),
            checkpoints=CheckpointFolder(Path(work) / "checkpoint"),
        )
        return time.perf_counter() - started


def bare(network: str, steps: int, batch: int) -> float:
    network_with_head = classifier(network)
    warm_up(network_with_head, batch)
    started = time.perf_counter()
    step_on_noise(network_with_head, steps, batch)
    return time.perf_counter() - started


def warm_up(network_with_head: Any, batch: int) -> None:
    step_on_noise(network_with_head, 1, batch)


def step_on_noise(network_with_head: Any, steps: int, batch: int) -> None:
    import torch

    images, owner = torch.randn(batch, 3, CROP, CROP), torch.arange(batch)
    labels = torch.randint(0, 2, (batch,))
    optimiser = torch.optim.SGD(network_with_head.parameters(), lr=1e-4, momentum=0.9)
    network_with_head.train()
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        logits = network_with_head(images, owner, batch)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimiser.step()


def peer_network(network: str) -> Any:
    import timm

    from medtransfer.models.rungs.architectures import ARCHITECTURES

    return timm.create_model(ARCHITECTURES[network].timm, pretrained=False, num_classes=2)


def peer_data(folder: Path) -> Any:
    from torchvision import datasets, transforms

    steps = [
        transforms.Resize((RESIZE, RESIZE)),
        transforms.RandomCrop((CROP, CROP)),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]
    return datasets.ImageFolder(str(folder / "images"), transforms.Compose(steps))


def imagefolder(network: str, folder: Path, steps: int, batch: int, workers: int) -> float:
    import torch

    model = peer_network(network).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    model(torch.randn(batch, 3, CROP, CROP)).sum().backward()
    loader = torch.utils.data.DataLoader(
        peer_data(folder), batch_size=batch, shuffle=True, num_workers=workers, drop_last=False
    )
    started, done = time.perf_counter(), 0
    while done < steps * batch:
        for images, labels in loader:
            optimiser.zero_grad()
            loss_of(model(images), labels).backward()
            optimiser.step()
            done += len(images)
            if done >= steps * batch:
                break
    return (time.perf_counter() - started) * steps * batch / done


def trainer(network: str, folder: Path, steps: int, batch: int) -> float:
    import torch
    from transformers import Trainer, TrainingArguments

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = peer_network(network)

        def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
            logits = self.network(pixel_values)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    def collate(rows: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.stack([image for image, _ in rows]),
            "labels": torch.tensor([label for _, label in rows]),
        }

    model = Wrapped()
    model(torch.randn(batch, 3, CROP, CROP), torch.zeros(batch, dtype=torch.long))[
        "loss"
    ].backward()
    with tempfile.TemporaryDirectory() as work:
        arguments = TrainingArguments(
            work,
            max_steps=steps,
            per_device_train_batch_size=batch,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
        )
        loop = Trainer(model, arguments, data_collator=collate, train_dataset=peer_data(folder))
        started = time.perf_counter()
        loop.train()
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
