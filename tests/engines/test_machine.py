"""Cores and GPUs that may be used: of the process, its container, and what the user asks for."""

from pathlib import Path

import pytest

from medtransfer.engines import machine
from medtransfer.engines.machine import usable_cores, visible_gpus


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(machine, "NVIDIA", tmp_path / "gpus")
    monkeypatch.setattr(machine, "version", lambda _: "2.10.0")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("quota", "asked", "cores"),
    [
        (None, None, 16),
        ("max 100000", None, 16),
        ("250000 100000", None, 2),  # 2.5 cores
        ("50000 100000", None, 1),
        (None, "4", 4),
        (None, "4,2", 4),
        (None, "64", 16),
        (None, "many", 16),
        ("200000 100000", "8", 2),
    ],
)
def test_the_smallest_limit_counts(
    monkeypatch: pytest.MonkeyPatch, quota: str | None, asked: str | None, cores: int
) -> None:
    if quota is not None:
        machine.QUOTA.write_text(quota + "\n")
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert usable_cores() == cores


def test_gpus_are_those_of_the_driver_or_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus() == ()
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (machine.NVIDIA / name).mkdir(parents=True)
    assert visible_gpus() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, GPU-77")
    assert visible_gpus() == ("1", "GPU-77")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == ()


def test_torch_for_cpus_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.NVIDIA / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setattr(machine, "version", lambda _: "2.10.0+cpu")
    assert visible_gpus() == ()
