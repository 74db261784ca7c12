"""Precision of a study's runs: one for each network and size, and kept by those that follow."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.local_run import Local

from medtransfer.models.precision import choice
from medtransfer.models.precision.decision import (
    PRECISIONS,
    PrecisionCase,
    PrecisionDecision,
    keep_decision,
    largest_run,
    read_decision,
)
from medtransfer.models.precision.speeds import SPEEDS, PrecisionSpeeds
from medtransfer.runs import transfer
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.transfer import finished_precision
from medtransfer.study.execution.precisions import note_precisions, precision_case
from medtransfer.study.plan import PlannedRun, plan_runs, read_data
from medtransfer.study.yaml_file import read_study
from medtransfer.training.loop import Stopped


@pytest.fixture
def copied(finished: StudyFolder, tmp_path: Path) -> StudyFolder:
    return StudyFolder(Path(shutil.copytree(finished.path, tmp_path / "study")))


def planned_of(folder: StudyFolder) -> list[PlannedRun]:
    study = read_study(folder.path / "study.yaml")
    return plan_runs(study, read_data(study, folder.images), folder)


def test_short_runs_say_that_they_were_not_measured(finished: StudyFolder) -> None:
    costs = [finished.run(run_id).cost() for run_id in finished.run_ids()]
    assert {cost.precision for cost in costs} == {"float32"}
    reasons = {cost.precision_choice for cost in costs}
    assert all("too short" in str(reason) or "no units" in str(reason) for reason in reasons)
    names = {path.name for path in (finished.path / PRECISIONS).iterdir()}
    assert sum(name.endswith("-32-training.json") for name in names) == 2  # of two networks


def test_runs_of_an_earlier_version_decide_for_those_that_follow(copied: StudyFolder) -> None:
    planned = planned_of(copied)
    case = PrecisionCase("r14x0.5", 32, "training")
    shutil.rmtree(copied.path / PRECISIONS)
    for run in planned:
        folder = copied.run(run.run_id)
        folder.write_cost(replace(folder.cost(), precision="bfloat16", precision_choice=None))
    note_precisions(copied, planned)
    assert read_decision(copied.path, case) == PrecisionDecision("bfloat16", "earlier")
    assert largest_run(copied.path, case) == max(
        run.num_images for run in planned if run.cell.rung == "scratch/r14x0.5"
    )
    assert finished_precision(copied.run(planned[0].run_id)) == "bfloat16"


def test_a_decision_moves_no_run_id(copied: StudyFolder) -> None:
    before = [run.run_id for run in planned_of(copied)]
    case = PrecisionCase("r14x0.5", 32, "training")
    (copied.path / PRECISIONS / f"{case.name}.json").unlink()
    keep_decision(copied.path, case, PrecisionDecision("bfloat16", "measured"))
    assert [run.run_id for run in planned_of(copied)] == before


def with_precision(run: PlannedRun, precision: str) -> PlannedRun:
    training = run.cell.run.training.model_copy(update={"precision": precision})
    config = run.cell.run.model_copy(update={"training": training})
    return replace(run, cell=replace(run.cell, run=config))


def test_runs_whose_precision_is_set_need_no_decision(
    finished: StudyFolder, tmp_path: Path
) -> None:
    planned = planned_of(finished)
    assert all(precision_case(run) is not None for run in planned)
    note_precisions(StudyFolder(tmp_path), [with_precision(run, "float32") for run in planned])
    assert not (tmp_path / PRECISIONS).exists()


@pytest.mark.slow
def test_a_resumed_run_keeps_the_precision_that_it_was_begun_in(
    local: "Callable[[Path], Local]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bfloat16 is the faster at the first start and the slower afterwards: the bits stay."""
    monkeypatch.setattr(choice, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(choice, "has_bfloat16_units", lambda _device: True)
    monkeypatch.setenv("MEDTRANSFER_CACHE", str(tmp_path / "speeds"))

    def measures(bfloat16: float) -> None:
        speeds = PrecisionSpeeds(10.0, bfloat16)
        measure = lambda *_, **__: speeds  # noqa: E731 — a stand-in of one line
        monkeypatch.setattr(
            transfer, "PrecisionChooser", lambda device: choice.PrecisionChooser(device, measure)
        )

    measures(20.0)
    whole, torn = local(tmp_path / "whole"), local(tmp_path / "torn")
    whole.carry_out()
    with pytest.raises(Stopped):
        torn.carry_out(lambda report: report.step == 3)
    measures(5.0)
    (tmp_path / "speeds" / SPEEDS).unlink()
    torn.carry_out()
    assert torn.own.cost().precision == "bfloat16"
    assert "20" in str(torn.own.cost().precision_choice)
    assert torn.digests() == whole.digests()
    assert torn.planned.run_id == whole.planned.run_id
