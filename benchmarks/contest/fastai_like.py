"""A recipe like fastai's `fine_tune`, on the files that `automatic.py` prepared. Not fastai's code.

One epoch with the body frozen, then one-cycle epochs with smaller rates for earlier layers, as many
as fit into the time; batches of 64, AdamW, flips and random crops, 224 px.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image
from torchvision.transforms import v2

SIDE, BATCH, RATE = 224, 64, 2e-3
TEST_SHARE = 0.1
"""Share of the time that is kept for the predictions."""


class Pictures(torch.utils.data.Dataset):
    """Images with the number of their class, transformed."""

    def __init__(self, folder: Path, table: pd.DataFrame, classes: list[str], *, train: bool):
        self.paths = [folder / "images" / name for name in table["file"]]
        self.labels = [classes.index(label) for label in table["label"]]
        drawn = [v2.RandomResizedCrop(SIDE, scale=(0.35, 1.0)), v2.RandomHorizontalFlip()]
        fixed = [v2.Resize(SIDE + 32), v2.CenterCrop(SIDE)]
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                *(drawn if train else fixed),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.open(self.paths[row]).convert("RGB")), self.labels[row]


def fine_tuned(folder: Path, minutes: float) -> None:
    """Train within the time and write the class probabilities of tuning and test images."""
    ends = time.monotonic() + 60 * minutes
    torch.manual_seed(0)
    classes = json.loads((folder / "task.json").read_text("utf-8"))["classes"]
    images = pd.read_csv(folder / "images.csv", dtype={"label": str})
    net: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    net.load_state_dict(torch.load(folder / "weights/pytorch_model.bin", weights_only=True))
    head = torch.nn.Linear(net.num_features, len(classes))
    train = Pictures(folder, pd.DataFrame(images[images["split"] == "train"]), classes, train=True)
    batches = torch.utils.data.DataLoader(train, BATCH, shuffle=True, drop_last=len(train) > BATCH)
    begun = time.monotonic()
    _epochs(net, head, batches, 1, frozen=True)
    took = time.monotonic() - begun
    left = (ends - time.monotonic()) * (1 - TEST_SHARE)
    # a backward pass through the body costs about twice as much again
    epochs = max(1, int(left / (2.5 * took)))
    _epochs(net, head, batches, epochs, frozen=False)
    asked = images[images["split"] != "train"]
    known = asked.assign(label=classes[0])
    loader = torch.utils.data.DataLoader(Pictures(folder, known, classes, train=False), BATCH)
    net.eval()
    with torch.inference_mode():
        p = torch.cat([head(net(batch)).softmax(1) for batch, _ in loader]).numpy()
    np.savez(folder / "fastai-like.npz", files=np.array(asked["file"], dtype=str), p=p)
    print(f"fastai-like: {1 + epochs} epochs, {time.monotonic() - ends + 60 * minutes:.0f} s")


def _epochs(net, head, batches, epochs: int, *, frozen: bool) -> None:
    body = list(net.children())
    third = -(-len(body) // 3)
    groups = [
        [p for part in body[i : i + third] for p in part.parameters()]
        for i in range(0, len(body), third)
    ]
    rates = [RATE / 100, RATE / 10, RATE / 2][-len(groups) :]
    chosen = [] if frozen else list(zip(groups, rates, strict=True))
    options = [{"params": p, "lr": r} for p, r in [*chosen, (list(head.parameters()), RATE)] if p]
    optimiser = torch.optim.AdamW(options, weight_decay=0.01)
    steps = epochs * len(batches)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in options], total_steps=steps + 1, pct_start=0.25
    )
    net.train()
    for parameter in net.parameters():
        parameter.requires_grad_(not frozen)
    for _ in range(epochs):
        for pixels, labels in batches:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(head(net(pixels)), labels).backward()
            optimiser.step()
            cycle.step()
