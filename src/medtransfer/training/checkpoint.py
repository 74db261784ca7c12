"""Checkpoints that survive being killed: safetensors and JSON, sealed, two good ones kept."""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from medtransfer.errors import StudyError
from medtransfer.files import (
    is_whole,
    make_folder,
    read_json,
    remove,
    seal_folder,
    sha256,
    write_json,
)
from medtransfer.models.partial_tuning import merged_state
from medtransfer.models.runtime import full_tensor, shard_like, world
from medtransfer.models.tensors import Tensors, read_tensors, write_tensors

KEPT_CHECKPOINTS = 2
MODEL = "model.safetensors"
OPTIMISER = "optimiser.safetensors"
AVERAGE = "average.safetensors"
MOMENTUM = "momentum_buffer"
STATE = "state.json"


@dataclass
class Check:
    """Result of a validation on the tuning split.

    Attributes:
        step: Finished steps.
        learning_rate: Of the last of them.
        train_loss: Mean over the steps since the previous check.
        tune_loss: Mean loss on the tuning split.
        tune_auroc: Macro AUROC on the tuning split; None where it is undefined.
    """

    step: int
    learning_rate: float
    train_loss: float
    tune_loss: float
    tune_auroc: float | None


@dataclass
class TrainingState:
    """Everything beside tensors that training goes on from.

    Attributes:
        step: Finished steps.
        selected: Finished steps of the best check so far.
        losses: Of the steps since the last check.
        checks: All checks so far.
        seconds: Training time so far, over all sittings.
        images: Images trained on so far.
        micro_batch: The largest that memory was found to hold; None while it held the one asked
            for.
        group_weights: Of the groups that are treated alike by `dro`; empty before the first step.
    """

    step: int = 0
    selected: int | None = None
    losses: list[float] = field(default_factory=list[float])
    checks: list[Check] = field(default_factory=list[Check])
    seconds: float = 0.0
    images: int = 0
    micro_batch: int | None = None
    group_weights: list[float] = field(default_factory=list[float])


