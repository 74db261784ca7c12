"""Checkpoints: what goes in comes out to the bit, and nothing half written is ever loaded."""

import errno
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from medtransfer.errors import StudyError
from medtransfer.files import is_whole
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState


def network(seed: int = 0) -> nn.Module:
    """A convolution, a normalisation with counters, and a layer that is never trained."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    model[2].requires_grad_(requires_grad=False)
    return model


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD([w for w in model.parameters() if w.requires_grad], 0.1, momentum=0.9)


def trained(model: nn.Module, steps: int = 2) -> torch.optim.SGD:
    optimiser = sgd(model)
    step(model, optimiser, steps)
    return optimiser


def step(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int = 1) -> None:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimiser.zero_grad()
        model(images).square().sum().backward()
        optimiser.step()


def same(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_training_goes_on_in_the_same_bits(tmp_path: Path) -> None:
    model = network()
    optimiser = trained(model)
    checks = [Check(1, 0.1, 0.7, 0.69, None), Check(2, 0.05, 0.6, 0.68, 0.75)]
    state = TrainingState(2, 1, [0.61, 0.6], checks, 12.5, 64)
    CheckpointFolder(tmp_path).save(state, model, optimiser)
    other = network(seed=9)
    again = sgd(other)
    assert CheckpointFolder(tmp_path).restore(other, again) == state
    assert same(model, other)
    step(model, optimiser)
    step(other, again)  # the momentum came along, or this step would differ
    assert same(model, other)


def test_the_memory_format_of_the_network_stays_its_own(tmp_path: Path) -> None:
    model = network()
    CheckpointFolder(tmp_path).save(TrainingState(2), model, trained(model))
    other = network(seed=9).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    again = sgd(other)
    CheckpointFolder(tmp_path).restore(other, again)
    weight = next(other.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)
    moment = again.state[weight]["momentum_buffer"]
    assert moment.is_contiguous(memory_format=torch.channels_last)


def test_without_a_checkpoint_training_starts_at_step_zero(tmp_path: Path) -> None:
    model = network()
    before = network()
    assert CheckpointFolder(tmp_path / "none").restore(model, sgd(model)) == TrainingState()
    assert same(model, before)


def test_a_checkpoint_without_its_seal_is_passed_over_and_removed(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    model = network()
    for number in (1, 2):
        folder.save(TrainingState(number), model, trained(model))
    (tmp_path / "step-00000002" / "MANIFEST.json").unlink()  # killed before it was sealed
    other = network(seed=9)
    assert folder.restore(other, sgd(other)).step == 1
    assert names(tmp_path) == ["step-00000001"]


def test_the_two_newest_and_the_selected_weights_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    model = network()
    optimiser = trained(model)
    for number in (1, 2, 3, 10):
        if number in (1, 3):
            folder.select(number, model)
        folder.save(TrainingState(number, selected=3 if number >= 3 else 1), model, optimiser)
    assert names(tmp_path) == ["selected-00000003", "step-00000003", "step-00000010"]
    assert all(is_whole(path) for path in tmp_path.iterdir())


def test_a_step_that_is_made_again_replaces_what_is_left_of_it(tmp_path: Path) -> None:
    left = tmp_path / "step-00000001"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (left / "notes.txt").write_text("x")
    model = network()
    CheckpointFolder(tmp_path).save(TrainingState(1), model, trained(model))
    assert is_whole(left)
    assert "notes.txt" not in names(left)


def test_selected_weights_come_back_and_the_network_forgets_what_came_after(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    model = network()
    optimiser = trained(model)
    folder.select(2, model)
    kept = network(seed=9)
    kept.load_state_dict(model.state_dict())
    step(model, optimiser)
    assert not same(model, kept)
    folder.load_selected(2, model)
    assert same(model, kept)


def test_selected_weights_that_are_gone_start_the_run_over(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoint")
    model = network()
    folder.save(TrainingState(4, selected=2), model, trained(model))
    with pytest.raises(StudyError, match="step 2 were damaged on disk. Run the same command again"):
        folder.load_selected(2, model)
    assert not (tmp_path / "checkpoint").exists()


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    """No file grows over a size: the system refuses, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_refuses_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    model = network()
    optimiser = trained(model)
    folder.save(TrainingState(1), model, optimiser)
    with files_of_at_most(200), pytest.raises(StudyError, match=os.strerror(errno.EFBIG)):
        folder.save(TrainingState(2), model, optimiser)
    assert folder.restore(model, optimiser).step == 1
    assert not list(tmp_path.rglob("*.tmp-*"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_that_though_safetensors_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: ... (os error {code})")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    model = network()
    with pytest.raises(StudyError, match="The disk is full") as caught:
        CheckpointFolder(tmp_path).save(TrainingState(1), model, trained(model))
    assert isinstance(caught.value.__cause__, OSError)


def test_tensors_that_cannot_be_written_for_another_reason_are_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise SafetensorError("no such type")

    monkeypatch.setattr(safetensors.torch, "save_file", odd)
    model = network()
    with pytest.raises(SafetensorError, match="no such type"):
        CheckpointFolder(tmp_path).save(TrainingState(1), model, trained(model))
