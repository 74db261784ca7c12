"""Decisions are written once; a start is compared with what is asked again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.study.test_template import manifest

from medtransfer.errors import StudyError, TableError
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.drafting.fingerprint import Machine
from medtransfer.study.selection.clock import Clock
from medtransfer.study.selection.decisions import Decision, Decisions, dropped_rungs
from medtransfer.study.selection.halving import Dropped
from medtransfer.study.selection.start import AutoRequest, begin, read_start
from medtransfer.study.yaml_file import read_study

LAPTOP = Machine(gpus=0, cores=2, memory=8 * 2**30)
RUNGS = ("tiny-10k/r26x0.25", "tiny-100k/r26x0.25")


def decision(**changes: object) -> Decision:
    first = Decision(
        stage="probes",
        kept=("b", "a"),
        dropped=(Dropped("c", "tuning AUROC 0.5"),),
        sentence="Probes.",
        tune_auroc={"a": 0.8, "b": 0.9, "c": 0.5},
        seconds={},
        seconds_left=12.5,
        modes={"b": "full", "a": "linear"},
        seeds=(0, 1),
    )
    return replace(first, **changes)  # type: ignore[arg-type] — of its fields


def test_the_first_decision_of_a_stage_stands(tmp_path: Path) -> None:
    decisions = Decisions(StudyFolder(tmp_path))
    assert decisions.find("probes") is None
    assert decisions.record(decision()) == decision()
    text = (tmp_path / "auto" / "2-probes.json").read_text()
    assert decisions.record(decision(kept=("a",))) == decision()
    assert (tmp_path / "auto" / "2-probes.json").read_text() == text
    assert Decisions(StudyFolder(tmp_path)).all() == [decision()]


def test_a_damaged_decision_says_what_to_do(tmp_path: Path) -> None:
    decisions = Decisions(StudyFolder(tmp_path))
    decisions.record(decision())
    (tmp_path / "auto" / "2-probes.json").write_text('{"stage": "probes"}')
    with pytest.raises(StudyError, match="delete it and all files after it"):
        decisions.find("probes")


def test_a_rung_is_left_out_once_for_its_first_reason() -> None:
    later = decision(stage="race", dropped=(Dropped("c", "later"), Dropped("a", "slow")))
    assert dropped_rungs([decision(), later]) == [
        Dropped("c", "tuning AUROC 0.5"),
        Dropped("a", "slow"),
    ]


def test_the_clock_goes_on_from_its_last_note(tmp_path: Path) -> None:
    now = [100.0]
    clock = Clock(StudyFolder(tmp_path), 60.0, lambda: now[0])
    now[0] += 3
    clock.note()  # too soon to write
    assert not (tmp_path / "auto").exists()
    now[0] += 4
    clock.note()
    now[0] += 1000  # killed; the pause does not count
    again = Clock(StudyFolder(tmp_path), 60.0, lambda: now[0])
    assert (again.spent, again.left) == (7.0, 53.0)
    (tmp_path / "auto" / "clock.json").write_text("{")
    assert Clock(StudyFolder(tmp_path), 60.0).spent < 1


@pytest.fixture
def table(tmp_path: Path) -> Path:
    labels = (["1"] * 40 + ["0"] * 60) * 2
    return manifest(tmp_path, ("north", "north", "north", "south"), edema=labels)


def test_a_start_derives_every_setting_and_says_by_which_rule(table: Path, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    start = begin(folder, AutoRequest(table, 1.0), RUNGS, LAPTOP)
    base = start.base.study
    assert [entry.rung for entry in base.rungs] == list(RUNGS)
    assert base.data.split.train_cohorts == ("north",)
    assert (base.training.batch_size, base.training.steps) == (64, 100)
    assert base.evaluation.margin == 0.02
    assert base.evaluation.operating_points == ("sens80",)  # 60 positives, 9 of them tune
    notes = {note.setting: note.note for note in start.base.notes}
    assert notes["evaluation.margin"].startswith("fixed: ")
    assert notes["training.steps"].startswith("rule steps: no GPU; 12 passes")
    text = (folder.path / "auto" / "study.yaml").read_text()
    assert "# training.steps: 100 steps of 64 at rate 0.003. rule steps:" in text
    assert read_study(folder.path / "auto" / "study.yaml") == base


def test_the_same_request_goes_on_from_the_same_base(table: Path, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    start = begin(folder, AutoRequest(table, 1.0), RUNGS, LAPTOP)
    moved = table.rename(tmp_path / "moved.csv")
    again = begin(folder, AutoRequest(moved, 1.0), ("other",), replace(LAPTOP, cores=64))
    assert again.base.study.data.manifest == moved
    assert again.base.study.training == start.base.study.training
    assert again.base.study.rungs == start.base.study.rungs
    kept = read_start(folder)
    assert kept is not None
    assert kept.base == start.base


def test_another_request_is_refused_with_all_differences(table: Path, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    begin(folder, AutoRequest(table, 1.0), RUNGS, LAPTOP)
    table.write_text(table.read_text().replace("south", "east"))
    with pytest.raises(StudyError) as caught:
        begin(folder, AutoRequest(table, 2.0, RUNGS), RUNGS, LAPTOP)
    assert (
        "asked for otherwise: the manifest has another content; hours were 1, and are 2; rungs "
        "were all at hand. The same command resumes it" in str(caught.value)
    )


def test_a_study_file_keeps_its_settings(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: own\n"
        "data: {manifest: m.csv, task: binary, targets: [edema], image: {flip: both}}\n"
        "rungs:\n  - rung: tiny-10k/r26x0.25\n    pool: max\n  - tiny-100k/r26x0.25\n"
        "seeds: [4, 5]\nlabel_fractions: [0.5]\ntraining: {steps: 40}\n"
    )
    start = begin(StudyFolder(tmp_path / "out"), AutoRequest(path, 1.0), RUNGS, LAPTOP)
    base = start.base
    assert base.ignored == ("seeds", "label_fractions")
    assert base.study.data.image.flip == "both"
    assert base.study.rungs[0].pool == "max"
    assert base.study.label_fractions == (1.0,)
    assert base.notes == ()
    path.write_text(path.read_text() + "leave_cohort_out: true\n")
    with pytest.raises(StudyError, match="leave_cohort_out has a tuning split for each cohort"):
        begin(StudyFolder(tmp_path / "other"), AutoRequest(path, 1.0), RUNGS, LAPTOP)


def test_a_source_that_cannot_be_read_leaves_no_folder(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    with pytest.raises(TableError, match="does not exist"):
        begin(folder, AutoRequest(tmp_path / "nowhere.csv", 1.0), RUNGS, LAPTOP)
    assert not folder.path.exists()


def test_a_study_of_another_kind_is_left_alone(table: Path, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    folder.claim("m")
    folder.write("plan.json", [])
    with pytest.raises(StudyError, match="was not selected automatically"):
        begin(folder, AutoRequest(table, 1.0), RUNGS, LAPTOP)
    assert not (folder.path / "auto").exists()


def test_a_start_holds_no_id(table: Path, tmp_path: Path) -> None:
    begin(StudyFolder(tmp_path / "out"), AutoRequest(table, 1.0), RUNGS, LAPTOP)
    record = json.loads((tmp_path / "out" / "auto" / "0-start.json").read_text())
    assert '"i17"' not in json.dumps(record)
