"""Training loops of the peers of training.py, from the same JPEG files. Not a script.

Each follows the structure of its published code, with our augmentation where that code leaves it
open. `half` selects our precision.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from turns import CPU, Case, Turns, built


def peer_network(case: Case) -> Any:
    import timm

    return timm.create_model(case.timm, pretrained=False, num_classes=2)


def in_bfloat16(case: Case, *, half: bool) -> bool:
    """True to run in our precision; no network is in channels-last here."""
    return half and built(case).precision == "bfloat16"


def peer_transform(case: Case) -> Any:
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.Resize((case.resize, case.resize)),
            transforms.RandomCrop((case.crop,) * 2),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )


def peer_data(case: Case, folder: Path) -> Any:
    from torchvision import datasets

    return datasets.ImageFolder(str(folder / "images"), peer_transform(case))


def bit_loop(case: Case, folder: Path, turns: Turns, *, half: bool) -> None:
    data = peer_data(case, folder)
    loader = torch.utils.data.DataLoader(
        data, batch_size=case.batch, shuffle=True, num_workers=8, drop_last=False
    )
    bfloat16 = in_bfloat16(case, half=half)
    network = peer_network(case).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.003, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    while True:
        for images, labels in loader:
            for group in optimiser.param_groups:
                group["lr"] = 0.003
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = loss_of(network(images), labels)
            float(loss.data.cpu().numpy())
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            turns.step_done()


def timm_loop(case: Case, folder: Path, turns: Turns, *, half: bool) -> None:
    from timm.data import ImageDataset, create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    data = create_dataset("", root=str(folder / "images"), is_training=True)
    assert isinstance(data, ImageDataset)  # as of every data set without a name
    loader = create_loader(
        data,
        (3, case.crop, case.crop),
        case.batch,
        is_training=True,
        use_prefetcher=False,
        hflip=0.5,
        color_jitter=None,  # pyright: ignore[reportArgumentType]  timm's own way to say none
        interpolation="bilinear",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        num_workers=4,
        device=CPU,
        persistent_workers=True,
    )
    bfloat16 = in_bfloat16(case, half=half)
    network = peer_network(case).train()
    optimiser = create_optimizer_v2(network, opt="sgd", lr=0.003, momentum=0.9, weight_decay=0.0)
    loss_of, step = nn.CrossEntropyLoss(), 0
    while True:
        for images, labels in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = loss_of(network(images), labels)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            if step % 50 == 0:
                loss.item()
            turns.step_done()


def trainer(case: Case, folder: Path, turns: Turns, *, half: bool) -> None:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = peer_network(case)

        def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
            logits = self.network(pixel_values)
            return {"loss": functional.cross_entropy(logits, labels), "logits": logits}

    class Waiting(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            turns.step_done()

    def collate(rows: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.stack([image for image, _ in rows]),
            "labels": torch.tensor([label for _, label in rows]),
        }

    with tempfile.TemporaryDirectory() as work:
        arguments = TrainingArguments(
            work,
            max_steps=100_000,
            per_device_train_batch_size=case.batch,
            use_cpu=True,
            bf16=in_bfloat16(case, half=half),
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
            logging_strategy="no",
        )
        Trainer(
            Wrapped(),
            arguments,
            data_collator=collate,
            callbacks=[Waiting()],
            train_dataset=peer_data(case, folder),
        ).train()
