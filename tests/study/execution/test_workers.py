"""Number of workers and threads of a run: from the machine, the networks and what was recorded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.cli.planned import planned_runs

from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.engines.machine import usable_cores
from medtransfer.errors import ConfigError
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.models.config import ModelConfig
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.inputs import CacheRequest
from medtransfer.sizes.image_size import ImageSize
from medtransfer.study.execution import workers
from medtransfer.study.execution.workers import Workers, is_small, plan_tasks, plan_workers
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.kinds import kind_of
from medtransfer.study.planning.rules import area_of

SMALL = planned_runs()[0]


def large() -> PlannedRun:
    run = SMALL.cell.run.model_copy(update={"model": ModelConfig(rung="scratch/r50x1")})
    return replace(SMALL, cell=replace(SMALL.cell, key=GridKey("scratch/r50x1"), run=run))


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: 8)
    monkeypatch.setattr(workers, "visible_gpus", lambda: ())
    monkeypatch.setattr(workers, "available_memory", lambda: 2**36)


def test_small_networks_have_a_thread_each_and_large_ones_all_cores(tmp_path: Path) -> None:
    assert is_small(SMALL)
    assert not is_small(large())
    auto = plan_workers(None, [SMALL] * 20)
    assert (auto.count, auto.cores) == (8, 8)
    assert auto.threads_of(SMALL, RunFolder(tmp_path)) == 1
    assert auto.threads_of(large(), RunFolder(tmp_path)) == 8
    assert plan_workers(None, [large()] * 20).count == 1


def test_a_tall_image_counts_by_its_pixels() -> None:
    def sized(size: ImageSize) -> PlannedRun:
        need = CacheRequest(np.arange(0), PixelRecipe(size, "bilinear", 10**6))
        return replace(SMALL, needs=(need, need, need))

    assert is_small(sized((448, 56)))  # as many as 158 px square
    assert not is_small(sized((4096, 2048)))
    assert area_of(sized((448, 112))) == 1.0
    assert kind_of(sized((448, 112))).endswith(" 448 × 112 px full")


def test_threads_do_not_depend_on_how_much_is_left_to_run(tmp_path: Path) -> None:
    for number in (1, 3, 100):
        auto = plan_workers(None, [SMALL] * number)
        assert auto.threads_of(SMALL, RunFolder(tmp_path)) == 1


def test_a_number_of_workers_shares_out_the_cores(tmp_path: Path) -> None:
    asked = plan_workers(3, [SMALL])
    assert asked.threads_of(SMALL, RunFolder(tmp_path)) == 2
    assert plan_workers(16, [SMALL]).threads_of(SMALL, RunFolder(tmp_path)) == 1
    assert plan_workers(1, [SMALL]).threads_of(SMALL, RunFolder(tmp_path)) == 8


def test_memory_limits_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "available_memory", lambda: 5 * 2**30)
    assert plan_workers(None, [SMALL] * 20).count == 2


def test_a_resumed_run_keeps_the_threads_of_its_first_start(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start({}, {"threads": 5})
    folder.start({}, {"threads": 2})
    for asked in (None, 1, 8):
        assert plan_workers(asked, [SMALL]).threads_of(SMALL, folder) == 5


def test_a_gpu_has_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "visible_gpus", lambda: ("0", "1"))
    auto = plan_workers(None, [SMALL] * 20)
    assert auto == Workers(2, 8, ("0", "1"))
    assert auto.threads_of(SMALL, RunFolder(tmp_path)) == 4


def test_other_devices_share_out_the_cores_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start({}, {"threads": 5})
    training = SMALL.cell.run.training.model_copy(update={"devices": 4})
    run = SMALL.cell.run.model_copy(update={"training": training})
    shared = replace(SMALL, cell=replace(SMALL.cell, run=run))
    assert plan_workers(1, [shared]).threads_of(shared, folder) == 2


@pytest.mark.parametrize("asked", [0, -1, 257])
def test_a_number_that_makes_no_sense_is_refused(asked: int) -> None:
    with pytest.raises(ConfigError, match=rf"workers holds {asked} \(allowed: 1 to 256, or auto\)"):
        plan_workers(asked, [SMALL])


def test_a_cluster_runs_as_many_at_once_as_it_is_told_to() -> None:
    assert plan_tasks(3, [SMALL] * 20).count == 3
    assert plan_tasks(None, [SMALL] * 20).count == 20
    with pytest.raises(ConfigError, match="workers holds 0"):
        plan_tasks(0, [SMALL])


def test_the_cores_of_this_machine_are_counted() -> None:
    assert usable_cores() >= 1