class CheckpointFolder:
    """The checkpoints of one run: ``step-*`` to go on from, ``selected-*`` the best weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self,
        state: TrainingState,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: Tensors | None = None,
    ) -> None:
        """Write a checkpoint; drop all but the two newest, and weights no longer selected.

        Of several processes all must call it; rank 0 writes.
        """
        weights, moments = _plain(model.state_dict()), _moments(model, optimiser)
        means = None if average is None else _plain(average)
        if not world().is_main:
            return
        folder = self._fresh(f"step-{state.step:08d}")
        write_tensors(weights, folder / MODEL)
        write_tensors(moments, folder / OPTIMISER)
        if means is not None:
            write_tensors(means, folder / AVERAGE)
        write_json(folder / STATE, asdict(state))
        seal_folder(folder)
        for old in self._steps()[:-KEPT_CHECKPOINTS]:
            remove(old)
        for old in sorted(self.folder.glob("selected-*")):
            if state.selected is None or old.name != f"selected-{state.selected:08d}":
                remove(old)

    def restore(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, average: Tensors | None = None
    ) -> TrainingState:
        """Load the newest whole checkpoint; a damaged one is passed over and removed.

        Args:
            model: Its weights are set.
            optimiser: Its moments are set.
            average: Tensors of a moving average of the weights, set in place.

        Returns:
            Its state, or that of step 0 if there is none.
        """
        everyone = world()
        with everyone.main_first():
            folder = self._newest_whole()
        step = float(folder.name.removeprefix("step-")) if folder else -1.0
        if step * everyone.size != everyone.total([step])[0]:
            raise StudyError(
                f'The processes of a run do not see the same checkpoints in "{self.folder}". They '
                "need one folder that all of them see."
            )
        if folder is None:
            return TrainingState()
        _load(model, read_tensors(folder / MODEL))
        _set_moments(model, optimiser, read_tensors(folder / OPTIMISER))
        saved = read_tensors(folder / AVERAGE) if average is not None else {}
        for name, value in (average or {}).items():
            value.copy_(shard_like(saved[name], value))
        raw = cast("dict[str, Any]", read_json(folder / STATE))
        raw["checks"] = [Check(**check) for check in raw["checks"]]
        return TrainingState(**raw)

    def select(self, step: int, model: nn.Module) -> None:
        """Keep the weights of the best check so far, thin products merged into them.

        Of several processes all must call it; rank 0 writes.
        """
        weights = _plain(merged_state(model))
        if not world().is_main:
            return
        folder = self._fresh(f"selected-{step:08d}")
        write_tensors(weights, folder / MODEL)
        seal_folder(folder)

    def load_selected(self, step: int, model: nn.Module) -> None:
        """Load the weights kept at a check.

        Raises:
            StudyError: They are damaged; all checkpoints are dropped, so that the run starts over.
        """
        folder = self.folder / f"selected-{step:08d}"
        everyone = world()
        everyone.wait()  # until rank 0 has written them
        sound = is_whole(folder)
        everyone.wait()  # until all have looked
        if not sound:
            remove(self.folder)
            raise StudyError(
                f"The selected weights of step {step} were damaged on disk. Run the same command "
                "again: this run starts over."
            )
        _load(model, read_tensors(folder / MODEL))

    def load_final(self, step: int | None, model: nn.Module) -> str:
        """Load the weights of a finished run into a model; nothing is changed on the disk.

        Args:
            step: Of the check at which they were selected.
            model: Without low-rank products.

        Returns:
            SHA-256 of the weights' file.

        Raises:
            StudyError: They are not there, or are damaged.
        """
        folder = self.folder / f"selected-{step or 0:08d}"
        if not is_whole(folder):
            state = "are damaged" if folder.is_dir() else "are not there"
            raise StudyError(f"The weights of the finished run {state}.")
        _load(model, read_tensors(folder / MODEL))
        return sha256(folder / MODEL)

    def _newest_whole(self) -> Path | None:
        for folder in reversed(self._steps()):
            if is_whole(folder):
                return folder
            remove(folder)
        return None

    def _fresh(self, name: str) -> Path:
        folder = self.folder / name
        if folder.exists():
            remove(folder)
        return make_folder(folder)

    def _steps(self) -> list[Path]:
        folders = [p for p in self.folder.glob("step-*") if re.fullmatch(r"step-\d{8}", p.name)]
        return sorted(folders)


def _plain(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: full_tensor(value.detach()).cpu().contiguous() for name, value in state.items()}


def _load(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    model_state = cast("dict[str, torch.Tensor]", model.state_dict())
    spread = {
        name: shard_like(t, model_state[name]) if name in model_state else t
        for name, t in tensors.items()
    }
    model.load_state_dict(spread)


def _moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Optimiser state: SGD's momentum by the name of its weight, other state likewise."""
    moments: Tensors = {}
    for name, weight in model.named_parameters():
        for kind, value in cast("dict[str, Any]", optimiser.state.get(weight, {})).items():
            if isinstance(value, torch.Tensor):
                key = name if kind == MOMENTUM else f"{name}:{kind}"
                moments[key] = full_tensor(value.detach()).cpu().contiguous()
    return moments


def _set_moments(
    model: nn.Module, optimiser: torch.optim.Optimizer, moments: dict[str, torch.Tensor]
) -> None:
    kept: dict[str, Tensors] = {}
    for key, value in moments.items():
        name, _, kind = key.partition(":")
        kept.setdefault(name, {})[kind or MOMENTUM] = value
    for name, weight in model.named_parameters():
        if name in kept:
            weight_moments = kept[name].items()
            optimiser.state[weight] = {kind: _like(value, weight) for kind, value in weight_moments}


def _like(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A moment as its weight lies; AdamW's count of steps is a number, and stays on the CPU."""
    if value.shape != weight.shape:
        return value
    # the weight's own memory format: a sum over another order has other bits
    return torch.empty_like(weight).copy_(shard_like(value, weight))
