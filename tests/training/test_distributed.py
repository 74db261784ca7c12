"""Several processes, one run: the same order, losses, statistics and predictions as one alone."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import ROOT
from tests.training.conftest import Bench
from tests.training.together import carry_out
from torch import nn

from medtransfer.errors import StudyError
from medtransfer.evaluation.inference import predict as predicting
from medtransfer.models.runtime import World
from medtransfer.training.distributed import require_work_for_all, shard_weights

Task = dict[str, Any]
Together = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def together(bench: Bench, phantom_folder: Path, bench_folder: Path, tmp_path: Path) -> Together:
    """Carry out tasks by several processes, started as torchrun starts them."""

    def run(size: int, tasks: list[Task], expected: int = 0) -> list[dict[str, Any]]:
        about = {
            "phantom": str(phantom_folder),
            "bench": str(bench_folder),
            "out": str(tmp_path),
            "tasks": tasks,
        }
        (tmp_path / "about.json").write_text(json.dumps(about))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.training.together", str(tmp_path / "about.json")],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(size)
        ]
        said = [process.communicate(timeout=300)[1] for process in processes]
        assert processes[0].returncode == expected, said[0]
        outcomes = tmp_path / "outcomes.json"
        return json.loads(outcomes.read_text()) if expected == 0 else [{"said": s} for s in said]

    return run


@pytest.fixture
def alone(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Carry out a task by this process."""
    monkeypatch.setattr(predicting, "IMAGES_AT_ONCE", predicting.IMAGES_AT_ONCE)
    return lambda task: carry_out(bench, tmp_path / "alone" / json.dumps(task)[:80], task)


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["losses"] == pytest.approx(other["losses"], abs=1e-5)
    for first, second in zip(one["checks"], other["checks"], strict=True):
        assert first["tune_loss"] == pytest.approx(second["tune_loss"], abs=1e-5)
        assert first["tune_auroc"] == second["tune_auroc"]
    assert one["images"] == other["images"]
    assert one["selected"] == other["selected"]
    assert len(one["logits"]) == len(other["logits"])  # every case once
    for first, second in zip(one["logits"], other["logits"], strict=True):
        assert first == pytest.approx(second, abs=1e-4)


BIT: Task = {}
SPREAD: Task = {"spread": True}
NORMS: Task = {"rung": "imagenet/effnet-lite0", "changes": {"learning_rate": 0.002}}
ODD: Task = {"changes": {"micro_batch": 3}}
FIVE: Task = {"changes": {"batch_size": 10}}
OTHER: Task = {
    "changes": {
        "optimiser": "adamw",
        "learning_rate": 0.001,
        "weight_decay": 0.05,
        "clip_norm": 0.5,
        "ema": 0.9,
        "schedule": "cosine",
    }
}
SMALL: Task = {"small_memory_at": 1}


@pytest.mark.slow
def test_two_processes_train_and_predict_like_one(together: Together, alone) -> None:
    plain, spread = together(2, [BIT, SPREAD])
    assert_alike(plain, alone(BIT))
    assert_alike(spread, plain)


@pytest.mark.slow
def test_two_processes_do_so_with_odd_shares_statistics_and_little_memory(
    together: Together, alone
) -> None:
    tasks = [ODD, ODD | SPREAD, NORMS, SMALL, OTHER, OTHER | SPREAD]
    odd, odd_spread, norms, small, other, other_spread = together(2, tasks)
    assert_alike(odd, alone(ODD))  # three micro-batches: one process has none to add
    assert_alike(odd_spread, odd)
    assert_alike(norms, alone(NORMS))
    assert_alike(small, alone(BIT))
    assert_alike(other, alone(OTHER))
    assert_alike(other_spread, other)
    assert small["micro_batch"] == 1  # memory ran out in one process, and both took less


@pytest.mark.slow
@pytest.mark.parametrize("task", [BIT, SPREAD, FIVE, FIVE | SPREAD, NORMS], ids=str)
def test_four_processes_train_and_predict_like_one(together: Together, alone, task: Task) -> None:
    (found,) = together(4, [task])
    assert_alike(found, alone(task))


@pytest.mark.slow
@pytest.mark.parametrize("spread", [False, True])
def test_a_run_is_stopped_by_any_process_and_goes_on_with_another_number(
    together: Together, alone, bench: Bench, tmp_path: Path, spread: bool
) -> None:
    task: Task = {"spread": spread, "folder": "torn"}
    (torn,) = together(2, [task | {"stop": 1}])
    assert torn["stopped"]
    (torn,) = together(4, [task | {"stop": 3}])
    assert torn["stopped"]
    assert len(torn["losses"]) == 2
    end = carry_out(bench, tmp_path / "torn", task)
    whole = alone(BIT)
    assert end["losses"] == pytest.approx(whole["losses"][3:], abs=1e-5)
    assert_alike(end | {"losses": whole["losses"]}, whole)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [False, True])
def test_the_same_number_of_processes_ends_in_the_same_bits(
    together: Together, spread: bool
) -> None:
    task = {"spread": spread}
    first, second = together(2, [task | {"folder": "a"}, task | {"folder": "b"}])
    assert first == second


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_with_a_reason(together: Together) -> None:
    said = together(2, [{"dies_at": 1}], expected=1)
    assert "ProcessLost" in said[0]["said"]
    assert "Another process of this run is gone" in said[0]["said"]
    assert "Run the same command again" in said[0]["said"]


def test_more_processes_than_micro_batches_are_refused() -> None:
    require_work_for_all(World(0, 4), 4)
    with pytest.raises(StudyError) as caught:
        require_work_for_all(World(0, 4), 2)
    assert "training.devices is 4, and a step has only 2 micro-batches" in str(caught.value)
    assert "Set a smaller training.micro_batch, or fewer devices." in str(caught.value)


def test_spread_weights_are_refused_where_statistics_would_differ() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(StudyError, match="without batch normalisation, and this rung has it"):
        shard_weights(network, torch.device("cpu"), World(0, 2))
