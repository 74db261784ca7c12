"""Cohorts that finished runs are to predict are named once each."""

from pathlib import Path

from medtransfer.runs.events import Additions
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.tested.additions import additions_of
from medtransfer.runs.tested.cases import PredictedCohort


def test_a_cohort_is_named_once_though_runs_know_it_by_other_digests(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    plain, clinical = PredictedCohort("south", 30, "aa"), PredictedCohort("south", 30, "bb")
    missing = [(folder.run("r1"), (plain,)), (folder.run("r2"), (clinical,))]
    assert additions_of(missing) == [Additions("south", 30, 2, is_changed=False)]
