"""The section on an automatic study, from made decisions."""

from pathlib import Path

import pytest
from tests.study.test_template import manifest

from medtransfer.report.beside.selection import selection_sections
from medtransfer.report.components import ReportTable
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.drafting.fingerprint import Machine
from medtransfer.study.selection.decisions import Decision, Decisions
from medtransfer.study.selection.halving import Dropped
from medtransfer.study.selection.start import AutoRequest, begin


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "out")
    table = manifest(tmp_path, edema=["1", "0"] * 40)
    begin(folder, AutoRequest(table, 2.0), ("tiny-10k/r26x0.25",), Machine(0, 2, 2**33))
    decisions = Decisions(folder)
    decisions.record(
        Decision(
            stage="candidates",
            kept=("net/a", "net/b", "net/c"),
            dropped=(Dropped("net/away", "its weights are not on this machine"),),
            sentence="3 rungs can be tried.",
            tune_auroc={},
            seconds={"net/a": 10.0},
            seconds_left=6000.0,
        )
    )
    decisions.record(
        Decision(
            stage="probes",
            kept=("net/a", "net/b"),
            dropped=(Dropped("net/c", "tuning AUROC 0.700, below 0.800 of the last kept"),),
            sentence="Linear probes of 3 rungs.",
            tune_auroc={"net/a": 0.9, "net/b": 0.8, "net/c": 0.7},
            seconds={},
            seconds_left=4000.0,
        )
    )
    decisions.record(
        Decision(
            stage="finalists",
            kept=("net/a", "net/b"),
            dropped=(),
            sentence="Finalists: net/a and net/b.",
            tune_auroc={"net/a linear": 0.9},
            seconds={},
            modes={"net/a": "linear", "net/b": "full"},
            seeds=(0, 1),
        )
    )
    return folder


def test_every_rung_has_its_tuning_numbers_and_its_outcome(folder: StudyFolder) -> None:
    (section,) = selection_sections(folder)
    assert section.lead.startswith(
        "3 rungs were tried; 2 hours were asked for. Finalists: net/a and net/b."
    )
    steps, rungs, _, settings = section.parts
    assert isinstance(steps, ReportTable)
    assert [row[0] for row in steps.rows] == ["candidates", "probes", "finalists"]
    assert [row[2] for row in steps.rows] == ["100", "67", "–"]
    assert isinstance(rungs, ReportTable)
    assert [list(row) for row in rungs.rows] == [
        ["net/a", "0.900", "finalist, as a linear probe"],
        ["net/b", "0.800", "finalist, fine-tuned"],
        ["net/c", "0.700", "tuning AUROC 0.700, below 0.800 of the last kept"],
        ["net/away", "–", "its weights are not on this machine"],
    ]
    assert isinstance(settings, ReportTable)
    assert settings.rows[0][0] == "data.image.crop"


def test_other_studies_have_no_such_section(tmp_path: Path) -> None:
    assert selection_sections(StudyFolder(tmp_path)) == []
