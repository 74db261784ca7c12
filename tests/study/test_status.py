"""How far a study is, from its folder alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from medtransfer.errors import StudyError
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.status import read_status

SCRATCH, IMAGENET = "scratch/r14x0.5", "imagenet/effnet-lite0"


class Shelf:
    """A study's folder with runs put into states by hand."""

    def __init__(self, path: Path, *rungs: str) -> None:
        self.folder = StudyFolder(path)
        self.folder.claim("chest")
        self.ids = [f"{number:012x}" for number in range(len(rungs))]
        shared = {"label_fraction": 1.0, "held_out": None, "steps": 60, "images": 1200}
        about = [
            {"run_id": name, "rung": rung, "seed": seed, **shared}
            for seed, (name, rung) in enumerate(zip(self.ids, rungs, strict=True))
        ]
        self.folder.write("plan.json", about)

    def done(self, number: int, seconds: float, areas: tuple[float | None, ...] = ()) -> None:
        own = self.folder.run(self.ids[number])
        own.write_history([{"step": i, "tune_auroc": area} for i, area in enumerate(areas)])
        (own.path / "cost.json").write_text(json.dumps({"seconds": seconds}))
        (own.path / "done").write_text("{}")

    def at_step(self, number: int, **progress: Any) -> None:
        self.folder.run(self.ids[number]).write_progress(progress)


def test_a_study_that_has_not_started_waits_for_an_unknown_time(tmp_path: Path) -> None:
    status = read_status(Shelf(tmp_path, SCRATCH, IMAGENET).folder)
    assert status.counts() == {"waiting": 2}
    assert status.seconds_left is None
    assert not status.working


def test_a_finished_run_tells_its_time_and_its_best_look(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SCRATCH)
    shelf.done(0, seconds=30, areas=(None, 0.7, 0.8, 0.75))
    status = read_status(shelf.folder)
    (run,) = status.runs
    assert (run.state, run.step, run.steps, run.seconds) == ("done", 60, 60, 30)
    assert run.tune_auroc == 0.8
    assert status.seconds_left == 0


def test_a_run_without_a_defined_look_has_no_auroc(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SCRATCH)
    shelf.done(0, seconds=30, areas=(None, None))
    assert read_status(shelf.folder).runs[0].tune_auroc is None


def test_time_left_comes_from_each_rungs_own_speed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SCRATCH, IMAGENET, SCRATCH, IMAGENET)
    shelf.done(0, seconds=10)  # 120 images a second
    shelf.done(1, seconds=40)  # 30 images a second
    assert read_status(shelf.folder).seconds_left == pytest.approx(10 + 40)
    shelf.at_step(2, step=30, steps=60, tune_auroc=0.6)
    assert read_status(shelf.folder).seconds_left == pytest.approx(5 + 40)


def test_a_rung_without_a_finished_run_is_taken_to_be_as_slow_as_the_slowest(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, SCRATCH, IMAGENET)
    shelf.done(0, seconds=10)
    assert read_status(shelf.folder).seconds_left == pytest.approx(10)


def test_the_first_waiting_run_is_running_while_a_process_is_at_work(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SCRATCH, SCRATCH, SCRATCH)
    shelf.done(0, seconds=10)
    shelf.at_step(1, step=12, steps=60, tune_auroc=0.66)
    lease = Lease(shelf.folder)
    lease.take()
    status = read_status(shelf.folder)
    assert status.working
    assert [run.state for run in status.runs] == ["done", "running", "waiting"]
    assert (status.runs[1].step, status.runs[1].tune_auroc) == (12, 0.66)
    lease.drop()
    assert [run.state for run in read_status(shelf.folder).runs] == ["done", "waiting", "waiting"]


def test_failed_and_diverged_runs_say_why_and_take_no_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SCRATCH, IMAGENET)
    shelf.folder.run(shelf.ids[0]).fail("diverged", "the loss is not finite at step 7", step=7)
    shelf.folder.run(shelf.ids[1]).fail("failed", "out of memory")
    status = read_status(shelf.folder)
    assert status.counts() == {"diverged": 1, "failed": 1}
    assert [run.message for run in status.runs] == [
        "the loss is not finite at step 7",
        "out of memory",
    ]
    assert status.seconds_left == 0


def test_machines_get_the_same_as_people(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SCRATCH)
    shelf.at_step(0, step=12, steps=60, tune_auroc=None)
    plain = json.loads(json.dumps(read_status(shelf.folder).plain()))
    assert plain["runs"][0] | {"state": "waiting", "step": 12} == plain["runs"][0]
    assert plain["working"] is False
    assert plain["seconds_left"] is None


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is not the folder of a study that was run"):
        read_status(StudyFolder(tmp_path))
