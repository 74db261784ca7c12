"""Runs that are asked: finished, with most labels, of several settings the one that was taken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun
from medtransfer.study.understanding.asked import asked_runs


def run_of(run_id: str, fraction: float = 1.0) -> PlannedRun:
    cell = SimpleNamespace(label_fraction=fraction, shots=None, held_out=None)
    fake: Any = SimpleNamespace(run_id=run_id, cell=cell)
    return cast("PlannedRun", fake)


@pytest.mark.parametrize(
    "several",
    [
        {"sweep": {"learning_rates": [0.01, 0.1]}},
        {"axes": {"training.weight_decay": [0.0, 0.01]}},
    ],
    ids=["sweep", "axes"],
)
def test_of_several_settings_the_one_that_was_taken_is_asked(
    tiny_study: Study, tmp_path: Path, several: dict[str, Any]
) -> None:
    folder = StudyFolder(tmp_path)
    runs = [run_of("one"), run_of("two"), run_of("few", 0.1), run_of("late")]
    for run in runs[:3]:
        folder.run(run.run_id).path.mkdir(parents=True)
        (folder.run(run.run_id).path / "done").touch()
    (tmp_path / "runs.csv").write_text("run_id,taken\none,false\ntwo,true\nfew,true\nlate,true\n")
    swept = Study.model_validate(tiny_study.model_dump(exclude_unset=True) | several)
    assert [run.run_id for run in asked_runs(swept, folder, runs)] == ["two"]
    assert [run.run_id for run in asked_runs(tiny_study, folder, runs)] == ["one", "two"]
