"""Checkpoints that survive being killed: safetensors and JSON, sealed, two good ones kept."""

import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from medtransfer.errors import StudyError
from medtransfer.files import (
    is_whole,
    make_folder,
    read_json,
    remove,
    replacing,
    seal_folder,
    write_json,
)
from medtransfer.models.world import spread_like, whole, world

KEPT = 2
MODEL = "model.safetensors"
OPTIMISER = "optimiser.safetensors"
STATE = "state.json"


@dataclass
class Check:
    """What a look at the tuning split showed.

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
    """

    step: int = 0
    selected: int | None = None
    losses: list[float] = field(default_factory=list[float])
    checks: list[Check] = field(default_factory=list[Check])
    seconds: float = 0.0
    images: int = 0
    micro_batch: int | None = None


class CheckpointFolder:
    """The checkpoints of one run: ``step-*`` to go on from, ``selected-*`` the best weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self, state: TrainingState, model: nn.Module, optimiser: torch.optim.Optimizer
    ) -> None:
        """Write a checkpoint; drop all but the two newest, and weights no longer selected.

        Of several processes all must call it; rank 0 writes.
        """
        weights, moments = _plain(model.state_dict()), _moments(model, optimiser)
        if not world().leads:
            return
        folder = self._fresh(f"step-{state.step:08d}")
        _write_tensors(weights, folder / MODEL)
        _write_tensors(moments, folder / OPTIMISER)
        write_json(folder / STATE, asdict(state))
        seal_folder(folder)
        for old in self._steps()[:-KEPT]:
            remove(old)
        for old in sorted(self.folder.glob("selected-*")):
            if state.selected is None or old.name != f"selected-{state.selected:08d}":
                remove(old)

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> TrainingState:
        """Load the newest whole checkpoint; a damaged one is passed over and removed.

        Returns:
            Its state, or that of step 0 if there is none.
        """
        everyone = world()
        with everyone.leader_first():
            folder = self._newest_whole()
        step = float(folder.name.removeprefix("step-")) if folder else -1.0
        if step * everyone.size != everyone.total([step])[0]:
            raise StudyError(
                f'The processes of a run do not see the same checkpoints in "{self.folder}". They '
                "need one folder that all of them see."
            )
        if folder is None:
            return TrainingState()
        _load(model, _read_tensors(folder / MODEL))
        _set_moments(model, optimiser, _read_tensors(folder / OPTIMISER))
        raw = cast("dict[str, Any]", read_json(folder / STATE))
        raw["checks"] = [Check(**check) for check in raw["checks"]]
        return TrainingState(**raw)

    def select(self, step: int, model: nn.Module) -> None:
        """Keep the weights of the best check so far; as `save` for several processes."""
        weights = _plain(model.state_dict())
        if not world().leads:
            return
        folder = self._fresh(f"selected-{step:08d}")
        _write_tensors(weights, folder / MODEL)
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
        _load(model, _read_tensors(folder / MODEL))

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
        found = [p for p in self.folder.glob("step-*") if re.fullmatch(r"step-\d{8}", p.name)]
        return sorted(found)


def _plain(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: whole(value.detach()).cpu().contiguous() for name, value in state.items()}


def _load(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    own = cast("dict[str, torch.Tensor]", model.state_dict())
    spread = {name: spread_like(t, own[name]) if name in own else t for name, t in tensors.items()}
    model.load_state_dict(spread)


def _moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """SGD's momentum by the name of its weight."""
    found: dict[str, torch.Tensor] = {}
    for name, weight in model.named_parameters():
        buffer = cast("dict[str, Any]", optimiser.state.get(weight, {})).get("momentum_buffer")
        if buffer is not None:
            found[name] = whole(buffer.detach()).cpu().contiguous()
    return found


def _set_moments(
    model: nn.Module, optimiser: torch.optim.Optimizer, moments: dict[str, torch.Tensor]
) -> None:
    for name, weight in model.named_parameters():
        if name in moments:
            # the weight's own memory format: a sum over another order has other bits
            buffer = torch.empty_like(weight).copy_(spread_like(moments[name], weight))
            optimiser.state[weight] = {"momentum_buffer": buffer}


def _write_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    with replacing(path) as temporary:
        try:
            cast("Any", safetensors.torch).save_file(tensors, temporary)
        except SafetensorError as error:
            # it hides that the disk is full in a text
            found = re.search(r"os error (\d+)", str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    return cast("dict[str, torch.Tensor]", cast("Any", safetensors.torch).load_file(path))
